//! File descriptors: a gateway needs two per client, more than most shells allow by default.
//!
//! The needs of the plan are compared with the limit of the process. If the limit is too low, a warning is logged and
//! the number of clients is capped accordingly, so that further clients get an answer instead of a hung connection.

use fusebox_plan::Plan;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of the process itself: standard streams, store, log, signals, the control thread.
const PROCESS: u64 = 32;

/// Descriptors of a worker: its runtime and its wakers.
const PER_WORKER: u64 = 4;

/// Descriptors for clients of the admin API, and per worker for connections rejected at once.
const ADMIN: u64 = 256;
const REJECTED: u64 = 64;

/// Raises the limit on open files to the hard limit, and returns it, or `None` if there is none.
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
    getrlimit(Resource::Nofile).current
}

/// The largest number of descriptors that a plan can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Number of descriptors in total.
    pub all: u64,
    /// Number of client connections, each with an upstream connection in addition.
    clients: u64,
    /// Number of idle upstream connections.
    idle: u64,
    /// Number of descriptors needed before the first client.
    base: u64,
    workers: u64,
}

impl Need {
    /// Computes the needs of a plan with this number of workers.
    pub fn of(plan: &Plan, workers: usize) -> Need {
        let (workers, listeners) = (workers as u64, plan.listeners.len() as u64);
        let clients = listeners * plan.limits.connections_max as u64;
        let pools = plan.upstreams.iter().map(|one| one.pool_idle_max as u64);
        let idle = workers * pools.sum::<u64>();
        let base = PROCESS + workers * (PER_WORKER + listeners);
        Need {
            all: base + ADMIN + workers * REJECTED + 2 * clients + idle,
            clients,
            idle,
            base,
            workers,
        }
    }

    /// The most clients for a process that may open `allowed` files. Each client needs two; if there are few, at most
    /// an eighth each is reserved for the admin API, for rejected connections and for idle connections.
    pub fn clients_max(&self, allowed: Option<u64>) -> usize {
        let Some(allowed) = allowed else {
            return usize::MAX;
        };
        let share = allowed / 8;
        let reserved = self.base
            + ADMIN.min(share)
            + (self.workers * REJECTED).min(share)
            + self.idle.min(share);
        let clients = allowed.saturating_sub(reserved) / 2;
        usize::try_from(clients.max(1)).unwrap_or(usize::MAX)
    }

    /// Logs if the plan could use more than the limit: as a warning if it is more than a tenth above, which exceeds the
    /// needs of the process itself; otherwise as a debug message, since all clients rarely come at once.
    pub fn compare(&self, allowed: Option<u64>) {
        let Some(have) = allowed.filter(|allowed| *allowed < self.all) else {
            return;
        };
        let wanted = self.all;
        let clients = self.clients.min(self.clients_max(allowed) as u64);
        let text = format!(
            "`limits.connections` and the upstreams' pools may need {wanted} open files, but the limit is {have}: \
             at most {clients} clients are served at once, more get 503; raise the limit (`ulimit -n`, `LimitNOFILE=`) \
             or lower `limits.connections`"
        );
        if wanted > have + have / 10 {
            tracing::warn!(have, wanted, clients, "{text}");
        } else {
            tracing::debug!(have, wanted, clients, "{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(clients: u64, idle: u64) -> Need {
        Need {
            all: PROCESS + ADMIN + 2 * REJECTED + 2 * clients + idle,
            clients,
            idle,
            base: PROCESS + 2 * PER_WORKER,
            workers: 2,
        }
    }

    #[test]
    fn clients_and_all_that_they_need_fit_into_the_limit() {
        for (idle, allowed) in [(0, 256), (128, 300), (100_000, 1024), (128, 65_536)] {
            let clients = need(10_000, idle).clients_max(Some(allowed)) as u64;
            assert!(clients > allowed / 8, "{clients} of {allowed}");
            assert!(2 * clients + PROCESS < allowed, "{clients} of {allowed}");
        }
    }

    #[test]
    fn a_limit_that_nothing_fits_into_still_lets_one_client_in() {
        assert_eq!(need(10_000, 64).clients_max(Some(16)), 1);
    }

    #[test]
    fn without_a_limit_the_plan_alone_decides() {
        assert_eq!(need(10_000, 64).clients_max(None), usize::MAX);
    }
}
