//! The run: one thing happens after the other, on virtual time.

use fastrand::Rng;
use fusebox_breaker::{Phase, SavedState};
use fusebox_fleet::{
    News,
    protocol::{Event, Input, Key, NodeOptions, Order, Output, ROUND},
};

use super::checks::{Checks, Standing};
use super::clock::Clock;
use super::events::{Agenda, Expected, Happening, Message};
use super::plot::{Plot, nanos};
use super::process::{Process, Running, Told};
use super::rules::Rules;
use super::server::Server;
use super::trace::{Note, Trace};
use super::{Drill, MS, Run};

/// A run under way.
pub(super) struct World<'a> {
    pub plot: &'a Plot,
    pub rules: &'a mut dyn Rules,
    pub rng: Rng,
    pub now: u64,
    pub agenda: Agenda,
    pub nodes: Vec<Process>,
    pub names: Vec<Key>,
    /// The store, and what splits off it.
    pub servers: [Server; 2],
    /// The one that will stay.
    pub main: usize,
    /// The fault that has split it, as long as it lasts.
    pub split: Option<usize>,
    /// How many faults make everything slow, and by how much.
    pub slow: Vec<u64>,
    pub histories: u32,
    pub trace: Trace,
    pub checks: Checks,
    commands: u64,
    reads: u64,
    /// What nodes wanted done so far.
    done: u64,
    /// How much happened within one millisecond, and which.
    busy: (u64, u64),
}

impl<'a> World<'a> {
    pub fn new(plot: &'a Plot, rules: &'a mut dyn Rules, mut rng: Rng) -> Self {
        let nodes = (0..plot.nodes).map(|node| {
            let clock = Clock {
                origin: rng.u64(1_000_000 * MS..9_000_000 * MS),
                drift: rng.i64(-50..=50),
            };
            let seed = rng.u64(..);
            Process::begin(options(node, 0, seed), &plot.breakers, &[], clock, seed, 0)
        });
        let nodes = nodes.collect();
        World {
            checks: Checks::new(plot),
            nodes,
            names: plot
                .breakers
                .iter()
                .map(|shared| shared.key.clone())
                .collect(),
            servers: [
                Server::new(plot.breakers.len()),
                Server::new(plot.breakers.len()),
            ],
            main: 0,
            split: None,
            slow: Vec::new(),
            histories: 0,
            plot,
            rules,
            rng,
            now: 0,
            agenda: Agenda::default(),
            trace: Trace::new(),
            commands: 0,
            reads: 0,
            done: 0,
            busy: (0, 0),
        }
    }

    pub fn run(mut self, drill: Drill) -> Run {
        let plot = self.plot;
        for (number, planned) in plot.faults.iter().enumerate() {
            self.agenda.add(planned.at, Happening::Begin(number));
            self.agenda.add(planned.until, Happening::Over(number));
        }
        for node in 0..plot.nodes {
            self.hear(node, Input::Gap);
            for (key, shared) in plot.breakers.iter().enumerate() {
                let first = self.rng.u64(0..shared.call_every * 2);
                self.agenda.add(first, Happening::Call { node, key });
            }
        }
        while let Some((at, happening)) = self.agenda.next() {
            if at > plot.ends_at || self.checks.violation.is_some() {
                break;
            }
            self.now = at;
            self.happen(happening);
            self.watch_pace();
        }
        self.now = plot.ends_at;
        if self.checks.violation.is_none() {
            self.end();
        }
        let told = match &self.checks.violation {
            Some(_) => self.trace.to_string(),
            None => String::new(),
        };
        Run {
            drill,
            hash: self.trace.hash(),
            events: self.trace.events(),
            commands: self.commands,
            reads: self.reads,
            convergence: std::time::Duration::from_nanos(self.checks.convergence),
            violation: self.checks.violation,
            told,
        }
    }

    fn end(&mut self) {
        for node in 0..self.nodes.len() {
            for key in 0..self.names.len() {
                let closed = self.nodes[node].is_closed(key, self.now);
                let standing = standing(&self.nodes, &self.servers, node, key);
                self.checks.end(node, key, closed, standing, self.now);
            }
        }
    }

    /// Time goes on, however much is asked for.
    fn watch_pace(&mut self) {
        let moment = self.now / MS;
        let many = 2_000 + 100 * (self.nodes.len() * self.names.len()) as u64;
        if self.busy.0 != moment {
            self.busy = (moment, 0);
        }
        self.busy.1 += 1;
        if self.busy.1 > many {
            self.checks.rushed(many, self.now);
        }
    }

