//! Settings, saved breakers and reports as data: what is written, what is read, and what is said of mistakes.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::num::NonZeroU32;
use std::time::{Duration, UNIX_EPOCH};

use fusebox_breaker::{
    Breaker, Call, Cause, CloseRule, Cooldown, HalfOpen, Hold, HoldKind, Mode, OnAbandoned,
    OnPanic, OnProbeTimeout, Outcome, Over, Probes, Ramp, Ratio, RetryAfter, Rule, Saved,
    SavedState, Settings, Timestamp,
    settings::{Compare, History, JudgeOn, OnPeriodTimeout, Places, SlowProbes, WindowKind},
    snapshot::SavedHold,
};
use proptest::prelude::*;
use serde_json::{Value, from_str, from_value, json, to_string, to_value};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn missing_settings_are_defaults() {
    assert_eq!(from_str::<Settings>("{}").unwrap(), Settings::default());
    let settings: Settings = from_value(json!({
        "trip": { "consecutive_failures": 3, "failure_rate": "50%" },
        "cooldown": "5s",
        "half_open": { "probes": 2, "successes": 4 },
        "mode": "monitor",
    }))
    .unwrap();
    assert_eq!(
        settings,
        Settings {
            trip: vec![
                Rule::ConsecutiveFailures {
                    threshold: 3,
                    within: None
                },
                Rule::FailureRate {
                    rate: Ratio::percent(50),
                    over: Over::Time(seconds(10)),
                    min_calls: 20
                },
            ],
            cooldown: Cooldown::fixed(seconds(5)),
            half_open: HalfOpen {
                probes: Probes::Limited(NonZeroU32::new(2).unwrap()),
                close: CloseRule::Successes(4),
                ..HalfOpen::default()
            },
            mode: Mode::Monitor,
            ..Settings::default()
        }
    );
}

#[test]
fn settings_read_as_the_gateways_configuration_writes_them() {
    let settings: Settings = from_value(json!({
        "trip": [
            { "consecutive_failures": 5, "failures": 20, "within": "1m" },
            { "failures": 3, "over": "10 calls", "full": true },
            { "slow_rate": 0.8, "slower_than": "2s", "over": "100 calls" },
            { "stalled": 3, "longer_than": "10s" },
            { "adaptive": { "memory": 5 } },
        ],
        "judge_on": "failures",
        "compare": ">",
        "slow_compare": ">=",
        "cooldown": { "base": "1s", "jitter": "10%" },
        "retry_after": "honour",
        "half_open": { "probes": "unlimited", "failure_rate": "1/3", "over": "6 calls" },
        "ramp": { "over": "10s", "curve": "linear" },
        "abandoned": "1s",
    }))
    .unwrap();
    let minute = Over::Time(seconds(60));
    let rules = [
        Rule::ConsecutiveFailures {
            threshold: 5,
            within: Some(seconds(60)),
        },
        Rule::Failures {
            threshold: 20,
            over: minute,
            full: false,
        },
        Rule::Failures {
            threshold: 3,
            over: Over::Calls(10),
            full: true,
        },
        Rule::SlowRate {
            rate: Ratio::percent(80),
            slower_than: seconds(2),
            over: Over::Calls(100),
            min_calls: 100,
        },
        Rule::Stalled {
            calls: 3,
            longer_than: seconds(10),
        },
        Rule::Adaptive { memory: 5 },
    ];
    assert_eq!(settings.trip, rules);
    assert_eq!(settings.judge_on, JudgeOn::Failures);
    assert_eq!(
        (settings.compare, settings.slow_compare),
        (Compare::Above, Compare::AtLeast)
    );
    assert_eq!(
        settings.cooldown,
        Cooldown {
            jitter: 0.1,
            ..Cooldown::exponential(seconds(1))
        }
    );
    assert_eq!(settings.half_open.probes, Probes::Unlimited);
    let rate = Ratio::of(1, 3).unwrap();
    assert_eq!(
        settings.half_open.close,
        CloseRule::FailureRate { rate, over: 6 }
    );
    assert_eq!(settings.ramp, Some(Ramp::linear(seconds(10))));
    assert_eq!(settings.on_abandoned, OnAbandoned::FailureAfter(seconds(1)));
}

