//! The gateway's metrics, in the formats of Prometheus and OpenMetrics.
//!
//! Nothing is summed before a scrape. Labels are bounded: a route's name, an upstream's, a method of a short list, a
//! status, and at most [`KEYS_LABELLED_MAX`] breakers of an upstream; the rest of those is `other`.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use fusebox_breaker::Phase;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use crate::app::Circuit;
use crate::ground::histogram::HistogramSum;
use crate::ground::measures::MEASURES;
use crate::ground::meter::{BreakerMeter, PerWorker, REASONS, RequestMeter};
use crate::host::announcer::TransitionKey;
use crate::host::gateway::Gateway;
use crate::show::families::{Labels, counters, gauge, gauges, histogram, observe};
use crate::show::{call_metrics, fleet_metrics, key_metrics, process_metrics};
use crate::upstream::breakers::BreakerKind;
use crate::upstream::live_upstream::LiveUpstream;
use crate::upstream::upstream_errors::ErrorKind;

/// The most breakers of one upstream with labels of their own.
pub const KEYS_LABELLED_MAX: usize = 1_000;

/// Scrapes are written one after the other, on one thread.
static SCRAPES: Semaphore = Semaphore::const_new(1);

/// The most circuits of flows with labels of their own.
const CIRCUITS_MAX: usize = 1_000;

const PHASES: [Phase; 3] = [Phase::Closed, Phase::Open, Phase::HalfOpen];

/// The format of the metrics' text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' text format, version 0.0.4.
    Prometheus,
    /// OpenMetrics, version 1.0.
    OpenMetrics,
}

impl Exposition {
    /// The media type of the format.
    pub fn media_type(self) -> &'static str {
        match self {
            Exposition::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Gateway {
    /// All metrics as text.
    ///
    /// Many breakers take a while, so the text is written on a thread of its own, one at a time. Circuits whose object
    /// store does not answer are left out.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub async fn metrics(&self, form: Exposition) -> io::Result<String> {
        let circuits = self.circuits().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the circuits of flows are not in the metrics");
            Vec::new()
        });
        let _one_at_a_time = SCRAPES.acquire().await;
        let scrape = Scrape(self.clone(), circuits);
        let text = tokio::task::spawn_blocking(move || {
            let mut registry = Registry::default();
            registry.register_collector(Box::new(scrape));
            let mut text = String::with_capacity(16 * 1024);
            let encoded = prometheus_client::encoding::text::encode(&mut text, &registry);
            encoded.expect("a String takes any text");
            match form {
                Exposition::OpenMetrics => text,
                Exposition::Prometheus => to_prometheus(&text),
            }
        });
        Ok(text.await?)
    }
}

