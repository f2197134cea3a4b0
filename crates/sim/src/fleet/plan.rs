//! The plan of a run, drawn entirely from the seed before the run begins.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use fusebox_breaker::{
    CloseRule, Cooldown, HalfOpen, OnProbeTimeout, Over, Probes, Ratio, Rule, Settings,
};
use fusebox_fleet::{
    Share,
    protocol::{CountRule, Key, LEASE_MARGIN},
};

use super::MS;

#[derive(Debug)]
pub(super) struct RunPlan {
    pub nodes: usize,
    pub breakers: Vec<SharedBreaker>,
    pub network: Network,
    /// The faults, in the order of their beginnings.
    pub faults: Vec<PlannedFault>,
    /// The time from which on there are no faults and every upstream is healthy.
    pub faults_end_at: u64,
    pub ends_at: u64,
}

/// A breaker that all nodes share, with the upstream behind it.
#[derive(Debug)]
pub(super) struct SharedBreaker {
    pub key: Key,
    pub share: Share,
    pub settings: Arc<Settings>,
    pub probes: usize,
    /// The mean time between two calls at one node.
    pub call_every: u64,
    pub upstream_states: Vec<(u64, UpstreamState)>,
    /// The node to which the upstream always fails until the faults end.
    pub failing_node: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum UpstreamState {
    Healthy,
    /// This fraction of the calls fails.
    Failing(f64),
    /// Calls are never answered.
    Hanging,
}

#[derive(Debug)]
pub(super) struct Network {
    /// The least delay of most messages.
    pub delay: u64,
    /// The longest delay of any message.
    pub longest: u64,
    /// The time without an answer after which a node is informed of a failure.
    pub timeout: u64,
    /// The fraction of commands, and of their answers, that is lost.
    pub lost: f64,
    /// The fraction of pushes that is lost silently.
    pub lost_pushes: f64,
}

/// A fault with its beginning and end.
#[derive(Debug)]
pub(super) struct PlannedFault {
    pub at: u64,
    pub until: u64,
    pub fault: Fault,
}

#[derive(Debug)]
pub(super) enum Fault {
    /// These nodes cannot send to the store, or cannot receive from it, or both.
    Cut {
        nodes: Range<usize>,
        up: bool,
        down: bool,
        /// True if messages sent during the cut arrive after it.
        delayed: bool,
    },
    /// Every message takes this much longer.
    Slow { extra: u64 },
    /// The store rejects connections, or does not answer.
    Down { silent: bool },
    /// The store loses all records.
    Flush,
    /// A foreign client overwrites all records.
    Poison { kind: u8 },
    /// The store fails and returns as its replica, which lags behind and has another clock.
    Failover { lag: u64, skew: i64 },
    /// The store splits in two; these nodes stay with the half that will be lost.
    Split { nodes: Range<usize>, skew: i64 },
    /// A node is suspended, and continues later.
    Pause { node: usize },
    /// A node ends, and is restarted later.
    Restart { node: usize },
}

impl RunPlan {
    /// Draws a run with all kinds of faults.
    pub fn of(nodes: usize, span: Duration, rng: &mut Rng) -> RunPlan {
        let stormy = nanos(span);
        let faults_end_at = stormy;
        let many = nodes > 20;
        let breakers = (0..rng.usize(1..=if many { 1 } else { 3 }))
            .map(|number| draw_breaker(number, nodes, faults_end_at, rng))
            .collect::<Vec<_>>();
        let faults = if rng.u8(..8) == 0 {
            Vec::new()
        } else {
            draw_faults(nodes, faults_end_at, rng)
        };
        let wait = breakers.iter().map(SharedBreaker::longest_recovery).max();
        RunPlan {
            nodes,
            ends_at: faults_end_at + wait.unwrap_or(0),
            breakers,
            network: draw_network(rng),
            faults,
            faults_end_at,
        }
    }

    /// Draws a run without faults, with this many calls per second at each node.
    pub fn calm(nodes: usize, calls: u64, span: Duration, rng: &mut Rng) -> RunPlan {
        let mut plan = RunPlan::of(nodes, span, rng);
        plan.faults.clear();
        plan.network.lost = 0.0;
        plan.network.lost_pushes = 0.0;
        for breaker in &mut plan.breakers {
            breaker.upstream_states.clear();
            breaker.failing_node = None;
            breaker.call_every = 1_000 * MS / calls;
        }
        plan.faults_end_at = 0;
        plan.ends_at = nanos(span);
        plan
    }

