//! Metrics of keyed breakers: the number of keys, of evictions, and of keys without room.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use crate::live::live_plan::Live;
use crate::show::families::{add, counter, gauge, set};

/// Writes the metrics of all upstreams whose breaker has a key.
pub fn encode(live: &Live, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let keyed: Vec<_> = live
        .guarded
        .iter()
        .map(|upstream| &upstream.breakers)
        .filter_map(|breakers| Some((&**breakers.name()?, breakers.keys()?)))
        .collect();
    let mut metric = gauge(
        encoder,
        "fusebox_breaker_keys",
        "Keys that have a breaker of their own",
    )?;
    for (upstream, (keys, _)) in &keyed {
        set(&mut metric, vec![("upstream", upstream)], *keys as u64)?;
    }
    let mut metric = counter(
        encoder,
        "fusebox_breaker_keys_evicted",
        "Keys that gave way to new ones, by the reason: closed without a failure, or idle",
    )?;
    for (upstream, (_, counts)) in &keyed {
        for (reason, count) in [
            ("closed", counts.evicted_spare),
            ("idle", counts.evicted_idle),
        ] {
            let labels = vec![("upstream", *upstream), ("reason", reason)];
            add(&mut metric, labels, count)?;
        }
    }
    let mut metric = counter(
        encoder,
        "fusebox_breaker_overflow_calls",
        "Calls whose key found no room, by what was done: shared a breaker, or passed unjudged",
    )?;
    for (upstream, (_, counts)) in &keyed {
        for (action, count) in [
            ("shared", counts.overflow_shared),
            ("passed", counts.overflow_passed),
        ] {
            let labels = vec![("upstream", *upstream), ("action", action)];
            add(&mut metric, labels, count)?;
        }
    }
    Ok(())
}
