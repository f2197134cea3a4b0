//! Keeps a line of the log one line: characters that would break it, or steer a terminal, are written as escapes.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How escapes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// As JSON writes them within its strings, which alone can hold such characters.
    Json,
    /// As Rust writes them.
    Text {
        /// Whether the line has colours of its own, whose ESC stays.
        colours: bool,
    },
}

/// A line, without the newline at its end, with every harmful character escaped.
pub fn escaped(line: &str, how: Escape) -> Cow<'_, str> {
    let harmful = |letter: char| harmful(letter, how);
    if !line.contains(harmful) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len() + 16);
    for letter in line.chars() {
        match how {
            _ if !harmful(letter) => out.push(letter),
            // All harmful characters are of the first plane, so one escape says each.
            Escape::Json => write!(out, "\\u{:04x}", letter as u32).expect("a String takes all"),
            Escape::Text { .. } => out.extend(letter.escape_default()),
        }
    }
    Cow::Owned(out)
}

/// Whether a character breaks lines, moves the cursor or turns the direction of what follows.
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
    fn what_ends_a_line_or_steers_a_terminal_is_escaped() {
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