    /// True if the store splits at some time.
    pub fn splits(&self) -> bool {
        let splits = |planned: &PlannedFault| matches!(planned.fault, Fault::Split { .. });
        self.faults.iter().any(splits)
    }

    /// The greatest difference between the clocks of two stores.
    pub fn largest_skew(&self) -> u64 {
        let skews = self.faults.iter().map(|planned| match planned.fault {
            Fault::Failover { skew, .. } | Fault::Split { skew, .. } => skew.unsigned_abs() * MS,
            _ => 0,
        });
        // The stores follow one another, and each may differ from the one before.
        skews.sum()
    }
}

impl SharedBreaker {
    /// The rules that are counted over the fleet.
    pub fn count_rules(&self) -> Vec<CountRule> {
        let ms = |time: Duration| nanos(time) / MS;
        let rules = self.settings.trip.iter().filter_map(|rule| match *rule {
            Rule::ConsecutiveFailures { threshold, within } => Some(CountRule {
                threshold: threshold.into(),
                within: within.map_or(0, ms),
                row: true,
            }),
            Rule::Failures {
                threshold,
                over: Over::Time(time),
                ..
            } => Some(CountRule {
                threshold: threshold.into(),
                within: ms(time),
                row: false,
            }),
            _ => None,
        });
        rules.collect()
    }

    pub fn upstream_state(&self, node: usize, now: u64, faults_end_at: u64) -> UpstreamState {
        if now >= faults_end_at {
            return UpstreamState::Healthy;
        }
        if self.failing_node == Some(node) {
            return UpstreamState::Failing(1.0);
        }
        let begun = self
            .upstream_states
            .iter()
            .rev()
            .find(|(from, _)| *from <= now);
        begun.map_or(UpstreamState::Healthy, |(_, upstream_state)| {
            *upstream_state
        })
    }

