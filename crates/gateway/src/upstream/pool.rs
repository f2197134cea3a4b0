//! The connections of one worker thread to one upstream.
//!
//! A pool is used by its own worker alone, so its lock is never contended; it is a lock and not a
//! cell because tasks of a runtime must be `Send`. The newest idle connection is used first: the
//! rest grow old and are closed.
//!
//! What the pool learns is not what the service is: an idle connection that the upstream closed as a
//! request went out says nothing of it. So the pool keeps such connections few: it ends them before
//! the upstream does (`Keep-Alive: timeout=N`), not long after they were made (`pool.max_age`), and
//! gives a request that must not be repeated only one that was in use a moment ago.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_plan::plan::{Endpoint, Limits, Upstream};
use http::{HeaderMap, HeaderName, Method};

use crate::ground::clock::Clock;
use crate::upstream::connect::{Connector, NoConnection};
use crate::upstream::sender::{CutOnDrop, Sender};
use crate::upstream::trust::Trust;

/// How long the rest of an upload may take whose answer has come and gone.
const UPLOAD_REST: Duration = Duration::from_secs(5);

/// How long a connection may have been idle for a request that must not be repeated.
const MOMENT: Duration = Duration::from_millis(100);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// How long connections are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// How many idle ones, at most; 0: none is used twice.
    pub idle_max: usize,
    /// How long one may be idle.
    pub idle_timeout: Duration,
    /// How old one may become, in use or not.
    pub max_age: Duration,
}

impl PoolLimits {
    /// The times that a plan gives an upstream's connections.
    pub const fn of(upstream: &Upstream) -> PoolLimits {
        PoolLimits {
            idle_max: upstream.pool_idle_max,
            idle_timeout: upstream.pool_idle_timeout,
            max_age: upstream.pool_max_age,
        }
    }

    /// The same, but no connection is used twice.
    pub const fn of_none(self) -> PoolLimits {
        PoolLimits {
            idle_max: 0,
            ..self
        }
    }
}

/// Whether a request may be sent twice without harm (RFC 9110, section 9.2.2).
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
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: Timestamp,
    until: Timestamp,
    /// When it is too old, whatever it does.
    old_at: Option<Timestamp>,
}

/// A connection taken from a pool; it goes back with [`Connection::give_back`], else it is closed.
#[derive(Debug)]
pub struct Connection {
    /// Sends one request.
    pub sender: Sender,
    pool: Arc<Pool>,
    /// Set when it was idle once; a new one's age is counted from there.
    old_at: Option<Timestamp>,
    /// How long the upstream says that it keeps the connection.
    kept_for: Option<Duration>,
    is_last: bool,
    cut: CutOnDrop,
}

impl Pool {
    /// A pool without connections.
    pub fn new(connector: Connector, limits: PoolLimits) -> Arc<Pool> {
        Arc::new(Pool {
            connector,
            limits,
            idle: Mutex::default(),
        })
    }

    /// Pools without connections to an upstream, one for each of that many workers; its endpoint is reached through
    /// `proxy`, if there is one.
    ///
    /// # Errors
    /// If a host is no name that a certificate could bear.
    pub fn for_workers(
        workers: usize,
        upstream: &Upstream,
        proxy: Option<&Endpoint>,
        limits: &Limits,
        trust: &Trust,
    ) -> Result<Pools, String> {
        let (endpoint, connect) = (&upstream.endpoint, upstream.timeout.connect);
        let mut connector = Connector::new(endpoint, connect, limits, trust)?;
        if let Some(proxy) = proxy {
            connector = connector.through(proxy)?;
        }
        let pool = |_| Pool::new(connector.clone(), PoolLimits::of(upstream));
        Ok((0..workers.max(1)).map(pool).collect())
    }

    /// A pool to another endpoint, reached in the same way, that keeps no connection: nobody else will want it.
    ///
    /// # Errors
    /// If the endpoint's host is no name that a certificate could bear.
    pub fn elsewhere(&self, endpoint: &Endpoint) -> Result<Arc<Pool>, String> {
        let connector = self.connector.elsewhere(endpoint)?;
        Ok(Pool::new(connector, self.limits.of_none()))
    }

