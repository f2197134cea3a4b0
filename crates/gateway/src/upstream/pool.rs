//! The connections of one worker thread to one upstream: idle ones of HTTP/1, and shared ones of HTTP/2.
//!
//! A pool is used by its own worker alone, so its lock is never contended; it is a lock and not a cell because tasks of
//! a runtime must be `Send`. The newest idle connection is used first, so that the others age and are closed.
//!
//! An idle connection that the upstream closed as a request went out says nothing about the service. So the pool keeps
//! such connections few: it closes them before the upstream does (`Keep-Alive: timeout=N`), not long after they were
//! opened (`pool.max_age`), and gives a request that must not be repeated only one that was in use a moment ago.

mod sharing;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_plan::plan::{Endpoint, Limits, Upstream};
use http::{HeaderMap, HeaderName, Method, Response};
use parking_lot::Mutex;
use sharing::Sharing;

use crate::ground::clock::Clock;
use crate::message::field_kinds::FieldKinds;
use crate::upstream::answer_body::AnswerBody;
use crate::upstream::connect::{Connected, Connector, NoConnection};
use crate::upstream::http1::{Http1, Idleness, Left};
use crate::upstream::sender::{CutOnDrop, Sender};
use crate::upstream::trust::Trust;

/// The time limit for the rest of an upload after its answer is complete.
const UPLOAD_REST: Duration = Duration::from_secs(5);

/// The idle time after which a connection keeps no large place for its next answer.
const REST: Duration = Duration::from_secs(1);

/// The longest idle time of a connection for a request that must not be repeated.
const MOMENT: Duration = Duration::from_millis(100);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// The most idle connections; 0: each is used once.
    pub idle_max: usize,
    /// The longest idle time of a connection.
    pub idle_timeout: Duration,
    /// The greatest age of a connection, in use or not.
    pub max_age: Duration,
}

impl PoolLimits {
    /// The limits in an upstream's plan.
    pub const fn of(upstream: &Upstream) -> PoolLimits {
        PoolLimits {
            idle_max: upstream.pool_idle_max,
            idle_timeout: upstream.pool_idle_timeout,
            max_age: upstream.pool_max_age,
        }
    }

    /// The same limits for a pool that uses each connection once.
    pub const fn of_none(self) -> PoolLimits {
        PoolLimits {
            idle_max: 0,
            ..self
        }
    }
}

/// True if a request may be sent twice without harm (RFC 9110, section 9.2.2).
pub fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// The pools of an upstream, one for each worker.
pub type Pools = Arc<[Arc<Pool>]>;

/// Idle connections to one upstream.
#[derive(Debug)]
pub struct Pool {
    connector: Connector,
    limits: PoolLimits,
    held: Mutex<Held>,
    /// True if the last connection made was HTTP/2, or every one is.
    is_http2: AtomicBool,
}

/// The connections that a pool has.
#[derive(Debug, Default)]
struct Held {
    /// Connections of HTTP/1 that wait for a request.
    idle: Vec<Idle>,
    /// Connections of HTTP/2, in use or not.
    sharing: Sharing,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Http1>,
    since: Timestamp,
    until: Timestamp,
    /// The time at which it is too old in any case.
    old_at: Timestamp,
}

/// A connection taken from a pool; [`Connection::give_back`] returns it, otherwise it is closed.
#[derive(Debug)]
pub struct Connection {
    /// Sends one request at a time.
    pub sender: Sender,
    pool: Arc<Pool>,
    /// The time at which it is too old; `None` for a new one, whose age counts from its first return.
    old_at: Option<Timestamp>,
    /// The time for which the upstream promises to keep the connection.
    kept_for: Option<Duration>,
    is_last: bool,
    /// The kinds of fields in the last answer's head.
    heard: FieldKinds,
    /// True if it was idle as its request took it.
    was_idle: bool,
    cut: CutOnDrop,
}

impl Pool {
    /// A pool without connections.
    pub fn new(connector: Connector, limits: PoolLimits) -> Arc<Pool> {
        Arc::new(Pool {
            is_http2: AtomicBool::new(connector.is_http2_alone()),
            connector,
            limits,
            held: Mutex::default(),
        })
    }

