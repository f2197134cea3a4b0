//! Watches a call for the rules that count stalled calls.
//!
//! A breaker counts a call as in flight from its permit on, and judges when another call asks to pass. Two things are left
//! to the call itself. Where no other call comes, it has the breaker judge at the moment at which it has stalled; so no
//! task has to look at all breakers. And where its client keeps the upstream waiting, the call is excused: from then on
//! it is not counted, for nobody but the client could say how long it takes (docs/gateway.md, "Calls that hang").

use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{Rule, Settings, Timestamp};

/// A call is excused when its client has kept it waiting for more than this part of the shortest limit.
const PATIENCE: u32 = 10;

/// How often within the shortest limit a call with a body is looked at, for what its client does.
const LOOKS: u32 = 20;

/// The limits beyond which a call has stalled, shortest first: one for each rule that counts such calls.
pub fn limits(settings: &Settings) -> Arc<[Duration]> {
    let limit = |rule: &Rule| match rule {
        Rule::Stalled { longer_than, .. } => Some(*longer_than),
        _ => None,
    };
    let mut limits: Vec<_> = settings.trip.iter().filter_map(limit).collect();
    limits.sort_unstable();
    limits.dedup();
    limits.into()
}

/// What is watched of one call.
#[derive(Debug)]
pub struct StallWatch {
    limits: Arc<[Duration]>,
    since: Timestamp,
}

/// What a look at a call says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Nothing yet.
    Early,
    /// It has stalled by one of the limits, so the breaker has something to judge.
    Stalled,
    /// Its client keeps it waiting.
    Excused,
}

impl StallWatch {
    /// Watches a call that was admitted at `since`; none where no rule counts stalled calls.
    pub fn new(limits: &Arc<[Duration]>, since: impl FnOnce() -> Timestamp) -> Option<StallWatch> {
        (!limits.is_empty()).then(|| StallWatch {
            limits: limits.clone(),
            since: since(),
        })
    }

    /// How long to wait before the next look; none where there is nothing more to see. A client that sends a body may
    /// begin to keep the call waiting at any time.
    pub fn next(&self, now: Timestamp, has_body: bool) -> Option<Duration> {
        let elapsed = now.saturating_since(self.since);
        let limit = self.limits.iter().find(|limit| **limit >= elapsed)?;
        // Stalled is what takes longer than the limit, if only by a nanosecond.
        let rest = *limit - elapsed + Duration::from_nanos(1);
        Some(if has_body {
            rest.min(self.limits[0] / LOOKS)
        } else {
            rest
        })
    }

    /// Looks at the call, whose client has kept it waiting for `waited` in all.
    pub fn look(&self, now: Timestamp, waited: Duration) -> Look {
        if waited > self.limits[0] / PATIENCE {
            Look::Excused
        } else if now.saturating_since(self.since) > self.limits[0] {
            Look::Stalled
        } else {
            Look::Early
        }
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
        assert_eq!(watch.look(at(1_500), Duration::ZERO), Look::Early);
        assert_eq!(watch.look(at(1_501), Duration::ZERO), Look::Stalled);
        assert_eq!(watch.next(at(1_501), false), Some(ms(1_499) + nano));
        assert_eq!(watch.next(at(3_001), false), None);
    }

    #[test]
    fn a_client_that_may_keep_it_waiting_is_watched_closely() {
        let watch = watch(&[1_000]);
        assert_eq!(watch.next(at(1_000), true), Some(ms(50)));
        assert_eq!(watch.look(at(1_200), ms(100)), Look::Early);
        assert_eq!(watch.look(at(1_200), ms(101)), Look::Excused);
        assert_eq!(watch.look(at(9_000), ms(101)), Look::Excused);
    }
}
