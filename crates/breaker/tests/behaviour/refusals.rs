//! What a refused caller is told, and who else hears of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use fusebox_breaker::{
    Boxed, Breaker, CallError, ErrorsFail, Guard, Guards, Hold, HoldKind, Listener, Refused,
    Registry, Transition, machine::ForcedTrip,
};

use crate::kit::*;
use crate::ways_in::Hand;

type HandGuard = Guard<ErrorsFail, Arc<Hand>>;

fn guard_of(breaker: Breaker) -> (HandGuard, Arc<Hand>) {
    let hand = Arc::new(Hand::default());
    (Guard::of(breaker).clock(hand.clone()), hand)
}

fn refused_by(guard: &HandGuard) -> Refused {
    match guard.call(|| Ok::<(), &str>(())) {
        Err(CallError::Rejected(refused)) => refused,
        passed => panic!("{passed:?}"),
    }
}

fn fail_once(guard: &HandGuard) {
    assert!(guard.call(|| Err::<(), _>("down")).is_err());
}

#[test]
fn a_refusal_says_whose_it_is_and_why_and_when_to_return() {
    let (guard, hand) = guard_of(breaker(in_a_row(2)));
    (0..2).for_each(|_| fail_once(&guard));
    hand.set(1);
    let refused = refused_by(&guard);
    assert_eq!(&**refused.breaker(), "orders");
    assert_eq!(refused.why().unwrap().token(), "consecutive_failures");
    assert_eq!((refused.at(), refused.retry_in()), (at(1), Some(ms(999))));
    assert_eq!(
        refused.to_string(),
        "breaker `orders` is open: 2 consecutive failures, the limit is 2; retry in 999ms"
    );
}

#[test]
fn a_refusal_while_probes_are_in_flight_says_why_it_had_opened() {
    let (guard, hand) = guard_of(tripped(in_a_row(1), 0));
    hand.set(1_000);
    let _probe = admit(guard.breaker(), 1_000);
    let text = refused_by(&guard).to_string();
    let expected = "breaker `orders` is half-open and all its probes are in flight; \
                    it opened for 1 consecutive failure, the limit is 1; retry in ";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn the_reason_is_that_of_the_refusal_and_not_of_an_earlier_one() {
    let (guard, hand) = guard_of(tripped(in_a_row(1), 0));
    assert_eq!(
        refused_by(&guard).why().unwrap().token(),
        "consecutive_failures"
    );
    hand.set(1_000);
    fail_once(&guard);
    assert_eq!(refused_by(&guard).why().unwrap().token(), "probe_failed");
    let endless = Hold {
        until: None,
        ..hold(HoldKind::Open, None)
    };
    guard.breaker().hold(endless, at(1_000));
    let held = refused_by(&guard);
    assert_eq!(
        (held.to_string().as_str(), held.retry_in()),
        ("breaker `orders` is held open by ann: maintenance", None)
    );
    guard.breaker().reset(at(1_001));
    let trip = ForcedTrip {
        by: "bob".into(),
        reason: "a drill".into(),
        cooldown: Some(ms(70)),
    };
    guard.breaker().trip(trip, at(1_001));
    hand.set(1_001);
    assert_eq!(
        refused_by(&guard).to_string(),
        "breaker `orders` is open: tripped by bob: a drill; retry in 70ms"
    );
}

#[test]
fn a_hold_tells_who_and_why_also_after_a_restart() {
    let (before, _) = guard_of(breaker(in_a_row(1)));
    before.breaker().hold(Hold::open("r", "me"), at(0));
    let told = refused_by(&before);
    assert_eq!(told.to_string(), "breaker `orders` is held open by me: r");
    let (after, _) = guard_of(breaker(in_a_row(1)));
    after
        .breaker()
        .restore(&before.breaker().saved(at(0)), at(0));
    let restored = refused_by(&after);
    assert_eq!(restored.to_string(), told.to_string());
    assert_eq!(restored.why(), told.why());
    // Beneath the hold there is nothing to tell; after it, the restart is why it is open.
    after.breaker().release(at(0));
    let (opened, _) = guard_of(breaker(in_a_row(1)));
    opened
        .breaker()
        .restore(&tripped(in_a_row(1), 0).saved(at(0)), at(0));
    assert_eq!(refused_by(&opened).why().unwrap().token(), "restored");
}

#[test]
fn holds_and_trips_are_made_in_a_line() {
    let (guard, _) = guard_of(breaker(in_a_row(1)));
    let breaker = guard.breaker();
    breaker.hold(Hold::open("moving", "ann").until(at(500)), at(0));
    assert_eq!(refused_by(&guard).retry_in(), Some(ms(500)));
    breaker.hold(Hold::closed("a drill", "ann".to_owned()), at(0));
    assert_eq!(guard.call(|| Ok::<_, &str>(7)), Ok(7));
    breaker.reset(at(0));
    breaker.trip(ForcedTrip::new("a drill", "bob"), at(0));
    assert_eq!(refused_by(&guard).retry_in(), Some(ms(1_000)));
    breaker.reset(at(0));
    breaker.trip(ForcedTrip::new("a drill", "bob").cooldown(ms(70)), at(0));
    assert_eq!(refused_by(&guard).retry_in(), Some(ms(70)));
}

#[test]
fn a_name_that_a_client_chose_cannot_steer_a_terminal() {
    let guards = Guards::new(Registry::new("tenants", in_a_row(1)).unwrap());
    let key = "a\u{1b}[2J";
    assert!(guards.of(key).call(|| Err::<(), _>("down")).is_err());
    let refused = guards.of(key).call(|| Ok::<_, &str>(())).unwrap_err();
    let text = refused.to_string();
    assert!(
        text.starts_with(r"breaker `tenants/a\u{1b}[2J` is open"),
        "{text}"
    );
}

#[test]
fn refusals_of_guards_are_in_the_totals_and_those_of_admit_are_not() {
    let (guard, _) = guard_of(tripped(in_a_row(1), 0));
    let refused = |guard: &HandGuard| guard.breaker().snapshot(at(0)).totals.refused;
    refused_by(&guard);
    let rejection = crate::kit::refused(guard.breaker(), 0);
    assert_eq!(refused(&guard), 1);
    // Its caller may say so.
    guard.breaker().refused(rejection, at(0));
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| (0..50).for_each(|_| drop(refused_by(&guard))));
        }
    });
    assert_eq!(refused(&guard), 1_002);
    let other = tripped(in_a_row(1), 0);
    assert_eq!(other.snapshot(at(0)).totals.refused, 0);
}

