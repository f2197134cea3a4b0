//! The end of an attribute's value, in XML and in the deviations of published flows.
//!
//! A quoted value ends at its quote. Some flows have the same quote inside an expression, `"#[payload["id"]]"`, where a
//! bracket is still open; others have no quotes at all.

use super::cursor::{is_name, is_name_start, is_space};

/// The limit of fruitless look-ahead in a file, in bytes, so that no file is read over and over.
pub(super) const LOOKAHEAD_MAX: usize = 4 << 20;

/// The end of a value.
#[derive(Debug, PartialEq)]
pub(super) enum End {
    /// The next quote, at this offset in bytes.
    Quote(usize),
    /// A later quote, at offset `end`; the next quote, at `first`, is inside an expression.
    Later { first: usize, end: usize },
    /// No quote follows.
    Open,
}

/// The end of a quoted value by XML's rule alone.
pub(super) fn plain_end(text: &str, quote: char) -> End {
    text.find(quote).map_or(End::Open, End::Quote)
}

/// The end of a quoted value whose expressions may contain the quote.
///
/// XML's rule applies first if it leaves a complete value and a complete tag, since a regular expression may contain
/// any brackets and quotes.
pub(super) fn lenient_end(text: &str, quote: char, lookahead: &mut usize) -> End {
    let Some(first) = text.find(quote) else {
        return End::Open;
    };
    let inside = &text[..first];
    let mut scan = Scan::default();
    scan.read(inside, quote);
    let whole = inside.trim_end().ends_with(']') && tag_continues(&text[first + 1..]);
    if scan.is_outside() || whole {
        return End::Quote(first);
    }
    let bound = floor(text, first + *lookahead);
    match scan.find_end(&text[..bound], first, quote) {
        Some(end) if tag_continues(&text[end + 1..]) => End::Later { first, end },
        _ => {
            *lookahead -= (bound - first).min(*lookahead);
            End::Quote(first)
        }
    }
}

/// The length of a value without quotes: up to the next ` name=`, `>` or `/>`, but past the closing bracket of an
/// expression, if it has one.
pub(super) fn bare_length(text: &str, lookahead: &mut usize) -> usize {
    let mut from = 0;
    if text.starts_with("#[") {
        let bound = floor(text, *lookahead);
        let mut scan = Scan::default();
        match scan.find_close(&text[..bound]) {
            Some(end) => from = end,
            None => *lookahead -= bound.min(*lookahead),
        }
    }
    let mut after_space = false;
    for (offset, char) in text[from..].char_indices() {
        let at = from + offset;
        let rest = &text[at..];
        // A run of spaces is examined once, at its first space.
        let ends = char == '>'
            || rest.starts_with("/>")
            || (is_space(char) && !after_space && begins_attribute(rest));
        if ends {
            return text[..at].trim_end_matches(is_space).len();
        }
        after_space = is_space(char);
    }
    text.trim_end_matches(is_space).len()
}

/// True if the rest of a tag follows a value.
fn tag_continues(rest: &str) -> bool {
    let next = rest.trim_start_matches(is_space);
    if next.starts_with('>') || next.starts_with("/>") || next.starts_with("?>") {
        return true;
    }
    begins_attribute(rest)
}

/// True if white space and `name=` follow.
fn begins_attribute(rest: &str) -> bool {
    let next = rest.trim_start_matches(is_space);
    if next.len() == rest.len() || !next.starts_with(is_name_start) {
        return false;
    }
    let behind = next.trim_start_matches(is_name);
    let behind = behind.trim_start_matches(is_space);
    behind.starts_with('=') && !behind.starts_with("==")
}

/// True if `name=` follows.
pub(super) fn is_attribute(rest: &str) -> bool {
    let behind = rest.trim_start_matches(is_name);
    behind.len() < rest.len() && behind.trim_start_matches(is_space).starts_with('=')
}

