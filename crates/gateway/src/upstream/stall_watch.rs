//! Watches a call for the rules that count stalled calls.
//!
//! A breaker counts a call as in flight from its permit on, and judges when another call asks to pass. Two things
//! remain for the call itself. If no other call comes, it lets the breaker judge at the moment at which it has stalled;
//! so no task has to look at all breakers. And it knows since when the upstream has had everything that it waits for:
//! the time before, in which we connect or wait for the client, is not the upstream's (docs/gateway.md, "Calls that
//! hang").

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{OnAbandoned, Rule, Settings, Timestamp};

/// Number of checks within the shortest limit of a call with a body, for its client's progress.
const LOOKS: u32 = 20;

/// The shortest time between two checks, however short the limit.
const LOOK_MIN: Duration = Duration::from_millis(1);

/// The times after which a call has stalled, shortest first: one for each rule that counts such calls, and the time
/// after which a call given up is a failure, since that too depends on the time at which the upstream had everything.
pub fn limits(settings: &Settings) -> Arc<[Duration]> {
    let limit = |rule: &Rule| match rule {
        Rule::Stalled { longer_than, .. } => Some(*longer_than),
        _ => None,
    };
    let abandoned = match settings.on_abandoned {
        OnAbandoned::FailureAfter(after) => Some(after),
        _ => None,
    };
    let stalled = settings.trip.iter().filter_map(limit);
    let mut limits: Vec<_> = stalled.chain(abandoned).collect();
    limits.sort_unstable();
    limits.dedup();
    limits.into()
}

/// The watch over one call.
#[derive(Debug)]
pub struct StallWatch {
    limits: Arc<[Duration]>,
    /// The time since which the upstream has had everything that it waits for; the end of time while it has not.
    since: Timestamp,
}

impl StallWatch {
    /// Watches a call that was admitted at `since`; `None` if no rule counts stalled calls.
    pub fn new(limits: &Arc<[Duration]>, since: impl FnOnce() -> Timestamp) -> Option<StallWatch> {
        (!limits.is_empty()).then(|| StallWatch {
            limits: limits.clone(),
            since: since(),
        })
    }

    /// Sets the time since which the upstream has had everything; returns true if that is a change.
    pub fn waits_since(&mut self, start: Timestamp) -> bool {
        let is_news = self.since != start;
        self.since = start;
        is_news
    }

    /// The time until the next check; `None` if there is nothing more to see. A client that sends a body may begin to
    /// keep the call waiting at any time, and stop doing so.
    pub fn next(&self, now: Timestamp, has_body: bool) -> Option<Duration> {
        let elapsed = now.saturating_since(self.since);
        let limit = self.limits.iter().find(|limit| **limit >= elapsed);
        // A call has stalled when it takes longer than the limit, if only by a nanosecond.
        let rest = limit.map(|limit| *limit - elapsed + Duration::from_nanos(1));
        let close = has_body.then(|| (self.limits[0] / LOOKS).max(LOOK_MIN));
        rest.into_iter().chain(close).min()
    }

    /// The time for which the upstream has kept the call waiting.
    pub fn waited(&self, now: Timestamp) -> Duration {
        now.saturating_since(self.since)
    }

    /// True if the call has stalled by one of the limits, so that the breaker has something to judge.
    pub fn has_stalled(&self, now: Timestamp) -> bool {
        now.saturating_since(self.since) > self.limits[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn watch(limits: &[u64]) -> StallWatch {
        let settings = Settings {
            trip: limits
                .iter()
                .map(|limit| Rule::Stalled {
                    calls: 1,
                    longer_than: ms(*limit),
                })
                .collect(),
            ..Settings::default()
        };
        StallWatch::new(&super::limits(&settings), || at(1_000)).unwrap()
    }

    #[test]
    fn without_a_rule_there_is_nothing_to_watch() {
        let limits = limits(&Settings::default());
        assert!(StallWatch::new(&limits, || at(0)).is_none());
    }

    #[test]
    fn a_call_is_looked_at_just_after_each_limit() {
        let watch = watch(&[2_000, 500, 2_000]);
        let nano = Duration::from_nanos(1);
        assert_eq!(watch.next(at(1_000), false), Some(ms(500) + nano));
        assert!(!watch.has_stalled(at(1_500)));
        assert!(watch.has_stalled(at(1_501)));
        assert_eq!(watch.next(at(1_501), false), Some(ms(1_499) + nano));
        assert_eq!(watch.next(at(3_001), false), None);
    }

    #[test]
    fn a_client_that_may_keep_it_waiting_is_watched_closely() {
        let watch = watch(&[1_000]);
        assert_eq!(watch.next(at(1_000), true), Some(ms(50)));
        assert_eq!(
            watch.next(at(1_990), true),
            Some(ms(10) + Duration::from_nanos(1))
        );
        assert_eq!(watch.next(at(9_000), true), Some(ms(50)));
    }

    #[test]
    fn a_call_stalls_anew_from_when_the_upstream_has_all_that_it_waits_for() {
        let mut watch = watch(&[1_000]);
        assert!(watch.has_stalled(at(2_001)));
        assert!(watch.waits_since(Timestamp::MAX));
        assert!(!watch.has_stalled(at(9_000)));
        assert_eq!(watch.next(at(9_000), true), Some(ms(50)));
        assert!(watch.waits_since(at(8_990)));
        assert!(!watch.waits_since(at(8_990)));
        assert!(!watch.has_stalled(at(9_990)));
        assert!(watch.has_stalled(at(9_991)));
    }
}
