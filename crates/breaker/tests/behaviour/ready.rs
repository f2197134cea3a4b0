//! Waiting until a call may pass.

use std::cell::RefCell;
use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use fusebox_breaker::{
    CallError, ErrorsFail, Guard, HoldKind, Mode, MonotonicClock, Outcome, Phase, Ramp, Ratio,
    RejectReason, Rule, Settings, fleet::ProbeLease, machine::ForcedTrip,
};

use crate::adaptive::Fixed;
use crate::kit::*;
use crate::ways_in::{Hand, now_or_never};

type HandGuard = Guard<ErrorsFail, Arc<Hand>>;

fn guard_of(breaker: fusebox_breaker::Breaker) -> (HandGuard, Arc<Hand>) {
    let hand = Arc::new(Hand::default());
    (Guard::of(breaker).clock(hand.clone()), hand)
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// One who waits, and by what.
struct Waiting<'a> {
    future: Pin<Box<dyn Future<Output = ()> + 'a>>,
    woken: Arc<Woken>,
}

impl<'a> Waiting<'a> {
    /// Waits by a sleep that never ends, so that only what happens to the breaker wakes.
    fn of(guard: &'a HandGuard) -> Self {
        Waiting {
            future: Box::pin(guard.ready_by(|_| pending::<()>())),
            woken: Arc::default(),
        }
    }

