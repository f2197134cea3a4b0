//! Monitor and disabled: deciding without refusing, and not deciding at all.

use fusebox_breaker::{HoldKind, Mode, Outcome, Phase, RejectReason, Settings, machine::SettledAs};

use crate::kit::*;

fn in_mode(mode: Mode) -> Settings {
    Settings {
        mode,
        ..in_a_row(1)
    }
}

#[test]
fn a_monitor_decides_everything_and_refuses_nothing() {
    let breaker = tripped(in_mode(Mode::Monitor), 0);
    let permit = admit(&breaker, 500);
    let rejection = *permit.would_reject().unwrap();
    assert_eq!(rejection.reason, RejectReason::BreakerOpen);
    assert_eq!(rejection.retry_at, Some(at(1_000)));
    assert!(!permit.is_probe());
    assert_eq!(breaker.check(at(500)), Ok(()));

    let probe = admit(&breaker, 1_000);
    assert!(probe.is_probe());
    let beside = admit(&breaker, 1_000);
    assert_eq!(
        beside.would_reject().unwrap().reason,
        RejectReason::BreakerProbing
    );
    let close = probe.record(Outcome::Success, at(1_100)).unwrap();
    assert_eq!(close.to, Phase::Closed);
    assert_eq!(admit(&breaker, 1_200).would_reject(), None);
}

#[test]
fn a_call_that_a_monitor_would_have_refused_decides_nothing_but_is_counted() {
    let breaker = tripped(in_mode(Mode::Monitor), 0);
    let shadow = admit(&breaker, 500);
    let straggling_shadow = admit(&breaker, 500);
    assert_eq!(breaker.snapshot(at(500)).totals.would_reject, 2);
    assert_eq!(breaker.snapshot(at(500)).totals.refused, 0);
    let settled = shadow.settle(Outcome::Failure, at(600));
    assert_eq!(settled.counted, SettledAs::Failure);
    assert!(settled.transitions.is_empty());
    succeed(&breaker, 1_000);
    let settled = straggling_shadow.settle(Outcome::Failure, at(1_001));
    assert_eq!(settled.counted, SettledAs::Failure);
    assert_eq!(phase(&breaker, 1_001), Phase::Closed);
}

#[test]
fn a_monitor_refuses_nothing_even_when_held_open() {
    let breaker = breaker(in_mode(Mode::Monitor));
    breaker.hold(hold(HoldKind::Open, Some(100)), at(0));
    let permit = admit(&breaker, 50);
    assert_eq!(
        permit.would_reject().unwrap().reason,
        RejectReason::HeldOpen
    );
    drop(permit);
    assert_eq!(admit(&breaker, 100).would_reject(), None);
}

#[test]
fn a_disabled_breaker_admits_everything_and_records_nothing() {
    let breaker = breaker(in_mode(Mode::Disabled));
    for time in 0..50 {
        let permit = admit(&breaker, time);
        let settled = permit.settle(Outcome::Failure, at(time));
        assert_eq!(settled.counted, SettledAs::Untracked);
        assert_eq!(breaker.report(Outcome::Failure, at(time)), None);
        assert_eq!(breaker.check(at(time)), Ok(()));
    }
    let snapshot = breaker.snapshot(at(50));
    assert_eq!(snapshot.phase, Phase::Closed);
    assert_eq!(snapshot.totals, Default::default());
    assert_eq!(snapshot.rules[0].observed, 0.0);
}

#[test]
fn a_hold_on_a_disabled_breaker_refuses_nothing_and_ends_on_time() {
    let (breaker, recorder) = recorded(in_mode(Mode::Disabled));
    breaker.hold(hold(HoldKind::Open, Some(100)), at(0));
    drop(admit(&breaker, 50));
    drop(admit(&breaker, 100));
    let ended = recorder.heard().pop().unwrap();
    assert_eq!((ended.reason.token(), ended.at), ("hold_ended", at(100)));
}

#[test]
fn a_call_that_ends_while_disabled_is_not_counted() {
    let breaker = breaker(in_a_row(1));
    let permit = admit(&breaker, 0);
    breaker.reconfigure(in_mode(Mode::Disabled), at(1)).unwrap();
    let settled = permit.settle(Outcome::Failure, at(2));
    assert_eq!(settled.counted, SettledAs::Untracked);
    assert_eq!(phase(&breaker, 2), Phase::Closed);
    assert_eq!(breaker.snapshot(at(2)).totals, Default::default());
}

#[test]
fn disabling_an_open_breaker_lets_calls_pass_and_enabling_it_again_finds_it_open() {
    let breaker = tripped(in_a_row(1), 0);
    let straggler = {
        breaker.reconfigure(in_mode(Mode::Disabled), at(1)).unwrap();
        admit(&breaker, 2)
    };
    breaker.reconfigure(in_a_row(1), at(3)).unwrap();
    assert_eq!(refused(&breaker, 4).retry_at, Some(at(1_000)));
    assert_eq!(
        straggler.settle(Outcome::Success, at(5)).counted,
        SettledAs::Untracked
    );
}
