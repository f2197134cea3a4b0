//! Publishes the transitions of the breakers before one thing as events that name it.

use std::sync::Arc;

use fusebox_breaker::{Breaker, HoldKind, Listener, Reason, Transition};

use crate::upstream::breakers::BreakerKind;
use crate::upstream::events::{self, Events, News};

/// The listener of the breakers before one thing: tells the gateway's own listener, then publishes an event.
pub struct Announcing {
    /// The gateway's own listener.
    pub gateway: Arc<dyn Listener>,
    /// The events to publish to.
    pub events: Arc<Events>,
    /// The upstream or the part of an application that the breakers belong to.
    pub upstream: Arc<str>,
    /// The thing that they stand before.
    pub kind: BreakerKind,
}

impl Listener for Announcing {
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        self.gateway.transition(breaker, transition);
        let news = hold(breaker, transition).unwrap_or_else(|| News::Transition {
            breaker: breaker.name().clone(),
            upstream: self.upstream.clone(),
            kind: self.kind,
            from: transition.from,
            to: transition.to,
            reason: transition.reason.to_string(),
            generation: transition.generation,
            retry_at: transition.retry_at,
        });
        self.events.publish(transition.at, news);
    }
}

/// The event of a transition that is about a hold.
fn hold(breaker: &Breaker, transition: &Transition) -> Option<News> {
    let placed = |kind, reason: &Arc<str>, by: &Arc<str>| {
        let held = breaker.snapshot(transition.at).hold;
        News::Hold {
            breaker: breaker.name().clone(),
            hold: Some(kind),
            until: held.and_then(|hold| hold.until),
            reason: reason.clone(),
            by: by.clone(),
        }
    };
    let ended = |by| News::Hold {
        breaker: breaker.name().clone(),
        hold: None,
        until: None,
        reason: transition.reason.to_string().into(),
        by,
    };
    match &transition.reason {
        Reason::HeldOpen { by, reason } => Some(placed(HoldKind::Open, reason, by)),
        Reason::HeldClosed { by, reason } => Some(placed(HoldKind::Closed, reason, by)),
        Reason::Released { by } => Some(ended(events::releases().unwrap_or_else(|| by.clone()))),
        Reason::HoldEnded { by } => Some(ended(by.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusebox_breaker::{Hold, Outcome, Settings, Timestamp};

    fn news(act: impl FnOnce(&Breaker)) -> Vec<News> {
        let events = Arc::new(Events::default());
        let listener = Announcing {
            gateway: Arc::new(|_: &Breaker, _: &Transition| {}),
            events: events.clone(),
            upstream: "orders".into(),
            kind: BreakerKind::Upstream,
        };
        let breaker =
            Breaker::builder("orders/a", Settings::default()).listener(Arc::new(listener));
        act(&breaker.build().unwrap());
        events
            .after(0)
            .events
            .iter()
            .map(|it| it.news.clone())
            .collect()
    }

    #[test]
    fn a_trip_is_an_event_and_the_calls_before_it_are_none() {
        let said = news(|breaker| {
            for second in 1..=5 {
                breaker.report(Outcome::Failure, Timestamp::from_secs(second));
            }
        });
        let [
            News::Transition {
                breaker,
                upstream,
                generation,
                retry_at,
                ..
            },
        ] = &said[..]
        else {
            panic!("{said:?}");
        };
        assert_eq!(
            (&**breaker, &**upstream, *generation),
            ("orders/a", "orders", 1)
        );
        assert!(retry_at.is_some());
    }

    #[test]
    fn a_release_names_the_one_who_released() {
        let until = Some(Timestamp::from_secs(60));
        let said = news(|breaker| {
            let hold = Hold {
                until,
                ..Hold::open("a drill", "anna")
            };
            breaker.hold(hold, Timestamp::ZERO);
            events::released_by("bob", || breaker.release(Timestamp::from_secs(1)));
        });
        let hold = |hold, until, reason: &str, by: &str| News::Hold {
            breaker: "orders/a".into(),
            hold,
            until,
            reason: reason.into(),
            by: by.into(),
        };
        let placed = hold(Some(HoldKind::Open), until, "a drill", "anna");
        let over = hold(None, None, "the hold placed by anna was released", "bob");
        assert_eq!(said, [placed, over]);
    }
}
