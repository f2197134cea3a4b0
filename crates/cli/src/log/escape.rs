//! Keeps a line of the log on one line: characters that would break it or control a terminal are escaped.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The form of escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// As in JSON strings, the only places in JSON with such characters.
    Json,
    /// As in Rust.
    Text {
        /// True if the line has colours of its own, whose ESC characters are kept.
        colours: bool,
    },
}

/// Escapes every harmful character of a line, which is without its final newline.
pub fn escaped(line: &str, how: Escape) -> Cow<'_, str> {
    let harmful = |letter: char| harmful(letter, how);
    if !line.contains(harmful) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len() + 16);
    for letter in line.chars() {
        match how {
            _ if !harmful(letter) => out.push(letter),
            // All harmful characters are in the basic multilingual plane, so one escape suffices for each.
            Escape::Json => write!(out, "\\u{:04x}", letter as u32).expect("a String takes all"),
            Escape::Text { .. } => out.extend(letter.escape_default()),
        }
    }
    Cow::Owned(out)
}

/// True if a character breaks lines, moves the cursor or changes the writing direction.
fn harmful(letter: char, how: Escape) -> bool {
    match letter {
        '\u{1b}' => how != Escape::Text { colours: true },
        '\u{2028}' | '\u{2029}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => letter.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_line_is_left_alone() {
        let line = "größer: 5 × refused";
        assert!(matches!(escaped(line, Escape::Json), Cow::Borrowed(_)));
    }

    #[test]
    fn line_ends_and_control_characters_are_escaped() {
        let line = "a\rb\u{85}c\u{2029}d\u{7f}e\u{202e}f";
        assert_eq!(
            escaped(line, Escape::Text { colours: false }),
            r"a\rb\u{85}c\u{2029}d\u{7f}e\u{202e}f"
        );
        let json = format!("\"{}\"", escaped("b\u{85}c\u{2029}d\u{7f}", Escape::Json));
        let read: String = serde_json::from_str(&json).unwrap();
        assert_eq!(read, "b\u{85}c\u{2029}d\u{7f}");
    }

    #[test]
    fn a_coloured_line_keeps_its_own_colours() {
        let line = "\u{1b}[32mINFO\u{1b}[0m";
        assert_eq!(escaped(line, Escape::Text { colours: true }), line);
        assert!(!escaped(line, Escape::Text { colours: false }).contains('\u{1b}'));
    }
}