    fn poll(&mut self) -> Poll<()> {
        let waker = Waker::from(self.woken.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn woken(&self) -> bool {
        self.woken.0.swap(0, Ordering::Relaxed) > 0
    }
}

#[test]
fn a_closed_breaker_is_ready_at_once() {
    let (guard, _) = guard_of(breaker(in_a_row(1)));
    let sleep = |_| -> std::future::Ready<()> { unreachable!("nothing to wait for") };
    assert_eq!(now_or_never(guard.ready_by(sleep)), Some(()));
}

#[test]
fn an_open_breaker_is_ready_after_its_cooldown_which_the_sleep_is_told() {
    let (guard, hand) = guard_of(tripped(in_a_row(1), 0));
    hand.set(400);
    let naps = RefCell::new(Vec::new());
    let sleep = |nap: Duration| {
        naps.borrow_mut().push(nap);
        // The first one ends a little early.
        hand.set(if naps.borrow().len() == 1 { 999 } else { 1_000 });
        ready(())
    };
    assert_eq!(now_or_never(guard.ready_by(sleep)), Some(()));
    assert_eq!(naps.into_inner(), [ms(600), ms(1)]);
    assert_eq!(guard.call(|| Ok::<_, ()>(7)), Ok(7));
    assert_eq!(guard.breaker().snapshot(at(1_000)).phase, Phase::Closed);
}

#[test]
fn an_operators_word_wakes_who_waits() {
    let (guard, _) = guard_of(breaker(in_a_row(1)));
    guard.breaker().hold(hold(HoldKind::Open, None), at(0));
    let mut waiting = Waiting::of(&guard);
    assert!(waiting.poll().is_pending());
    assert!(waiting.poll().is_pending(), "polled for no reason");
    assert!(!waiting.woken());
    guard.breaker().reset(at(0));
    assert!(waiting.woken());
    assert!(waiting.poll().is_ready());
}

#[test]
fn who_waits_keeps_no_probe_from_its_place_and_is_woken_when_one_is_free() {
    let (guard, hand) = guard_of(tripped(in_a_row(1), 0));
    hand.set(1_000);
    let probe = admit(guard.breaker(), 1_000);
    let mut all = [Waiting::of(&guard), Waiting::of(&guard)];
    assert!(all.iter_mut().all(|one| one.poll().is_pending()));
    drop(probe);
    assert!(all.iter().all(Waiting::woken));
    // Neither has taken the place: another caller may.
    let other = admit(guard.breaker(), 1_000);
    assert!(other.is_probe());
    assert!(all.iter_mut().all(|one| one.poll().is_pending()));
    other.record(Outcome::Success, at(1_000));
    assert!(all.iter().all(Waiting::woken));
    assert!(all.iter_mut().all(|one| one.poll().is_ready()));
}

#[test]
fn new_settings_wake_who_waits_also_where_the_state_stays() {
    for mode in [Mode::Disabled, Mode::Monitor] {
        let held = breaker(in_a_row(1));
        held.hold(hold(HoldKind::Open, None), at(0));
        for breaker in [held, tripped(in_a_row(1), 0)] {
            let (guard, _) = guard_of(breaker);
            let mut waiting = Waiting::of(&guard);
            assert!(waiting.poll().is_pending());
            let settings = Settings {
                mode,
                ..in_a_row(1)
            };
            guard.breaker().reconfigure(settings, at(0)).unwrap();
            assert!(waiting.woken(), "{mode:?}");
            assert!(waiting.poll().is_ready(), "{mode:?}");
        }
    }
}

#[test]
fn a_second_probes_place_wakes_who_waits() {
    let (guard, hand) = guard_of(tripped(probing(1, 2), 0));
    hand.set(1_000);
    let probe = admit(guard.breaker(), 1_000);
    let mut waiting = Waiting::of(&guard);
    assert!(waiting.poll().is_pending());
    let breaker = guard.breaker();
    breaker.reconfigure(probing(2, 2), at(1_000)).unwrap();
    assert!(waiting.woken());
    assert!(waiting.poll().is_ready());
    drop(probe);
}

#[test]
fn faulty_settings_and_a_tick_that_changes_nothing_wake_nobody() {
    let (guard, _) = guard_of(tripped(in_a_row(1), 0));
    let mut waiting = Waiting::of(&guard);
    assert!(waiting.poll().is_pending());
    let faulty = guard.breaker().reconfigure(in_a_row(0), at(0));
    assert!(faulty.is_err() && guard.breaker().tick(at(10)).is_none());
    assert!(!waiting.woken());
}

#[test]
fn a_lease_and_the_loss_of_the_fleet_wake_who_waits_to_probe() {
    let (guard, hand) = guard_of(tripped(in_a_row(1), 0));
    let breaker = guard.breaker();
    let mut waiting = Waiting::of(&guard);
    assert!(waiting.poll().is_pending());
    breaker.follow_fleet();
    assert!(waiting.woken(), "to ask the fleet, where it may");
    hand.set(1_000);
    assert!(waiting.poll().is_pending(), "led, without a lease");
    let lease = ProbeLease {
        start_by: at(2_000),
        ends: at(3_000),
        renewed: false,
    };
    assert_eq!(breaker.probe_by_lease(lease, at(1_000)), None);
    assert!(waiting.woken());
    assert!(waiting.poll().is_ready());
    let trip = ForcedTrip {
        by: "ann".into(),
        reason: "a drill".into(),
        cooldown: None,
    };
    breaker.trip(trip, at(1_000)).expect("it opens anew");
    hand.set(2_000);
    let mut waiting = Waiting::of(&guard);
    assert!(waiting.poll().is_pending(), "the lease has ended");
    assert_eq!(breaker.go_alone(ms(0), at(2_000)), None);
    assert!(waiting.woken());
    assert!(waiting.poll().is_ready());
}

/// A guard whose breaker draws always this, in thousandths.
fn drawing(settings: Settings, thousandths: u64) -> (HandGuard, Arc<Hand>) {
    let builder = fusebox_breaker::Breaker::builder("orders", settings);
    guard_of(builder.chance(Fixed::at(thousandths)).build().unwrap())
}

/// Who is refused by chance, though it was ready.
fn is_ready_and_refused_by_chance(guard: &HandGuard, by: RejectReason) {
    let sleep = |_| -> std::future::Ready<()> { unreachable!("nothing but chance refuses") };
    for _ in 0..3 {
        assert_eq!(now_or_never(guard.ready_by(sleep)), Some(()));
    }
    let Err(CallError::Rejected(refused)) = guard.call(|| Ok::<_, ()>(())) else {
        panic!("the highest number refuses");
    };
    assert!(refused.reason == by && by.is_chance(), "{refused}");
    assert_eq!(refused.retry_in(), Some(ms(1_000)));
}

#[test]
fn in_a_ramp_it_is_ready_and_the_call_alone_draws() {
    let ramping = Settings {
        ramp: Some(Ramp {
            over: ms(10_000),
            from: Ratio::percent(50),
        }),
        ..in_a_row(1)
    };
    let (guard, hand) = drawing(ramping, 999);
    assert!(fail(guard.breaker(), 0).is_some());
    hand.set(1_000);
    assert_eq!(guard.call(|| Ok::<_, ()>(())), Ok(()));
    is_ready_and_refused_by_chance(&guard, RejectReason::BreakerRamp);
}

#[test]
fn under_an_adaptive_rule_it_is_ready_and_no_refusal_is_remembered() {
    let (guard, hand) = drawing(by_rule(Rule::Adaptive { memory: 5 }), 0);
    for second in 0..5 {
        let failed = guard.breaker().report(Outcome::Failure, at(second * 1_000));
        assert_eq!(failed, None);
    }
    hand.set(5_000);
    let chance = || guard.breaker().snapshot(at(5_000)).admit_probability;
    let before = chance();
    assert!(before < 0.1, "{before}");
    for _ in 0..5 {
        let sleep = |_| pending::<()>();
        assert_eq!(now_or_never(guard.ready_by(sleep)), Some(()));
    }
    assert_eq!(chance(), before);
    is_ready_and_refused_by_chance(&guard, RejectReason::BreakerAdaptive);
    assert_ne!(chance(), before, "the call's own is");
}

#[test]
fn fifty_thousand_wait_and_stop_waiting_in_little_time() {
    const MANY: usize = 50_000;
    let (guard, _) = guard_of(tripped(in_a_row(1), 0));
    let began = fusebox_breaker::Clock::now(&MonotonicClock);
    let mut all: Vec<_> = (0..MANY).map(|_| Waiting::of(&guard)).collect();
    for _ in 0..2 {
        assert!(all.iter_mut().all(|one| one.poll().is_pending()));
    }
    guard.breaker().hold(hold(HoldKind::Open, None), at(0));
    assert!(all.iter().all(Waiting::woken));
    assert!(all.iter_mut().all(|one| one.poll().is_pending()));
    drop(all);
    let took = fusebox_breaker::Clock::now(&MonotonicClock).saturating_since(began);
    // A fraction of a second; many times as long if each were looked for among all others.
    assert!(took < ms(5_000), "{took:?}");
}

#[test]
fn who_stops_waiting_is_forgotten() {
    let (guard, _) = guard_of(tripped(in_a_row(1), 0));
    let mut waiting = Waiting::of(&guard);
    assert!(waiting.poll().is_pending());
    let woken = waiting.woken.clone();
    drop(waiting);
    assert_eq!(Arc::strong_count(&woken), 1, "its waker is dropped");
    guard.breaker().reset(at(0));
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
}

#[test]
fn many_threads_that_wait_all_pass_in_the_end() {
    let guard = Guard::of(tripped(in_a_row(1), 0));
    guard
        .breaker()
        .hold(hold(HoldKind::Open, None), guard.now());
    let passed = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    while guard.call(|| Ok::<_, ()>(())).is_err() {
                        guard.ready_by(tokio::time::sleep).await;
                    }
                });
                passed.fetch_add(1, Ordering::Relaxed);
            });
        }
        // Some wait by now, and some will not yet.
        std::thread::yield_now();
        guard.breaker().release(guard.now());
    });
    assert_eq!(passed.load(Ordering::Relaxed), 4);
}

