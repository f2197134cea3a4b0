//! What goes wrong, and how it ends.

use super::MS;
use super::events::Happening;
use super::plot::Fault;
use super::process::Running;
use super::server::Serving;
use super::trace::Note;
use super::world::World;

impl World<'_> {
    pub fn begin_fault(&mut self, number: usize) {
        let begins = true;
        self.trace.write(self.now, Note::Fault { number, begins });
        let plot = self.plot;
        match &plot.faults[number].fault {
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
                    true => Serving::Silent,
                    false => Serving::Refuses,
                };
                self.refresh_all();
            }
            Fault::Flush => self.flush(),
            Fault::Poison { kind } => {
                self.servers[self.main].poison(*kind, self.now);
                self.new_history(self.main);
                self.checks.lost(self.now);
                self.refresh_all();
            }
            Fault::Failover { .. } => {
                self.servers[self.main].state = Serving::Refuses;
                self.refresh_all();
            }
            Fault::Split { nodes, skew } if self.split.is_none() => {
                self.split = Some(number);
                let other = 1 - self.main;
                self.servers[other] = self.servers[self.main].clone();
                self.servers[other].skew += skew;
                self.servers[other].state = Serving::Yes;
                self.new_history(other);
                for node in 0..self.nodes.len() {
                    if !nodes.contains(&node) {
                        self.move_to(node, other);
                    }
                }
            }
            Fault::Split { .. } => {}
            Fault::Pause { node } => self.halt(*node, false),
            Fault::Restart { node } => self.halt(*node, true),
        }
    }

    pub fn end_fault(&mut self, number: usize) {
        let begins = false;
        self.trace.write(self.now, Note::Fault { number, begins });
        let plot = self.plot;
        match &plot.faults[number].fault {
            Fault::Cut {
                nodes,
                up,
                down,
                kept,
            } => {
                for node in nodes.clone() {
                    let link = &mut self.nodes[node].link;
                    link.cut_up -= u32::from(*up);
                    link.cut_down -= u32::from(*down);
                    self.mend(node, *kept);
                }
            }
            Fault::Slow { extra } => {
                if let Some(at) = self.slow.iter().position(|slow| slow == extra) {
                    self.slow.swap_remove(at);
                }
                self.refresh_all();
            }
            Fault::Down { .. } => self.serve_again(),
            Fault::Flush | Fault::Poison { .. } => {}
            Fault::Failover { lag, skew } => {
                let server = &mut self.servers[self.main];
                let down = plot.faults[number].until - plot.faults[number].at;
                server.fall_back(*lag + down, self.now);
                server.skew += skew;
                self.new_history(self.main);
                self.checks.lost(self.now);
                self.serve_again();
            }
            Fault::Split { .. } => self.join_up(number),
            Fault::Pause { node } | Fault::Restart { node } => self.resume(*node),
        }
    }

    fn new_history(&mut self, server: usize) {
        self.histories += 1;
        self.servers[server].history = self.histories;
    }

    fn flush(&mut self) {
        self.servers[self.main].flush(self.now);
        self.new_history(self.main);
        self.checks.lost(self.now);
        self.refresh_all();
    }

    fn serve_again(&mut self) {
        self.servers[self.main].state = Serving::Yes;
        self.refresh_all();
        for node in 0..self.nodes.len() {
            if self.nodes[node].link.server == self.main {
                self.reconnect(node);
            }
        }
    }

    /// A node goes to another store.
    fn move_to(&mut self, node: usize, server: usize) {
        self.nodes[node].link.server = server;
        self.nodes[node].link.sound_since = None;
        self.refresh(node);
        self.reconnect(node);
    }

    /// The half that split off is the store from now on, and what the other one did is lost.
    fn join_up(&mut self, number: usize) {
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

    /// A cut is over: what was under way arrives after all, or the connection is made anew.
    fn mend(&mut self, node: usize, arrives: bool) {
        let link = &mut self.nodes[node].link;
        if link.cut_up > 0 || link.cut_down > 0 {
            return self.refresh(node);
        }
        let kept = std::mem::take(&mut link.kept);
        if arrives {
            let mut at = self.now;
            for happening in kept {
                at += self.rng.u64(0..MS);
                self.agenda.add(at, happening);
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

    /// A process is stopped, or ends.
    fn halt(&mut self, node: usize, ends: bool) {
        let process = &mut self.nodes[node];
        process.halts += 1;
        if ends && !matches!(process.running, Running::Ended { .. }) {
            let saved = process.saved(self.now);
            process.running = Running::Ended { saved };
            process.calls.clear();
            process.link.kept.clear();
            self.checks.ended(node);
        } else if process.runs() {
            let waiting = Vec::new();
            process.running = Running::Stopped { waiting };
        }
        self.refresh(node);
    }

    fn resume(&mut self, node: usize) {
        let process = &mut self.nodes[node];
        process.halts -= 1;
        if process.halts > 0 {
            return;
        }
        match std::mem::replace(&mut process.running, Running::Yes) {
            Running::Yes => {}
            Running::Stopped { waiting } => self.go_on(node, waiting),
            Running::Ended { saved } => self.begin_again(node, &saved),
        }
    }

    /// What came meanwhile comes now: the ends of calls and the timers first, or the messages; or a new call first of all.
    fn go_on(&mut self, node: usize, waiting: Vec<Happening>) {
        self.refresh(node);
        let is_message = |happening: &Happening| matches!(happening, Happening::Hear { .. });
        let (messages, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_message);
        let (first, then) = match self.rng.bool() {
            true => (messages, others),
            false => (others, messages),
        };
        for happening in first.into_iter().chain(then) {
            self.agenda.add(self.now, happening);
        }
        if self.rng.bool() {
            let key = self.rng.usize(..self.names.len());
            self.call(node, key);
        }
    }
}
