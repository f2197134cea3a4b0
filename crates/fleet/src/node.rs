//! One process of a fleet, pure: it is told what happens, and answers with what is to be done.
//!
//! There is no queue of decisions in it. For every breaker it knows what the record says, what the breaker here is, and
//! what of it the fleet does not know yet; after every input it compares these and sends the one command that is due.
//! So an input that is lost, late or doubled leads to the same end as one that is not.

mod away;
mod due;
mod follow;
mod member;
mod poison;
mod reading;
mod words;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use fusebox_breaker::Timestamp;

use crate::counters::Counters;
use crate::record::{NUMBER_END, Record, State, Version};
use crate::server_time::ServerTime;
use crate::share::Sharing;
use member::{Evidence, Member, ProbeResult};
use reading::Source;

pub use away::Health;
pub use words::{Batch, Event, Input, Key, Local, News, Order, Output, Word};

/// How often records are read, in case a push was lost: a round, within which all nodes agree.
pub const ROUND: Duration = Duration::from_secs(1);

/// How often counts are sent while there is something to count.
pub const BATCH_EVERY: Duration = Duration::from_millis(10);

/// What was not sent for so long is not sent any more.
pub const QUEUED_MAX: Duration = Duration::from_secs(1);

/// The store is away when it fails for so long.
pub const AWAY_AFTER: Duration = Duration::from_secs(1);

/// How soon a store that failed is tried again.
pub const TRY_AGAIN: Duration = Duration::from_millis(250);

/// A lease is longer than a probe by so much.
pub const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// A probe is over so long before its lease is.
pub const PROBE_MARGIN: Duration = Duration::from_millis(250);

/// The most records in one read.
pub const READ_KEYS: usize = 512;

/// The most bytes of a node's name.
const NAME_MAX: usize = 128;

/// How many words of operators wait for one breaker.
const WORDS_MAX: usize = 16;

/// Who a node is.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Its name: no other node of the fleet has it. At most 128 bytes of it are used.
    pub name: String,
    /// Which process of that name: another text after every start.
    pub incarnation: String,
    /// The seed of all that it draws.
    pub seed: u64,
}

/// One process of a fleet.
///
/// Whoever drives it tells it every [`Input`] with the time, carries out every [`Output`] until there is none, and
/// sends [`Input::Wake`] at [`wake_at`](Node::wake_at). Time is one clock of this process that never runs backwards, also
/// while the process is stopped.
#[derive(Debug)]
pub struct Node {
    options: NodeOptions,
    random: fastrand::Rng,
    members: BTreeMap<Key, Member>,
    /// When to look at which member; what is not the member's own `wake` any more is passed over.
    agenda: BinaryHeap<Reverse<(Timestamp, Key)>>,
    outputs: VecDeque<Output>,
    server_time: ServerTime,
    health: away::Store,
    reading: reading::Reading,
    /// Commands under way.
    asked: BTreeMap<u64, Key>,
    /// When each command and each read under way was sent.
    sent_at: BTreeMap<u64, Timestamp>,
    next_id: u64,
    next_sequence: u64,
    counters: Counters,
    latest: Timestamp,
}

/// What a node shows of one breaker.
#[derive(Debug, Clone)]
pub struct MemberView<'a> {
    /// The newest record seen.
    pub record: Option<&'a Record>,
    /// What the breaker here is, as the node was told.
    pub local: Local,
    /// Whether it decides alone when to probe.
    pub alone: bool,
    /// Until when this node may begin probes.
    pub may_probe_until: Option<Timestamp>,
    /// What the fleet counts by each rule that it counts, in their order.
    pub counted: Vec<FleetCount>,
}

/// What a fleet counts by one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetCount {
    /// The failures of all nodes, as far as they have told.
    pub observed: u64,
    /// At which number the fleet trips.
    pub threshold: u64,
}