/// Wakes a thread that is parked.
struct Parked(std::thread::Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on(future: impl Future<Output = ()>) {
    let waker = Waker::from(Arc::new(Parked(std::thread::current())));
    let mut future = std::pin::pin!(future);
    while future
        .as_mut()
        .poll(&mut Context::from_waker(&waker))
        .is_pending()
    {
        std::thread::park();
    }
}

#[test]
fn no_reset_is_missed_however_it_meets_the_one_who_waits() {
    let guard = Guard::of(breaker(in_a_row(1)));
    let (round, passed) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..2_000 {
                while round.load(Ordering::Acquire) <= number {
                    std::thread::yield_now();
                }
                // By nothing but the reset: the sleep never ends.
                block_on(guard.ready_by(|_| pending::<()>()));
                passed.store(number + 1, Ordering::Release);
            }
        });
        for number in 1..=2_000 {
            guard
                .breaker()
                .hold(hold(HoldKind::Open, None), guard.now());
            round.store(number, Ordering::Release);
            (0..number % 50).for_each(|_| std::hint::spin_loop());
            guard.breaker().reset(guard.now());
            while passed.load(Ordering::Acquire) < number {
                std::thread::yield_now();
            }
        }
    });
}

#[cfg(feature = "tokio")]
#[test]
fn by_tokios_time_it_is_ready_when_the_cooldown_is_over() {
    let settings = fusebox_breaker::Settings {
        cooldown: fusebox_breaker::Cooldown::fixed(ms(20)),
        ..in_a_row(1)
    };
    let guard = Guard::new("orders", settings).unwrap();
    assert!(guard.call(|| Err::<(), _>("down")).is_err());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(guard.ready());
    assert!(guard.call(|| Ok::<_, &str>(())).is_ok());
}
