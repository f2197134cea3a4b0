//! Random events and settings for the laws.

use std::time::Duration;

use fusebox_breaker::{
    Call, Cause, CloseRule, Cooldown, HalfOpen, Hold, HoldKind, Mode, OnAbandoned, OnPanic,
    OnProbeTimeout, Outcome, Over, Probes, Ramp, Ratio, RetryAfter, Rule, Settings, Timestamp,
    machine::ForcedTrip,
    settings::{Compare, History, JudgeOn, OnPeriodTimeout, Places, SlowProbes, WindowKind},
};
use proptest::prelude::*;

use crate::kit::{limited, ms};

/// One thing that can happen to a breaker. `which` picks one of the permits in hand.
#[derive(Clone, Debug)]
pub enum Op {
    Wait(Duration),
    /// The clock steps back: callers need not agree on the time.
    Back(Duration),
    Admit,
    /// A call through a [`Guard`](fusebox_breaker::Guard), begun and ended at once.
    Guarded {
        asynchronous: bool,
        end: End,
    },
    /// Moves the deadline of a probe.
    Extend {
        which: usize,
        by: Duration,
    },
    Record {
        which: usize,
        call: Call,
    },
    Answered {
        which: usize,
    },
    /// A call is counted from another time on: so long ago, or not yet.
    Waits {
        which: usize,
        ago: Option<Duration>,
    },
    Drop {
        which: usize,
    },
    /// A caller gives its call up after it has lasted so long.
    Abandon {
        which: usize,
        lasted: Duration,
    },
    Forget {
        which: usize,
    },
    Check,
    Report(Call),
    Trip(ForcedTrip),
    Hold(HoldKind, Option<Duration>),
    Release,
    Reset,
    Tick,
    Reconfigure(Box<Settings>),
    Restart,
    /// An event with a stamp of another clock, long after all others.
    Far(Far),
}

/// An event that moves nothing where its stamp is of another clock.
#[derive(Clone, Debug)]
pub enum Far {
    Admit,
    Check,
    Tick,
    Report(Call),
    Record { which: usize, call: Call },
    Abandon { which: usize },
}

/// By how much a stamp of another clock is ahead of all others.
pub const FAR: Duration = Duration::from_secs(366 * 24 * 3_600);

/// How a guarded call ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Well,
    Badly,
    Panic,
    /// Its future is dropped before its end; a closure has no such end and ends well.
    Dropped,
}

pub fn ops(length: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 1..length)
}

pub fn op() -> impl Strategy<Value = Op> {
    let which = 0..64usize;
    let wait = prop_oneof![
        8 => 0..300u64,
        4 => 300..2_500u64,
        1 => 0..100_000_000u64,
    ];
    prop_oneof![
        30 => Just(Op::Admit),
        30 => (which.clone(), call()).prop_map(|(which, call)| Op::Record { which, call }),
        3 => which.clone().prop_map(|which| Op::Answered { which }),
        3 => (which.clone(), prop::option::of((0..3_000u64).prop_map(ms)))
            .prop_map(|(which, ago)| Op::Waits { which, ago }),
        20 => wait.prop_map(|millis| Op::Wait(ms(millis))),
        1 => (0..3_000u64).prop_map(|millis| Op::Back(ms(millis))),
        4 => (any::<bool>(), end()).prop_map(|(asynchronous, end)| Op::Guarded { asynchronous, end }),
        1 => (which.clone(), 0..3_000u64).prop_map(|(which, by)| Op::Extend { which, by: ms(by) }),
        3 => which.clone().prop_map(|which| Op::Drop { which }),
        3 => (which.clone(), 0..600u64).prop_map(|(which, millis)| Op::Abandon {
            which,
            lasted: ms(millis),
        }),
        2 => which.prop_map(|which| Op::Forget { which }),
        3 => Just(Op::Check),
        6 => call().prop_map(Op::Report),
        1 => prop::option::of((0..3_000u64).prop_map(ms)).prop_map(|cooldown| Op::Trip(ForcedTrip {
            by: "bea".into(),
            reason: "a drill".into(),
            cooldown,
        })),
        1 => hold(),
        1 => Just(Op::Release),
        1 => Just(Op::Reset),
        1 => Just(Op::Tick),
        1 => settings().prop_map(|settings| Op::Reconfigure(Box::new(settings))),
        1 => Just(Op::Restart),
        3 => far().prop_map(Op::Far),
    ]
}