#[test]
fn all_listeners_hear_transitions_and_refusals_in_their_order() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = |who: &'static str| {
        let heard = heard.clone();
        move |breaker: &Breaker, what: String| {
            let line = format!("{who}: {} {what}", breaker.name());
            heard.lock().unwrap().push(line);
        }
    };
    let (one, two, three) = (hears("one"), hears("two"), hears("three"));
    let breaker = Breaker::builder("orders", in_a_row(1))
        .on_transition(move |breaker, transition| one(breaker, transition.reason.token().into()))
        .on_refused(move |breaker, refused| two(breaker, refused.reason.to_string()))
        .on_transition(move |breaker, transition| three(breaker, transition.to.to_string()));
    let (guard, _) = guard_of(breaker.build().unwrap());
    fail_once(&guard);
    refused_by(&guard);
    let heard = heard.lock().unwrap();
    assert_eq!(
        *heard,
        [
            "one: orders consecutive_failures",
            "three: orders open",
            "two: orders breaker_open"
        ]
    );
}

#[test]
fn the_listeners_of_a_registry_hear_of_every_key() {
    let count = Arc::new(AtomicU64::new(0));
    let (one, two) = (count.clone(), count.clone());
    let registry = Registry::builder("tenants", in_a_row(1))
        .on_transition(move |_, _| {
            one.fetch_add(1, Ordering::Relaxed);
        })
        .on_refused(move |_, _| {
            two.fetch_add(100, Ordering::Relaxed);
        });
    let guards = Guards::new(registry.build().unwrap());
    for tenant in ["acme", "other"] {
        assert!(guards.of(tenant).call(|| Err::<(), _>("down")).is_err());
        assert!(guards.of(tenant).call(|| Ok::<_, &str>(())).is_err());
    }
    assert_eq!(count.load(Ordering::Relaxed), 202);
}

/// Calls again when it hears of a refusal, then panics.
#[derive(Default)]
struct Stubborn(AtomicU64);

impl Listener for Stubborn {
    fn transition(&self, _: &Breaker, _: &Transition) {}

    fn refused(&self, breaker: &Breaker, _: &Refused) {
        self.0.fetch_add(1, Ordering::Relaxed);
        assert!(
            Guard::of(breaker.clone())
                .call(|| Ok::<_, &str>(()))
                .is_err()
        );
        panic!("listeners may go wrong");
    }
}

