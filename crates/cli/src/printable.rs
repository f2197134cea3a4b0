//! Makes foreign text safe for a terminal, by escaping control characters.

use std::borrow::Cow;

/// Escapes control characters, and characters that change the writing direction or begin a line, as in `\u{9b}`.
/// Clients choose the names of keyed breakers, and these names must not control an operator's terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        if is_unsafe(char) {
            safe.extend(char.escape_unicode());
        } else {
            safe.push(char);
        }
    }
    Cow::Owned(safe)
}

fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_all_others_stay() {
        assert_eq!(printable("orders/é 日本 👍"), "orders/é 日本 👍");
        assert_eq!(
            printable("a\u{1b}[2J\r\n\tb"),
            r"a\u{1b}[2J\u{d}\u{a}\u{9}b"
        );
        assert_eq!(
            printable("\u{9b}\u{202e}\u{2028}"),
            r"\u{9b}\u{202e}\u{2028}"
        );
    }
}