impl Node {
    /// A node without breakers, that takes the store to be there.
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
            health: away::Store::new(now),
            reading: reading::Reading::new(first),
            asked: BTreeMap::new(),
            sent_at: BTreeMap::new(),
            next_id: 0,
            next_sequence: 0,
            counters: Counters::default(),
            latest: now,
            options,
        }
    }

    /// Takes a breaker into the fleet, or shares one that is there in another way. `local` is the state that it is in.
    /// It serves at once; what the fleet says of it is read next.
    pub fn join(&mut self, key: Key, sharing: Sharing, local: Local, now: Timestamp) {
        match self.members.get_mut(&key) {
            Some(member) => {
                // It may be another breaker of that name: what the fleet says is to be told to it anew.
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

    /// Lets a breaker go. It decides alone from now on; the fleet goes on without it.
    pub fn leave(&mut self, key: &Key) {
        if self.members.remove(key).is_some() {
            self.order(
                key,
                Order::Alone {
                    extra: Duration::ZERO,
                },
            );
        }
    }

    /// Takes what happened at `now`.
    pub fn hear(&mut self, input: Input, now: Timestamp) {
        let now = now.max(self.latest);
        self.notice_sleep(now);
        self.latest = now;
        match input {
            Input::Applied {
                id, now: server, ..
            }
            | Input::ReadOut {
                id, now: server, ..
            } if server >= NUMBER_END => {
                // No server has such a clock.
                self.failed(id, now);
            }
            Input::Local { key, event } => {
                self.happened(&key, event, now);
                self.touch(&key, now);
            }
            Input::Word { key, word } => {
                self.take_word(&key, word, now);
                self.touch(&key, now);
            }
            Input::Applied {
                id,
                record,
                now: server,
            } => {
                self.learn_time(id, server, now);
                self.answered(away::Work::Command, now);
                self.reading.answered(id);
                if let Some(key) = self.asked.remove(&id) {
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
                self.answered(away::Work::Read, now);
                for (key, record) in self.reading.answered(id).into_iter().zip(records) {
                    self.see(&key, record.as_deref(), Source::Read { server }, now);
                    self.touch(&key, now);
                }
            }
            Input::Failed { id } => self.failed(id, now),
            Input::Pushed { key, record } => {
                self.counters.pushes += 1;
                self.see(&key, Some(&record), Source::Push, now);
                self.touch(&key, now);
            }
            Input::Gap => {
                self.counters.gaps += 1;
                self.reading.want_all(self.members.keys(), now);
            }
            Input::Wake => {}
        }
        self.look_at_agenda(now);
        self.look_at_store(now);
    }

    /// The next thing to be done.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When the node wants to be woken; none while it has no breaker.
    pub fn wake_at(&self) -> Option<Timestamp> {
        if self.members.is_empty() {
            return None;
        }
        let agenda = self.agenda.peek().map(|Reverse((at, _))| *at);
        let health = self.health.away_at();
        [
            agenda,
            health,
            Some(self.reading.next_at(self.health.fails())),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// How many commands are on their way to the store.
    pub fn under_way(&self) -> usize {
        self.asked.len()
    }

    /// How the store is.
    pub fn health(&self) -> Health {
        self.health.health()
    }

    /// When the store last answered.
    pub fn answered_at(&self) -> Timestamp {
        self.health.answered_at()
    }

    /// What it has done.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What it knows of a breaker.
    pub fn member(&self, key: &str) -> Option<MemberView<'_>> {
        let member = self.members.get(key)?;
        let record = member.seen.as_ref();
        let server = self.server_time.at(self.latest);
        let server = server.or(record.map(|record| record.at)).unwrap_or(0);
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

    /// Its breakers.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.members.keys()
    }

    fn happened(&mut self, key: &Key, event: Event, now: Timestamp) {
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
                        act: crate::command::Act::Reopen {
                            cooldown: due::span(left.min(member.sharing.longest)),
                            attempts,
                            why: due::clipped(&why),
                        },
                        at: now,
                    });
                } else {
                    member.evidence = Some(Evidence {
                        until,
                        attempts,
                        why: due::clipped(&why),
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
                        act: crate::command::Act::Close {
                            why: due::clipped(&why),
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

    fn take_word(&mut self, key: &Key, word: Word, now: Timestamp) {
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
        self.tell(News::WordDropped { key, word });
    }

    /// Compares what is with what ought to be, does what is due, and notes when to look again.
    fn touch(&mut self, key: &Key, now: Timestamp) {
        self.follow(key, now);
        let wake = self.do_what_is_due(key, now);
        let Some(member) = self.members.get_mut(key) else {
            return;
        };
        // What is due at once has been tried: to look again at the same moment would not end.
        let wake = wake.map(|at| at.max(now + Duration::from_millis(1)));
        if member.wake != wake {
            member.wake = wake;
            if let Some(at) = wake {
                self.agenda.push(Reverse((at, key.clone())));
            }
        }
    }

    fn look_at_agenda(&mut self, now: Timestamp) {
        let mut due = BTreeSet::new();
        while let Some(Reverse((at, _))) = self.agenda.peek() {
            if *at > now {
                break;
            }
            let Some(Reverse((at, key))) = self.agenda.pop() else {
                break;
            };
            if self
                .members
                .get(&key)
                .is_some_and(|member| member.wake == Some(at))
            {
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

    fn tell(&mut self, news: News) {
        self.outputs.push_back(Output::Tell(news));
    }

    /// The number of a command or a read that is sent now.
    fn id(&mut self, now: Timestamp) -> u64 {
        self.next_id += 1;
        self.sent_at.insert(self.next_id, now);
        self.next_id
    }

    /// Takes the server's time from an answer: the longer it was under way, the less it says.
    fn learn_time(&mut self, id: u64, server: u64, now: Timestamp) {
        let sent = self.sent_at.remove(&id);
        let took = sent.map_or(Duration::MAX, |sent| now.saturating_since(sent));
        self.server_time.learn(server, took, now);
    }

    fn sequence(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence
    }

    /// The server's time as far as known, else that of the record.
    fn server_now(&self, record: Option<&Record>, now: Timestamp) -> u64 {
        let known = self.server_time.at(now);
        known.unwrap_or_else(|| record.map_or(0, |record| record.at))
    }
}

/// Cuts a node's name to what is used of it.
pub(crate) fn clip_name(name: &mut String) {
    while name.len() > NAME_MAX {
        name.pop();
    }
}

/// Whether a record tells of a state in which calls are refused.
fn is_closed(record: Option<&Record>) -> bool {
    record.is_none_or(|record| record.state == State::Closed)
}

/// The state of a record, none being the first.
fn version_of(record: Option<&Record>) -> Version {
    record.map_or(Version::default(), |record| record.version)
}
