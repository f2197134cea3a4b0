//! The way between nodes and store: messages that take their time, are lost, or come when nobody waits any more.

use fusebox_fleet::protocol::Input;

use super::MS;
use super::events::{Happening, Message};
use super::process::Running;
use super::server::Serving;
use super::trace::Note;
use super::world::{World, standing};

impl World<'_> {
    /// How long a message takes: mostly little, now and then up to the longest.
    fn delay(&mut self) -> u64 {
        let network = &self.plot.network;
        let usual = network.delay + self.rng.u64(0..=network.delay);
        let slow: u64 = self.slow.iter().sum();
        let rare = match self.rng.u16(..200) {
            0 => self.rng.u64(0..network.longest),
            _ => 0,
        };
        usual.max(rare) + slow
    }

    fn is_lost(&mut self) -> bool {
        let share = self.plot.network.lost;
        share > 0.0 && self.now < self.plot.calm_at && self.rng.f64() < share
    }

    pub fn send(&mut self, node: usize, message: Message) {
        let waits_until = self.now + self.plot.network.timeout;
        let delay = self.delay();
        let lost = self.is_lost();
        let link = &mut self.nodes[node].link;
        let (server, id) = (link.server, message.id());
        let life = self.nodes[node].life;
        if self.servers[server].state == Serving::Refuses {
            return self.fail(node, life, id, self.now + delay);
        }
        let link = &mut self.nodes[node].link;
        let at = link.up_free.max(self.now + delay);
        let arrives = |waits_until| Happening::Arrive {
            node,
            life,
            server,
            message,
            waits_until,
        };
        if link.cut_up > 0 {
            link.kept.push(arrives(None));
            return self.fail(node, life, id, waits_until);
        }
        if lost {
            link.sound_since = link.sound_since.map(|_| waits_until);
            return self.fail(node, life, id, waits_until);
        }
        link.up_free = at;
        self.agenda.add(at, arrives(Some(waits_until)));
    }

    fn fail(&mut self, node: usize, life: u32, id: u64, at: u64) {
        let input = Input::Failed { id };
        let at = at.max(self.now);
        self.agenda.add(at, Happening::Hear { node, life, input });
    }

    pub fn arrive(
        &mut self,
        node: usize,
        life: u32,
        server: usize,
        message: Message,
        waits_until: Option<u64>,
    ) {
        let id = message.id();
        match self.servers[server].state {
            Serving::Yes => {}
            Serving::Refuses => {
                if waits_until.is_some() {
                    let at = self.now + self.delay();
                    self.fail(node, life, id, at);
                }
                return;
            }
            Serving::Silent => {
                if let Some(at) = waits_until {
                    self.fail(node, life, id, at);
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
                let (kept, history) = (store.kept(key).clone(), store.history);
                let (time, push) = (done.time, done.push);
                let record = kept.record.as_ref();
                self.trace.write(
                    self.now,
                    Note::Applied {
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
                self.checks
                    .applied(node, life, key, &command, &done, &kept, history, self.now);
                if push {
                    self.push(server, key);
                }
                let record = kept.bytes;
                Input::Applied {
                    id,
                    record,
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
            self.answer(node, life, server, id, answer, waits_until);
        }
    }

    fn answer(
        &mut self,
        node: usize,
        life: u32,
        server: usize,
        id: u64,
        input: Input,
        waits_until: u64,
    ) {
        let delay = self.delay();
        let lost = self.is_lost();
        let process = &mut self.nodes[node];
        if process.life != life {
            return;
        }
        let link = &mut process.link;
        let at = link.down_free.max(self.now + delay);
        if lost {
            link.sound_since = link.sound_since.map(|_| waits_until);
        }
        if lost || link.cut_down > 0 || link.server != server || at > waits_until {
            return self.fail(node, life, id, waits_until);
        }
        link.down_free = at;
        self.agenda.add(at, Happening::Hear { node, life, input });
    }

    /// All who listen hear of a record, sooner or later; and the checks compare.
    fn push(&mut self, server: usize, key: usize) {
        self.checks.changed(key, self.now);
        let Some(record) = self.servers[server].kept(key).bytes.clone() else {
            return;
        };
        for node in 0..self.nodes.len() {
            if self.nodes[node].link.server != server {
                continue;
            }
            let delay = self.delay();
            let share = self.plot.network.lost_pushes;
            let lost = share > 0.0 && self.now < self.plot.calm_at && self.rng.f64() < share;
            let process = &mut self.nodes[node];
            let gone = matches!(process.running, Running::Ended { .. });
            let life = process.life;
            let input = Input::Pushed {
                key: self.names[key].clone(),
                record: record.clone(),
            };
            let heard = Happening::Hear { node, life, input };
            if process.link.cut_down > 0 {
                process.link.kept.push(heard);
            } else if !lost && !gone {
                let at = process.link.push_free.max(self.now + delay);
                process.link.push_free = at;
                self.agenda.add(at, heard);
            }
            self.compare(node, key);
        }
    }

    /// Notes whether anything is wrong between a node and its store.
    pub fn refresh(&mut self, node: usize) {
        let process = &self.nodes[node];
        let link = &process.link;
        let serves = self.servers[link.server].state == Serving::Yes;
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
            let standing = standing(&self.nodes, &self.servers, node, key);
            self.checks.compare(node, key, standing, self.now);
        }
    }

    pub fn refresh_all(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.refresh(node));
    }

    /// The connection of a node to its store broke, and is made anew: the node learns of it soon.
    pub fn reconnect(&mut self, node: usize) {
        let at = self.now + self.rng.u64(MS..50 * MS);
        let process = &mut self.nodes[node];
        if let Some(since) = &mut process.link.sound_since {
            *since = at;
        }
        let life = process.life;
        let input = Input::Gap;
        self.agenda.add(at, Happening::Hear { node, life, input });
    }
}
