//! HTTP/2 connections that requests share, and the making of the next one, for which all wait that come meanwhile.
//!
//! Before ALPN has chosen, it is open whether one connection serves all or each needs its own. So the first request
//! has one made in a task of its own, which outlives its client, and the others wait for the result. Only requests that
//! are more than the upstream allows on one connection have another one made.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fusebox_breaker::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{Connection, Pool, PoolLimits};
use crate::upstream::connect::{Connected, NoConnection};
use crate::upstream::http2::Http2;
use crate::upstream::sender::Sender;
use crate::upstream::upstream_errors::{ErrorKind, UpstreamError};

/// The number of streams that a new connection is taken to allow.
const STREAMS_EXPECTED: usize = 100;

/// The time by which a request waits longer than its connection may take.
const STEP_SAID: Duration = Duration::from_millis(50);

/// The shared connections of a pool.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    connections: Vec<Shared>,
    opening: Option<Opening>,
    /// True if ALPN has last chosen HTTP/1.
    is_http1: bool,
    /// The most streams of the last connection made.
    most: Option<usize>,
    /// The number of connections begun.
    begun: u64,
    /// The number of the last connection that was begun before all were taken away; it is not shared any more.
    cleared: u64,
}

#[derive(Debug)]
struct Shared {
    connection: Http2,
    /// The time from which it takes no new request; `None` until it is first looked at.
    old_at: Option<Timestamp>,
}

/// A connection that is being made.
#[derive(Debug)]
struct Opening {
    number: u64,
    waiters: usize,
    made: watch::Receiver<Option<Made>>,
}

/// The result of making a connection.
#[derive(Debug, Clone)]
enum Made {
    /// A connection that is among the shared ones now.
    Shared,
    /// A connection of HTTP/1, for the first request that takes it.
    Http1(Arc<Mutex<Option<Sender>>>),
    /// The failure of all that waited.
    Failed(Arc<NoConnection>),
}

/// A stream of a shared connection.
pub(super) struct Stream {
    pub sender: Sender,
    /// True if no other stream was open.
    pub was_idle: bool,
}

impl Sharing {
    /// A stream of a connection with room; with the time, connections that are over are dropped first.
    pub fn stream(&mut self, now: Option<(Timestamp, PoolLimits)>) -> Option<Stream> {
        if self.connections.is_empty() {
            return None;
        }
        if let Some((now, limits)) = now {
            self.sweep(now, limits);
        }
        let mut open = self.connections.iter();
        let found = open.find(|it| !it.connection.is_closed() && it.connection.streams.has_room());
        let connection = found?.connection.clone();
        let streams = &connection.streams;
        let was_idle = streams.open() == 0 && streams.was_used();
        if let Some((now, _)) = now {
            streams.used(now);
        }
        Some(Stream {
            was_idle,
            sender: Sender::on_stream(connection),
        })
    }

    /// Adds a connection.
    fn add(&mut self, connection: Http2) {
        self.is_http1 = false;
        self.most = Some(connection.streams.most());
        self.connections.push(Shared {
            connection,
            old_at: None,
        });
    }

    /// True if ALPN has last chosen HTTP/1, so that each request needs a connection of its own.
    pub fn is_http1(&self) -> bool {
        self.is_http1
    }

    /// Number of connections without a stream.
    pub fn idle_count(&self) -> usize {
        let connections = self.connections.iter().map(|it| &it.connection);
        connections
            .filter(|it| !it.is_closed() && it.streams.open() == 0)
            .count()
    }

    /// Takes away connections that have ended, are too old or were idle for too long. One with streams closes with the
    /// last of them.
    pub fn sweep(&mut self, now: Timestamp, limits: PoolLimits) {
        self.connections.retain_mut(|shared| {
            let old_at = *shared.old_at.get_or_insert(now + limits.max_age);
            let idle_since = shared.connection.streams.idle_since(now);
            !shared.connection.is_closed()
                && now < old_at
                && idle_since.is_none_or(|since| now < since + limits.idle_timeout)
        });
    }

    /// Takes away all connections.
    pub fn clear(&mut self) {
        self.connections.clear();
        (self.opening, self.cleared) = (None, self.begun);
    }

