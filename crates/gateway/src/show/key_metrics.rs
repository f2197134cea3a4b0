//! Metrics of keyed breakers: the number of keys, of evictions, and of keys without room.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use crate::live::live_plan::Live;
use crate::show::families::{counters, gauges};

/// Writes the metrics of all upstreams whose breaker has a key.
pub fn encode(live: &Live, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let keyed: Vec<_> = live
        .guarded
        .iter()
        .map(|upstream| &upstream.breakers)
        .filter_map(|breakers| Some((&**breakers.name()?, breakers.keys()?)))
        .collect();
    gauges(
        encoder,
        "fusebox_breaker_keys",
        "Keys that have a breaker of their own",
        keyed
            .iter()
            .map(|(name, (keys, _))| (vec![("upstream", *name)], *keys as u64)),
    )?;
    counters(
        encoder,
        "fusebox_breaker_keys_evicted",
        "Keys that gave way to new ones, by the reason: closed without a failure, or idle",
        keyed.iter().flat_map(|(name, (_, counts))| {
            let by = |reason| vec![("upstream", *name), ("reason", reason)];
            [
                (by("closed"), counts.evicted_spare),
                (by("idle"), counts.evicted_idle),
            ]
        }),
    )?;
    counters(
        encoder,
        "fusebox_breaker_overflow_calls",
        "Calls whose key found no room, by what was done: shared a breaker, or passed unjudged",
        keyed.iter().flat_map(|(name, (_, counts))| {
            let by = |action| vec![("upstream", *name), ("action", action)];
            [
                (by("shared"), counts.overflow_shared),
                (by("passed"), counts.overflow_passed),
            ]
        }),
    )
}
