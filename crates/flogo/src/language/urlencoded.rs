//! Percent-encoding in URLs: queries and forms in both directions, and path parameters of calls.
//!
//! Pairs are read and written as by Go's `net/url`, which differs from browsers in small ways: `;` is not a separator,
//! `~` is not escaped, and an invalid escape is an error.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All characters except the unreserved ones of RFC 3986, section 2.3.
const IN_A_QUERY: &AsciiSet = &except(b"-._~");

/// All characters except `pchar` of RFC 3986, section 3.3: those that end a segment, or begin an escape.
const IN_A_SEGMENT: &AsciiSet = &except(b"-._~!$&'()*+,;=:@");

/// All characters except letters, digits and some others.
pub const fn except(plain: &[u8]) -> AsciiSet {
    let mut escaped = NON_ALPHANUMERIC.add(b'%');
    let mut at = 0;
    while at < plain.len() {
        escaped = escaped.remove(plain[at]);
        at += 1;
    }
    escaped
}

/// The fault of a query's or form's pair, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPair {
    /// A `%` without two hex digits after it.
    #[error("invalid URL escape {0:?}")]
    Escape(String),
    /// A `;`, which some programs read as a separator and others as text.
    #[error("invalid semicolon separator in query")]
    Semicolon,
}

/// The pairs of a query or form, in order, each decoded or faulty.
pub fn pairs(text: &str) -> impl Iterator<Item = Result<(String, String), BadPair>> {
    let written = text.split('&').filter(|pair| !pair.is_empty());
    written.map(|pair| {
        if pair.contains(';') {
            return Err(BadPair::Semicolon);
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((unescape(name, true)?, unescape(value, true)?))
    })
}

/// Decodes the escapes of a text; bytes that are not UTF-8 become U+FFFD.
///
/// # Errors
/// The first invalid escape.
pub fn unescape(text: &str, plus_is_blank: bool) -> Result<String, BadPair> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'%' => {
                let digit = |at: usize| tail.get(at).and_then(|byte| (*byte as char).to_digit(16));
                let (Some(high), Some(low)) = (digit(0), digit(1)) else {
                    let shown = &tail[..tail.len().min(2)];
                    let shown = format!("%{}", String::from_utf8_lossy(shown));
                    return Err(BadPair::Escape(shown));
                };
                bytes.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            b'+' if plus_is_blank => bytes.push(b' '),
            byte => bytes.push(*byte),
        }
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Encodes pairs as a query: `a=1&b=two+words`.
pub fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs = pairs.into_iter();
    let pairs = pairs.map(|(name, value)| format!("{}={}", query_part(name), query_part(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// Encodes a name or a value of a query.
pub fn query_part(text: &str) -> String {
    let encoded = utf8_percent_encode(text, IN_A_QUERY).to_string();
    encoded.replace("%20", "+")
}

/// Encodes a value as a segment of a path, or a part of one, so that it cannot change the rest of the URL.
pub fn segment(value: &str) -> Cow<'_, str> {
    utf8_percent_encode(value, IN_A_SEGMENT).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<Result<(String, String), BadPair>> {
        pairs(text).collect()
    }

    #[test]
    fn pairs_are_read_as_go_reads_them() {
        let ok = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(
            read("a=1&a=2&b&&c=x=y&d=%20+"),
            [
                ok("a", "1"),
                ok("a", "2"),
                ok("b", ""),
                ok("c", "x=y"),
                ok("d", "  ")
            ]
        );
        assert_eq!(read("a=%zz"), [Err(BadPair::Escape("%zz".into()))]);
        assert_eq!(
            read("a=%4").pop().unwrap().unwrap_err().to_string(),
            "invalid URL escape \"%4\""
        );
        assert_eq!(read("a=1;b=2"), [Err(BadPair::Semicolon)]);
    }

    #[test]
    fn a_query_is_written_as_go_writes_it() {
        assert_eq!(
            query([("a b", "c d"), ("x", "~*&=é")]),
            "a+b=c+d&x=~%2A%26%3D%C3%A9"
        );
    }

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(segment("a b/c?d#e%f:g@h"), "a%20b%2Fc%3Fd%23e%25f:g@h");
    }

    proptest! {
        #[test]
        fn written_pairs_are_read_again(written in prop::collection::vec((any::<String>(), any::<String>()), 0..5)) {
            let text = query(written.iter().map(|(name, value)| (&**name, &**value)));
            let read: Vec<_> = pairs(&text).map(Result::unwrap).collect();
            // A pair of two empty texts is `=`, which is read as one pair.
            prop_assert_eq!(read, written);
        }

        #[test]
        fn a_segment_is_read_again_and_has_no_separator(value in any::<String>()) {
            let written = segment(&value).into_owned();
            prop_assert!(!written.contains(['/', '?', '#']));
            prop_assert_eq!(unescape(&written, false).unwrap(), value);
        }
    }
}
