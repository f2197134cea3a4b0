//! The task: it feeds inputs to the node and carries out the node's outputs.

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_store::records::SharedRecords;
use tokio::time::sleep;

use super::inbox::ViewRequest;
use super::presence::Presence;
use super::store::StoreClient;
use super::{Fleet, FleetOptions, FleetStatus, FleetView, OnNews};
use crate::breakers::SharedBreakers;
use crate::node::{Event, Input, Key, News, Node, NodeOptions, Output, ROUND};

/// The most bytes in the name of a shared breaker, which with the prefix is the key of a record.
const NAME_MAX: usize = 384;

/// The interval between reports that another process uses this node's name.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// The background work of a fleet in this process, to be [run](Driver::run) as a task of its own. If it is dropped,
/// before or while running, all its breakers return to local decisions.
pub struct Driver {
    fleet: Fleet,
    node: Node,
    joined: SharedBreakers,
    store: StoreClient,
    presence: Presence,
    /// Number of other processes with this node's name, and the time of the last report on them.
    same_name: usize,
    reported_at: Option<Timestamp>,
    on_news: Option<OnNews>,
    view_requests: Vec<ViewRequest>,
    /// The time of the next check for dropped breakers.
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
            reported_at: None,
            node: Node::new(node, now),
            joined: SharedBreakers::default(),
            store: StoreClient::new(records, options.prefix, options.timeout),
            on_news: options.on_news,
            view_requests: Vec::new(),
            prune_at: now + ROUND,
        }
    }

    /// Runs until the fleet is [stopped](Fleet::stop).
    pub async fn run(mut self) {
        let inbox = self.fleet.inbox.clone();
        loop {
            if !self.read_inbox() {
                return;
            }
            self.carry_out();
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
                () = inbox.changed() => continue,
                input = store.next(|| joined.keys().cloned().collect()) => input,
                others = presence.others() => {
                    self.report_others(others);
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

    /// Reports other processes with this node's name, once a minute.
    fn report_others(&mut self, others: usize) {
        let now = self.fleet.now();
        self.same_name = others;
        let due = |at: Timestamp| now.saturating_since(at) >= REPORT_EVERY;
        if others > 0 && self.reported_at.is_none_or(due) {
            self.reported_at = Some(now);
            self.report(&News::NameTaken { others });
        }
    }

    fn on_event(&mut self, key: Key, event: Event) {
        self.hear(Input::Local { key, event });
    }

    /// Processes the inbox. Returns false if the task must stop.
    fn read_inbox(&mut self) -> bool {
        let messages = self.fleet.inbox.take();
        let now = self.fleet.now();
        for (key, error) in messages.rejected {
            let why = error.to_string();
            self.report(&News::NotShared { key, why });
        }
        for joining in messages.joining {
            let key = joining.breaker.name().clone();
            if key.len() > NAME_MAX {
                joining.breaker.go_alone(Duration::ZERO, now);
                joining.breaker.count_for_fleet(false);
                let why = format!("its name has {} bytes, more than {NAME_MAX}", key.len());
                self.report(&News::NotShared { key, why });
                continue;
            }
            let local = self.joined.add(&joining.breaker, now);
            self.store.follow(&key);
            self.node.join(key, joining.sharing, local, now);
        }
        for key in messages.missed {
            if let Some(event) = self.joined.look(&key, now) {
                self.on_event(key, event);
            }
        }
        for (key, transition) in messages.transitions {
            if let Some(event) = self.joined.event(&key, &transition) {
                self.on_event(key, event);
            }
        }
        for key in messages.stirred {
            self.on_event(key, Event::Stirred);
        }
        for key in messages.demanded {
            self.on_event(key, Event::Demanded);
        }
        for (key, word) in messages.dropped_words {
            self.report(&News::WordDropped { key, word });
        }
        for (key, word) in messages.words {
            self.hear(Input::Word { key, word });
        }
        for key in messages.leaving {
            self.remove(&key);
        }
        self.view_requests.extend(messages.view_requests);
        if now >= self.prune_at {
            self.prune_at = now + ROUND;
            self.joined.gone().iter().for_each(|key| self.remove(key));
        }
        !messages.stop
    }

    /// Answers requests for views, once all earlier messages have been processed.
    fn answer(&mut self) {
        for request in std::mem::take(&mut self.view_requests) {
            // The caller may have given up.
            let _ = request.answer.send(self.views(request.name));
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

    fn remove(&mut self, key: &Key) {
        self.node.leave(key);
        self.store.unfollow(key);
        self.joined.remove(key, self.fleet.now());
    }

    fn carry_out(&mut self) {
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
                        self.on_event(key, Event::Counted(batch));
                    }
                }
                Output::Tell(news) => self.report(&news),
            }
        }
    }

    fn report(&self, news: &News) {
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
