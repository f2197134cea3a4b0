//! File descriptors: a gateway needs two for each client, and shells give few.
//!
//! What the plan could use is compared with what the process may open. Where that does not fit, it is said, and so many
//! clients are taken as there are descriptors for, so that the surplus gets an answer instead of a hung connection.

use fusebox_plan::Plan;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of the process itself: standard streams, store, log, signals, the control thread.
const OWN: u64 = 32;

/// Descriptors of a worker: its runtime and its wakers.
const OF_WORKER: u64 = 4;

/// Clients of the admin API, and connections that a worker turns away at once.
const ADMIN: u64 = 256;
const TURNED_AWAY: u64 = 64;

/// Raises the limit on open files as far as the system lets this process, and returns it; `None`: there is none.
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

/// What a plan could use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Descriptors in all.
    pub all: u64,
    /// Client connections among them, each with one to an upstream beside it.
    clients: u64,
    /// Idle connections to upstreams.
    idle: u64,
    /// What is needed before the first client comes.
    base: u64,
    workers: u64,
}

impl Need {
    /// What a plan could use on so many workers.
    pub fn of(plan: &Plan, workers: usize) -> Need {
        let (workers, listeners) = (workers as u64, plan.listeners.len() as u64);
        let clients = listeners * plan.limits.connections_max as u64;
        let pools = plan.upstreams.iter().map(|one| one.pool_idle_max as u64);
        let idle = workers * pools.sum::<u64>();
        let base = OWN + workers * (OF_WORKER + listeners);
        Need {
            all: base + ADMIN + workers * TURNED_AWAY + 2 * clients + idle,
            clients,
            idle,
            base,
            workers,
        }
    }

    /// How many clients a process can carry that may open `allowed` files: each needs two, and where files are few an
    /// eighth of them each is left to the admin API, to those who are turned away and to idle connections.
    pub fn clients_max(&self, allowed: Option<u64>) -> usize {
        let Some(allowed) = allowed else {
            return usize::MAX;
        };
        let share = allowed / 8;
        let reserved = self.base
            + ADMIN.min(share)
            + (self.workers * TURNED_AWAY).min(share)
            + self.idle.min(share);
        let clients = allowed.saturating_sub(reserved) / 2;
        usize::try_from(clients.max(1)).unwrap_or(usize::MAX)
    }

    /// Says so where the plan could use more than is allowed: as a warning where that is more by a tenth, which is what
    /// the process needs for itself; all clients at once are rarer than a limit that was set for them alone.
    pub fn compare(&self, allowed: Option<u64>) {
        let Some(have) = allowed.filter(|allowed| *allowed < self.all) else {
            return;
        };
        let wanted = self.all;
        let clients = self.clients.min(self.clients_max(allowed) as u64);
        let text = format!(
            "`limits.connections` and the upstreams' pools may need {wanted} open files, and the process may have {have}: \
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
            all: OWN + ADMIN + 2 * TURNED_AWAY + 2 * clients + idle,
            clients,
            idle,
            base: OWN + 2 * OF_WORKER,
            workers: 2,
        }
    }

    #[test]
    fn clients_and_all_that_they_need_fit_into_the_limit() {
        for (idle, allowed) in [(0, 256), (128, 300), (100_000, 1024), (128, 65_536)] {
            let clients = need(10_000, idle).clients_max(Some(allowed)) as u64;
            assert!(clients > allowed / 8, "{clients} of {allowed}");
            assert!(2 * clients + OWN < allowed, "{clients} of {allowed}");
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
