//! Refusing by chance, as the last outcomes were.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fusebox_breaker::{Breaker, Outcome, Phase, RejectReason, Rule, machine::Chance};

use crate::kit::{at, by_rule, succeed};

/// Always draws the same number, in thousandths.
pub struct Fixed(pub AtomicU64);

impl Fixed {
    pub fn at(thousandths: u64) -> Arc<Fixed> {
        Arc::new(Fixed(AtomicU64::new(thousandths)))
    }
}

impl Chance for Fixed {
    fn draw(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64 / 1_000.0
    }
}

/// Five remembered failures, a second apart; the probability is 0.999.
fn after_five_failures(chance: Arc<Fixed>) -> Breaker {
    let settings = by_rule(Rule::Adaptive { memory: 5 });
    let builder = Breaker::builder("orders", settings).chance(chance);
    let breaker = builder.build().unwrap();
    for second in 0..5 {
        assert_eq!(breaker.report(Outcome::Failure, at(second * 1_000)), None);
    }
    breaker
}

#[test]
fn an_adaptive_rule_refuses_by_chance_and_never_trips() {
    let chance = Fixed::at(998);
    let breaker = after_five_failures(chance.clone());
    assert_eq!(breaker.snapshot(at(5_000)).rules[0].observed, 0.999);
    chance.0.store(999, Ordering::Relaxed);
    drop(breaker.admit(at(5_000)).expect("one in a thousand passes"));
    chance.0.store(998, Ordering::Relaxed);
    let refused = breaker.admit(at(5_000)).unwrap_err();
    assert_eq!(refused.reason, RejectReason::BreakerAdaptive);
    assert_eq!(refused.phase, Phase::Closed);
    assert_eq!(refused.retry_at, Some(at(6_000)));
    assert_eq!(breaker.snapshot(at(5_000)).generation, 0);
}

#[test]
fn each_refusal_is_remembered_as_unknown_so_that_calls_soon_pass_again() {
    let breaker = after_five_failures(Fixed::at(500));
    let refusals = (5..20).take_while(|second| breaker.check(at(second * 1_000)).is_err());
    let refusals = refusals.count();
    assert!((1..=5).contains(&refusals), "{refusals}");
    assert!(breaker.snapshot(at(20_000)).admit_probability >= 0.5);
}

#[test]
fn successes_bring_the_probability_back_to_nothing() {
    let chance = Fixed::at(999);
    let breaker = after_five_failures(chance.clone());
    for second in 5..10 {
        succeed(&breaker, second * 1_000);
    }
    chance.0.store(0, Ordering::Relaxed);
    assert!(
        breaker.admit(at(10_000)).is_ok(),
        "a probability of 0 refuses nobody"
    );
    assert!(breaker.is_idle(at(10_000)));
}
