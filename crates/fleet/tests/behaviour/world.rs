//! A fleet in one thread: messages take a millisecond, and time advances only on request.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusebox_breaker::{
    Breaker, CloseRule, Cooldown, HalfOpen, Listener, Outcome, OwnedPermit, Phase, Rejection, Rule,
    Saved, Settings, Timestamp, Transition,
};
use fusebox_fleet::{
    News, Share,
    protocol::{
        Event, Input, Key, Node, NodeOptions, Output, Record, SharedBreakers, Sharing, Word, change,
    },
};

/// The time of the server's clock at the start, in milliseconds.
pub const EPOCH: u64 = 1_700_000_000_000;

/// The delay of a message.
const HOP: u64 = 1;

/// The time after which an unanswered command has failed.
const TIMEOUT: u64 = 500;

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Settings: trips at three consecutive failures, ten seconds of cooldown, one probe of at most a second.
pub fn settings() -> Settings {
    Settings {
        trip: vec![Rule::ConsecutiveFailures {
            threshold: 3,
            within: None,
        }],
        cooldown: Cooldown::fixed(ms(10_000)),
        half_open: HalfOpen {
            probe_timeout: ms(1_000),
            close: CloseRule::Successes(1),
            ..HalfOpen::default()
        },
        ..Settings::default()
    }
}

/// Events of a breaker that its node has not read yet.
#[derive(Default)]
struct Letters(Mutex<VecDeque<Letter>>);

enum Letter {
    Went(Transition),
    Demanded,
    Stirred,
}

impl Listener for Letters {
    fn transition(&self, _: &Breaker, transition: &Transition) {
        self.0
            .lock()
            .unwrap()
            .push_back(Letter::Went(transition.clone()));
    }

    fn demanded(&self, _: &Breaker) {
        self.0.lock().unwrap().push_back(Letter::Demanded);
    }

    fn stirred(&self, _: &Breaker) {
        self.0.lock().unwrap().push_back(Letter::Stirred);
    }
}

pub struct Peer {
    pub node: Node,
    pub breaker: Breaker,
    shared: SharedBreakers,
    letters: Arc<Letters>,
    /// The time of the node's own clock at the start.
    origin: u64,
    /// True while suspended: the node neither receives nor acts, but its clock continues.
    pub stopped: bool,
    /// True while cut off from the store, in both directions.
    pub cut: bool,
    waiting: Vec<Input>,
    pub news: Vec<News>,
}

enum Message {
    ToServer(usize, Output),
    ToPeer(usize, Input),
}

pub struct World {
    /// Milliseconds since the start.
    pub now: u64,
    pub peers: Vec<Peer>,
    pub key: Key,
    record: RefCell<Option<Vec<u8>>>,
    wire: BTreeMap<(u64, u64), Message>,
    sent: u64,
    pub store_away: bool,
    pub pushes_lost: bool,
    /// True while the store answers reads but rejects commands.
    pub store_full: bool,
    /// The offset of the server's clock.
    pub server_off: i64,
    /// The delay of answers to commands, relative to pushes.
    pub answers_late: u64,
    /// Commands that have reached the server.
    pub commands: u64,
}

impl World {
    pub fn new(nodes: usize, share: Share) -> World {
        World::with(nodes, share, settings())
    }

    pub fn with(nodes: usize, share: Share, settings: Settings) -> World {
        let key: Key = "orders".into();
        let mut world = World {
            now: 0,
            peers: Vec::new(),
            key,
            record: RefCell::default(),
            wire: BTreeMap::new(),
            sent: 0,
            store_away: false,
            pushes_lost: false,
            store_full: false,
            server_off: 0,
            answers_late: 0,
            commands: 0,
        };
        for number in 0..nodes {
            world.enter(number, share, &settings);
        }
        world.run(10);
        world
    }

    /// Starts or restarts a node with a new breaker.
    pub fn enter(&mut self, number: usize, share: Share, settings: &Settings) {
        self.begin(number, share, settings, None);
    }

    /// Starts or restarts a node with a breaker restored from a saved state.
    pub fn enter_restored(
        &mut self,
        number: usize,
        share: Share,
        settings: &Settings,
        saved: &Saved,
    ) {
        self.begin(number, share, settings, Some(saved));
    }