    /// Empty pools to an endpoint of an upstream, one for each of `workers` workers; it is reached through `proxy`, if
    /// given.
    pub fn for_workers(
        workers: usize,
        upstream: &Upstream,
        endpoint: &Endpoint,
        proxy: Option<&Endpoint>,
        limits: &Limits,
        trust: &Trust,
    ) -> Result<Pools, String> {
        let connect = upstream.timeout.connect;
        let mut connector = Connector::new(endpoint, connect, upstream.http, limits, trust)?;
        if let Some(proxy) = proxy {
            connector = connector.through(proxy)?;
        }
        let pool = |_| Pool::new(connector.clone(), PoolLimits::of(upstream));
        Ok((0..workers.max(1)).map(pool).collect())
    }

    /// Empty pools to one address of the endpoint, one for each of the pools given.
    pub fn at_address(pools: &Pools, address: IpAddr) -> Pools {
        let pool = |pool: &Arc<Pool>| Pool::new(pool.connector.clone().at(address), pool.limits);
        pools.iter().map(pool).collect()
    }

    /// A pool to another endpoint, reached in the same way. It keeps no connection, since only one request needs it.
    pub fn elsewhere(&self, endpoint: &Endpoint) -> Result<Arc<Pool>, String> {
        let connector = self.connector.elsewhere(endpoint)?;
        Ok(Pool::new(connector, self.limits.of_none()))
    }

    /// True if requests must name the whole URL, for a proxy; within a tunnel there is no such need.
    pub fn asks_for_urls(&self) -> bool {
        self.connector.asks_for_urls()
    }