/// Prometheus' own format differs in three ways: a counter is described under its full name, and
/// there is neither a unit nor an end.
fn to_prometheus(text: &str) -> String {
    let counters: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        let described = line
            .strip_prefix("# HELP ")
            .or_else(|| line.strip_prefix("# TYPE "));
        match described.and_then(|rest| rest.split_once(' ')) {
            Some((name, rest)) if counters.contains(&name) => {
                out.push_str(&line[..7]);
                out.push_str(name);
                out.push_str("_total ");
                out.push_str(rest);
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

#[derive(Debug)]
struct Scrape(Gateway, Vec<Circuit>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.shown();
        self.breakers(&all, &mut encoder)?;
        let live = self.0.0.shared.live.load();
        key_metrics::encode(&live, &mut encoder)?;
        call_metrics::encode(&live, self.0.clock().exact(), &mut encoder)?;
        self.transitions(&all, &mut encoder)?;
        self.requests(&mut encoder)?;
        fleet_metrics::encode(&self.0, &mut encoder)?;
        process_metrics::encode(&self.0, &mut encoder)
    }
}

/// The values of one breaker, or the sums of all breakers without a label of their own.
#[derive(Default)]
struct BreakerTotals {
    phases: [u64; 3],
    outcomes: [u64; 4],
    rejected: [u64; 3],
    rejected_for: [u64; REASONS.len()],
    measures: [Option<f64>; MEASURES.len()],
    would_reject: u64,
    expression_errors: u64,
    late_truncations: u64,
    held: u64,
    retry_at: Option<u64>,
}

impl Scrape {
    fn shown(&self) -> BTreeMap<String, BreakerTotals> {
        let live = self.0.0.shared.live.load();
        let now = self.0.clock().exact();
        let mut all: BTreeMap<String, BreakerTotals> = BTreeMap::new();
        let mut labelled: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for (upstream, live_breaker) in live.breakers() {
            let snapshot = live_breaker.breaker.snapshot(now);
            let of_its_own = labelled.entry(upstream.clone()).or_default();
            // Clients make up keys, but not endpoints.
            let is_endpoint = live_breaker.extras.kind == BreakerKind::Endpoint;
            *of_its_own += usize::from(!is_endpoint);
            let name = if is_endpoint || *of_its_own <= KEYS_LABELLED_MAX {
                live_breaker.breaker.name().to_string()
            } else {
                format!("{upstream}/other")
            };
            let shown = all.entry(name).or_default();
            let sum = |value: fn(&BreakerMeter) -> u64| live_breaker.extras.meters.sum(value);
            for (at, phase) in PHASES.iter().enumerate() {
                shown.phases[at] += u64::from(snapshot.phase == *phase);
                shown.rejected[at] += live_breaker
                    .extras
                    .meters
                    .sum(|meter| meter.rejected(*phase).get());
            }
            for (at, count) in shown.rejected_for.iter_mut().enumerate() {
                *count += live_breaker
                    .extras
                    .meters
                    .sum(|meter| meter.rejected_for(at));
            }
            for (shown, measure) in shown.measures.iter_mut().zip(&MEASURES) {
                if let Some(value) = (measure.of)(&snapshot) {
                    *shown = Some(shown.map_or(value, |shown| (measure.both)(shown, value)));
                }
            }
            shown.outcomes[0] += sum(|meter| meter.success.get());
            shown.outcomes[1] += sum(|meter| meter.failure.get());
            shown.outcomes[2] += sum(|meter| meter.ignored.get());
            shown.outcomes[3] += snapshot.totals.late + sum(|meter| meter.late.get());
            shown.would_reject += sum(|meter| meter.would_reject.get());
            shown.expression_errors += sum(|meter| meter.expression_errors.get());
            shown.late_truncations += sum(|meter| meter.late_truncations.get());
            shown.held += u64::from(snapshot.hold.is_some());
            if let Some(at) = snapshot.retry_at {
                shown.retry_at = Some(self.0.clock().wall().millis_by(at).div_ceil(1000));
            }
        }
        all
    }

    fn breakers(
        &self,
        all: &BTreeMap<String, BreakerTotals>,
        encoder: &mut DescriptorEncoder<'_>,
    ) -> fmt::Result {
        let each = |value: fn(&BreakerTotals) -> Option<u64>| {
            all.iter().filter_map(move |(name, shown)| {
                Some((vec![("breaker", name.as_str())], value(shown)?))
            })
        };
        let by = |label, values: fn(&BreakerTotals) -> Vec<(&'static str, u64)>| {
            all.iter().flat_map(move |(name, shown)| {
                let of =
                    move |(value, count)| (vec![("breaker", name.as_str()), (label, value)], count);
                values(shown).into_iter().map(of)
            })
        };
        let circuits = self.1.iter().take(CIRCUITS_MAX).flat_map(|circuit| {
            PHASES.map(|phase| {
                let labels = vec![("breaker", &*circuit.name), ("state", phase.as_str())];
                (labels, u64::from(phase == circuit.state))
            })
        });
        gauges(
            encoder,
            "fusebox_breaker_state",
            "1 for the state the breaker is in, 0 for the others",
            by("state", |shown| by_phase(shown.phases)).chain(circuits),
        )?;
        gauges(
            encoder,
            "fusebox_breaker_held",
            "1 while an operator holds the breaker",
            each(|shown| Some(shown.held)),
        )?;
        gauges(
            encoder,
            "fusebox_breaker_next_probe_timestamp_seconds",
            "When the breaker may next let a call through, where it refuses now",
            each(|shown| shown.retry_at),
        )?;
        counters(
            encoder,
            "fusebox_breaker_calls",
            "Calls that ended, by outcome",
            by("outcome", |shown| {
                let outcomes = ["success", "failure", "ignored", "late"];
                outcomes.into_iter().zip(shown.outcomes).collect()
            }),
        )?;
        counters(
            encoder,
            "fusebox_breaker_rejected",
            "Calls refused, by the breaker's state",
            by("state", |shown| by_phase(shown.rejected)),
        )?;
        counters(
            encoder,
            "fusebox_breaker_rejected_reason",
            "Calls refused, by the reason",
            by("reason", |shown| {
                let reasons = REASONS.map(|reason| reason.as_str());
                reasons.into_iter().zip(shown.rejected_for).collect()
            }),
        )?;
        for (at, measure) in MEASURES.iter().enumerate() {
            let mut metric = gauge(encoder, measure.name, measure.help)?;
            for (name, shown) in all {
                if let Some(value) = shown.measures[at] {
                    let labels: Labels<'_> = vec![("breaker", name)];
                    ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
                }
            }
        }
        counters(
            encoder,
            "fusebox_breaker_would_reject",
            "Calls that monitor mode let pass",
            each(|shown| Some(shown.would_reject)),
        )?;
        counters(
            encoder,
            "fusebox_breaker_expression_errors",
            "Failure expressions that could not be evaluated; the default rule decided",
            each(|shown| Some(shown.expression_errors)),
        )?;
        counters(
            encoder,
            "fusebox_breaker_late_truncations",
            "Bodies that broke after their call had settled as a success",
            each(|shown| Some(shown.late_truncations)),
        )
    }

    /// Transitions under the labels of their breakers; those of breakers without one, or that are gone, under the label
    /// of their upstream's rest.
    fn transitions(
        &self,
        all: &BTreeMap<String, BreakerTotals>,
        encoder: &mut DescriptorEncoder<'_>,
    ) -> fmt::Result {
        let mut sums: BTreeMap<TransitionKey, u64> = BTreeMap::new();
        let live = self.0.0.shared.live.load();
        for (mut key, count) in self.0.0.announcer.counts() {
            if !all.contains_key(&*key.breaker) {
                let mut breakers = live.guarded.iter().map(|upstream| &upstream.breakers);
                let of = breakers.find(|breakers| breakers.names(&key.breaker));
                let of = of.and_then(|breakers| Some(&**breakers.name()?));
                let first = || Some(key.breaker.split_once('/')?.0);
                if let Some(upstream) = of.or_else(first) {
                    key.breaker = format!("{upstream}/other").into();
                }
            }
            *sums.entry(key).or_default() += count;
        }
        counters(
            encoder,
            "fusebox_breaker_transitions",
            "Transitions, holds and resets, by the states before and after and the reason",
            sums.iter().map(|(key, count)| {
                let labels = vec![
                    ("breaker", &*key.breaker),
                    ("from", key.from),
                    ("to", key.to),
                    ("reason", key.reason),
                ];
                (labels, *count)
            }),
        )
    }

    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let live = self.0.0.shared.live.load();
        let mut metric = histogram(
            encoder,
            "http_server_request_duration",
            "From a request's head to the end of its answer",
        )?;
        for route in &live.routes {
            for ((method, status), sum) in summed(&route.facts.meter) {
                let labels = vec![
                    ("http_route", &*route.plan.name),
                    ("http_request_method", method),
                    ("http_response_status_code", &*status),
                ];
                observe(&mut metric, labels, &sum)?;
            }
        }
        let mut metric = histogram(
            encoder,
            "http_client_request_duration",
            "From a request fully sent to an upstream to the head of its response",
        )?;
        for upstream in &live.upstreams {
            for ((_, status), sum) in summed(&upstream.meter) {
                let labels = vec![
                    ("upstream", &*upstream.plan.name),
                    ("http_response_status_code", &*status),
                ];
                observe(&mut metric, labels, &sum)?;
            }
        }
        counters(
            encoder,
            "fusebox_upstream_errors",
            "Errors between the gateway and an upstream, by kind",
            live.upstreams.iter().flat_map(|upstream| {
                let errors = &upstream.errors;
                let of = |kind: ErrorKind| {
                    vec![("upstream", &**errors.upstream()), ("kind", kind.as_str())]
                };
                ErrorKind::ALL.map(|kind| (of(kind), errors.count(kind)))
            }),
        )?;
        let (own, targets) = live.upstreams.split_at(live.plan.upstreams.len());
        let mut idle: BTreeMap<String, u64> = BTreeMap::new();
        for (at, target) in targets.iter().enumerate() {
            let mut before = targets[..at].iter();
            if !before.any(|it| Arc::ptr_eq(it.pools(), target.pools())) {
                let count = target.idle_connections() as u64;
                *idle.entry(target.plan.endpoint().url()).or_default() += count;
            }
        }
        let idle = idle
            .iter()
            .map(|(url, count)| (vec![("upstream", url.as_str())], *count));
        let own_idle = own
            .iter()
            .map(|it| (named(it), it.idle_connections() as u64));
        gauges(
            encoder,
            "fusebox_upstream_idle_connections",
            "Connections to the upstream that wait for a request",
            own_idle.chain(idle),
        )?;
        counters(
            encoder,
            "fusebox_upstream_unasked",
            "Connections closed for bytes that the upstream sent unasked",
            own.iter().map(|it| (named(it), it.unasked())),
        )
    }
}

fn named(upstream: &LiveUpstream) -> Labels<'_> {
    vec![("upstream", &*upstream.plan.name)]
}

fn by_phase(counts: [u64; 3]) -> Vec<(&'static str, u64)> {
    let phases = PHASES.map(|phase| phase.as_str());
    phases.into_iter().zip(counts).collect()
}

fn summed(meters: &PerWorker<RequestMeter>) -> BTreeMap<(&'static str, String), HistogramSum> {
    let mut sums: BTreeMap<_, HistogramSum> = BTreeMap::new();
    for meter in meters.iter() {
        meter.each(|method, status, histogram| {
            histogram.add_to(sums.entry((method, status.to_string())).or_default());
        });
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_describes_counters_under_their_full_name() {
        let open = "# HELP a b.\n# TYPE a counter\na_total 1\n# HELP c d.\n# TYPE c gauge\n# UNIT c seconds\nc 2\n# EOF\n";
        let text = "# HELP a_total b.\n# TYPE a_total counter\na_total 1\n# HELP c d.\n# TYPE c gauge\nc 2\n";
        assert_eq!(to_prometheus(open), text);
    }
}
