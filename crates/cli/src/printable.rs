//! Text for an operator: foreign text made safe for a terminal, and an error with all its causes.

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

/// Writes an error and its causes on one line. A cause that an error before it has already said is left out.
pub fn with_causes(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let system = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let said = system().to_string();
        let plain = anyhow::Error::new(system()).context("cannot read a");
        assert_eq!(with_causes(&plain), format!("cannot read a: {said}"));
        let twice = anyhow::Error::new(system())
            .context(format!("opening a failed: {said}; check the path"))
            .context("cannot open the store");
        let expected = format!("cannot open the store: opening a failed: {said}; check the path");
        assert_eq!(with_causes(&twice), expected);
    }

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
