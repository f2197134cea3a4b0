//! What is to happen in a run, all of it drawn from the seed before it begins.

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

/// A run.
#[derive(Debug)]
pub(super) struct Plot {
    pub nodes: usize,
    pub breakers: Vec<Shared>,
    pub network: Network,
    /// In the order in which they begin.
    pub faults: Vec<Planned>,
    /// From then on nothing goes wrong any more, and every upstream is well.
    pub calm_at: u64,
    /// The end of the run.
    pub ends_at: u64,
}

/// A breaker that all nodes share, with what is behind it.
#[derive(Debug)]
pub(super) struct Shared {
    pub key: Key,
    pub share: Share,
    pub settings: Arc<Settings>,
    pub probes: usize,
    /// The mean time between two calls at one node.
    pub call_every: u64,
    /// How the upstream is from when on.
    pub moods: Vec<(u64, Mood)>,
    /// The node to which it is never well before the calm.
    pub bad_node: Option<usize>,
}

/// How an upstream is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mood {
    Well,
    /// So much of the calls fails.
    Ill(f64),
    /// No call is ever answered.
    Hangs,
}

/// How messages travel.
#[derive(Debug)]
pub(super) struct Network {
    /// How long most messages take at the least.
    pub delay: u64,
    /// How long some take.
    pub longest: u64,
    /// After so long without an answer a node is told of a failure.
    pub timeout: u64,
    /// So much of the commands, and of their answers, is lost.
    pub lost: f64,
    /// So much of the pushes is lost without a word.
    pub lost_pushes: f64,
}

/// A fault with its time.
#[derive(Debug)]
pub(super) struct Planned {
    pub at: u64,
    pub until: u64,
    pub fault: Fault,
}

/// What goes wrong.
#[derive(Debug)]
pub(super) enum Fault {
    /// These nodes do not reach the store, or do not hear it, or both.
    Cut {
        nodes: Range<usize>,
        up: bool,
        down: bool,
        /// What was sent meanwhile arrives when it is over.
        kept: bool,
    },
    /// Every message takes so much longer.
    Slow { extra: u64 },
    /// The store refuses, or says nothing.
    Down { silent: bool },
    /// The store forgets everything.
    Flush,
    /// Somebody else writes this in the place of all records.
    Poison { kind: u8 },
    /// The store goes away, and comes back as its copy, which lags behind and has a clock of its own.
    Failover { lag: u64, skew: i64 },
    /// The store splits in two: these nodes stay with the half that will be lost.
    Split { nodes: Range<usize>, skew: i64 },
    /// A node is stopped, and goes on.
    Pause { node: usize },
    /// A node ends and begins anew.
    Restart { node: usize },
}

impl Plot {
    /// A run with everything that can go wrong.
    pub fn of(nodes: usize, span: Duration, rng: &mut Rng) -> Plot {
        let stormy = nanos(span);
        let calm_at = stormy;
        let many = nodes > 20;
        let breakers = (0..rng.usize(1..=if many { 1 } else { 3 }))
            .map(|number| shared(number, nodes, calm_at, rng))
            .collect::<Vec<_>>();
        let faults = if rng.u8(..8) == 0 {
            Vec::new()
        } else {
            faults(nodes, calm_at, rng)
        };
        let wait = breakers.iter().map(Shared::longest_recovery).max();
        Plot {
            nodes,
            ends_at: calm_at + wait.unwrap_or(0),
            breakers,
            network: network(rng),
            faults,
            calm_at,
        }
    }

    /// A run in which nothing goes wrong, with so many calls in a second at each node.
    pub fn calm(nodes: usize, calls: u64, span: Duration, rng: &mut Rng) -> Plot {
        let mut plot = Plot::of(nodes, span, rng);
        plot.faults.clear();
        plot.network.lost = 0.0;
        plot.network.lost_pushes = 0.0;
        for breaker in &mut plot.breakers {
            breaker.moods.clear();
            breaker.bad_node = None;
            breaker.call_every = 1_000 * MS / calls;
        }
        plot.calm_at = 0;
        plot.ends_at = nanos(span);
        plot
    }
}

impl Plot {
    /// Whether the store splits in two at some time.
    pub fn splits(&self) -> bool {
        let splits = |planned: &Planned| matches!(planned.fault, Fault::Split { .. });
        self.faults.iter().any(splits)
    }

    /// The most that the clock of one store differs from another's.
    pub fn largest_skew(&self) -> u64 {
        let skews = self.faults.iter().map(|planned| match planned.fault {
            Fault::Failover { skew, .. } | Fault::Split { skew, .. } => skew.unsigned_abs() * MS,
            _ => 0,
        });
        // One store after the other: each may differ from the one before.
        skews.sum()
    }
}

impl Shared {
    /// What is counted over the fleet.
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

    /// How the upstream is to a node.
    pub fn mood(&self, node: usize, now: u64, calm_at: u64) -> Mood {
        if now >= calm_at {
            return Mood::Well;
        }
        if self.bad_node == Some(node) {
            return Mood::Ill(1.0);
        }
        let begun = self.moods.iter().rev().find(|(from, _)| *from <= now);
        begun.map_or(Mood::Well, |(_, mood)| *mood)
    }

    /// After everything is well, how long until the last breaker has closed: a cooldown and some more for who was alone,
    /// leases of nodes that have gone or whose callers are few, a failed probe of before, and slow callers.
    fn longest_recovery(&self) -> u64 {
        let cooldown = self.settings.cooldown.base.mul_f64(1.5);
        let lease = self.settings.half_open.probe_timeout + LEASE_MARGIN;
        nanos(2 * cooldown + 3 * lease + Duration::from_secs(3)) + 10 * self.call_every
    }
}

fn network(rng: &mut Rng) -> Network {
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

fn shared(number: usize, nodes: usize, calm_at: u64, rng: &mut Rng) -> Shared {
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
    Shared {
        key: format!("upstream-{number}").into(),
        share,
        settings: Arc::new(settings),
        probes: probes as usize,
        call_every: every * MS,
        moods: moods(calm_at, rng),
        bad_node: (rng.u8(..4) == 0).then(|| rng.usize(..nodes)),
    }
}

/// Healthy, failing, hanging, flapping, in turns.
fn moods(calm_at: u64, rng: &mut Rng) -> Vec<(u64, Mood)> {
    let flapping = rng.u8(..5) == 0;
    let mut moods = Vec::new();
    let mut at = rng.u64(0..(6_000 * MS).min(calm_at / 2));
    while at < calm_at {
        let mood = match rng.u8(..8) {
            0 | 1 => Mood::Well,
            2 => Mood::Ill(0.02),
            3 => Mood::Ill(0.3),
            4 => Mood::Hangs,
            _ => Mood::Ill(1.0),
        };
        moods.push((at, mood));
        at += match flapping {
            true => rng.u64(200 * MS..1_500 * MS),
            false => rng.u64(1_000 * MS..8_000 * MS),
        };
    }
    moods
}

fn faults(nodes: usize, calm_at: u64, rng: &mut Rng) -> Vec<Planned> {
    let count = rng.usize(1..=7);
    let mut planned: Vec<Planned> = (0..count).map(|_| planned(nodes, calm_at, rng)).collect();
    planned.sort_by_key(|planned| planned.at);
    planned
}

fn planned(nodes: usize, calm_at: u64, rng: &mut Rng) -> Planned {
    let at = rng.u64(0..calm_at * 9 / 10);
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
                kept: rng.bool(),
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
    Planned {
        at,
        until: (at + span).min(calm_at),
        fault,
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
