//! Text of others, made fit for a terminal: what would steer it is shown instead.

use std::borrow::Cow;

/// A text with its control characters, and those that turn writing around or begin a line, written as `\u{9b}`. Clients
/// choose the names of keyed breakers, and an operator's terminal must not obey them.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        if steers(char) {
            safe.extend(char.escape_unicode());
        } else {
            safe.push(char);
        }
    }
    Cow::Owned(safe)
}

fn steers(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_and_all_else_stays() {
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
