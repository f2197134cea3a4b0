//! The world of an application as a trait: time, random numbers, other servers, queues, the log.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::sync::oneshot;

use crate::app::{LogLevel, Requester, Site};
use crate::jiff::{Timestamp, tz::TimeZone};
use crate::{Random, Typed};

/// A boxed future.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The services that a run needs. There is one for each worker; a run uses that of its worker.
///
/// Waits are tokio's, so `now` should follow tokio's clock where that is paused.
pub trait World: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;

    /// The server's time zone.
    fn zone(&self) -> &TimeZone;

    /// The source of random numbers.
    fn random(&self) -> &Random;

    /// Sends a request and waits for the whole response, at most [`Call::timeout`]. Any status is a response.
    /// Dropping the future cancels the call.
    fn send(&self, call: Call) -> Pending<'_, Result<Answer, SendFault>>;

    /// Puts a message into one of the application's queues, and waits for room for it so long.
    fn publish<'a>(
        &'a self,
        queue: &'a Arc<str>,
        parcel: Parcel,
        wait: Duration,
    ) -> Pending<'a, Published>;

    /// Takes a message of one of the application's queues, and waits for one so long; `None`: none has come.
    fn consume<'a>(
        &'a self,
        queue: &'a Arc<str>,
        wait: Duration,
    ) -> Pending<'a, Result<Option<Parcel>, PublishFault>>;

    /// Runs a future to its end beside the calling flow (`async`).
    fn spawn(&self, run: Pending<'static, ()>);

    /// Writes a line to the log.
    fn log(&self, line: &Line<'_>) {
        line.trace();
    }
}

impl fmt::Debug for dyn World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

/// A request to another server.
#[derive(Debug, Clone)]
pub struct Call {
    /// The configuration whose connections, cookies and limits apply; `None`: a `url` without a `config-ref`.
    pub requester: Option<Arc<Requester>>,
    /// True if the connection uses TLS.
    pub tls: bool,
    /// The host name or IP literal, without brackets.
    pub host: Arc<str>,
    /// The port, 1..=65535.
    pub port: u16,
    /// The request's method.
    pub method: Method,
    /// Path and query, encoded; begins with `/`.
    pub target: String,
    /// The header fields, with `Content-Type` and `X-Correlation-ID`; `Host`, `Content-Length` and cookies only if
    /// the flow sets them.
    pub headers: HeaderMap,
    /// The body; if empty, the request has none.
    pub body: Bytes,
    /// The time limit of the whole exchange.
    pub timeout: Duration,
    /// True if redirects are followed.
    pub follow_redirects: bool,
}

/// A server's response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The reason phrase of the response, or the standard one of the status.
    pub reason: String,
    /// The header fields; a name may occur several times.
    pub headers: HeaderMap,
    /// The body after transfer decoding.
    pub body: Bytes,
}

/// The reason why a call has no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFault {
    /// No connection, or a connection that ended before the response did.
    #[error("{0}")]
    Connectivity(String),
    /// The time limit passed.
    #[error("Timeout exceeded")]
    Timeout,
    /// The received bytes are not a valid response (`HTTP:PARSING`).
    #[error("{0}")]
    Parsing(String),
}

/// A message in a queue.
#[derive(Debug)]
pub struct Parcel {
    /// The message's payload.
    pub payload: Typed,
    /// The id of the sending event; `None`: unknown, after a restart.
    pub correlation_id: Option<Arc<str>>,
    /// The channel for the reply; `None`: no reply is expected.
    pub reply_to: Option<oneshot::Sender<Reply>>,
}

/// The reply to a message: a payload, or the error that its flow ended with, as a text.
pub type Reply = Result<Typed, String>;

/// The result of putting a message into a queue.
pub type Published = Result<(), PublishFault>;

/// The reason why a message was not put into a queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishFault {
    /// The queue is full (`VM:QUEUE_TIMEOUT`).
    #[error("queue '{0}' is full")]
    Full(Arc<str>),
    /// The store of the queue's messages is not available (`VM:CONNECTIVITY`).
    #[error("{0}")]
    NotAvailable(String),
}

/// A line for the log.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// The line's level.
    pub level: LogLevel,
    /// The text of the line.
    pub message: &'a str,
    /// The position of the processor that logs.
    pub site: &'a Site,
    /// The name of the flow.
    pub flow: &'a str,
    /// The category; `None`: the default one.
    pub category: Option<&'a str>,
    /// The event's id.
    pub correlation_id: &'a str,
}

impl Line<'_> {
    /// Writes the line to the process's log.
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
