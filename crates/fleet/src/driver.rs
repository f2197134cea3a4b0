//! A running node: one background task that connects a store of shared records to this process's breakers.

mod inbox;
mod listener;
mod presence;
mod store;
mod task;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fusebox_breaker::{Breaker, Clock, Listener, MonotonicClock, Timestamp};
use fusebox_store::records::SharedRecords;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::counters::Counters;
use crate::node::{BATCH_EVERY, FleetCount, Health, Key, News, NodeOptions, Word};
use crate::record::Record;
use crate::share::{Share, ShareError, Sharing};
use inbox::{Inbox, Joining, ViewRequest};
use listener::FleetListener;

pub use task::Driver;

/// The longest wait for a view of the task's state.
const VIEW_WAIT_MAX: Duration = Duration::from_secs(1);

/// The callback that receives [`News`].
pub type OnNews = Arc<dyn Fn(&News) + Send + Sync>;

/// Options of a node in a fleet.
#[derive(Clone)]
pub struct FleetOptions {
    /// The name of this process, unique in the fleet.
    pub node: String,
    /// The prefix of the records' keys, before the breaker's name; the same for all processes of a fleet. Default
    /// `fusebox:breaker:1:`, where 1 is the schema of the records.
    pub prefix: String,
    /// The time after which a command counts as failed. Default 500 ms.
    pub timeout: Duration,
    /// The clock of the breakers. Default: [`MonotonicClock`], the breakers' own default.
    pub clock: Arc<dyn Clock>,
    /// The callback for outages of the store, losses and other news. Default: none.
    pub on_news: Option<OnNews>,
    /// An identifier of this process among those that used the name, different after every start. Default: random.
    pub incarnation: String,
    /// The seed of all jitter. Default: random.
    pub seed: u64,
}

impl FleetOptions {
    /// The default options for a node with this name.
    pub fn new(node: impl Into<String>) -> Self {
        let drawn = RandomState::new();
        FleetOptions {
            node: node.into(),
            prefix: "fusebox:breaker:1:".to_owned(),
            timeout: Duration::from_millis(500),
            clock: Arc::new(MonotonicClock),
            on_news: None,
            incarnation: format!("{:016x}", drawn.hash_one("incarnation")),
            seed: drawn.hash_one("seed"),
        }
    }
}

/// The handle of this process in a fleet, through which breakers join. Clones share the same node.
#[derive(Clone)]
pub struct Fleet {
    inbox: Arc<Inbox>,
    status: Arc<Mutex<FleetStatus>>,
    clock: Arc<dyn Clock>,
}

/// The state of a fleet as seen by this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetStatus {
    /// Reachability of the store.
    pub health: Health,
    /// The time of the store's last answer.
    pub answered_at: Timestamp,
    /// Activity of this node.
    pub counters: Counters,
    /// Number of shared breakers.
    pub breakers: usize,
    /// Number of commands awaiting an answer.
    pub under_way: usize,
    /// Number of other processes that use the same node name.
    pub same_name: usize,
}

/// This process's view of one shared breaker.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetView {
    /// The name of the breaker.
    pub name: Key,
    /// The latest record seen, or `None` if none has been read yet.
    pub record: Option<Record>,
    /// True if this process decides on probes locally.
    pub alone: bool,
    /// The end of the time in which this process may begin probes, if it has a lease.
    pub may_probe_until: Option<Timestamp>,
    /// The fleet's count for each shared rule, in the order of the rules.
    pub counted: Vec<FleetCount>,
}

impl FleetStatus {
    /// Time since the store's last answer: the greatest age of anything known about other nodes.
    pub fn staleness(&self, now: Timestamp) -> Duration {
        now.saturating_since(self.answered_at)
    }
}

/// Joins a fleet. Returns the handle, and the driver, which works once it is [run](Driver::run).
pub fn fleet(options: FleetOptions, records: Arc<dyn SharedRecords>) -> (Fleet, Driver) {
    let now = options.clock.now();
    let fleet = Fleet {
        inbox: Arc::default(),
        status: Arc::new(Mutex::new(FleetStatus {
            health: Health::Reachable,
            answered_at: now,
            counters: Counters::default(),
            breakers: 0,
            under_way: 0,
            same_name: 0,
        })),
        clock: options.clock.clone(),
    };
    let node = NodeOptions {
        name: options.node.clone(),
        incarnation: options.incarnation.clone(),
        seed: options.seed,
    };
    let driver = Driver::new(fleet.clone(), options, node, records, now);
    (fleet, driver)
}

impl Fleet {
    /// Makes a listener that shares breakers. Pass it to a [`Breaker`] or a [`Registry`](fusebox_breaker::Registry) on
    /// construction: the breakers of a registry then join by themselves, a single breaker by [`Fleet::join`]. `also`
    /// receives the same events.
    pub fn listener(&self, share: Share, also: Option<Arc<dyn Listener>>) -> Arc<dyn Listener> {
        Arc::new(FleetListener {
            fleet: self.clone(),
            share,
            also,
        })
    }

    /// Shares a breaker with the breakers of the same name, from now on. The breaker must have a listener of this
    /// fleet, or its events are not shared. A dropped breaker leaves by itself.
    ///
    /// # Errors
    /// [`ShareError`] if the breaker's settings cannot be shared in this way.
    pub fn join(&self, breaker: &Breaker, share: Share) -> Result<(), ShareError> {
        let sharing = Sharing::new(share, &breaker.settings())?;
        // At once, so that the breaker asks before it probes, and no outcome is missed.
        breaker.follow_fleet();
        breaker.count_for_fleet(sharing.counts());
        self.inbox.join(Joining {
            breaker: breaker.clone(),
            sharing,
        });
        Ok(())
    }

    /// Stops sharing a breaker, which returns to local decisions.
    pub fn leave(&self, breaker: &Breaker) {
        self.inbox.leave(breaker.name().clone());
    }

    /// Issues an operator's fleet-wide command for the breaker of this name. If it cannot be delivered within a second,
    /// [`News::WordDropped`] reports that.
    pub fn say(&self, name: impl Into<Arc<str>>, word: Word) {
        self.inbox.say(name.into(), word);
    }

    /// Returns this process's view of one shared breaker, or of all. Empty if the task is not running, or does not
    /// answer within a second.
    pub async fn look(&self, name: Option<&str>) -> Vec<FleetView> {
        let (answer, seen) = oneshot::channel();
        let name = name.map(Key::from);
        self.inbox.view(ViewRequest { name, answer });
        let seen = timeout(VIEW_WAIT_MAX, seen).await;
        seen.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Waits until everything that has happened here so far has reached the store, at most `within`. For use at
    /// shutdown.
    pub async fn settle(&self, within: Duration) {
        let delivered = async {
            // Counts wait for their batch.
            sleep(2 * BATCH_EVERY).await;
            // By its answer the task has processed everything sent to it before.
            self.look(Some("")).await;
            while self.status().under_way > 0 {
                sleep(BATCH_EVERY).await;
            }
        };
        // If the time is up, the process's own store still has the state.
        let _ = timeout(within, delivered).await;
    }

    /// The state of the fleet as seen by this process.
    pub fn status(&self) -> FleetStatus {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the task. Its breakers return to local decisions.
    pub fn stop(&self) {
        self.inbox.stop();
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn show(&self, status: FleetStatus) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