    fn happen(&mut self, happening: Happening) {
        let Some(happening) = self.unless_stopped(happening) else {
            return;
        };
        match happening {
            Happening::Call { node, key } => {
                let every = self.plot.breakers[key].call_every;
                let next = self.now + self.rng.u64(1..every * 2);
                self.agenda.add(next, Happening::Call { node, key });
                if self.nodes[node].runs() {
                    self.call(node, key);
                }
            }
            Happening::End {
                node,
                life,
                call,
                failed,
            } => {
                if self.nodes[node].life == life {
                    self.end_call(node, call, failed);
                }
            }
            Happening::Wake { node, life, at } => {
                let process = &mut self.nodes[node];
                if process.life == life && process.wake == Some(at) {
                    process.wake = None;
                    self.trace.write(self.now, Note::Woken { node });
                    let before = self.done;
                    self.hear(node, Input::Wake);
                    let idle = self.done == before;
                    self.checks.woken(node, idle, self.now);
                }
            }
            Happening::Hear { node, life, input } => {
                if self.nodes[node].life == life {
                    self.note_input(node, &input);
                    self.hear(node, input);
                }
            }
            Happening::Arrive {
                node,
                life,
                server,
                message,
                waits_until,
            } => self.arrive(node, life, server, message, waits_until),
            Happening::Begin(number) => self.begin_fault(number),
            Happening::Over(number) => self.end_fault(number),
            Happening::Look(Expected::Tripped { key, since }) => {
                let sound = |process: &Process| process.link.sound_since;
                let all = self.nodes.iter().all(|process| {
                    sound(process).is_some_and(|sound| sound + nanos(ROUND) < since)
                });
                if all && self.split.is_none() {
                    let standing = standing(&self.nodes, &self.servers, 0, key);
                    self.checks.expect_tripped(key, since, standing, self.now);
                }
            }
        }
    }

    /// What is for a process that is stopped waits; but nobody goes on calling it.
    fn unless_stopped(&mut self, happening: Happening) -> Option<Happening> {
        let node = match &happening {
            Happening::End { node, .. }
            | Happening::Wake { node, .. }
            | Happening::Hear { node, .. } => *node,
            _ => return Some(happening),
        };
        match &mut self.nodes[node].running {
            Running::Yes => Some(happening),
            Running::Stopped { waiting, .. } => {
                waiting.push(happening);
                None
            }
            Running::Ended { .. } => None,
        }
    }

    fn note_input(&mut self, node: usize, input: &Input) {
        let note = match input {
            Input::Failed { .. } => Note::Failed { node },
            Input::Pushed { .. } => Note::Pushed { node },
            Input::Gap => Note::Gap { node },
            _ => Note::Read { node },
        };
        self.trace.write(self.now, note);
    }

    /// A node is told something, and everything that follows from it at once is done.
    pub fn hear(&mut self, node: usize, input: Input) {
        self.nodes[node].hear(input, self.now);
        self.drive(node);
    }

    /// Until neither breakers nor node have anything to say.
    pub fn drive(&mut self, node: usize) {
        loop {
            self.listen(node);
            let Some(output) = self.nodes[node].node.next_output() else {
                break;
            };
            self.carry_out(node, output);
        }
        let process = &mut self.nodes[node];
        if let Some(at) = process.node.wake_at() {
            // To be woken at once is to be woken by the next tick of the clock.
            let at = process.moment(at).max(self.now + 1);
            if process.wake.is_none_or(|wake| at != wake) {
                process.wake = Some(at);
                let life = process.life;
                self.agenda.add(at, Happening::Wake { node, life, at });
            }
        }
        for key in 0..self.names.len() {
            self.compare(node, key);
        }
    }

    pub fn compare(&mut self, node: usize, key: usize) {
        if self.nodes[node].runs() {
            let standing = standing(&self.nodes, &self.servers, node, key);
            self.checks.compare(node, key, standing, self.now);
        }
    }