    fn begin(&mut self, number: usize, share: Share, settings: &Settings, saved: Option<&Saved>) {
        let origin = 1_000 * number as u64;
        let letters = Arc::new(Letters::default());
        let breaker = Breaker::builder(self.key.clone(), settings.clone())
            .seed(number as u64)
            .listener(letters.clone())
            .build()
            .unwrap();
        let options = NodeOptions {
            name: format!("node-{number}"),
            incarnation: format!("{}", self.now),
            seed: number as u64,
        };
        let now = Timestamp::from_millis(origin + self.now);
        if let Some(saved) = saved {
            breaker.restore(saved, now);
        }
        let mut node = Node::new(options, now);
        let mut shared = SharedBreakers::default();
        let sharing = Sharing::new(share, settings).unwrap();
        breaker.follow_fleet();
        breaker.count_for_fleet(sharing.counts());
        let local = shared.add(&breaker, now);
        node.join(self.key.clone(), sharing, local, now);
        let peer = Peer {
            node,
            breaker,
            shared,
            letters,
            origin,
            stopped: false,
            cut: false,
            waiting: Vec::new(),
            news: Vec::new(),
        };
        if number < self.peers.len() {
            self.peers[number] = peer;
        } else {
            self.peers.push(peer);
        }
    }

    pub fn record(&self) -> Record {
        let record = self.record.borrow();
        record
            .as_deref()
            .and_then(Record::read)
            .unwrap_or_else(Record::fresh)
    }

    /// Removes the store's record, or replaces it with an older one.
    pub fn put_back(&self, record: Option<&Record>) {
        *self.record.borrow_mut() = record.map(Record::write);
    }

    /// Overwrites the record with foreign bytes.
    pub fn write(&self, bytes: &[u8]) {
        *self.record.borrow_mut() = Some(bytes.to_vec());
    }

