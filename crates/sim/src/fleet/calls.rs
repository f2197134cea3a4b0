//! The calls that come to the nodes, and what becomes of them at the upstreams.

use fusebox_breaker::{Outcome, machine::SettledAs};
use fusebox_fleet::Health;

use super::MS;
use super::events::{Expected, Happening};
use super::plot::Mood;
use super::process::Flying;
use super::trace::{Note, Verdict};
use super::world::{World, standing};

/// How long a call to an upstream waits.
const CALL_TIMEOUT: u64 = 1_000 * MS;

impl World<'_> {
    /// Somebody calls: the answer comes in the same instant, whatever the store does.
    pub fn call(&mut self, node: usize, key: usize) {
        let process = &self.nodes[node];
        let away = process.node.health() != Health::Reachable;
        let admitted = process.admit(key, self.now);
        let shown = process.clock.shows(self.now);
        let call = process.next_call;
        // What the call itself has brought about, as the end of a cooldown, comes before it.
        self.listen(node);
        let verdict = match admitted {
            Ok(permit) if !(away && self.rules.needs_store()) => {
                let process = &mut self.nodes[node];
                process.next_call += 1;
                let (life, deadline) = (process.life, permit.deadline());
                let ends = deadline.map(|deadline| process.moment(deadline));
                process.calls.insert(
                    call,
                    Flying {
                        key,
                        permit,
                        probe: deadline.is_some(),
                    },
                );
                self.fly(node, key, call, ends);
                match ends {
                    Some(ends) => {
                        let standing = standing(&self.nodes, &self.servers, node, key);
                        self.checks
                            .probes(node, life, key, call, ends, shown, standing, self.now);
                        Verdict::Probes
                    }
                    None => {
                        self.checks.passed(node, key, self.now);
                        Verdict::Passed
                    }
                }
            }
            _ => {
                self.checks.refused(node, key, self.now);
                Verdict::Refused
            }
        };
        self.trace
            .write(self.now, Note::Call { node, key, verdict });
        self.drive(node);
    }

    /// Decides how a call will end. A probe is given up at its deadline.
    fn fly(&mut self, node: usize, key: usize, call: u64, deadline: Option<u64>) {
        let mood = self.plot.breakers[key].mood(node, self.now, self.plot.calm_at);
        let quick = self.now + self.rng.u64(MS..20 * MS);
        let latest = deadline.unwrap_or(u64::MAX).min(self.now + CALL_TIMEOUT);
        let (at, failed) = match mood {
            Mood::Well => (quick, false),
            Mood::Ill(share) => (quick, self.rng.f64() < share),
            Mood::Hangs => (latest, true),
        };
        let (at, failed) = if at >= latest {
            (latest, true)
        } else {
            (at, failed)
        };
        let life = self.nodes[node].life;
        self.agenda.add(
            at,
            Happening::End {
                node,
                life,
                call,
                failed,
            },
        );
    }

    pub fn end_call(&mut self, node: usize, call: u64, failed: bool) {
        let process = &mut self.nodes[node];
        let Some(Flying { key, permit, probe }) = process.calls.remove(&call) else {
            return;
        };
        let life = process.life;
        let outcome = if failed {
            Outcome::Failure
        } else {
            Outcome::Success
        };
        let settled = permit.settle(outcome, process.clock.shows(self.now));
        self.trace.write(self.now, Note::End { node, key, failed });
        if probe {
            self.checks.probe_over(node, life, key, call);
        } else if matches!(settled.counted, SettledAs::Success | SettledAs::Failure)
            && let Some(since) = self.checks.booked(key, failed, self.now)
        {
            let at = self.now + self.checks.late_by();
            let expected = Expected::Tripped { key, since };
            self.agenda.add(at, Happening::Look(expected));
        }
        self.drive(node);
    }
}