fn far() -> impl Strategy<Value = Far> {
    let which = 0..64usize;
    prop_oneof![
        Just(Far::Admit),
        Just(Far::Check),
        Just(Far::Tick),
        call().prop_map(Far::Report),
        (which.clone(), call()).prop_map(|(which, call)| Far::Record { which, call }),
        which.prop_map(|which| Far::Abandon { which }),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        Just(End::Well),
        Just(End::Badly),
        Just(End::Panic),
        Just(End::Dropped)
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let duration = prop::option::of((0..400u64).prop_map(ms));
    let retry_after = prop::option::weighted(0.05, (0..4_000u64).prop_map(ms));
    let cause = prop::option::weighted(0.3, (500..503u16).prop_map(Cause::Status));
    let parts = (outcome(), duration, retry_after, cause);
    parts.prop_map(|(outcome, duration, retry_after, cause)| Call {
        outcome,
        duration,
        retry_after,
        cause,
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Success),
        5 => Just(Outcome::Failure),
        1 => Just(Outcome::Ignored),
    ]
}

fn hold() -> impl Strategy<Value = Op> {
    let kind = prop_oneof![Just(HoldKind::Open), Just(HoldKind::Closed)];
    let length = prop::option::of((0..3_000u64).prop_map(ms));
    (kind, length).prop_map(|(kind, length)| Op::Hold(kind, length))
}

/// When that was; for what has not been yet, the end of time.
pub fn since(ago: Option<Duration>, now: Timestamp) -> Timestamp {
    ago.map_or(Timestamp::MAX, |ago| {
        let ago = u64::try_from(ago.as_nanos()).unwrap();
        Timestamp::from_nanos(now.as_nanos().saturating_sub(ago))
    })
}

pub fn held(kind: HoldKind, length: Option<Duration>, now: Timestamp) -> Hold {
    Hold {
        kind,
        until: length.map(|length| now + length),
        reason: "a drill".into(),
        by: "bea".into(),
    }
}

/// No window of time in these settings is longer.
pub const LONGEST_WINDOW: Duration = ms(3_000);

fn over() -> impl Strategy<Value = Over> {
    prop_oneof![
        (1..3_000u64).prop_map(|millis| Over::Time(ms(millis))),
        (3..20u32).prop_map(Over::Calls),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let row = (1..6u32, prop::option::of((1..2_000u64).prop_map(ms)));
    let failures = (1..=3u32, over(), any::<bool>());
    let rate = (1..=99u8, over(), 0..=3u32);
    let slow = (1..=99u8, 1..400u64, over(), 0..=3u32);
    let stalled = (1..5u32, 1..2_000u64);
    prop_oneof![
        row.prop_map(|(threshold, within)| Rule::ConsecutiveFailures { threshold, within }),
        failures.prop_map(|(threshold, over, full)| Rule::Failures {
            threshold,
            over,
            full: full && matches!(over, Over::Calls(_)),
        }),
        rate.prop_map(|(percent, over, min_calls)| Rule::FailureRate {
            rate: Ratio::percent(percent),
            over,
            min_calls,
        }),
        slow.prop_map(|(percent, millis, over, min_calls)| Rule::SlowRate {
            rate: Ratio::percent(percent),
            slower_than: ms(millis),
            over,
            min_calls,
        }),
        stalled.prop_map(|(calls, millis)| Rule::Stalled {
            calls,
            longer_than: ms(millis),
        }),
        (1..8u32).prop_map(|memory| Rule::Adaptive { memory }),
    ]
}

fn half_open() -> impl Strategy<Value = HalfOpen> {
    let probes = prop_oneof![
        6 => (1..5u32).prop_map(limited),
        1 => Just(Probes::Unlimited),
    ];
    let close = prop_oneof![
        (1..4u32).prop_map(CloseRule::Successes),
        (1..=99u8, 1..5u32).prop_map(|(percent, over)| CloseRule::FailureRate {
            rate: Ratio::percent(percent),
            over
        }),
    ];
    let on_timeout = prop_oneof![Just(OnProbeTimeout::Replace), Just(OnProbeTimeout::Fail)];
    let slow = prop::option::weighted(0.3, (1..=99u8, 1..400u64));
    let period = prop::option::weighted(0.2, 1..3_000u64);
    let on_period = prop_oneof![Just(OnPeriodTimeout::Open), Just(OnPeriodTimeout::Close)];
    let choices = (probes, close, 1..2_000u64, on_timeout, 1..3u32);
    let more = (slow, period, on_period, any::<bool>(), any::<bool>());
    (choices, more).prop_map(|(choices, more)| {
        let (probes, close, millis, on_timeout, failures) = choices;
        let (slow, period, on_period_timeout, in_a_row, spent) = more;
        let counts = matches!(close, CloseRule::Successes(_));
        let half_open = HalfOpen {
            failures: if counts { failures } else { 1 },
            probes,
            close,
            probe_timeout: ms(millis),
            on_probe_timeout: on_timeout,
            in_a_row: counts && in_a_row,
            places: if spent { Places::Spent } else { Places::Freed },
            slow: slow
                .filter(|_| !counts)
                .map(|(percent, millis)| SlowProbes {
                    rate: Ratio::percent(percent),
                    slower_than: ms(millis),
                }),
            period_timeout: period.map(ms),
            on_period_timeout,
        };
        let settings = Settings {
            half_open,
            ..Settings::default()
        };
        // Used-up places must be enough for a decision; those that are not are freed instead.
        match settings.validate() {
            Ok(()) => half_open,
            Err(_) => HalfOpen {
                places: Places::Freed,
                ..half_open
            },
        }
    })
}

fn cooldown() -> impl Strategy<Value = Cooldown> {
    (1..2_000u64, 1.0..3.0f64, 0.0..=1.0f64, any::<bool>()).prop_map(
        |(base, factor, jitter, fixed)| {
            let base = ms(base);
            if fixed {
                Cooldown::fixed(base)
            } else {
                Cooldown {
                    factor,
                    jitter,
                    ..Cooldown::exponential(base)
                }
            }
        },
    )
}

pub fn settings() -> impl Strategy<Value = Settings> {
    let choices = (
        prop_oneof![Just(JudgeOn::EveryOutcome), Just(JudgeOn::Failures)],
        prop_oneof![Just(Compare::AtLeast), Just(Compare::Above)],
        prop_oneof![Just(WindowKind::Sliding), Just(WindowKind::Tumbling)],
        prop_oneof![Just(History::Clear), Just(History::Keep)],
        prop_oneof![
            6 => Just(Mode::Enforce),
            1 => Just(Mode::Monitor),
            1 => Just(Mode::Disabled),
        ],
    );
    let more = (
        prop_oneof![Just(Compare::AtLeast), Just(Compare::Above)],
        prop_oneof![
            4 => Just(RetryAfter::Ignore),
            1 => Just(RetryAfter::Honour),
            1 => Just(RetryAfter::Trip),
        ],
        prop::option::weighted(0.3, (1..4_000u64, 1..=99u8)),
        prop_oneof![Just(OnPanic::Failure), Just(OnPanic::Ignored)],
        prop::option::of((1..600u64).prop_map(ms)),
    );
    let rules = prop::collection::vec(rule(), 1..4);
    let parts = (rules, choices, cooldown(), half_open(), more);
    parts.prop_map(|(trip, choices, cooldown, half_open, more)| {
        let (slow_compare, retry_after, ramp, on_panic, abandoned) = more;
        let (judge_on, compare, window, history, mode) = choices;
        let settings = Settings {
            trip,
            judge_on,
            compare,
            window,
            history,
            cooldown,
            half_open,
            mode,
            slow_compare,
            retry_after,
            ramp: ramp.map(|(millis, percent)| Ramp {
                over: ms(millis),
                from: Ratio::percent(percent),
            }),
            on_panic,
            on_abandoned: abandoned.map_or(OnAbandoned::Ignore, OnAbandoned::FailureAfter),
        };
        assert_eq!(settings.validate(), Ok(()));
        settings
    })
}
