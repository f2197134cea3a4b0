//! The ring of the gateway's latest events, for those who watch it live.
//!
//! An event has a number that grows by one, from 1 at the start of the process. A reader that names the last number it
//! has seen gets the rest, and learns how many the ring has already dropped. Nobody who publishes waits for a reader.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use fusebox_breaker::{HoldKind, Phase, Timestamp};
use fusebox_plan::Diagnostic;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::upstream::breakers::BreakerKind;

/// The most events that are kept.
pub const EVENTS_MAX: usize = 1_000;

/// Something that happened to the gateway, with its number.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The number, from 1.
    pub number: u64,
    /// The time, on the gateway's clock.
    pub at: Timestamp,
    /// The event itself.
    pub news: News,
}

/// Something that happened to the gateway.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A breaker changed its state or began a new generation.
    Transition {
        /// The breaker's name.
        breaker: Arc<str>,
        /// The upstream or the part of an application that it belongs to.
        upstream: Arc<str>,
        /// The thing that it stands before.
        kind: BreakerKind,
        /// The state before.
        from: Phase,
        /// The state after.
        to: Phase,
        /// The reason as a sentence.
        reason: String,
        /// The generation that began.
        generation: u64,
        /// The earliest time at which calls may pass again, if this stopped them.
        retry_at: Option<Timestamp>,
    },
    /// A hold was placed on a breaker, or ended.
    Hold {
        /// The breaker's name.
        breaker: Arc<str>,
        /// The hold; `None`: it ended.
        hold: Option<HoldKind>,
        /// The end of the hold; `None`: it has none, or is over.
        until: Option<Timestamp>,
        /// The operator's reason; for one that ended, a sentence.
        reason: Arc<str>,
        /// The operator's name; for one that came to its own end, the name of the one who had placed it.
        by: Arc<str>,
    },
    /// The configuration was read again.
    Reload {
        /// The result.
        result: ReloadResult,
        /// The names of what changed, such as `upstream orders`.
        changed: Vec<String>,
        /// Errors and warnings about the files.
        diagnostics: Vec<Diagnostic>,
    },
    /// A store went away or came back.
    Store {
        /// True if it is reachable again.
        reachable: bool,
    },
    /// An endpoint was taken out of use because its breaker opened, or came back.
    Ejection {
        /// The upstream's name.
        upstream: Arc<str>,
        /// The endpoint's name.
        endpoint: Arc<str>,
        /// True if it gets no calls now.
        ejected: bool,
        /// The end of its cooldown.
        until: Option<Timestamp>,
    },
    /// The health checks of an endpoint changed their verdict.
    Health {
        /// The upstream's name.
        upstream: Arc<str>,
        /// The endpoint's name.
        endpoint: Arc<str>,
        /// `healthy` or `unhealthy`.
        health: &'static str,
    },
}

/// The result of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadResult {
    /// The new configuration runs.
    Ok,
    /// The files have errors; the old configuration stays in use.
    Refused,
    /// Something that the new configuration needs is not available; the old one stays in use.
    Failed,
}

impl ReloadResult {
    /// The word `ok`, `refused` or `failed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            ReloadResult::Ok => "ok",
            ReloadResult::Refused => "refused",
            ReloadResult::Failed => "failed",
        }
    }
}

/// The latest events of this start of the process.
#[derive(Debug)]
pub struct Events {
    boot: Box<str>,
    ring: Mutex<Ring>,
    last: watch::Sender<u64>,
    closed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Ring {
    last: u64,
    events: VecDeque<Arc<Event>>,
}

/// The events after a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Rest {
    /// Number of events after it that the ring has dropped.
    pub missed: u64,
    /// The events that are left, oldest first.
    pub events: Vec<Arc<Event>>,
}

