//! The reasons why a request has no answer.

use fusebox_breaker::RejectReason;
use fusebox_plan::CallError;

use crate::message::request_body::ClientFault;
use crate::upstream::connect::{NoConnection, Unconnected};
use crate::upstream::upstream_errors::{ErrorKind, UpstreamError};

/// Reason why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The upstream's fault.
    Upstream(CallError),
    /// The client's fault.
    Client(ClientFault),
    /// The upstream ended the connection before the client had sent all of its body.
    Unfinished,
    /// The upstream had closed an idle connection as the request went out, and the request may have
    /// been executed.
    Stale,
    /// The answer's head is over our own limits.
    Limit,
    /// A shortage of our own: there was nothing left to connect with.
    Ours,
    /// The probe gave its place to a request that is more likely to get a result.
    GaveWay,
    /// The upstream speaks gRPC, and reset the stream of a request that does not.
    NotGrpc,
    /// The client gave the call up after a time for which the upstream may be blamed.
    GivenUp,
}

impl Failed {
    /// The reason in the log and in the client's answer.
    pub fn word(self) -> &'static str {
        match self {
            Failed::Upstream(error) => error.as_str(),
            Failed::Client(_) | Failed::Unfinished | Failed::NotGrpc | Failed::GivenUp => {
                ErrorKind::Client.as_str()
            }
            Failed::Stale => ErrorKind::Reset.as_str(),
            Failed::Limit => ErrorKind::Limit.as_str(),
            Failed::Ours => "connections_full",
            Failed::GaveWay => RejectReason::BreakerProbing.as_str(),
        }
    }
}

impl From<Unconnected> for Failed {
    fn from(unconnected: Unconnected) -> Failed {
        match unconnected {
            Unconnected::Upstream(error) => Failed::Upstream(error),
            Unconnected::Exhausted => Failed::Ours,
        }
    }
}

/// A connection that ended before a byte of the answer came.
#[derive(Debug)]
pub struct Cut {
    /// The error by kind and name.
    pub why: UpstreamError,
    /// The error as hyper returned it.
    pub error: hyper::Error,
    /// True if the upstream had closed an idle connection as the request went out, which says nothing about it.
    pub is_stale: bool,
    /// True if the upstream ended the connection before a whole body of ours was written, which says nothing about it:
    /// the next byte was ours, and how long the body is may be a client's to choose.
    pub is_unfinished: bool,
}

/// Reason why a request has no answer, with its details.
#[derive(Debug)]
pub enum Unanswered {
    /// There is no connection.
    Unconnected(NoConnection),
    /// The connection ended before a byte of the answer came.
    Cut(Cut),
    /// Another failure of the exchange.
    Failed(Failed),
}

impl Unanswered {
    /// The same failure as routes report it.
    pub fn failed(&self) -> Failed {
        match self {
            Unanswered::Unconnected(failed) => failed.why.into(),
            Unanswered::Cut(cut) if cut.is_stale => Failed::Stale,
            Unanswered::Cut(cut) => Failed::Upstream(cut.why.kind.as_call_error()),
            Unanswered::Failed(failed) => *failed,
        }
    }
}