#[test]
fn settings_are_written_as_the_gateways_configuration_reads_them() {
    let settings = Settings {
        trip: vec![
            Rule::Failures {
                threshold: 3,
                over: Over::Time(seconds(90)),
                full: false,
            },
            Rule::Failures {
                threshold: 3,
                over: Over::Calls(10),
                full: true,
            },
        ],
        cooldown: Cooldown::exponential(Duration::from_millis(1_500)),
        on_abandoned: OnAbandoned::FailureAfter(seconds(3_600)),
        ..Settings::default()
    };
    let written = to_value(settings).unwrap();
    assert_eq!(
        written["trip"],
        json!([
            { "failures": 3, "within": "90s" },
            { "failures": 3, "over": "10 calls", "full": true },
        ])
    );
    assert_eq!(
        written["cooldown"],
        json!({ "base": "1500ms", "factor": 2.0, "max": "15s", "jitter": "20%" })
    );
    assert_eq!(written["abandoned"], "1h");
}

#[test]
fn what_says_nothing_may_be_written_by_either_word() {
    for word in ["ignore", "ignored"] {
        let settings: Settings =
            from_value(json!({ "on_panic": word, "abandoned": word })).unwrap();
        assert_eq!(settings.on_panic, OnPanic::Ignored);
        assert_eq!(settings.on_abandoned, OnAbandoned::Ignore);
    }
}

#[test]
fn the_default_settings_are_written_as_the_gateway_takes_them() {
    assert_eq!(
        to_value(Settings::default()).unwrap(),
        json!({
            "trip": [
                { "consecutive_failures": 5 },
                { "failure_rate": "50%", "over": "10s", "min_calls": 20 },
            ],
            "judge_on": "outcomes",
            "compare": ">=",
            "slow_compare": ">",
            "window": "sliding",
            "history": "clear",
            "cooldown": "30s",
            "retry_after": "ignore",
            "half_open": {
                "probes": 1,
                "places": "freed",
                "successes": 1,
                "failures": 1,
                "in_a_row": false,
                "probe_timeout": "1m",
                "on_probe_timeout": "replace",
            },
            "mode": "enforce",
        })
    );
}

/// The message without the place that the format adds.
fn fault(settings: Value) -> String {
    from_value::<Settings>(settings).unwrap_err().to_string()
}

