//! Calls to the nodes, and their fate at the upstreams.

use fusebox_breaker::{Outcome, machine::SettledAs};
use fusebox_fleet::Health;

use super::MS;
use super::events::ScheduledEvent;
use super::plan::UpstreamState;
use super::process::CallInFlight;
use super::trace::{CallResult, TraceEntry};
use super::world::{World, store_view};

/// The time limit of a call to an upstream.
const CALL_TIMEOUT: u64 = 1_000 * MS;

impl World<'_> {
    /// Makes a call at a node. It is admitted or rejected in the same instant, whatever the state of the store.
    pub fn call(&mut self, node: usize, key: usize) {
        let process = &self.nodes[node];
        let away = process.node.health() != Health::Reachable;
        let admitted = process.admit(key, self.now);
        let shown = process.clock.shows(self.now);
        let call = process.next_call;
        // Transitions caused by the call itself, such as the end of a cooldown, come before the call.
        self.listen(node);
        let result = match admitted {
            Ok(permit) if !(away && self.rules.needs_store()) => {
                let process = &mut self.nodes[node];
                process.next_call += 1;
                let (incarnation, deadline) = (process.incarnation, permit.deadline());
                let ends = deadline.map(|deadline| process.moment(deadline));
                process.calls.insert(
                    call,
                    CallInFlight {
                        key,
                        permit,
                        probe: deadline.is_some(),
                    },
                );
                self.schedule_end(node, key, call, ends);
                match ends {
                    Some(ends) => {
                        let store_view = store_view(&self.nodes, &self.servers, node, key);
                        self.checks.probes(
                            node,
                            incarnation,
                            key,
                            call,
                            ends,
                            shown,
                            store_view,
                            self.now,
                        );
                        CallResult::Probe
                    }
                    None => {
                        self.checks.passed(node, key, self.now);
                        CallResult::Passed
                    }
                }
            }
            _ => {
                self.checks.refused(node, key, self.now);
                CallResult::Rejected
            }
        };
        self.trace
            .write(self.now, TraceEntry::Call { node, key, result });
        self.drive(node);
    }

    /// Decides how and when a call ends. A probe ends at its deadline at the latest.
    fn schedule_end(&mut self, node: usize, key: usize, call: u64, deadline: Option<u64>) {
        let state = self.plan.breakers[key].upstream_state(node, self.now, self.plan.faults_end_at);
        let quick = self.now + self.rng.u64(MS..20 * MS);
        let latest = deadline.unwrap_or(u64::MAX).min(self.now + CALL_TIMEOUT);
        let (at, failed) = match state {
            UpstreamState::Healthy => (quick, false),
            UpstreamState::Failing(share) => (quick, self.rng.f64() < share),
            UpstreamState::Hanging => (latest, true),
        };
        let (at, failed) = if at >= latest {
            (latest, true)
        } else {
            (at, failed)
        };
        let incarnation = self.nodes[node].incarnation;
        self.schedule.add(
            at,
            ScheduledEvent::End {
                node,
                incarnation,
                call,
                failed,
            },
        );
    }

    pub fn end_call(&mut self, node: usize, call: u64, failed: bool) {
        let process = &mut self.nodes[node];
        let Some(CallInFlight { key, permit, probe }) = process.calls.remove(&call) else {
            return;
        };
        let incarnation = process.incarnation;
        let outcome = if failed {
            Outcome::Failure
        } else {
            Outcome::Success
        };
        let settled = permit.settle(outcome, process.clock.shows(self.now));
        self.trace
            .write(self.now, TraceEntry::End { node, key, failed });
        if probe {
            self.checks.probe_over(node, incarnation, key, call);
        } else if matches!(settled.counted, SettledAs::Success | SettledAs::Failure)
            && let Some(since) = self.checks.booked(key, failed, self.now)
        {
            let at = self.now + self.checks.late_by();
            self.schedule.add(at, ScheduledEvent::Verify { key, since });
        }
        self.drive(node);
    }
}
