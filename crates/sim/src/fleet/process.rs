//! One process: a node of the fleet with its breakers, its clock, its calls and its connection to the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fusebox_breaker::{Breaker, Listener, OwnedPermit, Rejection, Saved, Timestamp, Transition};
use fusebox_fleet::protocol::{
    Event, Input, Key, Local, Node, NodeOptions, SharedBreakers, Sharing,
};

use super::clock::Clock;
use super::events::ScheduledEvent;
use super::plan::SharedBreaker;

pub(super) struct Process {
    pub node: Node,
    pub clock: Clock,
    /// The number of the process among those of this node; events for an earlier one are dropped.
    pub incarnation: u32,
    pub running: RunState,
    /// Number of faults that keep the process from running.
    pub stops: u32,
    pub link: Link,
    /// The scheduled time of the next wake-up; earlier ones are void.
    pub wake: Option<u64>,
    pub calls: BTreeMap<u64, CallInFlight>,
    pub next_call: u64,
    breakers: Vec<Breaker>,
    shared: SharedBreakers,
    log: Arc<EventLog>,
}

pub(super) enum RunState {
    Running,
    /// Suspended; events for it wait.
    Suspended {
        waiting: Vec<ScheduledEvent>,
    },
    /// Ended, with its breakers' states saved for the next process.
    Ended {
        saved: Vec<Saved>,
    },
}

pub(super) struct CallInFlight {
    pub key: usize,
    pub permit: OwnedPermit,
    pub probe: bool,
}

/// The connection to the store.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Index of the connected store.
    pub server: usize,
    /// Numbers of faults that cut the way to the store, and the way back.
    pub cut_up: u32,
    pub cut_down: u32,
    /// The arrival time of the last message on each way, since messages of one connection do not overtake each other.
    pub up_free: u64,
    pub down_free: u64,
    pub push_free: u64,
    /// Events that arrive after the end of the cut.
    pub held_back: Vec<ScheduledEvent>,
    /// The time since which the connection and its process have been without faults, or `None`.
    pub sound_since: Option<u64>,
}

impl Process {
    /// Starts a process, with its breakers restored from saved states.
    pub fn begin(
        options: NodeOptions,
        breakers: &[SharedBreaker],
        saved: &[Saved],
        clock: Clock,
        seed: u64,
        now: u64,
    ) -> Process {
        let shown = clock.shows(now);
        let log = Arc::new(EventLog::default());
        let mut node = Node::new(options, shown);
        let mut shared = SharedBreakers::default();
        let mut started = Vec::with_capacity(breakers.len());
        for (number, planned) in breakers.iter().enumerate() {
            let breaker = Breaker::builder(planned.key.clone(), planned.settings.clone())
                .seed(seed.wrapping_add(number as u64))
                .listener(log.clone())
                .build()
                .expect("the plan draws sound settings");
            if let Some(saved) = saved.get(number) {
                breaker.restore(saved, shown);
            }
            let sharing = Sharing::new(planned.share, &planned.settings)
                .expect("the plan draws rules that can be shared so");
            breaker.follow_fleet();
            breaker.count_for_fleet(sharing.counts());
            let local = shared.add(&breaker, shown);
            node.join(planned.key.clone(), sharing, local, shown);
            started.push(breaker);
        }
        log.lock().clear();
        Process {
            node,
            clock,
            incarnation: 0,
            running: RunState::Running,
            stops: 0,
            link: Link {
                sound_since: Some(now),
                ..Link::default()
            },
            wake: None,
            calls: BTreeMap::new(),
            next_call: 0,
            breakers: started,
            shared,
            log,
        }
    }

    pub fn runs(&self) -> bool {
        matches!(self.running, RunState::Running)
    }

    /// Admits a call at a breaker, as a request does.
    pub fn admit(&self, key: usize, now: u64) -> Result<OwnedPermit, Rejection> {
        self.breakers[key].admit_owned(self.clock.shows(now))
    }

    /// The state of a breaker as its node sees it.
    pub fn local(&self, key: usize) -> Option<Local> {
        Some(self.node.member(self.breakers[key].name())?.local)
    }

    /// Carries out an order of the node on a breaker, and returns the breaker's answer, if any.
    pub fn obey(
        &mut self,
        key: &Key,
        order: fusebox_fleet::protocol::Order,
        now: u64,
    ) -> Option<Event> {
        let shown = self.clock.shows(now);
        self.shared.obey(key, order, shown).map(Event::Counted)
    }

    /// Takes the events of the breakers since the last call.
    pub fn take_events(&mut self) -> Vec<(Key, BreakerEvent)> {
        std::mem::take(&mut *self.log.lock())
    }

    /// The fleet's event for a transition, or `None` if it is no news.
    pub fn event(&mut self, key: &Key, transition: &Transition) -> Option<Event> {
        self.shared.event(key, transition)
    }

    pub fn hear(&mut self, input: Input, now: u64) {
        self.node.hear(input, self.clock.shows(now));
    }

    /// The states of the breakers that survive a restart.
    pub fn saved(&self, now: u64) -> Vec<Saved> {
        let shown = self.clock.shows(now);
        let saved = self.breakers.iter().map(|breaker| breaker.saved(shown));
        saved.collect()
    }

    pub fn is_closed(&self, key: usize, now: u64) -> bool {
        let snapshot = self.breakers[key].snapshot(self.clock.shows(now));
        snapshot.phase == fusebox_breaker::Phase::Closed
    }

    /// Converts a time of this process's clock to the time of the run.
    pub fn moment(&self, shown: Timestamp) -> u64 {
        self.clock.reaches(shown)
    }
}

#[derive(Debug)]
pub(super) enum BreakerEvent {
    Moved(Transition),
    Demanded,
    Stirred,
}

/// Collects the events of the breakers of one process.
#[derive(Default)]
struct EventLog(Mutex<Vec<(Key, BreakerEvent)>>);

impl EventLog {
    fn lock(&self) -> MutexGuard<'_, Vec<(Key, BreakerEvent)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, breaker: &Breaker, take_events: BreakerEvent) {
        self.lock().push((breaker.name().clone(), take_events));
    }
}

impl Listener for EventLog {
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        self.push(breaker, BreakerEvent::Moved(transition.clone()));
    }

    fn demanded(&self, breaker: &Breaker) {
        self.push(breaker, BreakerEvent::Demanded);
    }

    fn stirred(&self, breaker: &Breaker) {
        self.push(breaker, BreakerEvent::Stirred);
    }
}
