//! One process: a node of the fleet with its breakers, its clock, its calls and its way to the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fusebox_breaker::{Breaker, Listener, OwnedPermit, Rejection, Saved, Timestamp, Transition};
use fusebox_fleet::protocol::{
    Event, Input, Key, Local, Node, NodeOptions, SharedBreakers, Sharing,
};

use super::clock::Clock;
use super::events::Happening;
use super::plot::Shared;

/// A process.
pub(super) struct Process {
    pub node: Node,
    pub clock: Clock,
    /// Which process of this node it is: what was meant for an earlier one is lost.
    pub life: u32,
    pub running: Running,
    /// How many faults keep it from running.
    pub halts: u32,
    pub link: Link,
    /// When it is to be woken; an earlier word is void.
    pub wake: Option<u64>,
    pub calls: BTreeMap<u64, Flying>,
    pub next_call: u64,
    breakers: Vec<Breaker>,
    shared: SharedBreakers,
    ear: Arc<Ear>,
}

/// Whether it runs.
pub(super) enum Running {
    Yes,
    /// It is stopped. What comes meanwhile waits.
    Stopped {
        waiting: Vec<Happening>,
    },
    /// It has ended, and leaves its breakers' records to the next.
    Ended {
        saved: Vec<Saved>,
    },
}

/// A call under way.
pub(super) struct Flying {
    pub key: usize,
    pub permit: OwnedPermit,
    pub probe: bool,
}

/// The way to the store.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// Which of the stores it leads to.
    pub server: usize,
    /// How many faults cut the way there, and the way back.
    pub cut_up: u32,
    pub cut_down: u32,
    /// When the last message on the way arrives: messages of one connection do not overtake each other.
    pub up_free: u64,
    pub down_free: u64,
    pub push_free: u64,
    /// What arrives when the cut is over.
    pub kept: Vec<Happening>,
    /// Since when nothing is wrong with it, or with its process; none while something is.
    pub sound_since: Option<u64>,
}

impl Process {
    /// A process that begins now, with what its breakers were before.
    pub fn begin(
        options: NodeOptions,
        breakers: &[Shared],
        saved: &[Saved],
        clock: Clock,
        seed: u64,
        now: u64,
    ) -> Process {
        let shown = clock.shows(now);
        let ear = Arc::new(Ear::default());
        let mut node = Node::new(options, shown);
        let mut shared = SharedBreakers::default();
        let mut made = Vec::with_capacity(breakers.len());
        for (number, plotted) in breakers.iter().enumerate() {
            let breaker = Breaker::builder(plotted.key.clone(), plotted.settings.clone())
                .seed(seed.wrapping_add(number as u64))
                .listener(ear.clone())
                .build()
                .expect("the plot draws sound settings");
            if let Some(saved) = saved.get(number) {
                breaker.restore(saved, shown);
            }
            let sharing = Sharing::new(plotted.share, &plotted.settings)
                .expect("the plot draws rules that can be shared so");
            breaker.follow_fleet();
            breaker.count_for_fleet(sharing.counts());
            let local = shared.add(&breaker, shown);
            node.join(plotted.key.clone(), sharing, local, shown);
            made.push(breaker);
        }
        ear.lock().clear();
        Process {
            node,
            clock,
            life: 0,
            running: Running::Yes,
            halts: 0,
            link: Link {
                sound_since: Some(now),
                ..Link::default()
            },
            wake: None,
            calls: BTreeMap::new(),
            next_call: 0,
            breakers: made,
            shared,
            ear,
        }
    }

    pub fn runs(&self) -> bool {
        matches!(self.running, Running::Yes)
    }

    /// Asks a breaker for leave, as a request does.
    pub fn admit(&self, key: usize, now: u64) -> Result<OwnedPermit, Rejection> {
        self.breakers[key].admit_owned(self.clock.shows(now))
    }

    /// What a breaker is to who asks.
    pub fn local(&self, key: usize) -> Option<Local> {
        Some(self.node.member(self.breakers[key].name())?.local)
    }

    /// Carries out what the node wants of a breaker, and returns what it is to be told.
    pub fn obey(
        &mut self,
        key: &Key,
        order: fusebox_fleet::protocol::Order,
        now: u64,
    ) -> Option<Event> {
        let shown = self.clock.shows(now);
        self.shared.obey(key, order, shown).map(Event::Counted)
    }

    /// What the breakers have told since the last time.
    pub fn told(&mut self) -> Vec<(Key, Told)> {
        std::mem::take(&mut *self.ear.lock())
    }

    /// What a transition is to the fleet, where it is news.
    pub fn event(&mut self, key: &Key, transition: &Transition) -> Option<Event> {
        self.shared.event(key, transition)
    }

    pub fn hear(&mut self, input: Input, now: u64) {
        self.node.hear(input, self.clock.shows(now));
    }

    /// What outlives it.
    pub fn saved(&self, now: u64) -> Vec<Saved> {
        let shown = self.clock.shows(now);
        let saved = self.breakers.iter().map(|breaker| breaker.saved(shown));
        saved.collect()
    }

    /// Whether a breaker is closed.
    pub fn is_closed(&self, key: usize, now: u64) -> bool {
        let snapshot = self.breakers[key].snapshot(self.clock.shows(now));
        snapshot.phase == fusebox_breaker::Phase::Closed
    }

    /// A moment of this process's clock, as a moment of the run.
    pub fn moment(&self, shown: Timestamp) -> u64 {
        self.clock.reaches(shown)
    }
}

/// What a breaker tells.
#[derive(Debug)]
pub(super) enum Told {
    Moved(Transition),
    Demanded,
    Stirred,
}

/// Hears what the breakers of one process tell.
#[derive(Default)]
struct Ear(Mutex<Vec<(Key, Told)>>);

impl Ear {
    fn lock(&self) -> MutexGuard<'_, Vec<(Key, Told)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, breaker: &Breaker, told: Told) {
        self.lock().push((breaker.name().clone(), told));
    }
}

impl Listener for Ear {
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        self.tell(breaker, Told::Moved(transition.clone()));
    }

    fn demanded(&self, breaker: &Breaker) {
        self.tell(breaker, Told::Demanded);
    }

    fn stirred(&self, breaker: &Breaker) {
        self.tell(breaker, Told::Stirred);
    }
}