    /// The connection that is being made, with room for one more request; `None`: another one is needed.
    fn joined(&mut self) -> Option<watch::Receiver<Option<Made>>> {
        let room = self.most.unwrap_or(STREAMS_EXPECTED).max(1);
        let opening = self.opening.as_mut().filter(|it| it.waiters < room)?;
        opening.waiters += 1;
        Some(opening.made.clone())
    }
}

impl Pool {
    /// A stream of a shared connection, which is made if there is none with room; or an HTTP/1 connection, if ALPN
    /// chooses that.
    pub(super) async fn open_shared(
        self: &Arc<Pool>,
        bound: Duration,
    ) -> Result<Connection, NoConnection> {
        // The time limit of making it ends first, and says at which step.
        let limit = bound.saturating_add(STEP_SAID);
        let opened = tokio::time::timeout(limit, self.share_or_open(bound)).await;
        opened.unwrap_or_else(|_| {
            let why = UpstreamError::new(ErrorKind::Connect, "connect timed out");
            Err(NoConnection::too_slow(why))
        })
    }

    /// Adds a connection to the shared ones.
    pub(super) fn share(&self, sharing: &mut Sharing, connection: Http2) {
        self.is_http2.store(true, Ordering::Relaxed);
        sharing.add(connection);
    }

    async fn share_or_open(self: &Arc<Pool>, bound: Duration) -> Result<Connection, NoConnection> {
        loop {
            let mut made = {
                let mut held = self.held.lock();
                if let Some(Stream { sender, was_idle }) = held.sharing.stream(None) {
                    return Ok(Connection::new(sender, self, None, was_idle));
                }
                match held.sharing.joined() {
                    Some(made) => made,
                    None => self.begin_opening(&mut held.sharing),
                }
            };
            let made = made.wait_for(Option::is_some).await;
            let made = made.ok().and_then(|made| made.clone());
            match made {
                Some(Made::Shared) => {}
                Some(Made::Http1(sender)) => {
                    let first = sender.lock().take();
                    let sender = match first {
                        Some(sender) => sender,
                        None => match self.connector.connect(bound, false).await? {
                            Connected::Http1(sender) => sender,
                            Connected::Http2(connection) => {
                                self.share(&mut self.held.lock().sharing, connection.clone());
                                Sender::on_stream(connection)
                            }
                        },
                    };
                    return Ok(Connection::new(sender, self, None, false));
                }
                Some(Made::Failed(failed)) => return Err(failed.again()),
                // Its task was dropped, as at the end of the process.
                None => {
                    let why = UpstreamError::new(ErrorKind::Connect, "could not connect");
                    return Err(NoConnection::too_slow(why));
                }
            }
        }
    }

    /// Begins to make a connection, in a task of its own: the client of the request that needs it may leave.
    fn begin_opening(self: &Arc<Pool>, sharing: &mut Sharing) -> watch::Receiver<Option<Made>> {
        let (tell, made) = watch::channel(None);
        sharing.begun += 1;
        let number = sharing.begun;
        sharing.opening = Some(Opening {
            number,
            waiters: 1,
            made: made.clone(),
        });
        let pool = self.clone();
        tokio::spawn(async move {
            let connected = pool
                .connector
                .connect(pool.connector.timeout(), false)
                .await;
            let mut held = pool.held.lock();
            let sharing = &mut held.sharing;
            if sharing
                .opening
                .as_ref()
                .is_some_and(|it| it.number == number)
            {
                sharing.opening = None;
            }
            let made = match connected {
                Ok(Connected::Http2(connection)) => {
                    // One that goes to a former address is left, and those that wait have another one made.
                    if number > sharing.cleared {
                        pool.share(sharing, connection);
                    }
                    Made::Shared
                }
                Ok(Connected::Http1(sender)) => {
                    sharing.is_http1 = true;
                    pool.is_http2.store(false, Ordering::Relaxed);
                    Made::Http1(Arc::new(Mutex::new(Some(sender))))
                }
                Err(failed) => Made::Failed(Arc::new(failed)),
            };
            drop(held);
            let _ = tell.send(Some(made));
        });
        made
    }
}
