//! Errors of parsing and of evaluation.

/// A syntax error of a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {mend}")]
pub struct ParseFault {
    /// The problem, as a sentence without a full stop.
    pub message: String,
    /// The line in the text, from 1.
    pub line: usize,
    /// The column in the line, in characters, from 1.
    pub col: usize,
    /// The remedy, as a sentence without a full stop.
    pub mend: String,
}

impl ParseFault {
    /// The line and the column of an offset in bytes, both from 1.
    pub(crate) fn place(text: &str, at: usize) -> (usize, usize) {
        let before = &text[..at];
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

/// A failed evaluation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {description}")]
pub struct EvalFault {
    /// The type of Mule's error: `MULE:EXPRESSION`.
    pub kind: &'static str,
    /// The description, as a sentence.
    pub description: String,
}

impl EvalFault {
    /// Makes a fault of type `MULE:EXPRESSION`.
    pub fn new(description: impl Into<String>) -> EvalFault {
        EvalFault {
            kind: "MULE:EXPRESSION",
            description: description.into(),
        }
    }
}