/// The last character boundary up to `bytes`.
fn floor(text: &str, bytes: usize) -> usize {
    if bytes >= text.len() {
        return text.len();
    }
    let mut offsets = (0..=bytes).rev();
    offsets.find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The open brackets and quotes of an expression.
#[derive(Default)]
struct Scan {
    depth: usize,
    quote: Option<char>,
    escaped: bool,
    /// The number of bytes that belong to the previous character.
    skip: usize,
}

impl Scan {
    fn is_outside(&self) -> bool {
        self.depth == 0
    }

    fn read(&mut self, text: &str, delimiter: char) {
        for (at, _) in text.char_indices() {
            self.step(&text[at..], delimiter);
        }
    }

    /// The first delimiter from `from` on outside of all expressions. `self` has read the text before it.
    fn find_end(&mut self, text: &str, from: usize, delimiter: char) -> Option<usize> {
        for (offset, char) in text[from..].char_indices() {
            let at = from + offset;
            if char == delimiter && self.is_outside() {
                return Some(at);
            }
            self.step(&text[at..], delimiter);
        }
        None
    }

    /// The offset after the bracket that closes the first expression.
    fn find_close(&mut self, text: &str) -> Option<usize> {
        for (at, char) in text.char_indices() {
            self.step(&text[at..], '"');
            if char == ']' && self.is_outside() {
                return Some(at + 1);
            }
        }
        None
    }

    /// Reads one character, the first of the rest.
    fn step(&mut self, rest: &str, delimiter: char) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        let (char, length) = if rest.starts_with("&quot;") {
            ('"', 6)
        } else if rest.starts_with("&apos;") {
            ('\'', 6)
        } else {
            (rest.chars().next().unwrap_or(delimiter), 1)
        };
        // The rest of an entity is ASCII, so its bytes are its characters.
        self.skip = length - 1;
        match self.quote {
            Some(_) if self.escaped => self.escaped = false,
            Some(_) if char == '\\' => self.escaped = true,
            Some(open) if open == char => self.quote = None,
            Some(_) => {}
            None if self.depth == 0 => {
                if rest.starts_with("#[") {
                    self.depth = 1;
                    self.skip = 1;
                }
            }
            None => match char {
                '\'' | '"' | '`' => self.quote = Some(char),
                '[' => self.depth += 1,
                ']' => self.depth -= 1,
                _ => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> &str {
        match lenient_end(text, '"', &mut LOOKAHEAD_MAX.clone()) {
            End::Quote(end) | End::Later { end, .. } => &text[..end],
            End::Open => "(open)",
        }
    }

    #[test]
    fn a_quote_within_an_expression_does_not_end_the_value() {
        for (inside, after) in [
            (r#"#[payload["id"]]"#, r#""/>"#),
            (r#"#[a ++ " b=" ++ "]"]"#, r#"" c="1">"#),
            (r#"x #[p["a"]] y #[q["b"]]"#, r#"">"#),
        ] {
            assert_eq!(value(&format!("{inside}{after}")), inside);
        }
    }

    #[test]
    fn a_value_that_is_xml_ends_as_xml_says() {
        for (inside, after) in [
            ("a]b[", r#""/>"]""#),
            ("#[payload matches /[a-z']+/]", r#"" b="'"/>"#),
            ("#[&quot;[&quot; ++ a]", r#"" b="]"/>"#),
        ] {
            assert_eq!(value(&format!("{inside}{after}")), inside);
        }
    }

    #[test]
    fn an_expression_that_nothing_closes_ends_at_the_first_quote() {
        assert_eq!(value(r#"#[vars.x"/><a b="c"/>"#), "#[vars.x");
        let mut left = 3;
        let end = lenient_end(r#"#[p["é"]]"/>"#, '"', &mut left);
        assert_eq!(end, End::Quote(4));
        assert_eq!(left, 0);
    }

    #[test]
    fn a_value_without_quotes_runs_to_the_next_name_or_the_end_of_the_tag() {
        let value = |text: &'static str| &text[..bare_length(text, &mut LOOKAHEAD_MAX.clone())];
        assert_eq!(value("5 />"), "5");
        assert_eq!(value("a b c d = 'x'>"), "a b c");
        assert_eq!(value("#[a > 5] b=1>"), "#[a > 5]");
        assert_eq!(value("#[a > 5 b=1>"), "#[a");
        assert_eq!(value("a == b>"), "a == b");
    }
}
