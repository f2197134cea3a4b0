//! Why a service failed, as `$.SERVICE.error` shows it.

use std::fmt;
use std::sync::Arc;

/// Why a service failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which of Go's error types it stands for.
    pub kind: FaultKind,
    /// What went wrong, in one line: what `error.string` gives.
    pub message: Arc<str>,
}

/// Which of Go's error types a fault stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// The network failed, Go's `*url.Error`: no connection, no answer, a bad URL.
    Network {
        /// The request's method in title case, `Get`.
        op: Arc<str>,
        /// The request's URL.
        url: Arc<str>,
    },
    /// A message alone, Go's `*errors.errorString`: an open breaker, a truncated body.
    Plain,
    /// An activity's own complaint, Flogo's `*activity.Error`: missing path parameters.
    Activity,
    /// A text that is not JSON, Go's `*json.SyntaxError`.
    Syntax {
        /// How many bytes had been read.
        offset: u64,
    },
}

impl FaultKind {
    /// The name of its type in Go: what `error.type` gives.
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
    /// A fault that is a message alone.
    pub fn plain(message: impl Into<Arc<str>>) -> Fault {
        Fault {
            kind: FaultKind::Plain,
            message: message.into(),
        }
    }

    /// A fault of the network: `METHOD "URL": CAUSE`, as Go words it.
    pub fn network(op: &str, url: &str, cause: &str) -> Fault {
        Fault {
            kind: FaultKind::Network {
                op: op.into(),
                url: url.into(),
            },
            message: format!("{op} {url:?}: {cause}").into(),
        }
    }

    /// Whether `error.isneterror` holds.
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