#[test]
fn a_listener_that_is_refused_itself_is_not_told_for_ever() {
    let stubborn = Arc::new(Stubborn::default());
    let settings = fusebox_breaker::Settings {
        cooldown: fusebox_breaker::Cooldown::fixed(ms(3_600_000)),
        ..in_a_row(1)
    };
    let builder = Breaker::builder("orders", settings).listener(stubborn.clone());
    let (guard, _) = guard_of(builder.build().unwrap());
    fail_once(&guard);
    (0..2).for_each(|_| drop(refused_by(&guard)));
    assert_eq!(stubborn.0.load(Ordering::Relaxed), 2);
    assert_eq!(guard.breaker().listener_faults(), 2);
    assert_eq!(guard.breaker().snapshot(at(0)).totals.refused, 4);
}

#[derive(Debug)]
struct Down;

impl std::fmt::Display for Down {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the line is down")
    }
}

impl std::error::Error for Down {}

#[test]
fn through_anyhow_everything_is_said_once_and_the_cause_is_kept() {
    let (guard, _) = guard_of(breaker(in_a_row(1)));
    let ask = || -> anyhow::Result<()> { Ok(guard.call(|| Err(Down))?) };
    let failed = ask().unwrap_err();
    assert_eq!(format!("{failed:#}"), "the call failed: the line is down");
    assert!(failed.chain().any(|cause| cause.is::<Down>()));
    let refused = ask().unwrap_err();
    let text = "breaker `orders` is open: 1 consecutive failure, the limit is 1; retry in 1s";
    assert_eq!(format!("{refused:#}"), text);
    let refused = refused.downcast_ref::<CallError<Down>>().unwrap();
    assert_eq!(&**refused.refused().unwrap().breaker(), "orders");
}

#[test]
fn errors_that_are_none_by_themselves_become_some_when_boxed() {
    let (guard, _) = guard_of(breaker(in_a_row(2)));
    let ask = || -> anyhow::Result<()> {
        let asked = guard.call(|| Err(anyhow::Error::from(Down).context("asking for orders")));
        Ok(asked.map_err(CallError::boxed)?)
    };
    let error = ask().unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "the call failed: asking for orders: the line is down"
    );
    assert!(error.chain().any(|cause| cause.is::<Down>()));
    let boxed = CallError::Failed("a text").boxed();
    assert_eq!(boxed.into_failed().unwrap().to_string(), "a text");
    assert!(guard.call(|| Err::<(), _>(Down)).is_err());
    let refused: fusebox_breaker::BoxError =
        guard.call(|| Ok::<_, &str>(())).unwrap_err().boxed().into();
    assert!(refused.downcast_ref::<CallError<Boxed>>().is_some());
    assert_eq!(&**Refused::find_in(&*refused).unwrap().breaker(), "orders");
}

#[test]
fn what_guards_a_call_may_cross_a_caught_panic_and_threads() {
    fn unwinds<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe + Send + Sync + 'static>() {}
    unwinds::<Breaker>();
    unwinds::<Guard>();
    unwinds::<Guards>();
    unwinds::<Registry>();
    unwinds::<Refused>();
    unwinds::<fusebox_breaker::OwnedPermit>();
    unwinds::<fusebox_breaker::Permit<'static>>();
}

#[test]
fn a_classifier_at_the_call_needs_no_types() {
    let (guard, _) = guard_of(breaker(in_a_row(1)));
    let judged = guard.call_with(
        || "forty-two".parse::<u32>(),
        |result| match result {
            Err(error) if error.to_string().contains("digit") => fusebox_breaker::Outcome::Ignored,
            Err(_) => fusebox_breaker::Outcome::Failure,
            Ok(_) => fusebox_breaker::Outcome::Success,
        },
    );
    assert!(judged.is_err());
    let judged = crate::ways_in::now_or_never(guard.call_async_with(
        || std::future::ready(Ok::<_, Down>(503_i32)),
        |result| match result {
            Ok(status) if status.is_positive() => {
                fusebox_breaker::Call::from(fusebox_breaker::Outcome::Failure)
            }
            _ => fusebox_breaker::Outcome::Success.into(),
        },
    ));
    assert_eq!(judged.unwrap().unwrap(), 503);
    assert_eq!(
        refused_by(&guard).why().unwrap().token(),
        "consecutive_failures"
    );
}
