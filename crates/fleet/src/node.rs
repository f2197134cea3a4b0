//! One process of a fleet as pure code: it receives inputs and returns outputs.
//!
//! A node has no queue of decisions. For every breaker it knows the record, the state of the local breaker, and the
//! local knowledge that the fleet lacks; after every input it compares these and sends the one command that is due. So
//! a lost, late or duplicated input leads to the same final state as a regular one.

mod away;
mod due;
mod follow;
mod io;
mod member;
mod poison;
mod reading;

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use fusebox_breaker::Timestamp;

use crate::command::Act;
use crate::counters::Counters;
use crate::record::{NUMBER_END, Record, State, Version};
use crate::server_time::ServerTime;
use crate::share::Sharing;
use member::{Evidence, Member, ProbeResult};
use reading::Source;

pub use away::Health;
pub use io::{Batch, Event, Input, Key, Local, News, Order, Output, Word};

/// The interval of reading all records, in case a push was lost. Within one round all nodes agree.
pub const ROUND: Duration = Duration::from_secs(1);

/// The interval of sending counts while there are any.
pub const BATCH_EVERY: Duration = Duration::from_millis(10);

/// The age at which an unsent message is dropped.
pub const QUEUED_MAX: Duration = Duration::from_secs(1);

/// The time of continuous failure after which the store counts as away.
pub const AWAY_AFTER: Duration = Duration::from_secs(1);

/// The pause before a failing store is tried again.
pub const TRY_AGAIN: Duration = Duration::from_millis(250);

/// The time by which a lease exceeds the longest probe.
pub const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// The time by which the last probe ends before its lease.
pub const PROBE_MARGIN: Duration = Duration::from_millis(250);

/// The most records in one read.
pub const READ_KEYS: usize = 512;

/// The most bytes in a node's name.
const NAME_MAX: usize = 128;

/// The most operators' commands that wait for one breaker.
const WORDS_MAX: usize = 16;

/// The identity of a node.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The node's name, unique in the fleet. Only the first 128 bytes are used.
    pub name: String,
    /// The identifier of the process, different after every start.
    pub incarnation: String,
    /// The seed of all random choices.
    pub seed: u64,
}

/// One process of a fleet.
///
/// The driver passes every [`Input`] with the time, carries out every [`Output`] until there is none, and sends
/// [`Input::Wake`] at [`wake_at`](Node::wake_at). Times are from one local clock that never runs backwards, even while
/// the process is suspended.
#[derive(Debug)]
pub struct Node {
    options: NodeOptions,
    random: fastrand::Rng,
    members: BTreeMap<Key, Member>,
    /// The times at which to examine members; an entry other than a member's present `wake` is ignored.
    agenda: BinaryHeap<Reverse<(Timestamp, Key)>>,
    outputs: VecDeque<Output>,
    server_time: ServerTime,
    health: away::StoreMonitor,
    reading: reading::Reading,
    /// Commands awaiting an answer.
    pending: BTreeMap<u64, Key>,
    /// The send time of each command and read awaiting an answer.
    sent_at: BTreeMap<u64, Timestamp>,
    next_id: u64,
    next_sequence: u64,
    counters: Counters,
    latest: Timestamp,
}

/// A node's view of one breaker.
#[derive(Debug, Clone)]
pub struct MemberView<'a> {
    /// The newest record seen.
    pub record: Option<&'a Record>,
    /// The state of the local breaker, as reported to the node.
    pub local: Local,
    /// True if the node decides on probes locally.
    pub alone: bool,
    /// The end of the time in which this node may begin probes, if it has a lease.
    pub may_probe_until: Option<Timestamp>,
    /// The fleet's count for each shared rule, in the order of the rules.
    pub counted: Vec<FleetCount>,
}

/// The fleet's count for one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetCount {
    /// Failures of all nodes, as far as reported.
    pub observed: u64,
    /// Number of failures at which the fleet trips.
    pub threshold: u64,
}

impl Node {
    /// Makes a node without breakers, which assumes that the store is reachable.
    pub fn new(mut options: NodeOptions, now: Timestamp) -> Self {
        clip_name(&mut options.name);
        let mut random = fastrand::Rng::with_seed(options.seed);
        let first = now + ROUND.mul_f64(random.f64());
        Node {
            random,
            members: BTreeMap::new(),
            agenda: BinaryHeap::new(),
            outputs: VecDeque::new(),
            server_time: ServerTime::default(),
            health: away::StoreMonitor::new(now),
            reading: reading::Reading::new(first),
            pending: BTreeMap::new(),
            sent_at: BTreeMap::new(),
            next_id: 0,
            next_sequence: 0,
            counters: Counters::default(),
            latest: now,
            options,
        }
    }

