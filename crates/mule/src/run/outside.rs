//! What is outside an application: time, chance, other servers, queues, the log.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::app::{LogLevel, Requester, Site};
use crate::jiff::{Timestamp, tz::TimeZone};
use crate::{Random, Typed};

/// Something that will be done.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a run needs of the world. One is made for each worker; a run uses that of its own.
///
/// Waits are tokio's, so `now` should follow tokio's clock where that is paused.
pub trait Outside: Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> Timestamp;

    /// The server's time zone.
    fn zone(&self) -> &TimeZone;

    /// Where random numbers come from.
    fn random(&self) -> &Random;

    /// Sends a request and waits for the whole answer, at most [`Call::timeout`]. Any status is an
    /// answer. Dropping it gives the call up.
    fn send(&self, call: Call) -> Pending<'_, Result<Answer, SendFault>>;

    /// Leaves a message in one of the application's queues.
    fn publish<'a>(
        &'a self,
        queue: &'a Arc<str>,
        message: Typed,
    ) -> Pending<'a, Result<(), PublishFault>>;

    /// Does something beside the flow that asks for it (`async`), to its end.
    fn spawn(&self, run: Pending<'static, ()>);

    /// Takes a line for the log.
    fn log(&self, line: &Line<'_>) {
        line.trace();
    }
}

impl fmt::Debug for dyn Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outside")
    }
}

/// A request to another server.
#[derive(Debug, Clone)]
pub struct Call {
    /// Whose connections, cookies and limits it uses; `None`: those of no configuration (`url`
    /// without a `config-ref`).
    pub requester: Option<Arc<Requester>>,
    /// Whether the connection is TLS.
    pub tls: bool,
    /// A host name or an IP literal, without brackets.
    pub host: Arc<str>,
    /// 1..=65535.
    pub port: u16,
    /// The method.
    pub method: Method,
    /// Path and query, encoded; it begins with `/`.
    pub target: String,
    /// The fields that the flow asks for, `Content-Type` and `X-Correlation-ID` among them; not
    /// `Host`, `Content-Length` and cookies, unless the flow sets them.
    pub headers: HeaderMap,
    /// The body; empty: none is sent.
    pub body: Bytes,
    /// How long the exchange may take as a whole.
    pub timeout: Duration,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its reason phrase, as it came or as the status has it.
    pub reason: String,
    /// Its fields; a name may have more than one.
    pub headers: HeaderMap,
    /// Its body, decoded from what it was transferred in.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFault {
    /// There was no connection, or it ended before the answer did.
    #[error("{0}")]
    Connectivity(String),
    /// The time was over.
    #[error("Timeout exceeded")]
    Timeout,
    /// What came was no answer (`HTTP:PARSING`).
    #[error("{0}")]
    Parsing(String),
}

/// Why a message was not left in a queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishFault {
    /// It is full (`VM:QUEUE_TIMEOUT`).
    #[error("queue '{0}' is full")]
    Full(Arc<str>),
    /// What keeps its messages cannot be reached (`VM:CONNECTIVITY`).
    #[error("{0}")]
    NotAvailable(String),
}

/// A line for the log.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// How loud.
    pub level: LogLevel,
    /// What it says.
    pub message: &'a str,
    /// What says it.
    pub site: &'a Site,
    /// The name of the flow.
    pub flow: &'a str,
    /// Under which name; `None`: none was given.
    pub category: Option<&'a str>,
    /// The event's id.
    pub correlation_id: &'a str,
}

impl Line<'_> {
    /// Writes it where the process logs.
    pub fn trace(&self) {
        let Line {
            message,
            site,
            flow,
            category,
            correlation_id,
            ..
        } = self;
        let place = format_args!("{}:{}", site.file, site.line);
        macro_rules! line {
            ($event:ident) => {
                tracing::$event!(%place, flow, category, correlation_id, "{message}")
            };
        }
        match self.level {
            LogLevel::Trace => line!(trace),
            LogLevel::Debug => line!(debug),
            LogLevel::Info => line!(info),
            LogLevel::Warn => line!(warn),
            LogLevel::Error => line!(error),
        }
    }
}
