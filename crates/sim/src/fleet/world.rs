//! The simulation of a run: one event after another, on virtual time.

use fastrand::Rng;
use fusebox_breaker::{Phase, SavedState};
use fusebox_fleet::{
    News,
    protocol::{Event, Input, Key, NodeOptions, Order, Output, ROUND},
};

use super::checks::{Checks, StoreView};
use super::clock::Clock;
use super::events::{Message, Schedule, ScheduledEvent};
use super::plan::{RunPlan, nanos};
use super::process::{BreakerEvent, Process, RunState};
use super::rules::Rules;
use super::server::Server;
use super::trace::{Trace, TraceEntry};
use super::{Drill, MS, Run};

/// A run in progress.
pub(super) struct World<'a> {
    pub plan: &'a RunPlan,
    pub rules: &'a mut dyn Rules,
    pub rng: Rng,
    pub now: u64,
    pub schedule: Schedule,
    pub nodes: Vec<Process>,
    pub names: Vec<Key>,
    /// The store, and the half that may split off.
    pub servers: [Server; 2],
    /// Index of the store that remains after a split.
    pub main: usize,
    /// The fault behind the present split.
    pub split: Option<usize>,
    /// The extra delays of the present slow-network faults.
    pub slow: Vec<u64>,
    pub histories: u32,
    pub trace: Trace,
    pub checks: Checks,
    commands: u64,
    reads: u64,
    /// Number of outputs of all nodes so far.
    done: u64,
    /// The current millisecond, and the number of events within it.
    busy: (u64, u64),
}

impl<'a> World<'a> {
    pub fn new(plan: &'a RunPlan, rules: &'a mut dyn Rules, mut rng: Rng) -> Self {
        let nodes = (0..plan.nodes).map(|node| {
            let clock = Clock {
                origin: rng.u64(1_000_000 * MS..9_000_000 * MS),
                drift: rng.i64(-50..=50),
            };
            let seed = rng.u64(..);
            Process::begin(options(node, 0, seed), &plan.breakers, &[], clock, seed, 0)
        });
        let nodes = nodes.collect();
        World {
            checks: Checks::new(plan),
            nodes,
            names: plan
                .breakers
                .iter()
                .map(|shared| shared.key.clone())
                .collect(),
            servers: [
                Server::new(plan.breakers.len()),
                Server::new(plan.breakers.len()),
            ],
            main: 0,
            split: None,
            slow: Vec::new(),
            histories: 0,
            plan,
            rules,
            rng,
            now: 0,
            schedule: Schedule::default(),
            trace: Trace::new(),
            commands: 0,
            reads: 0,
            done: 0,
            busy: (0, 0),
        }
    }

    pub fn run(mut self, drill: Drill) -> Run {
        let plan = self.plan;
        for (number, planned) in plan.faults.iter().enumerate() {
            self.schedule
                .add(planned.at, ScheduledEvent::FaultBegins(number));
            self.schedule
                .add(planned.until, ScheduledEvent::FaultEnds(number));
        }
        for node in 0..plan.nodes {
            self.hear(node, Input::Gap);
            for (key, shared) in plan.breakers.iter().enumerate() {
                let first = self.rng.u64(0..shared.call_every * 2);
                self.schedule.add(first, ScheduledEvent::Call { node, key });
            }
        }
        while let Some((at, event)) = self.schedule.next() {
            if at > plan.ends_at || self.checks.violation.is_some() {
                break;
            }
            self.now = at;
            self.dispatch(event);
            self.watch_pace();
        }
        self.now = plan.ends_at;
        if self.checks.violation.is_none() {
            self.end();
        }
        let trace = match &self.checks.violation {
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
            trace,
        }
    }

    fn end(&mut self) {
        for node in 0..self.nodes.len() {
            for key in 0..self.names.len() {
                let closed = self.nodes[node].is_closed(key, self.now);
                let store_view = store_view(&self.nodes, &self.servers, node, key);
                self.checks.end(node, key, closed, store_view, self.now);
            }
        }
    }

    /// Checks that time advances, however much is scheduled.
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

    fn dispatch(&mut self, event: ScheduledEvent) {
        let Some(event) = self.unless_suspended(event) else {
            return;
        };
        match event {
            ScheduledEvent::Call { node, key } => {
                let every = self.plan.breakers[key].call_every;
                let next = self.now + self.rng.u64(1..every * 2);
                self.schedule.add(next, ScheduledEvent::Call { node, key });
                if self.nodes[node].runs() {
                    self.call(node, key);
                }
            }
            ScheduledEvent::End {
                node,
                incarnation,
                call,
                failed,
            } => {
                if self.nodes[node].incarnation == incarnation {
                    self.end_call(node, call, failed);
                }
            }
            ScheduledEvent::Timer {
                node,
                incarnation,
                at,
            } => {
                let process = &mut self.nodes[node];
                if process.incarnation == incarnation && process.wake == Some(at) {
                    process.wake = None;
                    self.trace.write(self.now, TraceEntry::Woken { node });
                    let before = self.done;
                    self.hear(node, Input::Wake);
                    let idle = self.done == before;
                    self.checks.woken(node, idle, self.now);
                }
            }
            ScheduledEvent::Input {
                node,
                incarnation,
                input,
            } => {
                if self.nodes[node].incarnation == incarnation {
                    self.trace_input(node, &input);
                    self.hear(node, input);
                }
            }
            ScheduledEvent::Arrive {
                node,
                incarnation,
                server,
                message,
                waits_until,
            } => self.arrive(node, incarnation, server, message, waits_until),
            ScheduledEvent::FaultBegins(number) => self.begin_fault(number),
            ScheduledEvent::FaultEnds(number) => self.end_fault(number),
            ScheduledEvent::Verify { key, since } => {
                let sound = |process: &Process| process.link.sound_since;
                let all = self.nodes.iter().all(|process| {
                    sound(process).is_some_and(|sound| sound + nanos(ROUND) < since)
                });
                if all && self.split.is_none() {
                    let store_view = store_view(&self.nodes, &self.servers, 0, key);
                    self.checks.expect_tripped(key, since, store_view, self.now);
                }
            }
        }
    }