    /// An idle connection that is still open, or a stream of a shared one, if there is one. For a request that must not
    /// be repeated an idle one of HTTP/1 was in use until a moment ago; an upstream of HTTP/2 says by itself what it has
    /// not processed. `is_http1`: only a connection of HTTP/1 will do.
    pub fn reuse(
        self: &Arc<Pool>,
        now: Timestamp,
        repeatable: bool,
        is_http1: bool,
    ) -> Option<Connection> {
        let mut held = self.held.lock();
        if !is_http1 && let Some(sender) = held.sharing.stream(Some((now, self.limits))) {
            let was_idle = sender.was_idle;
            drop(held);
            return Some(Connection::new(sender.sender, self, None, was_idle));
        }
        let idle = &mut held.idle;
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            if !self.may_stay(&mut idle[at], now) {
                idle.swap_remove(at);
            } else if repeatable || now.saturating_since(idle[at].since) <= MOMENT {
                let taken = idle.swap_remove(at);
                let sender = Sender::over(taken.connection);
                return Some(Connection::new(sender, self, Some(taken.old_at), true));
            }
        }
        None
    }

    /// Opens a new connection, within the connector's own time limit and within `bound`: upstreams that share a pool may
    /// differ. Where HTTP/2 may be spoken, requests that come meanwhile wait for the same one. `is_http1`: it is to be
    /// HTTP/1.1.
    pub async fn open(
        self: &Arc<Pool>,
        bound: Duration,
        is_http1: bool,
    ) -> Result<Connection, NoConnection> {
        let is_shared = !is_http1 && self.limits.idle_max > 0 && self.connector.may_be_http2();
        if is_shared && !self.held.lock().sharing.is_http1() {
            return self.open_shared(bound).await;
        }
        match self.connector.connect(bound, is_http1).await? {
            Connected::Http1(sender) => Ok(Connection::new(sender, self, None, false)),
            Connected::Http2(connection) => {
                if is_shared {
                    self.share(&mut self.held.lock().sharing, connection.clone());
                }
                let sender = Sender::on_stream(connection);
                Ok(Connection::new(sender, self, None, false))
            }
        }
    }

    /// Opens a new connection for one request alone.
    pub async fn open_apart(self: &Arc<Pool>, bound: Duration) -> Result<Connection, NoConnection> {
        let sender = match self.connector.connect(bound, false).await? {
            Connected::Http1(sender) => sender,
            Connected::Http2(connection) => Sender::on_stream(connection),
        };
        let mut connection = Connection::new(sender, self, None, false);
        connection.make_last();
        Ok(connection)
    }

    /// True if requests are expected to go over HTTP/2, so that a body may have to go again.
    pub fn speaks_http2(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    /// True if a connection may turn out to be HTTP/2.
    pub fn may_speak_http2(&self) -> bool {
        self.connector.may_be_http2()
    }

    /// True if no connection is ever HTTP/1, so that none can switch to another protocol.
    pub fn is_http2_alone(&self) -> bool {
        self.connector.is_http2_alone()
    }

    /// Number of connections that wait for a request, without those that the upstream has closed.
    pub fn idle_count(&self) -> usize {
        let mut held = self.held.lock();
        held.idle.retain_mut(|idle| self.is_open(idle));
        held.idle.len() + held.sharing.idle_count()
    }

    /// Number of connections that ended because unrequested bytes came; the same number for all pools of one upstream.
    pub fn unasked(&self) -> u64 {
        self.connector.unasked()
    }

    /// Closes connections that have been idle too long, are too old or were closed by the upstream; others give large places back.
    pub fn sweep(&self, now: Timestamp) {
        let mut held = self.held.lock();
        held.idle.retain_mut(|idle| self.may_stay(idle, now));
        for idle in &mut held.idle {
            if now.saturating_since(idle.since) >= REST {
                idle.connection.shed();
            }
        }
        held.sharing.sweep(now, self.limits);
    }

    /// Closes all idle connections, as a reload does, so that the next ones go to the name's present address; shared ones
    /// take no new request and close with their last.
    pub fn clear(&self) {
        let mut held = self.held.lock();
        for mut idle in held.idle.drain(..) {
            idle.connection.part();
        }
        held.sharing.clear();
    }

    /// False if an idle connection must be dropped: it has ended, or its time is over.
    fn may_stay(&self, idle: &mut Idle, now: Timestamp) -> bool {
        if idle.until <= now || idle.old_at <= now {
            idle.connection.part();
            return false;
        }
        self.is_open(idle)
    }

    /// False if an idle connection was closed, or bytes came on it without a request; these are counted.
    fn is_open(&self, idle: &mut Idle) -> bool {
        match idle.connection.idleness() {
            Idleness::Open => true,
            Idleness::Closed => false,
            Idleness::Unasked => {
                self.connector.count_unasked();
                false
            }
        }
    }

    /// Keeps a connection for the next request, if it may be kept.
    fn keep(&self, mut connection: Box<Http1>, old_at: Timestamp, kept: Duration, now: Timestamp) {
        // Bytes behind the answer would be taken for the next one.
        if connection.has_leftovers() {
            return self.connector.count_unasked();
        }
        let kept = kept.min(self.limits.idle_timeout);
        let idle = &mut self.held.lock().idle;
        // The oldest is the first to be closed by its upstream, and was not looked at since.
        if idle.len() >= self.limits.idle_max
            && let Some(oldest) = idle.first_mut()
            && !self.may_stay(oldest, now)
        {
            idle.swap_remove(0);
        }
        if idle.len() < self.limits.idle_max && !kept.is_zero() && now < old_at {
            idle.push(Idle {
                connection,
                since: now,
                until: now + kept,
                old_at,
            });
        } else {
            connection.part();
        }
    }
}

impl Connection {
    fn new(
        sender: Sender,
        pool: &Arc<Pool>,
        old_at: Option<Timestamp>,
        was_idle: bool,
    ) -> Connection {
        Connection {
            was_idle,
            cut: sender.cut_on_drop(),
            sender,
            pool: pool.clone(),
            old_at,
            kept_for: None,
            is_last: false,
            heard: FieldKinds::default(),
        }
    }

    /// Reads the time for which the upstream keeps the connection (`Keep-Alive: timeout=N`, RFC 2068 19.7.1) from the
    /// answer's head; ours is a little shorter. Returns the kinds of the answer's fields.
    pub fn hear(&mut self, headers: &HeaderMap) -> FieldKinds {
        self.heard = FieldKinds::of_answer(headers);
        if self.heard.has(FieldKinds::KEEP_ALIVE) {
            let value = headers
                .get(KEEP_ALIVE)
                .and_then(|value| value.to_str().ok());
            self.kept_for = value.and_then(keep_alive_timeout);
        }
        self.heard
    }

