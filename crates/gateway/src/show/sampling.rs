//! Samples all breakers once a second, and says how their rates have changed since.
//!
//! It reads counters that calls write anyway, so that a request pays nothing. It makes no breaker, and none counts as used
//! because of it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::Timestamp;

use crate::ground::histogram::StepSums;
use crate::ground::meter::{BreakerMeter, PerWorker};
use crate::ground::series::{Around, RATE_SECONDS, Rates, Series, Totals};
use crate::host::gateway::Gateway;
use crate::live::live_plan::Live;
use crate::show::pages::Listed;
use crate::upstream::breakers::{BreakerExtras, UpstreamBreakers};
use crate::upstream::call_state::{RungKind, RungResult};
use crate::upstream::live_upstream::LiveUpstream;

/// Number of breakers to sample before other tasks of the thread get their turn.
const AT_A_TIME: usize = 1_000;

/// The most breakers of keys and endpoints whose times are kept at once, so that a million busy keys cost no memory.
const TIMED_MAX: usize = 4_096;

/// Samples the breakers of a gateway; there is one for each.
#[derive(Debug)]
pub struct Sampler {
    gateway: Gateway,
    /// The numbers and times of the last samples, the oldest first.
    times: VecDeque<(u64, Timestamp)>,
    /// The number of the next sample.
    next: u64,
    /// The counts of upstreams as a whole, by the name of the breaker before each.
    wholes: HashMap<Arc<str>, VecDeque<(u64, Whole)>>,
    /// The times to answers of breakers that have times of their own, by name, at the last samples.
    timed: HashMap<Arc<str>, VecDeque<(u64, StepSums)>>,
    /// The breakers with calls in the last 10 s, by name.
    busy: HashMap<Arc<str>, Arc<BreakerExtras>>,
    /// The breakers that had such calls in the sample before and have none any more.
    calmed: HashMap<Arc<str>, Arc<BreakerExtras>>,
}

/// The counts of an upstream as a whole.
#[derive(Debug, Clone, Default)]
struct Whole {
    fallbacks: u64,
    times: StepSums,
}

/// A breaker's numbers in one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerPulse {
    /// The breaker's name.
    pub name: Arc<str>,
    /// The rates over the last 10 s.
    pub rates: Rates,
    /// Calls of the last second that ended well, failed and were refused.
    pub second: [u32; 3],
}

impl Sampler {
    /// A sampler that has not read anything yet.
    pub fn new(gateway: Gateway) -> Sampler {
        Sampler {
            gateway,
            times: VecDeque::new(),
            next: 0,
            wholes: HashMap::new(),
            timed: HashMap::new(),
            busy: HashMap::new(),
            calmed: HashMap::new(),
        }
    }

    /// Reads all counters, as those of the last second. It is to be called once a second, or, while there are no calls,
    /// after that number of seconds; the ones in between were without calls then.
    pub async fn sample(&mut self, seconds: u64) {
        let sample = self.next + seconds.saturating_sub(1);
        self.next = sample + 1;
        let live = self.gateway.0.shared.live.load_full();
        let before = std::mem::take(&mut self.busy);
        let mut looked_at = 0_usize;
        for (name, extras) in metered(&live) {
            looked_at += 1;
            if looked_at.is_multiple_of(AT_A_TIME) {
                tokio::task::yield_now().await;
            }
            if extras.sampled.note(sample, totals(&extras)) {
                self.busy.insert(name, extras);
            }
        }
        self.calmed = before;
        self.calmed.retain(|name, _| !self.busy.contains_key(name));
        self.sample_wholes(&live, sample);
        self.sample_times(sample);
        self.advance(sample);
    }

    /// True if no breaker has had a call in the last 10 s.
    pub fn is_calm(&self) -> bool {
        self.busy.is_empty() && self.calmed.is_empty()
    }

    /// The breakers with calls in the last 10 s, and those whose numbers have just become zero.
    pub fn pulse(&self) -> Vec<BreakerPulse> {
        let (sample, span) = self.gateway.0.sampling.now();
        let all = self.busy.iter().chain(&self.calmed);
        let pulses = all.map(|(name, extras)| BreakerPulse {
            name: name.clone(),
            rates: extras.sampled.rates(sample, span),
            second: extras.sampled.second(sample),
        });
        pulses.collect()
    }

    /// Notes the time of a sample, and how far rates look back from it.
    fn advance(&mut self, sample: u64) {
        let now = self.gateway.clock().exact();
        self.times.push_back((sample, now));
        forget(&mut self.times, sample);
        let first = self.times.front();
        let span = first.map(|(_, first)| now.saturating_since(*first));
        // The first sample has no time to divide by.
        let span = span
            .filter(|_| sample > 0)
            .unwrap_or(Duration::from_secs(1));
        self.gateway.0.sampling.advance(sample, span);
    }

