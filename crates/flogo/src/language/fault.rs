//! The failure of a service, as `$.SERVICE.error` shows it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::language::value::{Struct, Value};

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
        /// The cause of the fault.
        cause: Arc<Fault>,
    },
    /// A connection that could not be made, Go's `*net.OpError`.
    Dial {
        /// The address; `None`: the host's name has none.
        address: Option<SocketAddr>,
        /// The failed call of the system, or the failed lookup.
        cause: Arc<Fault>,
    },
    /// A call of the system that failed, Go's `*os.SyscallError`.
    Call {
        /// The call, such as `connect`.
        call: &'static str,
        /// The number that the system returned.
        cause: Arc<Fault>,
    },
    /// The system's number of a failure, Go's `syscall.Errno`.
    System {
        /// The number, such as 111 for a refused connection.
        number: i32,
    },
    /// A host's name without an address, Go's `*net.DNSError`.
    Lookup {
        /// The name without an address.
        name: Arc<str>,
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
            FaultKind::Dial { .. } => "*net.OpError",
            FaultKind::Call { .. } => "*os.SyscallError",
            FaultKind::System { .. } => "syscall.Errno",
            FaultKind::Lookup { .. } => "*net.DNSError",
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
    pub fn network(op: &str, url: &str, cause: impl Into<Fault>) -> Fault {
        let cause = Arc::new(cause.into());
        Fault {
            message: format!("{op} {url:?}: {cause}").into(),
            kind: FaultKind::Network {
                op: op.into(),
                url: url.into(),
                cause,
            },
        }
    }

    /// A connection that was refused or failed otherwise, with the system's number and words.
    pub fn dial(address: SocketAddr, number: i32, words: &str) -> Fault {
        let system = Fault {
            kind: FaultKind::System { number },
            message: words.into(),
        };
        let call = Fault {
            kind: FaultKind::Call {
                call: "connect",
                cause: Arc::new(system),
            },
            message: format!("connect: {words}").into(),
        };
        Fault {
            message: format!("dial tcp {address}: {call}").into(),
            kind: FaultKind::Dial {
                address: Some(address),
                cause: Arc::new(call),
            },
        }
    }

    /// A host's name without an address.
    pub fn lookup(name: &str) -> Fault {
        let lookup = Fault {
            kind: FaultKind::Lookup { name: name.into() },
            message: format!("lookup {name}: {NO_HOST}").into(),
        };
        Fault {
            message: format!("dial tcp: {lookup}").into(),
            kind: FaultKind::Dial {
                address: None,
                cause: Arc::new(lookup),
            },
        }
    }

    /// The exported fields of the Go type, in the order of its declaration.
    pub(crate) fn fields(&self) -> Vec<(&'static str, Value)> {
        let error = |cause: &Arc<Fault>| Value::Error(cause.clone());
        match &self.kind {
            FaultKind::Network { op, url, cause } => vec![
                ("Op", op.clone().into()),
                ("URL", url.clone().into()),
                ("Err", error(cause)),
            ],
            FaultKind::Dial { address, cause } => vec![
                ("Op", "dial".into()),
                ("Net", "tcp".into()),
                ("Source", Value::Null),
                ("Addr", address.map_or(Value::Null, tcp_address)),
                ("Err", error(cause)),
            ],
            FaultKind::Call { call, cause } => {
                vec![("Syscall", (*call).into()), ("Err", error(cause))]
            }
            FaultKind::Lookup { name } => vec![
                ("UnwrapErr", Value::Null),
                ("Err", NO_HOST.into()),
                ("Name", name.clone().into()),
                ("Server", "".into()),
                ("IsTimeout", false.into()),
                ("IsTemporary", false.into()),
                ("IsNotFound", true.into()),
            ],
            FaultKind::Syntax { offset } => {
                let offset = i64::try_from(*offset).unwrap_or(i64::MAX);
                vec![("Offset", Value::Long(offset))]
            }
            FaultKind::System { .. } | FaultKind::Plain | FaultKind::Activity => Vec::new(),
        }
    }

    /// True if `error.isneterror` holds.
    pub fn is_network(&self) -> bool {
        matches!(self.kind, FaultKind::Network { .. })
    }
}

/// Go's words for a name without an address.
const NO_HOST: &str = "no such host";

/// An address, as Go's `*net.TCPAddr`.
fn tcp_address(address: SocketAddr) -> Value {
    let zone = match address {
        SocketAddr::V6(address) if address.scope_id() != 0 => address.scope_id().to_string(),
        _ => String::new(),
    };
    let fields = vec![
        ("IP", address.ip().to_string().into()),
        ("Port", i64::from(address.port()).into()),
        ("Zone", zone.into()),
    ];
    let go_type = "*net.TCPAddr";
    Struct { go_type, fields }.into()
}

impl From<&str> for Fault {
    fn from(message: &str) -> Fault {
        Fault::plain(message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