#[test]
fn a_mistake_is_named_with_what_is_expected() {
    let unknown = fault(json!({ "coldown": "5s" }));
    assert!(
        unknown.starts_with("unknown field `coldown`, expected one of `trip`, `judge_on`"),
        "{unknown}"
    );
    let said = [
        (
            json!({ "mode": "evil" }),
            "unknown mode \"evil\"; expected enforce, monitor or disabled",
        ),
        (
            json!({ "cooldown": "5" }),
            "invalid duration \"5\"; expected a number with a unit, such as 250ms, 30s or 5m",
        ),
        (
            json!({ "cooldown": 5 }),
            "invalid type: integer `5`, expected a duration such as \"30s\", or a map of base, factor, max and jitter",
        ),
        (
            json!({ "trip": { "failure_rate": "0%" } }),
            "0 is not a share of calls; give a number above 0 and at most 1 (0.5 is 50 %)",
        ),
        (
            json!({ "trip": { "failure_rate": "half" } }),
            "invalid ratio \"half\"; expected a share of calls, such as 50% or 0.5",
        ),
        (
            json!({ "trip": { "failure_rate": 0.5, "over": "10" } }),
            "invalid window \"10\"; expected a duration or a number of calls, such as 10s or 100 calls",
        ),
        (
            json!({ "trip": [{ "failures": 5 }] }),
            "failures: no window; add one, such as within: 60s or over: 100 calls",
        ),
        (
            json!({ "trip": [{ "consecutive_failures": 5, "min_calls": 3 }] }),
            "min_calls belongs to failure_rate or slow_rate; add the rule, or leave min_calls out",
        ),
        (
            json!({ "trip": [{}] }),
            "a rule without a name; add one, such as consecutive_failures: 5",
        ),
        (
            json!({ "half_open": { "probes": 0 } }),
            "0 is not a number of probes; expected 1 or more, or unlimited",
        ),
        (
            json!({ "half_open": { "failure_rate": 0.5 } }),
            "half_open.failure_rate: no number of answers to judge; add one, such as over: 10 calls",
        ),
        (
            json!({ "half_open": { "successes": 1, "failure_rate": 0.5, "over": "5 calls" } }),
            "half_open: successes and failure_rate both decide; keep one of them",
        ),
        (
            json!({ "abandoned": "failure" }),
            "unknown abandoned \"failure\"; expected a duration such as 1s or ignore",
        ),
        (
            json!({ "abandoned": 1 }),
            "invalid type: integer `1`, expected a duration such as \"1s\", or \"ignore\"",
        ),
        (
            json!("standard"),
            "invalid type: string \"standard\", expected a map of settings, \
             such as { trip: [{ consecutive_failures: 5 }], cooldown: \"30s\" }",
        ),
        (
            json!({ "half_open": "x" }),
            "invalid type: string \"x\", expected a map of probes, successes, failures, probe_timeout and more, \
             such as { probes: 2 }",
        ),
        (
            json!({ "ramp": "10s" }),
            "invalid type: string \"10s\", expected a map of over, from and curve, such as { over: \"10s\" }",
        ),
        (
            json!({ "ramp": { "over": "10s", "curve": "round" } }),
            "unknown curve \"round\"; expected linear",
        ),
        (
            json!({ "trip": ["x"] }),
            "invalid type: string \"x\", expected a map of rules, such as { consecutive_failures: 5 }",
        ),
        (
            json!({ "trip": { "adaptive": 5 } }),
            "invalid type: integer `5`, expected a map such as { memory: 5 }",
        ),
        (
            json!({ "trip": [{ "consecutive_failures": 3, "failures": 3 }] }),
            "two rules in one map, consecutive_failures and failures, and the latter has no window; \
             add within: 60s, which then holds for both, or give each rule a map of its own",
        ),
        (
            json!({ "trip": { "failures": 3, "over": "90s" } }),
            "over gives failures no window: over a time it belongs to rate rules; write within: 90s",
        ),
        (
            json!({ "trip": { "failures": 3, "within": "1m", "over": "10 calls" } }),
            "failures has two windows, within and over; keep one of them, or give each rule a map of its own",
        ),
    ];
    for (settings, message) in said {
        assert_eq!(fault(settings.clone()), message, "{settings}");
    }
    assert!(
        from_str::<Saved>(r#"{"state":"evil","generation":1,"attempts":0}"#)
            .unwrap_err()
            .to_string()
            .starts_with("unknown state \"evil\"; expected closed, open or half_open")
    );
}

#[test]
fn a_saved_breaker_is_a_flat_record() {
    let mut saved = Saved::new(SavedState::Open {
        remaining: Duration::from_millis(12_500),
    });
    saved.generation = 7;
    saved.attempts = 2;
    saved.hold = Some(SavedHold {
        kind: HoldKind::Closed,
        remaining: None,
        reason: "moving house".into(),
        by: "ann".into(),
    });
    saved.written_at = Some(UNIX_EPOCH + seconds(1_700_000_000));
    let record = json!({
        "state": "open",
        "remaining": "12500ms",
        "generation": 7,
        "attempts": 2,
        "hold": { "kind": "closed", "remaining": null, "reason": "moving house", "by": "ann" },
        "written_at": "2023-11-14T22:13:20Z",
    });
    assert_eq!(to_value(&saved).unwrap(), record);
    assert_eq!(from_value::<Saved>(record).unwrap(), saved);
    // A later version may write more, and an earlier one wrote less.
    let other = r#"{"state":"half_open","generation":1,"attempts":1,"later":true}"#;
    assert_eq!(
        from_str::<Saved>(other).unwrap().state,
        SavedState::HalfOpen
    );
}

#[test]
fn a_wall_time_that_no_calendar_has_is_an_error_and_no_panic() {
    let breaker = Breaker::new("orders", Settings::default()).unwrap();
    for wall in [
        UNIX_EPOCH - seconds(1),
        UNIX_EPOCH + seconds(300_000_000_000),
    ] {
        let saved = breaker.saved(Timestamp::ZERO).at(wall);
        assert!(
            to_string(&saved)
                .unwrap_err()
                .to_string()
                .contains("1970 to 9999")
        );
    }
}

#[test]
fn a_snapshot_tells_its_reasons_in_words_and_numbers() {
    let settings = Settings {
        trip: vec![Rule::ConsecutiveFailures {
            threshold: 2,
            within: None,
        }],
        ..Settings::default()
    };
    let breaker = Breaker::new("orders", settings).unwrap();
    let now = Timestamp::from_millis(5);
    for cause in [Cause::Status(503), Cause::Word("refused")] {
        let permit = breaker.admit(now).unwrap();
        permit.record(Call::from(Outcome::Failure).because(cause), now);
    }
    let hold = Hold {
        kind: HoldKind::Open,
        until: None,
        reason: "moving".into(),
        by: "ann".into(),
    };
    breaker.hold(hold, now);
    let snapshot = to_value(breaker.snapshot(now)).unwrap();
    assert_eq!(snapshot["phase"], "open");
    assert_eq!(snapshot["mode"], "enforce");
    assert_eq!(snapshot["hold"]["by"], "ann");
    assert_eq!(snapshot["totals"]["failures"], 2);
    assert_eq!(snapshot["rules"][0]["rule"], "consecutive_failures");
    assert_eq!(snapshot["at"], 5_000_000);
    assert_eq!(snapshot["outcomes"][1]["counted"], "failure");
    assert_eq!(snapshot["reason"]["token"], "held_open");
    assert_eq!(
        snapshot["recent"][0]["reason"],
        json!({
            "token": "consecutive_failures",
            "text": "2 consecutive failures: 1 × refused, 1 × 503 (the limit is 2)",
            "observed": 2.0,
            "threshold": 2.0,
            "calls": 2,
            "over": null,
            "causes": [
                { "cause": "refused", "failures": 1 },
                { "cause": 503, "failures": 1 },
            ],
        })
    );
    assert_eq!(snapshot["recent"][0]["from"], "closed");
    assert_eq!(snapshot["recent"][0]["retry_at"], 30_005_000_000_u64);
    let rejection = to_value(breaker.admit(now).unwrap_err()).unwrap();
    assert_eq!(rejection["reason"], "held_open");
}

fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        any::<u64>().prop_map(Duration::from_nanos),
        any::<u32>().prop_map(|millis| Duration::from_millis(millis.into())),
    ]
}

