//! Metrics of the process: connections, requests without a route, records, reloads, the log.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;

use fusebox_plan::CertificateFacts;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::host::gateway::Gateway;
use crate::show::families::{counter, counters, gauge, gauges};

/// Writes the metrics that belong to no route, upstream or breaker.
pub fn encode(gateway: &Gateway, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let inner = &gateway.0;
    let meters = &inner.shared.meters;
    let begun = meters.sum(|meter| meter.requests.get());
    let ended = meters.sum(|meter| meter.requests_ended.get());
    let opened = meters.sum(|meter| meter.connections.get());
    let closed = meters.sum(|meter| meter.connections_ended.get());
    let (written, errors) = inner.announcer.changed.counts();
    for (name, help, value) in [
        (
            "http_server_active_requests",
            "Requests being served",
            begun.saturating_sub(ended),
        ),
        (
            "fusebox_connections",
            "Client connections open",
            opened.saturating_sub(closed),
        ),
        (
            "fusebox_draining",
            "1 while the gateway stops",
            u64::from(gateway.is_draining()),
        ),
        (
            "fusebox_config_last_reload_success_timestamp_seconds",
            "When the plan that runs was taken",
            inner.last_reload.load(Ordering::Relaxed) / 1000,
        ),
    ] {
        ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
            .encode(gauge(encoder, name, help)?)?;
    }
    for (name, help, value) in [
        ("fusebox_requests", "Requests begun", begun),
        (
            "fusebox_requests_refused",
            "Requests refused before a route was looked for",
            meters.sum(|meter| meter.requests_refused.get()),
        ),
        (
            "fusebox_requests_unrouted",
            "Requests without a route, or not with their method",
            meters.sum(|meter| meter.requests_unrouted.get()),
        ),
        (
            "fusebox_connections_accepted",
            "Client connections accepted",
            opened,
        ),
        (
            "fusebox_connections_refused",
            "Client connections refused because too many were open",
            meters.sum(|meter| meter.connections_refused.get()),
        ),
        (
            "fusebox_connections_cut",
            "HTTP/2 connections ended for what their clients sent",
            meters.sum(|meter| meter.connections_cut.get()),
        ),
        (
            "fusebox_streams_reset",
            "HTTP/2 streams reset: malformed, over a limit, stalled, cut, or with an unread body",
            meters.sum(|meter| meter.streams_reset.get()),
        ),
        (
            "fusebox_interim_answers_dropped",
            "Interim answers that could not be passed on to HTTP/2 clients",
            meters.sum(|meter| meter.interim_dropped.get()),
        ),
        (
            "fusebox_store_records_written",
            "Breaker records written to the store",
            written,
        ),
        (
            "fusebox_store_errors",
            "Breaker records that the store refused; they are tried again",
            errors,
        ),
        (
            "fusebox_log_lines_dropped",
            "Lines of the log and the access log lost because they were not taken in time",
            inner.log_lines_dropped.load(Ordering::Relaxed),
        ),
    ] {
        ConstCounter::new(value).encode(counter(encoder, name, help)?)?;
    }
    let by = |result| vec![("result", result)];
    counters(
        encoder,
        "fusebox_config_reload",
        "Reloads, by result",
        [
            (by("success"), inner.reloads.load(Ordering::Relaxed)),
            (by("failure"), inner.reload_failures.load(Ordering::Relaxed)),
        ],
    )?;
    certificates(gateway, encoder)?;
    gauges(
        encoder,
        "fusebox_build_info",
        "1, with the program's version",
        [(vec![("version", env!("CARGO_PKG_VERSION"))], 1)],
    )
}

/// The ends of the certificates in use, and the renewals of their files; nothing where there is no certificate.
fn certificates(gateway: &Gateway, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let inner = &gateway.0;
    let live = inner.shared.live.load();
    let mut ends: BTreeMap<String, i64> = BTreeMap::new();
    let mut add = |facts: &CertificateFacts| {
        let end = ends.entry(facts.name.clone()).or_insert(facts.not_after);
        *end = facts.not_after.min(*end);
    };
    for tls in live.listeners.values().filter_map(|it| it.tls.as_ref()) {
        tls.current().certificates.iter().for_each(&mut add);
    }
    for own in live.upstreams.iter().filter_map(|it| it.own_tls.as_ref()) {
        own.current().identity.iter().for_each(&mut add);
    }
    if !ends.is_empty() {
        let help = "When a certificate of ours ends, in seconds since 1970, by its first DNS name";
        let mut metric = gauge(encoder, "fusebox_tls_not_after_seconds", help)?;
        for (name, end) in &ends {
            let labels = vec![("name", name.as_str())];
            ConstGauge::new(*end).encode(metric.encode_family(&labels)?)?;
        }
    }
    let renewals = &inner.renewals;
    let counts = [
        ("success", renewals.done.load(Ordering::Relaxed)),
        ("failure", renewals.failed.load(Ordering::Relaxed)),
    ];
    if ends.is_empty() && counts.iter().all(|(_, count)| *count == 0) {
        return Ok(());
    }
    counters(
        encoder,
        "fusebox_tls_renewals",
        "Changes of certificate files that were found by watching them, by result",
        counts.map(|(result, count)| (vec![("result", result)], count)),
    )
}
