//! The task: tells the node what happens, and does what the node says.

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_store::records::SharedRecords;
use tokio::time::sleep;

use super::inbox::Look;
use super::presence::Presence;
use super::store::Store;
use super::{Fleet, FleetOptions, FleetStatus, FleetView, OnNews};
use crate::breakers::SharedBreakers;
use crate::node::{Event, Input, Key, News, Node, NodeOptions, Output, ROUND};

/// The longest name of a breaker that is shared, in bytes: with the prefix it is the key of a record.
const NAME_MAX: usize = 384;

/// How often people are told that another process has this one's name.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The work of a fleet in this process. It is to be [run](Driver::run) as a task of its own; dropped, before or then, it
/// leaves all its breakers on their own.
pub struct Driver {
    fleet: Fleet,
    node: Node,
    joined: SharedBreakers,
    store: Store,
    presence: Presence,
    /// How many other processes go by this one's name, and when people were last told.
    same_name: usize,
    told_at: Option<Timestamp>,
    on_news: Option<OnNews>,
    looks: Vec<Look>,
    /// When to look for breakers that nobody keeps any more.
    prune_at: Timestamp,
}

impl Driver {
    pub(super) fn new(
        fleet: Fleet,
        options: FleetOptions,
        node: NodeOptions,
        records: Arc<dyn SharedRecords>,
        now: Timestamp,
    ) -> Self {
        let presence = Presence::new(
            records.clone(),
            &options.prefix,
            &node.name,
            &node.incarnation,
            options.timeout,
        );
        Driver {
            fleet,
            presence,
            same_name: 0,
            told_at: None,
            node: Node::new(node, now),
            joined: SharedBreakers::default(),
            store: Store::new(records, options.prefix, options.timeout),
            on_news: options.on_news,
            looks: Vec::new(),
            prune_at: now + ROUND,
        }
    }

    /// Works until the fleet is [stopped](Fleet::stop).
    pub async fn run(mut self) {
        let inbox = self.fleet.inbox.clone();
        loop {
            if !self.read_letters() {
                return;
            }
            self.do_as_told();
            self.show();
            self.answer();
            let now = self.fleet.now();
            let wake = self.node.wake_at().map(|at| at.saturating_since(now));
            let Driver {
                store,
                joined,
                presence,
                ..
            } = &mut self;
            let input = tokio::select! {
                () = inbox.rings() => continue,
                input = store.next(|| joined.keys().cloned().collect()) => input,
                others = presence.others() => {
                    self.see_others(others);
                    continue;
                }
                () = sleep(wake.unwrap_or(ROUND)) => Input::Wake,
            };
            self.hear(input);
        }
    }

    fn hear(&mut self, input: Input) {
        self.node.hear(input, self.fleet.now());
    }

    /// Tells of processes of this one's name, once a minute.
    fn see_others(&mut self, others: usize) {
        let now = self.fleet.now();
        self.same_name = others;
        let due = |at: Timestamp| now.saturating_since(at) >= TOLD_EVERY;
        if others > 0 && self.told_at.is_none_or(due) {
            self.told_at = Some(now);
            self.tell(&News::NameTaken { others });
        }
    }

    fn happened(&mut self, key: Key, event: Event) {
        self.hear(Input::Local { key, event });
    }

    /// Reads what was written, and says whether to go on.
    fn read_letters(&mut self) -> bool {
        let letters = self.fleet.inbox.take();
        let now = self.fleet.now();
        for (key, error) in letters.refused {
            let why = error.to_string();
            self.tell(&News::NotShared { key, why });
        }
        for joining in letters.joining {
            let key = joining.breaker.name().clone();
            if key.len() > NAME_MAX {
                joining.breaker.go_alone(Duration::ZERO, now);
                joining.breaker.count_for_fleet(false);
                let why = format!("its name has {} bytes, more than {NAME_MAX}", key.len());
                self.tell(&News::NotShared { key, why });
                continue;
            }
            let local = self.joined.add(&joining.breaker, now);
            self.store.follow(&key);
            self.node.join(key, joining.sharing, local, now);
        }
        for key in letters.missed {
            if let Some(event) = self.joined.look(&key, now) {
                self.happened(key, event);
            }
        }
        for (key, transition) in letters.transitions {
            if let Some(event) = self.joined.event(&key, &transition) {
                self.happened(key, event);
            }
        }
        for key in letters.stirred {
            self.happened(key, Event::Stirred);
        }
        for key in letters.demanded {
            self.happened(key, Event::Demanded);
        }
        for (key, word) in letters.dropped_words {
            self.tell(&News::WordDropped { key, word });
        }
        for (key, word) in letters.words {
            self.hear(Input::Word { key, word });
        }
        for key in letters.leaving {
            self.let_go(&key);
        }
        self.looks.extend(letters.looks);
        if now >= self.prune_at {
            self.prune_at = now + ROUND;
            self.joined.gone().iter().for_each(|key| self.let_go(key));
        }
        !letters.stop
    }

    /// Answers who wanted to see something, once all that was written before is done.
    fn answer(&mut self) {
        for look in std::mem::take(&mut self.looks) {
            // Who asked may have gone.
            let _ = look.answer.send(self.views(look.name));
        }
    }

    fn views(&self, name: Option<Key>) -> Vec<FleetView> {
        let names: Vec<Key> = match name {
            Some(name) => vec![name],
            None => self.node.keys().cloned().collect(),
        };
        let view = |name: Key| {
            let member = self.node.member(&name)?;
            Some(FleetView {
                record: member.record.cloned(),
                alone: member.alone,
                may_probe_until: member.may_probe_until,
                counted: member.counted,
                name,
            })
        };
        names.into_iter().filter_map(view).collect()
    }

    fn let_go(&mut self, key: &Key) {
        self.node.leave(key);
        self.store.unfollow(key);
        self.joined.remove(key, self.fleet.now());
    }

    fn do_as_told(&mut self) {
        while let Some(output) = self.node.next_output() {
            match output {
                Output::Apply {
                    id,
                    key,
                    command,
                    poison,
                } => self.store.apply(id, &key, &command, poison),
                Output::Read { id, keys } => self.store.read(id, &keys),
                Output::Order { key, order } => {
                    let now = self.fleet.now();
                    if let Some(batch) = self.joined.obey(&key, order, now) {
                        self.happened(key, Event::Counted(batch));
                    }
                }
                Output::Tell(news) => self.tell(&news),
            }
        }
    }

    fn tell(&self, news: &News) {
        if let Some(on_news) = &self.on_news {
            on_news(news);
        }
    }

    fn show(&self) {
        self.fleet.show(FleetStatus {
            health: self.node.health(),
            answered_at: self.node.answered_at(),
            counters: self.node.counters(),
            breakers: self.joined.len(),
            under_way: self.node.under_way(),
            same_name: self.same_name,
        });
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}