    /// What the breakers tell their node.
    pub fn listen(&mut self, node: usize) {
        for (name, told) in self.nodes[node].told() {
            let event = match told {
                Told::Demanded => Some(Event::Demanded),
                Told::Stirred => Some(Event::Stirred),
                Told::Moved(transition) => {
                    let key = self.key(&name);
                    let process = &mut self.nodes[node];
                    let event = process.event(&name, &transition);
                    let own = match &event {
                        Some(Event::Opened { until, .. }) => Some(process.moment(*until)),
                        _ => None,
                    };
                    let by_itself = event.is_some();
                    self.checks
                        .moved(node, key, &transition, by_itself, own, self.now);
                    let to = transition.to.as_str();
                    self.trace.write(self.now, Note::Moved { node, key, to });
                    event
                }
            };
            if let Some(event) = event {
                let key = name;
                self.nodes[node].hear(Input::Local { key, event }, self.now);
            }
        }
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        self.done += 1;
        match output {
            Output::Apply {
                id,
                key,
                command,
                poison,
            } => {
                self.commands += 1;
                let key = self.key(&key);
                let act = command.act.name();
                self.trace.write(self.now, Note::Sent { node, key, act });
                let command = Box::new(command);
                let message = Message::Apply {
                    id,
                    key,
                    command,
                    poison,
                };
                self.send(node, message);
            }
            Output::Read { id, keys } => {
                self.reads += 1;
                self.send(node, Message::Read { id, keys });
            }
            Output::Order { key: name, order } => {
                let key = self.key(&name);
                let note = Note::Order {
                    node,
                    key,
                    order: order_name(&order),
                };
                self.trace.write(self.now, note);
                let moment = match &order {
                    Order::Open { until, .. } => self.nodes[node].moment(*until),
                    _ => 0,
                };
                let Some(order) = self.rules.order(order) else {
                    return;
                };
                let standing = standing(&self.nodes, &self.servers, node, key);
                self.checks
                    .ordered(node, key, &order, moment, standing, self.now);
                let event = self.nodes[node].obey(&name, order, self.now);
                if let Some(event) = event {
                    if let Event::Counted(batch) = &event
                        && !batch.is_empty()
                    {
                        let note = Note::Counted {
                            node,
                            key,
                            had_success: batch.had_success,
                            row: batch.row,
                            failures: batch.failures,
                        };
                        self.trace.write(self.now, note);
                    }
                    let key = name;
                    self.nodes[node].hear(Input::Local { key, event }, self.now);
                }
            }
            Output::Tell(news) => {
                let what = news_name(&news);
                self.trace.write(self.now, Note::News { node, what });
            }
        }
    }

    pub fn key(&self, name: &Key) -> usize {
        let found = self.names.iter().position(|key| key == name);
        found.expect("a node knows no other breakers than those of the plot")
    }

    /// A node begins anew.
    pub fn begin_again(&mut self, node: usize, saved: &[fusebox_breaker::Saved]) {
        let seed = self.rng.u64(..);
        let old = &self.nodes[node];
        let (life, clock) = (old.life + 1, old.clock);
        let link = super::process::Link {
            server: old.link.server,
            cut_up: old.link.cut_up,
            cut_down: old.link.cut_down,
            ..super::process::Link::default()
        };
        let options = options(node, life, seed);
        let breakers = &self.plot.breakers;
        let mut process = Process::begin(options, breakers, saved, clock, seed, self.now);
        (process.life, process.link) = (life, link);
        for (key, saved) in saved.iter().enumerate() {
            let phase = match saved.state {
                SavedState::Closed => Phase::Closed,
                SavedState::Open { .. } | SavedState::HalfOpen => Phase::Open,
            };
            let until = match process.local(key) {
                Some(fusebox_fleet::protocol::Local::Open { until }) => until,
                _ => fusebox_breaker::Timestamp::ZERO,
            };
            self.checks.begun(node, key, phase, until);
        }
        self.nodes[node] = process;
        self.refresh(node);
        self.hear(node, Input::Gap);
    }
}

/// How the store is to a node.
pub(super) fn standing<'a>(
    nodes: &[Process],
    servers: &'a [Server; 2],
    node: usize,
    key: usize,
) -> Standing<'a> {
    let link = &nodes[node].link;
    Standing {
        sound_since: link.sound_since,
        kept: servers[link.server].kept(key),
    }
}

fn options(node: usize, life: u32, seed: u64) -> NodeOptions {
    NodeOptions {
        name: format!("node-{node}"),
        incarnation: format!("{life}"),
        seed,
    }
}

fn order_name(order: &Order) -> &'static str {
    match order {
        Order::Open { .. } => "open",
        Order::Close { .. } => "close",
        Order::Lease { renewed: true, .. } => "lease renewed",
        Order::Lease { .. } => "lease",
        Order::Alone { .. } => "alone",
        Order::Follow => "follow",
        Order::Hold { .. } => "hold",
        Order::Release => "release",
        Order::Watch(true) => "watch",
        Order::Watch(false) => "watch no more",
        Order::Collect => "collect",
        Order::EndRow => "end row",
    }
}

fn news_name(news: &News) -> &'static str {
    match news {
        News::StoreAway => "store away",
        News::StoreBack { .. } => "store back",
        News::RecordLost { .. } => "record lost",
        News::RecordUnreadable { .. } => "record unreadable",
        News::RecordUnsound { .. } => "record unsound",
        _ => "other",
    }
}