    /// Adds a breaker to the fleet, or changes the sharing of one that has joined. `local` is its present state. The
    /// breaker works at once; its record is read next.
    pub fn join(&mut self, key: Key, sharing: Sharing, local: Local, now: Timestamp) {
        match self.members.get_mut(&key) {
            Some(member) => {
                // The breaker may have been replaced, so the fleet's state must be applied again.
                member.sharing = sharing;
                member.applied = None;
                member.alone = false;
                member.local = local;
                member.tally = member::Tally::default();
            }
            None => {
                self.members
                    .insert(key.clone(), Member::new(sharing, local));
                self.reading.want(key.clone(), now);
            }
        }
        self.touch(&key, now);
    }

    /// Removes a breaker, which returns to local decisions; the fleet continues without it.
    pub fn leave(&mut self, key: &Key) {
        if self.members.remove(key).is_some() {
            let extra = Duration::ZERO;
            self.order(key, Order::Alone { extra });
        }
    }

    /// Processes an input that occurred at `now`.
    pub fn hear(&mut self, input: Input, now: Timestamp) {
        let now = now.max(self.latest);
        self.detect_suspension(now);
        self.latest = now;
        match input {
            Input::Applied {
                id, now: server, ..
            }
            | Input::ReadOut {
                id, now: server, ..
            } if server >= NUMBER_END => {
                // A clock that far ahead is faulty.
                self.failed(id, now);
            }
            Input::Local { key, event } => {
                self.on_event(&key, event, now);
                self.touch(&key, now);
            }
            Input::Word { key, word } => {
                self.queue_word(&key, word, now);
                self.touch(&key, now);
            }
            Input::Applied {
                id,
                record,
                now: server,
            } => {
                self.learn_time(id, server, now);
                self.answered(away::Operation::Command, now);
                self.reading.answered(id);
                if let Some(key) = self.pending.remove(&id) {
                    self.applied(&key, id, record, server, now);
                    self.touch(&key, now);
                }
            }
            Input::ReadOut {
                id,
                records,
                now: server,
            } => {
                self.learn_time(id, server, now);
                self.answered(away::Operation::Read, now);
                for (key, record) in self.reading.answered(id).into_iter().zip(records) {
                    self.observe(&key, record.as_deref(), Source::Read { server }, now);
                    self.touch(&key, now);
                }
            }
            Input::Failed { id } => self.failed(id, now),
            Input::Pushed { key, record } => {
                self.counters.pushes += 1;
                self.observe(&key, Some(&record), Source::Push, now);
                self.touch(&key, now);
            }
            Input::Gap => {
                self.counters.gaps += 1;
                self.reading.want_all(self.members.keys(), now);
            }
            Input::Wake => {}
        }
        self.run_agenda(now);
        self.check_store(now);
    }

    /// Takes the next output, in order.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The time of the next [`Input::Wake`], or `None` while the node has no breaker.
    pub fn wake_at(&self) -> Option<Timestamp> {
        if self.members.is_empty() {
            return None;
        }
        let agenda = self.agenda.peek().map(|Reverse((at, _))| *at);
        let reading = self.reading.next_at(self.health.fails());
        let others = agenda.into_iter().chain(self.health.away_at());
        others.chain([reading]).min()
    }

    /// Number of commands awaiting an answer.
    pub fn under_way(&self) -> usize {
        self.pending.len()
    }

    /// The reachability of the store.
    pub fn health(&self) -> Health {
        self.health.health()
    }

    /// The time of the store's last answer.
    pub fn answered_at(&self) -> Timestamp {
        self.health.answered_at()
    }

