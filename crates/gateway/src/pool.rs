//! The connections of one worker thread to one upstream.
//!
//! A pool is used by its own worker alone, so its lock is never contended; it is a lock and not a
//! cell because tasks of a runtime must be `Send`. The newest idle connection is used first: the
//! rest grow old and are closed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fusebox_breaker::Timestamp;

use crate::connect::{Connector, NoConnection};
use crate::sender::Sender;

/// Idle connections to one upstream.
#[derive(Debug)]
pub struct Pool {
    connector: Connector,
    idle_max: usize,
    idle_timeout: Duration,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: Timestamp,
}

/// A connection taken from a pool; it goes back with [`Connection::give_back`], else it is closed.
#[derive(Debug)]
pub struct Connection {
    /// Sends one request.
    pub sender: Sender,
    pool: Arc<Pool>,
}

impl Pool {
    /// A pool without connections; it keeps at most `idle_max` idle ones for `idle_timeout` each.
    pub fn new(connector: Connector, idle_max: usize, idle_timeout: Duration) -> Arc<Pool> {
        Arc::new(Pool {
            connector,
            idle_max,
            idle_timeout,
            idle: Mutex::default(),
        })
    }

    /// An idle connection that is still open, if there is one.
    pub fn reuse(self: &Arc<Pool>, now: Timestamp) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = idle.len();
        while at > 0 {
            at -= 1;
            if idle[at].sender.is_closed()
                || now.saturating_since(idle[at].since) >= self.idle_timeout
            {
                idle.swap_remove(at);
            } else if idle[at].sender.is_ready() {
                let sender = idle.swap_remove(at).sender;
                return Some(Connection {
                    sender,
                    pool: self.clone(),
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
            sender,
            pool: self.clone(),
        })
    }

    /// How many connections wait for a request; one that the upstream has closed does not.
    pub fn idle_count(&self) -> usize {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.iter().filter(|idle| !idle.sender.is_closed()).count()
    }

    /// Closes the connections that have been idle too long or were closed by the upstream.
    pub fn sweep(&self, now: Timestamp) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| {
            !idle.sender.is_closed() && now.saturating_since(idle.since) < self.idle_timeout
        });
    }
}

impl Connection {
    /// Gives the connection back for the next request; it need not be ready yet.
    pub fn give_back(self, now: Timestamp) {
        if self.sender.is_closed() {
            return;
        }
        let mut idle = self
            .pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.pool.idle_max {
            idle.push(Idle {
                sender: self.sender,
                since: now,
            });
        }
    }
}
