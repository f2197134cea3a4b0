//! Why there is no script, or no value.

/// Why a text is no script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {mend}")]
pub struct ParseFault {
    /// What is wrong.
    pub message: String,
    /// The line in the text, from 1.
    pub line: usize,
    /// The column in the line, in characters, from 1.
    pub col: usize,
    /// How to mend it.
    pub mend: String,
}

/// Why a script has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {description}")]
pub struct EvalFault {
    /// The type of Mule's error: `MULE:EXPRESSION`.
    pub kind: &'static str,
    /// What went wrong.
    pub description: String,
}

impl EvalFault {
    /// A fault of type `MULE:EXPRESSION`.
    pub fn new(description: impl Into<String>) -> EvalFault {
        EvalFault {
            kind: "MULE:EXPRESSION",
            description: description.into(),
        }
    }
}
