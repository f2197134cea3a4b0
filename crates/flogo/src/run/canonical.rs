//! Go's form of field names: `x-two` is `X-Two`.

use std::sync::Arc;

use http::HeaderName;

/// A field's name with capitals at its beginning and after every `-`.
pub fn canonical(name: &HeaderName) -> Arc<str> {
    let mut text = String::with_capacity(name.as_str().len());
    let mut begins = true;
    for char in name.as_str().chars() {
        text.push(if begins {
            char.to_ascii_uppercase()
        } else {
            char
        });
        begins = char == '-';
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_with_capitals() {
        let shown = |name| canonical(&HeaderName::from_static(name));
        assert_eq!(&*shown("x-two"), "X-Two");
        assert_eq!(&*shown("etag"), "Etag");
        assert_eq!(&*shown("x--a-"), "X--A-");
    }
}