impl Default for Events {
    /// An empty ring, under a name for this start of the process that no other start has.
    fn default() -> Events {
        Events {
            boot: format!("{:012x}", fastrand::u64(0..1 << 48)).into(),
            ring: Mutex::default(),
            last: watch::Sender::new(0),
            closed: watch::Sender::new(false),
        }
    }
}

impl Events {
    /// The name of this start of the process: 12 hexadecimal digits.
    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// Adds an event.
    pub fn publish(&self, at: Timestamp, news: News) {
        let mut ring = self.ring.lock();
        ring.last += 1;
        let number = ring.last;
        if ring.events.len() == EVENTS_MAX {
            ring.events.pop_front();
        }
        ring.events.push_back(Arc::new(Event { number, at, news }));
        drop(ring);
        // Two that publish at once may arrive here in either order.
        self.last.send_modify(|last| *last = number.max(*last));
    }

    /// The events after `number`; it may be 0, for all.
    pub fn after(&self, number: u64) -> Rest {
        let ring = self.ring.lock();
        let first = ring.events.front().map_or(ring.last + 1, |it| it.number);
        let skipped = (number + 1).saturating_sub(first);
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        Rest {
            missed: first.saturating_sub(number + 1),
            events: ring.events.iter().skip(skipped).cloned().collect(),
        }
    }

    /// The number of the last event, 0 before the first, with the last events, at most `count` of them, oldest first.
    pub fn latest(&self, count: usize) -> (u64, Vec<Arc<Event>>) {
        let ring = self.ring.lock();
        let skipped = ring.events.len().saturating_sub(count);
        let latest = ring.events.iter().skip(skipped).cloned().collect();
        (ring.last, latest)
    }

    /// Says that readers are not to wait for more.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Waits until readers are not to wait for more.
    pub async fn closed(&self) {
        let mut closed = self.closed.subscribe();
        // The sender lives as long as this ring.
        closed.wait_for(|closed| *closed).await.ok();
    }

    /// The number of the last event, which changes with each.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }
}

thread_local! {
    /// The operator whose release this thread carries out.
    static RELEASES: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// Carries out a release on behalf of an operator, whom its event then names. A breaker knows only who placed the hold.
pub fn released_by<T>(by: &str, release: impl FnOnce() -> T) -> T {
    RELEASES.set(Some(by.into()));
    let done = release();
    RELEASES.set(None);
    done
}

/// The operator whose release this thread carries out.
pub fn releases() -> Option<Arc<str>> {
    RELEASES.with_borrow(Clone::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(rest: &Rest) -> Vec<u64> {
        rest.events.iter().map(|it| it.number).collect()
    }

    fn ring_of(count: u64) -> Events {
        let events = Events::default();
        for _ in 0..count {
            events.publish(Timestamp::ZERO, News::Store { reachable: true });
        }
        events
    }

    #[test]
    fn a_reader_gets_what_came_after_the_last_one_it_has_seen() {
        let events = ring_of(3);
        assert_eq!(numbers(&events.after(0)), [1, 2, 3]);
        assert_eq!(numbers(&events.after(2)), [3]);
        assert_eq!(numbers(&events.after(3)), []);
        assert_eq!(events.after(0).missed, 0);
        assert_eq!(events.latest(2).0, 3);
        assert_eq!(events.latest(2).1[0].number, 2);
        assert_eq!(*events.watch().borrow(), 3);
    }

    #[test]
    fn a_reader_learns_how_many_events_the_ring_has_dropped() {
        let events = ring_of(1_005);
        let rest = events.after(2);
        assert_eq!((rest.missed, rest.events.len()), (3, 1_000));
        assert_eq!(rest.events[0].number, 6);
        assert_eq!(events.after(5).missed, 0);
        let empty = ring_of(0).after(0);
        assert_eq!((empty.missed, empty.events.len()), (0, 0));
    }

    #[test]
    fn no_two_starts_have_one_name() {
        assert_ne!(Events::default().boot(), Events::default().boot());
        assert_eq!(Events::default().boot().len(), 12);
    }
}