    /// The longest time from the end of all faults until the last breaker has closed: an extended cooldown, leases of
    /// nodes that have gone or have few calls, an earlier failed probe, and rare calls.
    fn longest_recovery(&self) -> u64 {
        let cooldown = self.settings.cooldown.base.mul_f64(1.5);
        let lease = self.settings.half_open.probe_timeout + LEASE_MARGIN;
        nanos(2 * cooldown + 3 * lease + Duration::from_secs(3)) + 10 * self.call_every
    }
}

fn draw_network(rng: &mut Rng) -> Network {
    let lossy = rng.u8(..4) == 0;
    Network {
        delay: rng.u64(MS / 10..3 * MS),
        longest: rng.u64(5 * MS..100 * MS),
        timeout: 300 * MS,
        lost: if lossy { 0.02 } else { 0.0 },
        lost_pushes: match rng.u8(..6) {
            0 => 1.0,
            1 => 0.1,
            _ => 0.0,
        },
    }
}

fn draw_breaker(number: usize, nodes: usize, faults_end_at: u64, rng: &mut Rng) -> SharedBreaker {
    let ms = |rng: &mut Rng, from: u64, to: u64| Duration::from_millis(rng.u64(from..to));
    let share = match rng.u8(..5) {
        0 | 1 => Share::Verdict,
        2 => Share::Quorum(rng.u32(2..=(nodes as u32 / 2 + 1).min(40))),
        _ => Share::Counts,
    };
    let threshold = rng.u32(2..8);
    let in_a_row = Rule::ConsecutiveFailures {
        threshold,
        within: (rng.u8(..3) == 0).then(|| ms(rng, 2_000, 8_000)),
    };
    let in_time = Rule::Failures {
        threshold,
        over: Over::Time(ms(rng, 1_000, 8_000)),
        full: false,
    };
    let by_rate = Rule::FailureRate {
        rate: Ratio::percent(50),
        over: Over::Time(Duration::from_secs(5)),
        min_calls: 6,
    };
    let trip = match rng.u8(..4) {
        0 | 1 => vec![in_a_row],
        2 => vec![in_time],
        _ if share == Share::Counts => vec![in_a_row, in_time],
        _ => vec![by_rate],
    };
    let probes = rng.u32(1..=3);
    let cooldown = Cooldown::fixed(ms(rng, 1_500, 5_000));
    let settings = Settings {
        trip,
        cooldown: Cooldown {
            jitter: if rng.bool() { 0.2 } else { 0.0 },
            ..cooldown
        },
        half_open: HalfOpen {
            probes: NonZeroU32::new(probes).map_or_else(Probes::default, Probes::Limited),
            close: CloseRule::Successes(rng.u32(1..=3)),
            probe_timeout: ms(rng, 300, 2_000),
            on_probe_timeout: OnProbeTimeout::Fail,
            ..HalfOpen::default()
        },
        ..Settings::default()
    };
    let every = if nodes > 20 { 1_500 } else { rng.u64(40..400) };
    SharedBreaker {
        key: format!("upstream-{number}").into(),
        share,
        settings: Arc::new(settings),
        probes: probes as usize,
        call_every: every * MS,
        upstream_states: draw_upstream_states(faults_end_at, rng),
        failing_node: (rng.u8(..4) == 0).then(|| rng.usize(..nodes)),
    }
}

/// Draws the states of an upstream: healthy, failing, hanging or flapping, in turn.
fn draw_upstream_states(faults_end_at: u64, rng: &mut Rng) -> Vec<(u64, UpstreamState)> {
    let flapping = rng.u8(..5) == 0;
    let mut upstream_states = Vec::new();
    let mut at = rng.u64(0..(6_000 * MS).min(faults_end_at / 2));
    while at < faults_end_at {
        let upstream_state = match rng.u8(..8) {
            0 | 1 => UpstreamState::Healthy,
            2 => UpstreamState::Failing(0.02),
            3 => UpstreamState::Failing(0.3),
            4 => UpstreamState::Hanging,
            _ => UpstreamState::Failing(1.0),
        };
        upstream_states.push((at, upstream_state));
        at += match flapping {
            true => rng.u64(200 * MS..1_500 * MS),
            false => rng.u64(1_000 * MS..8_000 * MS),
        };
    }
    upstream_states
}

fn draw_faults(nodes: usize, faults_end_at: u64, rng: &mut Rng) -> Vec<PlannedFault> {
    let count = rng.usize(1..=7);
    let mut planned: Vec<PlannedFault> = (0..count)
        .map(|_| draw_fault(nodes, faults_end_at, rng))
        .collect();
    planned.sort_by_key(|planned| planned.at);
    planned
}

fn draw_fault(nodes: usize, faults_end_at: u64, rng: &mut Rng) -> PlannedFault {
    let at = rng.u64(0..faults_end_at * 9 / 10);
    let skew = |rng: &mut Rng| match rng.u8(..4) {
        0 => rng.i64(-5_000..5_000),
        _ => rng.i64(-20..20),
    };
    let some = |rng: &mut Rng| {
        let first = rng.usize(..nodes);
        first..rng.usize(first + 1..=nodes)
    };
    let fault = match rng.u8(..20) {
        0..5 => {
            let one_way = rng.u8(..3);
            Fault::Cut {
                nodes: some(rng),
                up: one_way != 1,
                down: one_way != 2,
                delayed: rng.bool(),
            }
        }
        5..7 => Fault::Slow {
            extra: rng.u64(20 * MS..1_500 * MS),
        },
        7..9 => Fault::Down { silent: rng.bool() },
        9 => Fault::Flush,
        10 => Fault::Poison { kind: rng.u8(..) },
        11..13 => Fault::Failover {
            lag: rng.u64(0..800 * MS),
            skew: skew(rng),
        },
        13..15 => Fault::Split {
            nodes: some(rng),
            skew: skew(rng),
        },
        15..18 => Fault::Pause {
            node: rng.usize(..nodes),
        },
        _ => Fault::Restart {
            node: rng.usize(..nodes),
        },
    };
    let span = match rng.u8(..3) {
        0 => rng.u64(20 * MS..1_000 * MS),
        1 => rng.u64(1_000 * MS..5_000 * MS),
        _ => rng.u64(2_000 * MS..15_000 * MS),
    };
    PlannedFault {
        at,
        until: (at + span).min(faults_end_at),
        fault,
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
