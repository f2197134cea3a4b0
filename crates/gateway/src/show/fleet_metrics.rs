//! Metrics of a gateway's fleet and of the store that it shares.

use std::fmt;

use fusebox_fleet::Health;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::host::gateway::Gateway;
use crate::show::families::{self, counter, gauge};

/// Writes the metrics of the fleet; none without a fleet.
pub fn encode(gateway: &Gateway, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let Some(membership) = &gateway.0.membership else {
        return Ok(());
    };
    let status = membership.fleet.status();
    let counters = status.counters;
    for (name, help, value) in [
        (
            "fusebox_store_up",
            "1 while the fleet's store answers",
            u64::from(status.health == Health::Reachable),
        ),
        (
            "fusebox_fleet_breakers",
            "Breakers shared with the fleet",
            status.breakers as u64,
        ),
    ] {
        ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
            .encode(gauge(encoder, name, help)?)?;
    }
    let staleness = status.staleness(gateway.clock().exact()).as_secs_f64();
    ConstGauge::new(staleness).encode(gauge(
        encoder,
        "fusebox_store_staleness_seconds",
        "How long ago the fleet's store last answered",
    )?)?;
    let kinds = [
        ("trip", counters.trips),
        ("batch", counters.batches),
        ("lease", counters.leases),
        ("result", counters.results),
        ("word", counters.words),
        ("assert", counters.asserts),
    ];
    families::counters(
        encoder,
        "fusebox_fleet_commands",
        "Commands sent to the fleet's store, by kind; a trip is also a vote",
        kinds.map(|(kind, count)| (vec![("kind", kind)], count)),
    )?;
    for (name, help, value) in [
        (
            "fusebox_fleet_reads",
            "Reads of the fleet's records",
            counters.reads,
        ),
        (
            "fusebox_fleet_pushes",
            "Records pushed by the fleet's store",
            counters.pushes,
        ),
        (
            "fusebox_fleet_gaps",
            "Times when pushes may have been missed",
            counters.gaps,
        ),
        (
            "fusebox_fleet_failures",
            "Commands and reads that the fleet's store failed",
            counters.failures,
        ),
        (
            "fusebox_fleet_dropped",
            "Commands that waited too long and were never sent",
            counters.dropped,
        ),
        (
            "fusebox_fleet_outrun",
            "Commands that changed nothing, because the record had moved on",
            counters.outrun,
        ),
        (
            "fusebox_fleet_adopted",
            "Openings and closings taken over from the fleet",
            counters.adopted,
        ),
        (
            "fusebox_fleet_unreadable",
            "Records of the fleet that could not be read",
            counters.unreadable,
        ),
        (
            "fusebox_store_outages",
            "Times when the fleet's store went away",
            counters.outages,
        ),
    ] {
        ConstCounter::new(value).encode(counter(encoder, name, help)?)?;
    }
    Ok(())
}
