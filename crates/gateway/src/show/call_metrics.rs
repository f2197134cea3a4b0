//! Metrics of calls: attempts, retries, rungs, bulkheads and endpoints.

use std::fmt;
use std::sync::Arc;

use fusebox_breaker::Timestamp;
use fusebox_call::attempts::RetryResult;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::ground::meter::BreakerMeter;
use crate::live::live_plan::{Live, LiveStep};
use crate::show::families::{Labels, counters, gauge, gauges};
use crate::upstream::bulkhead::{Bulkhead, Full};
use crate::upstream::call_state::{RungKind, RungResult};
use crate::upstream::live_upstream::LiveUpstream;
use prometheus_client::encoding::EncodeMetric as _;

/// Writes the metrics of all upstreams for which something of it is configured.
pub fn encode(live: &Live, now: Timestamp, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let upstreams = || live.guarded.iter();
    let repeating = || upstreams().filter(|it| it.repeats());
    let several = || upstreams().filter(|it| it.repeats() || it.several.is_some());
    let endpoints: Vec<_> = several()
        .flat_map(|upstream| {
            let endpoints = upstream.named_endpoints().into_iter();
            endpoints.map(move |(name, endpoint)| (upstream, name, endpoint))
        })
        .collect();
    counters(
        encoder,
        "fusebox_attempts",
        "Attempts at endpoints, by outcome",
        endpoints.iter().flat_map(|(upstream, name, endpoint)| {
            let sum = |value: fn(&BreakerMeter) -> u64| endpoint.extras.meters.sum(value);
            let outcomes = [
                ("success", sum(|meter| meter.success.get())),
                ("failure", sum(|meter| meter.failure.get())),
                ("ignored", sum(|meter| meter.ignored.get())),
            ];
            outcomes.map(|(outcome, count)| {
                let mut labels = named(upstream);
                labels.push(("endpoint", name));
                labels.push(("outcome", outcome));
                (labels, count)
            })
        }),
    )?;
    counters(
        encoder,
        "fusebox_retries",
        "Calls that could have been retried, by the result",
        repeating().flat_map(|upstream| {
            RetryResult::ALL.map(|result| {
                let mut labels = named(upstream);
                labels.push(("result", result.as_str()));
                (labels, upstream.calls.counts.retries(result))
            })
        }),
    )?;
    let mut metric = gauge(
        encoder,
        "fusebox_retry_budget_ratio",
        "Tokens of the retry budget, as a part of what it can hold",
    )?;
    for upstream in repeating() {
        let ratio = ConstGauge::new(upstream.calls.budget.ratio(now));
        ratio.encode(metric.encode_family(&named(upstream))?)?;
    }
    fallbacks(live, encoder)?;
    bulkheads(live, encoder)?;
    let views: Vec<_> = upstreams()
        .filter_map(|upstream| Some((upstream, upstream.several.as_ref()?.views(now))))
        .collect();
    let each = |value: fn(&fusebox_call::endpoints::EndpointView) -> bool| {
        views.iter().flat_map(move |(upstream, views)| {
            views.iter().map(move |view| {
                let mut labels = named(upstream);
                labels.push(("endpoint", &*view.name));
                (labels, u64::from(value(view)))
            })
        })
    };
    gauges(
        encoder,
        "fusebox_endpoint_up",
        "0 while an endpoint's health checks fail",
        each(|view| view.is_up()),
    )?;
    gauges(
        encoder,
        "fusebox_endpoint_ejected",
        "1 while an endpoint gets no calls because its breaker is open",
        each(|view| view.ejected),
    )
}

/// Writes the metric of ladders: from the start all results of the rungs that a route has, so that an alert need not
/// wait for the first one, and what rungs of before a reload have counted.
fn fallbacks(live: &Live, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let steps = live.routes.iter().flat_map(|route| &route.steps);
    let rungs = steps.filter_map(|step| match step {
        LiveStep::Forward(step) => Some(step),
        LiveStep::Respond(_) | LiveStep::App(_) => None,
    });
    let rungs = rungs.flat_map(|step| {
        let name = step.upstream.name_of_calls();
        step.ladder
            .rungs
            .iter()
            .map(move |rung| (name, rung.kind()))
    });
    let rungs: Vec<_> = rungs.collect();
    counters(
        encoder,
        "fusebox_fallback",
        "Rungs of the ladder that were looked at, by the result",
        live.guarded.iter().flat_map(|upstream| {
            let rungs = &rungs;
            RungKind::ALL.into_iter().flat_map(move |rung| {
                let is_there = rungs.contains(&(upstream.name_of_calls(), rung));
                let counts = RungResult::ALL.map(|result| {
                    let mut labels = named(upstream);
                    labels.push(("rung", rung.as_str()));
                    labels.push(("result", result.as_str()));
                    let count = upstream.calls.counts.rungs(rung, result);
                    let is_possible = is_there && rung.results().contains(&result);
                    (count > 0 || is_possible).then_some((labels, count))
                });
                counts.into_iter().flatten()
            })
        }),
    )
}

/// The label of an upstream's name; for targets of an application it is that of the upstream before them.
fn named(upstream: &LiveUpstream) -> Labels<'_> {
    vec![("upstream", upstream.name_of_calls())]
}

/// Writes the metrics of bulkheads: of upstreams, and of routes that have one of their own or a bound on requests.
fn bulkheads(live: &Live, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut all: Vec<(Labels<'_>, Arc<Bulkhead>)> = Vec::new();
    for upstream in &live.guarded {
        if let Some(bulkhead) = &upstream.calls.bulkhead {
            all.push((named(upstream), bulkhead.places.clone()));
        }
    }
    for route in &live.routes {
        let Some(LiveStep::Forward(step)) = route.steps.first() else {
            continue;
        };
        if let Some(bulkhead) = step.bulkhead.as_ref().filter(|_| step.has_own_bulkhead) {
            let mut labels = named(&step.upstream);
            labels.push(("route", &*route.plan.name));
            all.push((labels, bulkhead.places.clone()));
        }
        if let Some(concurrency) = &step.concurrency {
            all.push((
                vec![("route", &*route.plan.name)],
                concurrency.places.clone(),
            ));
        }
    }
    let each = |value: fn(&Bulkhead) -> usize| {
        let all = all.iter();
        all.map(move |(labels, bulkhead)| (labels.clone(), value(bulkhead) as u64))
    };
    gauges(
        encoder,
        "fusebox_bulkhead_in_flight",
        "Calls that hold a place in the bulkhead",
        each(Bulkhead::in_flight),
    )?;
    gauges(
        encoder,
        "fusebox_bulkhead_queued",
        "Calls that wait for a place in the bulkhead",
        each(Bulkhead::queued),
    )?;
    counters(
        encoder,
        "fusebox_bulkhead_rejected",
        "Calls that got no place in the bulkhead, by reason",
        all.iter().flat_map(|(labels, bulkhead)| {
            Full::ALL.map(|why| {
                let mut labels = labels.clone();
                labels.push(("reason", why.as_str()));
                (labels, bulkhead.rejected(why))
            })
        }),
    )
}