    /// The kinds of fields in the last answer's head.
    pub fn heard(&self) -> FieldKinds {
        self.heard
    }

    /// True if the connection carries other requests beside this one.
    pub fn is_shared(&self) -> bool {
        self.sender.http2().is_some()
    }

    /// True if an answer's head has more fields than ours may have, and the connection itself does not limit them.
    pub fn is_over_limit(&self, answer: &Response<AnswerBody>) -> bool {
        let shared = self.sender.http2();
        shared.is_some_and(|shared| shared.is_over_limit(answer))
    }

    /// True if the end of the connection before a byte of an answer says nothing about the upstream: it was idle, and
    /// nothing has come on it since.
    pub fn may_be_stale(&self) -> bool {
        self.was_idle && !(self.is_shared() && self.sender.has_read())
    }

    /// True if it was idle as the request took it.
    pub fn was_idle(&self) -> bool {
        self.was_idle
    }

    /// Makes this the connection's last request, whatever its answer says.
    pub fn make_last(&mut self) {
        self.is_last = true;
    }

    /// True if the connection carries no further request.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Hands the connection over to a tunnel, and ends it with the tunnel.
    pub fn become_tunnel(mut self) {
        self.cut.spare();
    }

    /// Returns the connection for the next request, after an answer whose `body` has ended. If the rest of the request is still
    /// being sent, it is returned when that is over; after a time limit it is cut.
    pub fn give_back(mut self, body: &mut AnswerBody, clock: &Arc<Clock>) {
        self.cut.spare();
        let AnswerBody::Http1(body) = body else {
            if let (Some(shared), Some(parting)) = (self.sender.http2(), self.sender.parting()) {
                parting.untie();
                shared.streams.used(clock.tick());
                self.sender.ends_upload_within(UPLOAD_REST);
            }
            return;
        };
        if let Some(parting) = body.parting() {
            parting.untie();
        }
        match body.leave() {
            Left::Ready(connection) => self.keep(connection, clock.tick()),
            Left::Over(connection) => {
                if let Some(mut connection) = connection {
                    connection.part();
                }
            }
            Left::Uploading(driven) => {
                let clock = clock.clone();
                tokio::spawn(async move {
                    let uploaded = tokio::time::timeout(UPLOAD_REST, driven.uploaded()).await;
                    if let Ok(Some(connection)) = uploaded {
                        self.keep(connection, clock.tick());
                    }
                });
            }
        }
    }

    /// Keeps the connection in its pool, unless this was its last request.
    fn keep(&self, mut connection: Box<Http1>, now: Timestamp) {
        if self.is_last {
            return connection.part();
        }
        // The age is counted from the first return, which is when the time is known here.
        let old_at = self.old_at.unwrap_or(now + self.pool.limits.max_age);
        let kept = self.kept_for.unwrap_or(Duration::MAX);
        self.pool.keep(connection, old_at, kept, now);
    }
}

/// The time for which we keep a connection whose upstream says `timeout=N`: one second less, so that we close it and
/// not the upstream; half of a single second.
fn keep_alive_timeout(value: &str) -> Option<Duration> {
    let seconds = value.split(',').find_map(|part| {
        let (name, number) = part.split_once('=')?;
        let named = name.trim().eq_ignore_ascii_case("timeout");
        named.then(|| number.trim().trim_matches('"').parse::<u32>().ok())?
    })?;
    Some(match seconds {
        0 => Duration::ZERO,
        1 => Duration::from_millis(500),
        more => Duration::from_secs(u64::from(more) - 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstreams_keep_alive_is_undercut() {
        let read = |value| keep_alive_timeout(value).map(|kept| kept.as_millis());
        assert_eq!(read("timeout=5"), Some(4_000));
        assert_eq!(read("max=100, Timeout = \"5\""), Some(4_000));
        assert_eq!(read("timeout=1"), Some(500));
        assert_eq!(read("timeout=0"), Some(0));
        for nothing in [
            "",
            "timeout",
            "timeout=",
            "timeout=-1",
            "max=5",
            "timeout=x",
        ] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
