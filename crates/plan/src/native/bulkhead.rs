//! Reads `bulkhead:`, the bound on calls in flight.

use std::time::Duration;

use fusebox_call::{Adaptive, Bulkhead, Concurrent};

use crate::diagnostic::{At, Notes};
use crate::fields::Fields;

/// The default of `streams`.
const STREAMS: usize = 1000;

pub(super) fn read_bulkhead(of: &Fields<'_>, notes: &mut Notes) -> Option<At<Bulkhead>> {
    let bulkhead = of.section("bulkhead", notes)?;
    let number = |number: At<u64>| usize::try_from(number.value).unwrap_or(usize::MAX);
    let concurrent = match bulkhead.map_in("concurrent", notes) {
        Some(map) => read_adaptive(&map?, notes).map(Concurrent::Adaptive),
        None => bulkhead
            .whole("concurrent", notes)
            .map(|it| Concurrent::Fixed(number(it))),
    };
    let queued = bulkhead.whole("queued", notes);
    let queue_for = bulkhead.duration("queue_for", notes);
    let waits = queued.as_ref().is_some_and(|queued| queued.value > 0);
    if let Some(queued) = &queued
        && waits
        && bulkhead.named("queue_for").is_none()
    {
        notes.error(
            queued.at,
            "`queued` has no `queue_for`, so a call would wait for a place without end",
            "add `queue_for: 200ms`",
        );
    }
    if let Some(queue_for) = &queue_for
        && !waits
        && (queued.is_some() || bulkhead.named("queued").is_none())
    {
        notes.error(
            queue_for.at,
            "`queue_for` belongs to `queued`, and no call is queued",
            "add `queued: 64`, or remove it",
        );
    }
    let streams = bulkhead.whole("streams", notes);
    Some(At::new(
        Bulkhead {
            concurrent: concurrent?,
            queued_max: queued.map_or(0, number),
            queue_for: queue_for.map_or(Duration::ZERO, |time| time.value),
            streams_max: streams.map_or(STREAMS, number),
        },
        bulkhead.at,
    ))
}

fn read_adaptive(concurrent: &Fields<'_>, notes: &mut Notes) -> Option<Adaptive> {
    let bounds = concurrent.section("adaptive", notes)?;
    let (min, max) = (bounds.whole("min", notes), bounds.whole("max", notes));
    let number = |number: &Option<At<u64>>, default| {
        let given = number
            .as_ref()
            .map(|it| usize::try_from(it.value).unwrap_or(usize::MAX));
        given.unwrap_or(default)
    };
    let defaults = Adaptive::default();
    let adaptive = Adaptive {
        min: number(&min, defaults.min),
        max: number(&max, defaults.max),
    };
    if adaptive.min > adaptive.max {
        notes.error(
            max.or(min).map_or(bounds.at, |bound| bound.at),
            format!("`min` is {}, above `max`, {}", adaptive.min, adaptive.max),
            "lower `min`, or raise `max`",
        );
    }
    Some(adaptive)
}