    /// The bytes in the record's place.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        self.record.borrow().clone()
    }

    pub fn local(&self, peer: usize) -> Timestamp {
        Timestamp::from_millis(self.peers[peer].origin + self.now)
    }

    pub fn server(&self) -> u64 {
        (EPOCH + self.now)
            .checked_add_signed(self.server_off)
            .unwrap()
    }

    pub fn admit(&self, peer: usize) -> Result<OwnedPermit, Rejection> {
        self.peers[peer].breaker.admit_owned(self.local(peer))
    }

    /// Makes a call that ends at once.
    pub fn call(&self, peer: usize, outcome: Outcome) -> Result<(), Rejection> {
        self.admit(peer)?.record(outcome, self.local(peer));
        Ok(())
    }

    pub fn fail(&self, peer: usize) {
        self.call(peer, Outcome::Failure).unwrap();
    }

    /// Makes three failing calls, which trip the breaker.
    pub fn trip(&self, peer: usize) {
        (0..3).for_each(|_| self.fail(peer));
        assert_eq!(self.phase(peer), Phase::Open);
    }

    pub fn phase(&self, peer: usize) -> Phase {
        self.peers[peer].breaker.snapshot(self.local(peer)).phase
    }

    pub fn phases(&self) -> Vec<Phase> {
        (0..self.peers.len()).map(|peer| self.phase(peer)).collect()
    }

    pub fn all(&self, phase: Phase) -> bool {
        self.phases().iter().all(|one| *one == phase)
    }

    /// Makes calls at this peer until one is a probe, and returns the probe.
    pub fn until_led(&mut self, peer: usize) -> OwnedPermit {
        for _ in 0..1_000 {
            if let Ok(permit) = self.admit(peer) {
                return permit;
            }
            self.run(5);
        }
        panic!("never led: {:#?}", self.record());
    }

    pub fn say(&mut self, peer: usize, word: Word) {
        let key = self.key.clone();
        self.hear(peer, Input::Word { key, word });
        self.settle();
    }

    /// Advances the time by this many milliseconds.
    pub fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        loop {
            self.settle();
            let next = self.next().filter(|next| *next <= end);
            self.now = next.unwrap_or(end).max(self.now);
            self.deliver();
            self.wake();
            if next.is_none() {
                return self.settle();
            }
        }
    }

    /// Advances the time until a condition holds, at most this long, and returns the milliseconds it took.
    pub fn until(&mut self, most: u64, so: impl Fn(&World) -> bool) -> u64 {
        let begin = self.now;
        self.settle();
        while !so(self) {
            assert!(
                self.now < begin + most,
                "not so after {most} ms: {:?}, {:#?}",
                self.phases(),
                self.record()
            );
            self.run(1);
        }
        self.now - begin
    }

    fn next(&self) -> Option<u64> {
        let wire = self.wire.keys().next().map(|(at, _)| *at);
        let wakes = self
            .peers
            .iter()
            .filter(|peer| !peer.stopped)
            .filter_map(|peer| {
                let at = peer.node.wake_at()?.as_nanos().div_ceil(1_000_000);
                Some(at.saturating_sub(peer.origin).max(self.now + 1))
            });
        wire.into_iter().chain(wakes).min()
    }

    fn wake(&mut self) {
        for peer in 0..self.peers.len() {
            if self.peers[peer].stopped {
                continue;
            }
            for input in std::mem::take(&mut self.peers[peer].waiting) {
                self.hear(peer, input);
            }
            let now = self.local(peer);
            if self.peers[peer].node.wake_at().is_some_and(|at| at <= now) {
                self.hear(peer, Input::Wake);
            }
        }
    }

    fn hear(&mut self, peer: usize, input: Input) {
        let now = self.local(peer);
        self.peers[peer].node.hear(input, now);
    }

    /// Reads all messages and carries out all outputs, of the running nodes.
    fn settle(&mut self) {
        for number in 0..self.peers.len() {
            let now = self.local(number);
            let peer = &mut self.peers[number];
            if peer.stopped {
                continue;
            }
            loop {
                let letter = peer.letters.0.lock().unwrap().pop_front();
                let event = match letter {
                    None => None,
                    Some(Letter::Demanded) => Some(Event::Demanded),
                    Some(Letter::Stirred) => Some(Event::Stirred),
                    Some(Letter::Went(transition)) => {
                        match peer.shared.event(&self.key, &transition) {
                            None => continue,
                            event => event,
                        }
                    }
                };
                if let Some(event) = event {
                    let key = self.key.clone();
                    peer.node.hear(Input::Local { key, event }, now);
                    continue;
                }
                match peer.node.next_output() {
                    None => break,
                    Some(Output::Tell(news)) => peer.news.push(news),
                    Some(Output::Order { key, order }) => {
                        if let Some(batch) = peer.shared.obey(&key, order, now) {
                            let event = Event::Counted(batch);
                            peer.node.hear(Input::Local { key, event }, now);
                        }
                    }
                    Some(output) => {
                        self.sent += 1;
                        let at = (self.now + HOP, self.sent);
                        self.wire.insert(at, Message::ToServer(number, output));
                    }
                }
            }
        }
    }

    fn deliver(&mut self) {
        while let Some(entry) = self.wire.first_entry() {
            if entry.key().0 > self.now {
                return;
            }
            match entry.remove() {
                Message::ToPeer(peer, input) if self.peers[peer].stopped => {
                    self.peers[peer].waiting.push(input);
                }
                Message::ToPeer(peer, input) => self.hear(peer, input),
                Message::ToServer(peer, output) => self.serve(peer, output),
            }
        }
    }

    fn serve(&mut self, peer: usize, output: Output) {
        let now = self.server();
        let (Output::Apply { id, .. } | Output::Read { id, .. }) = output else {
            unreachable!("nothing else is sent");
        };
        let refused = self.store_full && matches!(output, Output::Apply { .. });
        if refused {
            return self.post(peer, HOP, Input::Failed { id });
        }
        if self.store_away || self.peers[peer].cut {
            return self.post(peer, TIMEOUT, Input::Failed { id });
        }
        self.commands += 1;
        match output {
            Output::Apply {
                command,
                key,
                poison,
                ..
            } => {
                let before = self.record.borrow().clone();
                let rewritten = change(before.as_deref(), &command.write(), poison.as_deref(), now);
                if let Some(rewritten) = &rewritten {
                    *self.record.borrow_mut() = Some(rewritten.record.clone());
                }
                let record = self.record.borrow().clone();
                self.post(
                    peer,
                    HOP + self.answers_late,
                    Input::Applied {
                        id,
                        record: record.clone(),
                        now,
                    },
                );
                if let (Some(record), true) = (record, rewritten.is_some_and(|new| new.push)) {
                    for other in 0..self.peers.len() {
                        if !self.pushes_lost && !self.peers[other].cut {
                            let (key, record) = (key.clone(), record.clone());
                            self.post(other, HOP, Input::Pushed { key, record });
                        }
                    }
                }
            }
            Output::Read { keys, .. } => {
                let records = vec![self.record.borrow().clone(); keys.len()];
                self.post(peer, HOP, Input::ReadOut { id, records, now });
            }
            Output::Order { .. } | Output::Tell(_) => {}
        }
    }

    fn post(&mut self, peer: usize, after: u64, input: Input) {
        self.sent += 1;
        self.wire
            .insert((self.now + after, self.sent), Message::ToPeer(peer, input));
    }
}