    /// Holds back an event for a suspended process, and drops one for a process that has ended. Calls are handled
    /// separately.
    fn unless_suspended(&mut self, event: ScheduledEvent) -> Option<ScheduledEvent> {
        let node = match &event {
            ScheduledEvent::End { node, .. }
            | ScheduledEvent::Timer { node, .. }
            | ScheduledEvent::Input { node, .. } => *node,
            _ => return Some(event),
        };
        match &mut self.nodes[node].running {
            RunState::Running => Some(event),
            RunState::Suspended { waiting, .. } => {
                waiting.push(event);
                None
            }
            RunState::Ended { .. } => None,
        }
    }

    fn trace_input(&mut self, node: usize, input: &Input) {
        let note = match input {
            Input::Failed { .. } => TraceEntry::Failed { node },
            Input::Pushed { .. } => TraceEntry::Pushed { node },
            Input::Gap => TraceEntry::Gap { node },
            _ => TraceEntry::Read { node },
        };
        self.trace.write(self.now, note);
    }

    /// Passes an input to a node, and carries out everything that follows at once.
    pub fn hear(&mut self, node: usize, input: Input) {
        self.nodes[node].hear(input, self.now);
        self.drive(node);
    }

    /// Carries out outputs and events until neither the node nor its breakers have any left.
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
            // An immediate wake-up comes with the next tick of the clock.
            let at = process.moment(at).max(self.now + 1);
            if process.wake.is_none_or(|wake| at != wake) {
                process.wake = Some(at);
                let incarnation = process.incarnation;
                self.schedule.add(
                    at,
                    ScheduledEvent::Timer {
                        node,
                        incarnation,
                        at,
                    },
                );
            }
        }
        for key in 0..self.names.len() {
            self.compare(node, key);
        }
    }

    pub fn compare(&mut self, node: usize, key: usize) {
        if self.nodes[node].runs() {
            let store_view = store_view(&self.nodes, &self.servers, node, key);
            self.checks.compare(node, key, store_view, self.now);
        }
    }

    /// Passes the events of the breakers to their node.
    pub fn listen(&mut self, node: usize) {
        for (name, breaker_event) in self.nodes[node].take_events() {
            let event = match breaker_event {
                BreakerEvent::Demanded => Some(Event::Demanded),
                BreakerEvent::Stirred => Some(Event::Stirred),
                BreakerEvent::Moved(transition) => {
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
                    self.trace
                        .write(self.now, TraceEntry::Moved { node, key, to });
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
                self.trace
                    .write(self.now, TraceEntry::Sent { node, key, act });
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
                let note = TraceEntry::Order {
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
                let store_view = store_view(&self.nodes, &self.servers, node, key);
                self.checks
                    .ordered(node, key, &order, moment, store_view, self.now);
                let event = self.nodes[node].obey(&name, order, self.now);
                if let Some(event) = event {
                    if let Event::Counted(batch) = &event
                        && !batch.is_empty()
                    {
                        let note = TraceEntry::Counted {
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
                self.trace.write(self.now, TraceEntry::News { node, what });
            }
        }
    }

    pub fn key(&self, name: &Key) -> usize {
        let found = self.names.iter().position(|key| key == name);
        found.expect("a node knows no other breakers than those of the plan")
    }

    /// Restarts a node's process.
    pub fn restart(&mut self, node: usize, saved: &[fusebox_breaker::Saved]) {
        let seed = self.rng.u64(..);
        let old = &self.nodes[node];
        let (incarnation, clock) = (old.incarnation + 1, old.clock);
        let link = super::process::Link {
            server: old.link.server,
            cut_up: old.link.cut_up,
            cut_down: old.link.cut_down,
            ..super::process::Link::default()
        };
        let options = options(node, incarnation, seed);
        let breakers = &self.plan.breakers;
        let mut process = Process::begin(options, breakers, saved, clock, seed, self.now);
        (process.incarnation, process.link) = (incarnation, link);
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

/// The store as one node reaches it.
pub(super) fn store_view<'a>(
    nodes: &[Process],
    servers: &'a [Server; 2],
    node: usize,
    key: usize,
) -> StoreView<'a> {
    let link = &nodes[node].link;
    StoreView {
        sound_since: link.sound_since,
        stored: servers[link.server].record(key),
    }
}

fn options(node: usize, incarnation: u32, seed: u64) -> NodeOptions {
    NodeOptions {
        name: format!("node-{node}"),
        incarnation: format!("{incarnation}"),
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
