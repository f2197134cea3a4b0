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
