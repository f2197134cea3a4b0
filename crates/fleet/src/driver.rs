//! A node at work: over a store of shared records and the breakers of this process, as one task beside the calls.

mod ear;
mod inbox;
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
use ear::Ear;
use inbox::{Inbox, Joining, Look};

pub use task::Driver;

/// How long somebody waits to see what is known.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// Who hears of [`News`].
pub type OnNews = Arc<dyn Fn(&News) + Send + Sync>;

/// What a fleet must know to run.
#[derive(Clone)]
pub struct FleetOptions {
    /// The name of this process in the fleet: no other one's.
    pub node: String,
    /// What comes before a breaker's name in the record's key. All processes of a fleet have the same. Default
    /// `fusebox:breaker:1:`, where 1 is the schema of the records.
    pub prefix: String,
    /// How long a command may take before it counts as failed. Default 500 ms.
    pub timeout: Duration,
    /// The clock of the breakers. Default: [`MonotonicClock`], as of their guards.
    pub clock: Arc<dyn Clock>,
    /// Who hears when the store goes away, comes back or loses something. Default: nobody.
    pub on_news: Option<OnNews>,
    /// Which process of that name: another text after every start. Default: drawn.
    pub incarnation: String,
    /// The seed of all jitter. Default: drawn.
    pub seed: u64,
}

impl FleetOptions {
    /// The defaults, for a process of that name.
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

/// This process in a fleet: the handle by which breakers join it. Clones are the same.
#[derive(Clone)]
pub struct Fleet {
    inbox: Arc<Inbox>,
    shown: Arc<Mutex<FleetStatus>>,
    clock: Arc<dyn Clock>,
}

/// How a fleet is doing, as this process sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetStatus {
    /// Whether the store answers.
    pub health: Health,
    /// When it last did.
    pub answered_at: Timestamp,
    /// What was done.
    pub counters: Counters,
    /// How many breakers are shared.
    pub breakers: usize,
    /// How many commands are on their way to the store.
    pub under_way: usize,
    /// How many other processes go by this one's name.
    pub same_name: usize,
}

/// What this process knows of one shared breaker.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetView {
    /// Its name.
    pub name: Key,
    /// The fleet's truth, as this process last saw it; none where it has never been read.
    pub record: Option<Record>,
    /// Whether this process decides alone when to probe.
    pub alone: bool,
    /// Until when this process may begin probes.
    pub may_probe_until: Option<Timestamp>,
    /// What the fleet counts by each rule that it counts, in their order.
    pub counted: Vec<FleetCount>,
}

impl FleetStatus {
    /// How long ago the store last answered: how old, at the most, what is known of the others is.
    pub fn staleness(&self, now: Timestamp) -> Duration {
        now.saturating_since(self.answered_at)
    }
}

/// A process enters a fleet: the handle, and the task that does the work once it is
/// [run](Driver::run).
pub fn fleet(options: FleetOptions, records: Arc<dyn SharedRecords>) -> (Fleet, Driver) {
    let now = options.clock.now();
    let fleet = Fleet {
        inbox: Arc::default(),
        shown: Arc::new(Mutex::new(FleetStatus {
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
    /// The listener by which breakers are shared. Give it to a [`Breaker`] or a
    /// [`Registry`](fusebox_breaker::Registry) when it is made: the breakers of a registry then join by themselves, a
    /// single one by [`Fleet::join`]. `also` hears all that the listener hears.
    pub fn listener(&self, share: Share, also: Option<Arc<dyn Listener>>) -> Arc<dyn Listener> {
        Arc::new(Ear {
            fleet: self.clone(),
            share,
            also,
        })
    }

    /// Shares a breaker with those of the same name, from now on. Its listener must be one of this fleet's, or it will
    /// tell nothing. A breaker that nobody keeps any more leaves by itself.
    ///
    /// # Errors
    /// [`ShareError`], when its settings do not allow what is to be shared.
    pub fn join(&self, breaker: &Breaker, share: Share) -> Result<(), ShareError> {
        let sharing = Sharing::new(share, &breaker.settings())?;
        // At once, so that it asks before it probes, and no outcome is missed.
        breaker.follow_fleet();
        breaker.count_for_fleet(sharing.counts());
        self.inbox.join(Joining {
            breaker: breaker.clone(),
            sharing,
        });
        Ok(())
    }

    /// Lets a breaker of this process be its own again.
    pub fn leave(&self, breaker: &Breaker) {
        self.inbox.leave(breaker.name().clone());
    }

    /// An operator's word over the whole fleet on the breaker of that name. It is carried out soon; if not within a
    /// second, [`News::WordDropped`] says so.
    pub fn say(&self, name: impl Into<Arc<str>>, word: Word) {
        self.inbox.say(name.into(), word);
    }

    /// What this process knows of the shared breaker of a name, or of all; nothing where the task does not run, or
    /// does not answer within a second.
    pub async fn look(&self, name: Option<&str>) -> Vec<FleetView> {
        let (answer, seen) = oneshot::channel();
        let name = name.map(Key::from);
        self.inbox.look(Look { name, answer });
        let seen = timeout(LOOK_MAX, seen).await;
        seen.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Waits until what has happened here by now has reached the store, at most so long. For the end of a process.
    pub async fn settle(&self, within: Duration) {
        let told = async {
            // What is counted waits for its batch.
            sleep(2 * BATCH_EVERY).await;
            // The task has then read all that was written to it.
            self.look(Some("")).await;
            while self.status().under_way > 0 {
                sleep(BATCH_EVERY).await;
            }
        };
        // What could not be told is kept by the process's own store.
        let _ = timeout(within, told).await;
    }

    /// How it is doing.
    pub fn status(&self) -> FleetStatus {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the task. Its breakers are then on their own.
    pub fn stop(&self) {
        self.inbox.stop();
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn show(&self, status: FleetStatus) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