fn ratio() -> impl Strategy<Value = Ratio> {
    prop_oneof![
        (1u8..=100).prop_map(Ratio::percent),
        (1u32..=1_000_000).prop_map(|parts| Ratio::new(f64::from(parts) / 1e6).unwrap()),
        (1u32.., any::<u32>()).prop_map(|(a, b)| Ratio::of(a.min(b.max(1)), a.max(b)).unwrap()),
    ]
}

fn over() -> impl Strategy<Value = Over> {
    prop_oneof![
        time().prop_map(Over::Time),
        any::<u32>().prop_map(Over::Calls)
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        (any::<u32>(), prop::option::of(time()))
            .prop_map(|(threshold, within)| Rule::ConsecutiveFailures { threshold, within }),
        (any::<u32>(), over(), any::<bool>()).prop_map(|(threshold, over, full)| {
            Rule::Failures {
                threshold,
                over,
                full,
            }
        }),
        (ratio(), over(), any::<u32>()).prop_map(|(rate, over, min_calls)| Rule::FailureRate {
            rate,
            over,
            min_calls
        }),
        (ratio(), time(), over(), any::<u32>()).prop_map(|(rate, slower_than, over, min_calls)| {
            Rule::SlowRate {
                rate,
                slower_than,
                over,
                min_calls,
            }
        }),
        (any::<u32>(), time())
            .prop_map(|(calls, longer_than)| Rule::Stalled { calls, longer_than }),
        any::<u32>().prop_map(|memory| Rule::Adaptive { memory }),
    ]
}

fn cooldown() -> impl Strategy<Value = Cooldown> {
    let grown =
        (time(), 100u16..10_000, time(), 0u8..=100).prop_map(|(base, factor, max, jitter)| {
            Cooldown {
                base,
                factor: f64::from(factor) / 100.0,
                max,
                jitter: f64::from(jitter) / 100.0,
            }
        });
    prop_oneof![time().prop_map(Cooldown::fixed), grown]
}

