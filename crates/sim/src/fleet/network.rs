//! The network between nodes and store: messages are delayed, lost, or arrive after a timeout.

use fusebox_fleet::protocol::Input;

use super::MS;
use super::events::{Message, ScheduledEvent};
use super::process::RunState;
use super::server::Availability;
use super::trace::TraceEntry;
use super::world::{World, store_view};

impl World<'_> {
    /// Draws the delay of a message: usually short, rarely up to the longest.
    fn delay(&mut self) -> u64 {
        let network = &self.plan.network;
        let usual = network.delay + self.rng.u64(0..=network.delay);
        let slow: u64 = self.slow.iter().sum();
        let rare = match self.rng.u16(..200) {
            0 => self.rng.u64(0..network.longest),
            _ => 0,
        };
        usual.max(rare) + slow
    }

    fn is_lost(&mut self) -> bool {
        let share = self.plan.network.lost;
        share > 0.0 && self.now < self.plan.faults_end_at && self.rng.f64() < share
    }

    pub fn send(&mut self, node: usize, message: Message) {
        let waits_until = self.now + self.plan.network.timeout;
        let delay = self.delay();
        let lost = self.is_lost();
        let link = &mut self.nodes[node].link;
        let (server, id) = (link.server, message.id());
        let incarnation = self.nodes[node].incarnation;
        if self.servers[server].state == Availability::Refusing {
            return self.fail(node, incarnation, id, self.now + delay);
        }
        let link = &mut self.nodes[node].link;
        let at = link.up_free.max(self.now + delay);
        let arrives = |waits_until| ScheduledEvent::Arrive {
            node,
            incarnation,
            server,
            message,
            waits_until,
        };
        if link.cut_up > 0 {
            link.held_back.push(arrives(None));
            return self.fail(node, incarnation, id, waits_until);
        }
        if lost {
            link.sound_since = link.sound_since.map(|_| waits_until);
            return self.fail(node, incarnation, id, waits_until);
        }
        link.up_free = at;
        self.schedule.add(at, arrives(Some(waits_until)));
    }

    fn fail(&mut self, node: usize, incarnation: u32, id: u64, at: u64) {
        self.deliver(node, incarnation, Input::Failed { id }, at.max(self.now));
    }

    fn deliver(&mut self, node: usize, incarnation: u32, input: Input, at: u64) {
        let event = ScheduledEvent::Input {
            node,
            incarnation,
            input,
        };
        self.schedule.add(at, event);
    }

    pub fn arrive(
        &mut self,
        node: usize,
        incarnation: u32,
        server: usize,
        message: Message,
        waits_until: Option<u64>,
    ) {
        let id = message.id();
        match self.servers[server].state {
            Availability::Up => {}
            Availability::Refusing => {
                if waits_until.is_some() {
                    let at = self.now + self.delay();
                    self.fail(node, incarnation, id, at);
                }
                return;
            }
            Availability::Silent => {
                if let Some(at) = waits_until {
                    self.fail(node, incarnation, id, at);
                }
                return;
            }
        }
        let answer = match message {
            Message::Apply {
                id,
                key,
                command,
                poison,
            } => {
                let store = &mut self.servers[server];
                let done = store.apply(key, &command, poison.as_deref(), self.now, self.rules);
                let (stored, history) = (store.record(key).clone(), store.history);
                let (time, push) = (done.time, done.push);
                let record = stored.record.as_ref();
                self.trace.write(
                    self.now,
                    TraceEntry::Applied {
                        node,
                        key,
                        act: command.act.name(),
                        epoch: record.map_or(0, |record| record.version.epoch),
                        term: record.map_or(0, |record| record.version.term),
                        state: record.map_or("none", |record| match record.state {
                            fusebox_fleet::protocol::State::Closed => "closed",
                            fusebox_fleet::protocol::State::Open => "open",
                            fusebox_fleet::protocol::State::HalfOpen => "half-open",
                        }),
                    },
                );
                self.checks.applied(
                    node,
                    incarnation,
                    key,
                    &command,
                    &done,
                    &stored,
                    history,
                    self.now,
                );
                if push {
                    self.push(server, key);
                }
                Input::Applied {
                    id,
                    record: stored.bytes,
                    now: time,
                }
            }
            Message::Read { id, keys } => {
                let store = &self.servers[server];
                Input::ReadOut {
                    id,
                    records: store.read(&keys, &self.names),
                    now: store.time(self.now),
                }
            }
        };
        if let Some(waits_until) = waits_until {
            self.answer(node, incarnation, server, id, answer, waits_until);
        }
    }

    fn answer(
        &mut self,
        node: usize,
        incarnation: u32,
        server: usize,
        id: u64,
        input: Input,
        waits_until: u64,
    ) {
        let delay = self.delay();
        let lost = self.is_lost();
        let process = &mut self.nodes[node];
        if process.incarnation != incarnation {
            return;
        }
        let link = &mut process.link;
        let at = link.down_free.max(self.now + delay);
        if lost {
            link.sound_since = link.sound_since.map(|_| waits_until);
        }
        if lost || link.cut_down > 0 || link.server != server || at > waits_until {
            return self.fail(node, incarnation, id, waits_until);
        }
        link.down_free = at;
        self.deliver(node, incarnation, input, at);
    }

    /// Pushes a record to all subscribers, with random delays and losses, and compares the nodes with it.
    fn push(&mut self, server: usize, key: usize) {
        self.checks.changed(key, self.now);
        let Some(record) = self.servers[server].record(key).bytes.clone() else {
            return;
        };
        for node in 0..self.nodes.len() {
            if self.nodes[node].link.server != server {
                continue;
            }
            let delay = self.delay();
            let share = self.plan.network.lost_pushes;
            let lost = share > 0.0 && self.now < self.plan.faults_end_at && self.rng.f64() < share;
            let process = &mut self.nodes[node];
            let gone = matches!(process.running, RunState::Ended { .. });
            let incarnation = process.incarnation;
            let input = Input::Pushed {
                key: self.names[key].clone(),
                record: record.clone(),
            };
            let input_event = ScheduledEvent::Input {
                node,
                incarnation,
                input,
            };
            if process.link.cut_down > 0 {
                process.link.held_back.push(input_event);
            } else if !lost && !gone {
                let at = process.link.push_free.max(self.now + delay);
                process.link.push_free = at;
                self.schedule.add(at, input_event);
            }
            self.compare(node, key);
        }
    }

    /// Updates the time since which the connection of a node to its store has been sound.
    pub fn refresh(&mut self, node: usize) {
        let process = &self.nodes[node];
        let link = &process.link;
        let serves = self.servers[link.server].state == Availability::Up;
        let sound = process.runs()
            && link.cut_up == 0
            && link.cut_down == 0
            && serves
            && self.slow.is_empty();
        let settled = self
            .now
            .max(link.up_free)
            .max(link.down_free)
            .max(link.push_free);
        let link = &mut self.nodes[node].link;
        link.sound_since = match (sound, link.sound_since) {
            (false, _) => None,
            (true, None) => Some(settled),
            (true, since) => since,
        };
        for key in 0..self.names.len() {
            let store_view = store_view(&self.nodes, &self.servers, node, key);
            self.checks.compare(node, key, store_view, self.now);
        }
    }

    pub fn refresh_all(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.refresh(node));
    }

    /// Reopens the broken connection of a node to its store; the node is informed soon.
    pub fn reconnect(&mut self, node: usize) {
        let at = self.now + self.rng.u64(MS..50 * MS);
        let process = &mut self.nodes[node];
        if let Some(since) = &mut process.link.sound_since {
            *since = at;
        }
        let incarnation = process.incarnation;
        self.deliver(node, incarnation, Input::Gap, at);
    }
}