    /// Reads what upstreams as a whole count, of those whose one breaker has had calls of late.
    fn sample_wholes(&mut self, live: &Live, sample: u64) {
        let mut wholes: HashMap<Arc<str>, (Arc<BreakerExtras>, Whole)> = HashMap::new();
        for upstream in &live.upstreams {
            let UpstreamBreakers::One(live_breaker) = &*upstream.breakers else {
                continue;
            };
            let name = live_breaker.breaker.name();
            if self.busy.contains_key(name) || self.calmed.contains_key(name) {
                // Behind a guard there are several, which share the counts of its ladder.
                let (_, whole) = wholes.entry(name.clone()).or_insert_with(|| {
                    let fallbacks = fallbacks(upstream);
                    let times = StepSums::default();
                    (live_breaker.extras.clone(), Whole { fallbacks, times })
                });
                for meter in upstream.meter.iter() {
                    meter.each(|_, _, histogram| histogram.add_steps(&mut whole.times));
                }
            }
        }
        for (name, (extras, whole)) in wholes {
            let none = || VecDeque::from([(sample, Whole::default())]);
            let kept = self.wholes.entry(name).or_insert_with(none);
            kept.push_back((sample, whole));
            forget(kept, sample);
            if let (Some((_, oldest)), Some((_, newest))) = (kept.front(), kept.back()) {
                extras.sampled.set_around(newest.since(oldest));
            }
        }
        if self.wholes.len() > 2 * live.upstreams.len() {
            self.wholes.retain(|name, _| live.guarded(name).is_some());
        }
    }

    /// Reads the times of the breakers that have times of their own and calls of late.
    fn sample_times(&mut self, sample: u64) {
        self.timed.retain(|name, _| self.busy.contains_key(name));
        for extras in self.calmed.values() {
            if let Some(times) = &extras.times {
                times.rest();
                extras.sampled.set_around(Around::default());
            }
        }
        for (name, extras) in &self.busy {
            let Some(times) = &extras.times else { continue };
            let is_kept = self.timed.contains_key(name) || self.timed.len() < TIMED_MAX;
            if !is_kept {
                continue;
            }
            let kept = self.timed.entry(name.clone());
            let kept = kept.or_insert_with(|| VecDeque::from([(sample, times.read_rested())]));
            kept.push_back((sample, times.read()));
            forget(kept, sample);
            if let (Some((_, oldest)), Some((_, newest))) = (kept.front(), kept.back()) {
                extras.sampled.set_around(Around {
                    fallbacks: 0,
                    quantiles: newest.since(oldest).quantiles(),
                });
            }
        }
    }
}

/// Drops the samples from before the span of the rates.
fn forget<T>(kept: &mut VecDeque<(u64, T)>, sample: u64) {
    while kept.len() > 2 && kept[1].0 + RATE_SECONDS <= sample {
        kept.pop_front();
    }
}

impl Whole {
    fn since(&self, earlier: &Whole) -> Around {
        let times = self.times.since(&earlier.times);
        Around {
            fallbacks: self.fallbacks.saturating_sub(earlier.fallbacks),
            quantiles: times.quantiles(),
        }
    }
}

impl Gateway {
    /// The last minute of a breaker, as far as a [`Sampler`] has read it; `None`: there was no call.
    pub fn series(&self, listed: &Listed) -> Option<Series> {
        let (sample, span) = self.0.sampling.now();
        listed.extras().sampled.series(sample, span)
    }
}

/// The breakers that have counters, by name.
fn metered(live: &Live) -> Vec<(Arc<str>, Arc<BreakerExtras>)> {
    let upstreams = live.guarded.iter();
    let mut all: Vec<_> = upstreams.flat_map(|it| it.breakers.metered()).collect();
    let own = live.own_breakers().into_iter();
    all.extend(own.map(|(_, it)| (it.breaker.name().clone(), it.extras)));
    all
}

fn totals(extras: &BreakerExtras) -> Totals {
    let mut totals = Totals::default();
    let meters: &PerWorker<BreakerMeter> = &extras.meters;
    for meter in meters.iter() {
        totals.ok += meter.success.get();
        totals.failed += meter.failure.get();
        totals.refused += meter.rejected_total();
        totals.ignored += meter.ignored.get();
        totals.fallbacks += meter.fallbacks.get();
    }
    totals
}

/// The answers that an upstream's ladder has given.
fn fallbacks(upstream: &LiveUpstream) -> u64 {
    let served = |rung| upstream.calls.counts.rungs(rung, RungResult::Served);
    RungKind::ALL.into_iter().map(served).sum()
}
