//! Listeners hear everything, and can break nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fusebox_breaker::{Breaker, HoldKind, Listener, Outcome, Phase, Transition};

use crate::kit::*;

#[test]
fn every_transition_is_heard_once_in_order() {
    let (breaker, recorder) = recorded(in_a_row(1));
    fail(&breaker, 0);
    fail(&breaker, 1_000);
    succeed(&breaker, 2_000);
    breaker.hold(hold(HoldKind::Open, None), at(2_001));
    breaker.release(at(2_002));
    breaker.reset(at(2_003));
    let heard: Vec<_> = recorder.heard();
    let tokens: Vec<_> = heard.iter().map(|heard| heard.reason.token()).collect();
    assert_eq!(
        tokens,
        [
            "consecutive_failures",
            "cooldown_ended",
            "probe_failed",
            "cooldown_ended",
            "probe_ok",
            "held_open",
            "released",
            "reset"
        ]
    );
    let generations: Vec<_> = heard.iter().map(|heard| heard.generation).collect();
    assert_eq!(generations, [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// Calls back into the breaker in every way, then panics.
struct Hostile {
    heard: AtomicUsize,
}

impl Listener for Hostile {
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        let now = transition.at;
        let before = breaker.snapshot(now);
        assert_eq!(before.generation, transition.generation);
        let permit = breaker.admit(now);
        let _ = breaker.check(now);
        let _ = breaker.saved(now);
        let _ = breaker.settings();
        drop(permit);
        panic!("listeners may go wrong");
    }
}

#[test]
fn a_listener_that_calls_back_and_panics_changes_nothing() {
    let hostile = Arc::new(Hostile {
        heard: AtomicUsize::new(0),
    });
    let builder = Breaker::builder("orders", in_a_row(2)).listener(hostile.clone());
    let heard = builder.seed(7).build().unwrap();
    let unheard = breaker(in_a_row(2));
    for breaker in [&heard, &unheard] {
        fail(breaker, 0);
        let trip = fail(breaker, 1).unwrap();
        assert_eq!(trip.retry_at, Some(at(1_001)));
        assert_eq!(refused(breaker, 500).retry_at, Some(at(1_001)));
        assert_eq!(succeed(breaker, 1_001).unwrap().to, Phase::Closed);
        assert_eq!(fail(breaker, 1_002), None);
    }
    let (mut seen, plain) = (heard.snapshot(at(1_003)), unheard.snapshot(at(1_003)));
    assert_eq!(hostile.heard.load(Ordering::Relaxed), 3);
    assert_eq!(heard.listener_faults(), 3);
    assert_eq!(unheard.listener_faults(), 0);
    // Of the listener's own calls one passed and was dropped, after the close; before it the probe had the only place.
    assert_eq!(seen.totals.ignored, 1);
    seen.totals = plain.totals;
    seen.outcomes.clone_from(&plain.outcomes);
    assert_eq!(seen, plain);
}

/// Answers every transition with another one.
struct Restless;

impl Listener for Restless {
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        breaker.reset(transition.at);
    }
}

#[test]
fn a_listener_that_never_rests_is_cut_short() {
    let builder = Breaker::builder("orders", in_a_row(1)).listener(Arc::new(Restless));
    let breaker = builder.build().unwrap();
    fail(&breaker, 0);
    assert_eq!(phase(&breaker, 0), Phase::Closed);
    assert_eq!(breaker.listener_faults(), 1);
    assert!(breaker.admit(at(1)).is_ok());
}

/// Holds the breaker open while it is being tripped.
struct Operator;

impl Listener for Operator {
    fn transition(&self, breaker: &Breaker, transition: &Transition) {
        if transition.reason.token() == "consecutive_failures" {
            breaker.hold(hold(HoldKind::Open, None), transition.at);
        }
    }
}

#[test]
fn an_operators_word_given_while_the_breaker_trips_is_not_lost() {
    let builder = Breaker::builder("orders", in_a_row(1)).listener(Arc::new(Operator));
    let breaker = builder.build().unwrap();
    let permit = admit(&breaker, 0);
    permit.record(Outcome::Failure, at(0));
    let snapshot = breaker.snapshot(at(60_000));
    assert_eq!(snapshot.hold.unwrap().kind, HoldKind::Open);
    assert!(breaker.admit(at(60_000)).is_err());
}