    /// Requests must name the whole URL: a proxy is asked for it, but within a tunnel nobody knows of it.
    pub fn asks_for_urls(&self) -> bool {
        self.connector.asks_for_urls()
    }

    /// An idle connection that is still open, if there is one. For a request that must not be
    /// repeated it was in use until a moment ago.
    pub fn reuse(self: &Arc<Pool>, now: Timestamp, repeatable: bool) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            if idle[at].is_over(now) {
                idle.swap_remove(at);
            } else if (repeatable || now.saturating_since(idle[at].since) <= MOMENT)
                && idle[at].sender.is_ready()
            {
                let taken = idle.swap_remove(at);
                return Some(Connection {
                    cut: taken.sender.cut_on_drop(),
                    sender: taken.sender,
                    pool: self.clone(),
                    old_at: taken.old_at,
                    kept_for: None,
                    is_last: false,
                });
            }
        }
        None
    }

    /// A new connection.
    ///
    /// # Errors
    /// Which part of connecting failed, and why.
    pub async fn open(self: &Arc<Pool>) -> Result<Connection, NoConnection> {
        let mut sender = self.connector.connect().await?;
        if let Err(error) = sender.ready().await {
            return Err(NoConnection::closed(&sender, error));
        }
        Ok(Connection {
            cut: sender.cut_on_drop(),
            sender,
            pool: self.clone(),
            old_at: None,
            kept_for: None,
            is_last: false,
        })
    }

    /// How many connections wait for a request; one that the upstream has closed does not.
    pub fn idle_count(&self) -> usize {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.iter().filter(|idle| !idle.sender.is_closed()).count()
    }

    /// Connections that ended for bytes that nobody had asked for; the same number for all pools of
    /// one upstream.
    pub fn unasked(&self) -> u64 {
        self.connector.unasked()
    }

    /// Closes the connections that have been idle too long, are too old or were closed by the upstream.
    pub fn sweep(&self, now: Timestamp) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| !idle.is_over(now));
    }

    /// Closes all idle connections, as a reload does: the next ones go where the name points now.
    pub fn clear(&self) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

impl Idle {
    fn is_over(&self, now: Timestamp) -> bool {
        self.sender.is_closed()
            || self.until <= now
            || self.old_at.is_some_and(|old_at| old_at <= now)
    }
}

impl Connection {
    /// The answer's head has come: how long the upstream keeps the connection is its own word
    /// (`Keep-Alive: timeout=N`, RFC 2068 19.7.1), and we end it a little earlier.
    pub fn hear(&mut self, headers: &HeaderMap) {
        if let Some(value) = headers.get(KEEP_ALIVE) {
            self.kept_for = value.to_str().ok().and_then(keep_alive_timeout);
        }
    }

    /// The connection carries no further request, whatever its answer says.
    pub fn make_last(&mut self) {
        self.is_last = true;
    }

    /// Whether it carries no further request.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// The connection becomes a tunnel, and ends with it.
    pub fn become_tunnel(mut self) {
        self.cut.spare();
    }

    /// Gives the connection back once its request has been sent to its end, which the upstream has answered
    /// already; a moment later it is cut.
    pub fn give_back_when_sent(mut self, clock: Arc<Clock>) {
        tokio::spawn(async move {
            if let Ok(Ok(())) = tokio::time::timeout(UPLOAD_REST, self.sender.ready()).await {
                self.give_back(clock.tick());
            }
        });
    }

    /// Gives the connection back for the next request; it need not be ready yet.
    pub fn give_back(mut self, now: Timestamp) {
        self.cut.spare();
        let limits = self.pool.limits;
        // The age is counted from the first use on, which is when time is known here.
        let old_at = self.old_at.unwrap_or(now + limits.max_age);
        if self.is_last || self.sender.is_closed() || old_at <= now {
            return;
        }
        let kept = self
            .kept_for
            .map_or(limits.idle_timeout, |kept| kept.min(limits.idle_timeout));
        let mut idle = self
            .pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if idle.len() < limits.idle_max && !kept.is_zero() {
            idle.push(Idle {
                sender: self.sender,
                since: now,
                until: now + kept,
                old_at: Some(old_at),
            });
        }
    }
}

/// How long we keep a connection whose upstream says `timeout=N`: a second less, so that we end it
/// and not the upstream; of one second a half.
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
