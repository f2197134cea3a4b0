//! Regular expressions of Java, as far as they match in linear time.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

/// The limit of a compiled expression, in bytes.
const SIZE_MAX: usize = 1 << 17;

/// A compiled regular expression.
#[derive(Debug, Clone)]
pub struct Pattern(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Arc<str>,
    anywhere: Regex,
    whole: Regex,
}

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// One line about the problem: the syntax, or a construct that needs more than linear time (look-around, back
    /// references).
    pub(crate) fn new(source: &str) -> Result<Pattern, String> {
        let translated = translate(source);
        let build = |text: &str| {
            RegexBuilder::new(text)
                .size_limit(SIZE_MAX)
                .nest_limit(64)
                .build()
                .map_err(|error| {
                    let text = error.to_string();
                    let last = text.lines().last().unwrap_or_default();
                    last.trim_start_matches("error: ").to_owned()
                })
        };
        Ok(Pattern(Arc::new(Inner {
            source: source.into(),
            anywhere: build(&translated)?,
            whole: build(&format!("\\A(?:{translated})\\z"))?,
        })))
    }

    /// The expression's source text.
    pub(crate) fn source(&self) -> &str {
        &self.0.source
    }

    /// The expression for a search in a text.
    pub(crate) fn anywhere(&self) -> &Regex {
        &self.0.anywhere
    }

    /// The expression for a match of a whole text.
    pub(crate) fn whole(&self) -> &Regex {
        &self.0.whole
    }
}

/// The source text with Java's character classes spelled out, which are ASCII only.
fn translate(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut chars = source.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            text.push(char);
            continue;
        }
        match chars.next() {
            Some('d') => text.push_str("[0-9]"),
            Some('D') => text.push_str("[^0-9]"),
            Some('w') => text.push_str("[a-zA-Z0-9_]"),
            Some('W') => text.push_str("[^a-zA-Z0-9_]"),
            Some('s') => text.push_str("[ \\t\\n\\x0B\\f\\r]"),
            Some('S') => text.push_str("[^ \\t\\n\\x0B\\f\\r]"),
            Some('Z') => text.push_str("\\z"),
            // Java accepts a redundant backslash before any character that is not a letter.
            Some(other) if !other.is_ascii_alphanumeric() && !other.is_ascii_punctuation() => {
                text.push(other);
            }
            Some(other) => text.extend(['\\', other]),
            None => text.push('\\'),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn classes_are_javas_and_what_takes_too_long_is_refused() {
        let matches =
            |pattern: &str, text: &str| Pattern::new(pattern).unwrap().whole().is_match(text);
        assert!(matches(r"\d+", "123"));
        assert!(!matches(r"\d+", "١٢٣"));
        assert!(matches(r"[\w.-]+", "a.b-c_1"));
        assert!(matches(r"a\/b\-c", "a/b-c"));
        assert!(matches("a|ab", "ab"));
        assert!(!matches("a", "ba"));
        assert!(Pattern::new(r"(?=a)").unwrap_err().contains("look"));
        assert!(Pattern::new(r"(a)\1").is_err());
        assert!(Pattern::new("(").is_err());
        assert!(Pattern::new("(((a{1000}){1000}){1000})").is_err());
    }
}
