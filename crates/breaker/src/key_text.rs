//! Keys made of parts that clients choose: different parts give different keys, and plain parts stay as they are.

/// A key made of parts joined by `,`, such as a tenant and a region.
///
/// Two lists of parts give the same key only if they are the same, byte for byte. Ambiguous text is written as `%` and
/// two hexadecimal digits a byte: `%` and `,`, control characters, bytes that are not UTF-8, a part that is `-`, since
/// that stands for a missing one, and a `*` at the beginning, with which a [`Registry`](crate::Registry) names its
/// shared breakers. An empty part counts as missing.
///
/// ```
/// use fusebox_breaker::registry::KeyParts;
///
/// let key = |parts: &[Option<&[u8]>]| {
///     let mut key = KeyParts::default();
///     parts.iter().for_each(|part| key.push(*part));
///     key.into_key()
/// };
/// assert_eq!(key(&[Some(b"acme"), None]), "acme,-");
/// assert_eq!(key(&[Some(b"a"), Some(b"b,c")]), "a,b%2Cc");
/// assert_eq!(key(&[Some(b"M\xfc")]), "M%FC");
/// ```
#[derive(Clone, Debug, Default)]
pub struct KeyParts {
    key: String,
    begun: bool,
}

impl KeyParts {
    /// Adds a part to the key.
    pub fn push(&mut self, part: Option<&[u8]>) {
        if self.begun {
            self.key.push(',');
        }
        self.begun = true;
        write_part(&mut self.key, part, |character| character == ',');
    }

    /// The finished key.
    pub fn into_key(self) -> String {
        self.key
    }
}

/// Writes a part of a key. `separates` is true for the characters that may stand between parts.
pub(crate) fn write_part(key: &mut String, part: Option<&[u8]>, separates: impl Fn(char) -> bool) {
    let part = match part {
        None | Some(b"") => return key.push('-'),
        Some(b"-") => return write_byte(key, b'-'),
        Some(part) => part,
    };
    for chunk in part.utf8_chunks() {
        for character in chunk.valid().chars() {
            let strange = matches!(character, '%' | '\u{2028}' | '\u{2029}')
                || character.is_control()
                || (character == '*' && key.is_empty())
                || separates(character);
            if strange {
                let mut bytes = [0; 4];
                let bytes = character.encode_utf8(&mut bytes).bytes();
                bytes.for_each(|byte| write_byte(key, byte));
            } else {
                key.push(character);
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|byte| write_byte(key, *byte));
    }
}

fn write_byte(key: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    key.push('%');
    for digit in [byte >> 4, byte & 15] {
        key.push(DIGITS[usize::from(digit)].into());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(parts: &[Vec<u8>]) -> String {
        let mut key = KeyParts::default();
        parts.iter().for_each(|part| key.push(Some(part)));
        key.into_key()
    }

    /// Bytes with many that must be written differently.
    fn part() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            prop::sample::select(b"-,%*2Ca\xfc\xf6\xc3\x00".to_vec()),
            any::<u8>()
        ];
        prop::collection::vec(byte, 1..5)
    }

    proptest! {
        #[test]
        fn different_parts_give_different_keys(
            one in prop::collection::vec(part(), 1..4),
            other in prop::collection::vec(part(), 1..4),
        ) {
            prop_assert_eq!(key(&one) == key(&other), one == other);
        }

        #[test]
        fn a_missing_part_is_like_no_part_that_is_there(part in part()) {
            prop_assert_ne!(key(&[part]), "-");
        }
    }

    #[test]
    fn plain_parts_stay_as_they_are() {
        for plain in [
            "acme",
            "tenant-7",
            "a/b:c",
            "{*rest}x",
            "M\u{fc}ller",
            "a b\"c",
        ] {
            assert_eq!(key(&[plain.as_bytes().to_vec()]), plain);
        }
        assert_eq!(key(&[b"*7".to_vec()]), "%2A7");
        assert_eq!(key(&[b"a".to_vec(), b"*".to_vec()]), "a,*");
    }
}