fn half_open() -> impl Strategy<Value = HalfOpen> {
    let probes = prop_oneof![
        Just(Probes::Unlimited),
        any::<NonZeroU32>().prop_map(Probes::Limited)
    ];
    let close = prop_oneof![
        any::<u32>().prop_map(CloseRule::Successes),
        (ratio(), any::<u32>()).prop_map(|(rate, over)| CloseRule::FailureRate { rate, over })
    ];
    let slow = prop::option::of(
        (ratio(), time()).prop_map(|(rate, slower_than)| SlowProbes { rate, slower_than }),
    );
    let words = (
        prop::sample::select(vec![OnProbeTimeout::Replace, OnProbeTimeout::Fail]),
        prop::sample::select(vec![Places::Freed, Places::Spent]),
        prop::sample::select(vec![OnPeriodTimeout::Open, OnPeriodTimeout::Close]),
        any::<bool>(),
    );
    (
        probes,
        close,
        slow,
        words,
        time(),
        any::<u32>(),
        prop::option::of(time()),
    )
        .prop_map(
            |(probes, close, slow, words, probe_timeout, failures, period_timeout)| HalfOpen {
                probes,
                close,
                probe_timeout,
                on_probe_timeout: words.0,
                failures,
                in_a_row: words.3,
                places: words.1,
                slow,
                period_timeout,
                on_period_timeout: words.2,
            },
        )
}

prop_compose! {
    fn settings()(
        trip in prop::collection::vec(rule(), 0..5),
        judge_on in prop::sample::select(vec![JudgeOn::EveryOutcome, JudgeOn::Failures]),
        compare in prop::sample::select(vec![Compare::AtLeast, Compare::Above]),
        slow_compare in prop::sample::select(vec![Compare::AtLeast, Compare::Above]),
        window in prop::sample::select(vec![WindowKind::Sliding, WindowKind::Tumbling]),
        history in prop::sample::select(vec![History::Clear, History::Keep]),
        cooldown in cooldown(),
        retry_after in prop::sample::select(vec![RetryAfter::Ignore, RetryAfter::Honour, RetryAfter::Trip]),
        half_open in half_open(),
        ramp in prop::option::of((time(), ratio()).prop_map(|(over, from)| Ramp { over, from })),
        on_panic in prop::sample::select(vec![OnPanic::Failure, OnPanic::Ignored]),
        on_abandoned in prop::option::of(time()),
        mode in prop::sample::select(vec![Mode::Enforce, Mode::Monitor, Mode::Disabled]),
    ) -> Settings {
        Settings {
            trip, judge_on, compare, slow_compare, window, history, cooldown, retry_after, half_open, ramp, on_panic,
            on_abandoned: on_abandoned.map_or(OnAbandoned::Ignore, OnAbandoned::FailureAfter),
            mode,
        }
    }
}

prop_compose! {
    fn saved()(
        remaining in prop::option::of(time()),
        half_open: bool,
        generation: u64,
        attempts: u32,
        hold in prop::option::of((any::<bool>(), prop::option::of(time()), ".*", ".*")),
        wall in prop::option::of(0u64..253_402_300_800_000_000),
    ) -> Saved {
        let mut saved = Saved::new(match remaining {
            Some(remaining) => SavedState::Open { remaining },
            None if half_open => SavedState::HalfOpen,
            None => SavedState::Closed,
        });
        saved.generation = generation;
        saved.attempts = attempts;
        saved.hold = hold.map(|(open, remaining, reason, by)| SavedHold {
            kind: if open { HoldKind::Open } else { HoldKind::Closed },
            remaining,
            reason: reason.into(),
            by: by.into(),
        });
        saved.written_at = wall.map(|micros| UNIX_EPOCH + Duration::from_micros(micros));
        saved
    }
}

proptest! {
    #[test]
    fn settings_come_back_as_they_were(settings in settings()) {
        let text = to_string(&settings).unwrap();
        prop_assert_eq!(from_str::<Settings>(&text).unwrap(), settings, "{}", text);
    }

    #[test]
    fn a_saved_breaker_comes_back_as_it_was(saved in saved()) {
        let text = to_string(&saved).unwrap();
        prop_assert_eq!(from_str::<Saved>(&text).unwrap(), saved, "{}", text);
    }

    #[test]
    fn whatever_is_read_is_settings_or_an_error(text in r#"[{\["a-z0-9%_:,\]}]{0,40}"#, field in "[a-z_]{1,12}") {
        let _ = from_str::<Settings>(&text);
        let value = from_str::<Value>(&text).unwrap_or(Value::String(text));
        let _ = from_value::<Settings>(json!({ field: value }));
    }
}
