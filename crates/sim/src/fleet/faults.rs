//! The beginning and the end of each kind of fault.

use super::MS;
use super::events::ScheduledEvent;
use super::plan::Fault;
use super::process::RunState;
use super::server::Availability;
use super::trace::TraceEntry;
use super::world::World;

impl World<'_> {
    pub fn begin_fault(&mut self, number: usize) {
        let begins = true;
        self.trace
            .write(self.now, TraceEntry::Fault { number, begins });
        let plan = self.plan;
        match &plan.faults[number].fault {
            Fault::Cut {
                nodes, up, down, ..
            } => {
                for node in nodes.clone() {
                    let link = &mut self.nodes[node].link;
                    link.cut_up += u32::from(*up);
                    link.cut_down += u32::from(*down);
                    self.refresh(node);
                }
            }
            Fault::Slow { extra } => {
                self.slow.push(*extra);
                self.refresh_all();
            }
            Fault::Down { silent } => {
                self.servers[self.main].state = match silent {
                    true => Availability::Silent,
                    false => Availability::Refusing,
                };
                self.refresh_all();
            }
            Fault::Flush => self.flush(),
            Fault::Poison { kind } => {
                self.servers[self.main].poison(*kind, self.now);
                self.begin_history(self.main);
                self.checks.lost(self.now);
                self.refresh_all();
            }
            Fault::Failover { .. } => {
                self.servers[self.main].state = Availability::Refusing;
                self.refresh_all();
            }
            Fault::Split { nodes, skew } if self.split.is_none() => {
                self.split = Some(number);
                let other = 1 - self.main;
                self.servers[other] = self.servers[self.main].clone();
                self.servers[other].skew += skew;
                self.servers[other].state = Availability::Up;
                self.begin_history(other);
                for node in 0..self.nodes.len() {
                    if !nodes.contains(&node) {
                        self.move_to(node, other);
                    }
                }
            }
            Fault::Split { .. } => {}
            Fault::Pause { node } => self.stop(*node, false),
            Fault::Restart { node } => self.stop(*node, true),
        }
    }

    pub fn end_fault(&mut self, number: usize) {
        let begins = false;
        self.trace
            .write(self.now, TraceEntry::Fault { number, begins });
        let plan = self.plan;
        match &plan.faults[number].fault {
            Fault::Cut {
                nodes,
                up,
                down,
                delayed,
            } => {
                for node in nodes.clone() {
                    let link = &mut self.nodes[node].link;
                    link.cut_up -= u32::from(*up);
                    link.cut_down -= u32::from(*down);
                    self.end_cut(node, *delayed);
                }
            }
            Fault::Slow { extra } => {
                if let Some(at) = self.slow.iter().position(|slow| slow == extra) {
                    self.slow.swap_remove(at);
                }
                self.refresh_all();
            }
            Fault::Down { .. } => self.serve(),
            Fault::Flush | Fault::Poison { .. } => {}
            Fault::Failover { lag, skew } => {
                let server = &mut self.servers[self.main];
                let down = plan.faults[number].until - plan.faults[number].at;
                server.restore(*lag + down, self.now);
                server.skew += skew;
                self.begin_history(self.main);
                self.checks.lost(self.now);
                self.serve();
            }
            Fault::Split { .. } => self.end_split(number),
            Fault::Pause { node } | Fault::Restart { node } => self.resume(*node),
        }
    }

    fn begin_history(&mut self, server: usize) {
        self.histories += 1;
        self.servers[server].history = self.histories;
    }

    fn flush(&mut self) {
        self.servers[self.main].flush(self.now);
        self.begin_history(self.main);
        self.checks.lost(self.now);
        self.refresh_all();
    }

    fn serve(&mut self) {
        self.servers[self.main].state = Availability::Up;
        self.refresh_all();
        for node in 0..self.nodes.len() {
            if self.nodes[node].link.server == self.main {
                self.reconnect(node);
            }
        }
    }

    /// Connects a node to another store.
    fn move_to(&mut self, node: usize, server: usize) {
        self.nodes[node].link.server = server;
        self.nodes[node].link.sound_since = None;
        self.refresh(node);
        self.reconnect(node);
    }

    /// Ends a split: the half that split off becomes the store, and the changes of the other half are lost.
    fn end_split(&mut self, number: usize) {
        if self.split != Some(number) {
            return;
        }
        self.split = None;
        let old = self.main;
        self.main = 1 - old;
        self.checks.lost(self.now);
        for node in 0..self.nodes.len() {
            if self.nodes[node].link.server == old {
                self.move_to(node, self.main);
            }
        }
    }

    /// Ends a cut: the messages under way arrive after all, or the connection is opened anew.
    fn end_cut(&mut self, node: usize, arrives: bool) {
        let link = &mut self.nodes[node].link;
        if link.cut_up > 0 || link.cut_down > 0 {
            return self.refresh(node);
        }
        let held_back = std::mem::take(&mut link.held_back);
        if arrives {
            let mut at = self.now;
            for event in held_back {
                at += self.rng.u64(0..MS);
                self.schedule.add(at, event);
            }
            let link = &mut self.nodes[node].link;
            link.up_free = link.up_free.max(at);
            link.push_free = link.push_free.max(at);
        }
        self.refresh(node);
        if !arrives {
            self.reconnect(node);
        }
    }

    /// Suspends a process, or ends it.
    fn stop(&mut self, node: usize, ends: bool) {
        let process = &mut self.nodes[node];
        process.stops += 1;
        if ends && !matches!(process.running, RunState::Ended { .. }) {
            let saved = process.saved(self.now);
            process.running = RunState::Ended { saved };
            process.calls.clear();
            process.link.held_back.clear();
            self.checks.ended(node);
        } else if process.runs() {
            let waiting = Vec::new();
            process.running = RunState::Suspended { waiting };
        }
        self.refresh(node);
    }

    fn resume(&mut self, node: usize) {
        let process = &mut self.nodes[node];
        process.stops -= 1;
        if process.stops > 0 {
            return;
        }
        match std::mem::replace(&mut process.running, RunState::Running) {
            RunState::Running => {}
            RunState::Suspended { waiting } => self.continue_process(node, waiting),
            RunState::Ended { saved } => self.restart(node, &saved),
        }
    }

    /// Continues a suspended process. All events that waited occur now: calls and timers first, or messages first. A
    /// new call may come even before them.
    fn continue_process(&mut self, node: usize, waiting: Vec<ScheduledEvent>) {
        self.refresh(node);
        let is_message = |event: &ScheduledEvent| matches!(event, ScheduledEvent::Input { .. });
        let (messages, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_message);
        let (first, then) = match self.rng.bool() {
            true => (messages, others),
            false => (others, messages),
        };
        for event in first.into_iter().chain(then) {
            self.schedule.add(self.now, event);
        }
        if self.rng.bool() {
            let key = self.rng.usize(..self.names.len());
            self.call(node, key);
        }
    }
}