    /// The node's activity so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The node's view of one breaker.
    pub fn member(&self, key: &str) -> Option<MemberView<'_>> {
        let member = self.members.get(key)?;
        let record = member.seen.as_ref();
        let server = self.server_now(record, self.latest);
        let rules = member.sharing.rules.iter().enumerate();
        Some(MemberView {
            record,
            counted: rules
                .map(|(number, rule)| FleetCount {
                    observed: record.map_or(0, |it| it.counted(number, rule.within, server)),
                    threshold: rule.threshold,
                })
                .collect(),
            local: member.local,
            alone: member.alone,
            may_probe_until: member.lease.map(|lease| lease.start_by),
        })
    }

    /// The names of the node's breakers.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.members.keys()
    }

    fn on_event(&mut self, key: &Key, event: Event, now: Timestamp) {
        let server = self.server_time.at(now);
        let away = self.health.is_away();
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        let away = away || member.is_poisoned(now);
        match event {
            Event::Opened {
                until,
                attempts,
                why,
            } => {
                let left = until.saturating_since(now);
                let led = member.local == Local::Probing && !member.alone;
                member.local = Local::Open { until };
                member.demand = None;
                member.applied = None;
                if let Some(lease) = member.lease.take().filter(|_| led) {
                    member.result = Some(ProbeResult {
                        about: lease.version,
                        act: Act::Reopen {
                            cooldown: due::span(left.min(member.sharing.longest)),
                            attempts,
                            why: due::truncated(&why),
                        },
                        at: now,
                    });
                } else {
                    member.evidence = Some(Evidence {
                        until,
                        attempts,
                        why: due::truncated(&why),
                        at: Some(now),
                        about: member.seen.as_ref().map(|seen| seen.version),
                    });
                }
                if away {
                    self.go_alone(key);
                }
            }
            Event::Probing => {
                member.local = Local::Probing;
                if let Some(lease) = &mut member.lease {
                    lease.used = true;
                }
            }
            Event::Recovered { why } => {
                member.local = Local::Closed;
                member.evidence = None;
                member.applied = None;
                if let Some(lease) = member.lease.take() {
                    member.result = Some(ProbeResult {
                        about: lease.version,
                        act: Act::Close {
                            why: due::truncated(&why),
                        },
                        at: now,
                    });
                }
            }
            Event::Held => member.held = true,
            Event::Unheld(local) => {
                member.held = false;
                member.local = local;
                member.applied = None;
                member.lease = None;
                member.evidence = None;
                if let Some(hold) = &member.fleet_hold
                    && hold
                        .until
                        .is_some_and(|until| server.is_some_and(|now| now + 1 >= until))
                {
                    member.fleet_hold = None;
                }
            }
            Event::Began(local) => {
                member.local = local;
                member.evidence = None;
                member.lease = None;
            }
            Event::Demanded => member.demand = Some(now),
            Event::Stirred => self.watch(key, true, now),
            Event::Counted(batch) => {
                member.tally.awaited = false;
                if !batch.is_empty() && member.sharing.counts() {
                    let (waiting, _) = member.tally.waiting.get_or_insert((Batch::default(), now));
                    waiting.add(batch);
                }
            }
        }
    }

    fn queue_word(&mut self, key: &Key, word: Word, now: Timestamp) {
        let sequence = self.sequence();
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        member.words.push_back((sequence, word, now));
        if member.words.len() > WORDS_MAX
            && let Some((_, word, _)) = member.words.pop_front()
        {
            self.drop_word(key, word);
        }
    }

    fn drop_word(&mut self, key: &Key, word: Word) {
        self.counters.dropped += 1;
        let key = key.clone();
        self.report(News::WordDropped { key, word });
    }

    /// Compares the breaker's state with the record, does everything that is due, and schedules the next examination.
    fn touch(&mut self, key: &Key, now: Timestamp) {
        self.follow(key, now);
        let wake = self.act_if_due(key, now);
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        // Everything due has been tried; examining the member again at the same moment would never end.
        let wake = wake.map(|at| at.max(now + Duration::from_millis(1)));
        if member.wake != wake {
            member.wake = wake;
            if let Some(at) = wake {
                self.agenda.push(Reverse((at, key.clone())));
            }
        }
    }

    fn run_agenda(&mut self, now: Timestamp) {
        let mut due = BTreeSet::new();
        while let Some(next) = self.agenda.peek_mut()
            && next.0.0 <= now
        {
            let Reverse((at, key)) = PeekMut::pop(next);
            let member = self.members.get(&key);
            if member.is_some_and(|member| member.wake == Some(at)) {
                due.insert(key);
            }
        }
        for key in due {
            if let Some(member) = self.members.get_mut(&key) {
                member.wake = None;
            }
            self.touch(&key, now);
        }
    }

    fn order(&mut self, key: &Key, order: Order) {
        let key = key.clone();
        self.outputs.push_back(Output::Order { key, order });
    }

    fn report(&mut self, news: News) {
        self.outputs.push_back(Output::Tell(news));
    }

    /// Allocates the number of a command or read that is sent now.
    fn id(&mut self, now: Timestamp) -> u64 {
        self.next_id += 1;
        self.sent_at.insert(self.next_id, now);
        self.next_id
    }

    /// Learns the server's time from an answer; a longer round trip gives less certainty.
    fn learn_time(&mut self, id: u64, server: u64, now: Timestamp) {
        let sent = self.sent_at.remove(&id);
        let took = sent.map_or(Duration::MAX, |sent| now.saturating_since(sent));
        self.server_time.learn(server, took, now);
    }

    fn sequence(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence
    }

    /// The server's time as far as known, otherwise the time of the record.
    fn server_now(&self, record: Option<&Record>, now: Timestamp) -> u64 {
        let known = self.server_time.at(now);
        known.unwrap_or_else(|| record.map_or(0, |record| record.at))
    }
}

/// Truncates a node's name to the length used.
pub(crate) fn clip_name(name: &mut String) {
    while name.len() > NAME_MAX {
        name.pop();
    }
}

/// True if the record's state is closed, as an absent record's is.
fn is_closed(record: Option<&Record>) -> bool {
    record.is_none_or(|record| record.state == State::Closed)
}

/// The version of a record; an absent one has the first version.
fn version_of(record: Option<&Record>) -> Version {
    record.map_or(Version::default(), |record| record.version)
}
