//! The failure of a service, as `$.SERVICE.error` shows it.

use std::fmt;
use std::sync::Arc;

/// The failure of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The corresponding Go error type.
    pub kind: FaultKind,
    /// The fault in one line, which `error.string` returns.
    pub message: Arc<str>,
}

/// The Go error type of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// A network failure, Go's `*url.Error`: no connection, no answer, a bad URL.
    Network {
        /// The request's method in title case, such as `Get`.
        op: Arc<str>,
        /// The request's URL.
        url: Arc<str>,
    },
    /// A plain message, Go's `*errors.errorString`: an open breaker, a truncated body.
    Plain,
    /// An activity's own error, Flogo's `*activity.Error`: missing path parameters.
    Activity,
    /// A text that is not JSON, Go's `*json.SyntaxError`.
    Syntax {
        /// The number of bytes read before the fault.
        offset: u64,
    },
}

impl FaultKind {
    /// The name of the Go type, which `error.type` returns.
    pub fn go_type(&self) -> &'static str {
        match self {
            FaultKind::Network { .. } => "*url.Error",
            FaultKind::Plain => "*errors.errorString",
            FaultKind::Activity => "*activity.Error",
            FaultKind::Syntax { .. } => "*json.SyntaxError",
        }
    }
}

impl Fault {
    /// A fault with only a message.
    pub fn plain(message: impl Into<Arc<str>>) -> Fault {
        Fault {
            kind: FaultKind::Plain,
            message: message.into(),
        }
    }

    /// An activity's own error.
    pub fn activity(message: impl Into<Arc<str>>) -> Fault {
        Fault {
            kind: FaultKind::Activity,
            message: message.into(),
        }
    }

    /// A network fault, in Go's words: `METHOD "URL": CAUSE`.
    pub fn network(op: &str, url: &str, cause: &str) -> Fault {
        Fault {
            kind: FaultKind::Network {
                op: op.into(),
                url: url.into(),
            },
            message: format!("{op} {url:?}: {cause}").into(),
        }
    }

    /// True if `error.isneterror` holds.
    pub fn is_network(&self) -> bool {
        matches!(self.kind, FaultKind::Network { .. })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
