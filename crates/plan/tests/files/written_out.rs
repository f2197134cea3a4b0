//! A plan that is written out is read back as the same plan, whatever its settings are.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{lines, plan_of, read_text};
use fusebox_breaker::{
    CloseRule, Cooldown, HalfOpen, Mode, OnAbandoned, OnOverflow, OnPanic, OnProbeTimeout, Over,
    Probes, Ramp, Ratio, RetryAfter, Rule, Settings,
    settings::{
        Compare, History, JudgeOn, MAX_FAILURES, MAX_MEMORY, OnPeriodTimeout, Places, SlowProbes,
        WindowKind,
    },
};
use fusebox_plan::plan::{
    Breaker, Forward, Key, KeyPart, Limits, Plan, Route, Step, Timeout, Upstream,
};
use proptest::prelude::*;

/// 366 days, the longest that a file may say.
const LONGEST: u64 = 366 * 24 * 3600 * 1_000_000_000;
/// No call is as short as that in these plans, so that every shorter limit can be met.
const SECOND: u64 = 1_000_000_000;

fn time(nanos: std::ops::RangeInclusive<u64>) -> impl Strategy<Value = Duration> {
    // Round ones too, which are written in another unit.
    let round = prop_oneof![Just(1), Just(1_000), Just(1_000_000)];
    (nanos, round).prop_map(|(nanos, round)| Duration::from_nanos((nanos / round).max(1) * round))
}

fn any_time() -> impl Strategy<Value = Duration> {
    time(1..=LONGEST)
}

fn short_time() -> impl Strategy<Value = Duration> {
    time(1..=SECOND - 1)
}

fn one_of<T: Copy + std::fmt::Debug + 'static>(choices: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(choices)
}

fn ratio() -> impl Strategy<Value = Ratio> {
    prop_oneof![20 => 1..1_000_000u32, 1 => Just(1_000_000), 4 => Just(500_000)]
        .prop_map(|millionths| Ratio::of(millionths, 1_000_000).unwrap())
}

fn over() -> impl Strategy<Value = Over> {
    prop_oneof![
        any_time().prop_map(Over::Time),
        (1..=1_000_000u32).prop_map(Over::Calls),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let few = 1..=MAX_FAILURES;
    prop_oneof![
        (1..=u32::MAX).prop_map(|threshold| Rule::ConsecutiveFailures {
            threshold,
            within: None,
        }),
        (few.clone(), any_time()).prop_map(|(threshold, within)| Rule::ConsecutiveFailures {
            threshold,
            within: Some(within),
        }),
        (few, over(), any::<bool>()).prop_map(|(threshold, over, full)| Rule::Failures {
            threshold: match over {
                Over::Calls(calls) => threshold.min(calls),
                _ => threshold,
            },
            over,
            full: full && matches!(over, Over::Calls(_)),
        }),
        (ratio(), over(), 1..=u32::MAX).prop_map(|(rate, over, min_calls)| Rule::FailureRate {
            rate,
            over,
            min_calls: among(min_calls, over),
        }),
        (ratio(), short_time(), over(), 1..=u32::MAX).prop_map(
            |(rate, slower_than, over, min_calls)| Rule::SlowRate {
                rate,
                slower_than,
                over,
                min_calls: among(min_calls, over),
            }
        ),
        (1..=u32::MAX, short_time())
            .prop_map(|(calls, longer_than)| Rule::Stalled { calls, longer_than }),
        (1..=MAX_MEMORY).prop_map(|memory| Rule::Adaptive { memory }),
    ]
}

fn among(min_calls: u32, over: Over) -> u32 {
    match over {
        Over::Calls(calls) => min_calls.min(calls),
        _ => min_calls,
    }
}

fn cooldown() -> impl Strategy<Value = Cooldown> {
    let fixed = any_time().prop_map(Cooldown::fixed);
    let growing = (any_time(), any_time(), 1.0..=100.0f64, 0..=1_000_000u32).prop_map(
        |(one, other, factor, jitter)| Cooldown {
            base: one.min(other),
            factor,
            max: one.max(other),
            jitter: f64::from(jitter) / 1e6,
        },
    );
    prop_oneof![fixed, growing]
}

fn half_open(request: Duration) -> impl Strategy<Value = HalfOpen> {
    let longest = u64::try_from(request.as_nanos()).unwrap();
    let close = prop_oneof![
        (1..=u32::MAX, 1..=u32::MAX, any::<bool>()).prop_map(|(successes, failures, in_a_row)| {
            HalfOpen {
                close: CloseRule::Successes(successes),
                failures,
                in_a_row,
                ..HalfOpen::default()
            }
        }),
        (
            ratio(),
            1..=1_000_000u32,
            prop::option::of((ratio(), short_time()))
        )
            .prop_map(|(rate, over, slow)| HalfOpen {
                close: CloseRule::FailureRate { rate, over },
                slow: slow.map(|(rate, slower_than)| SlowProbes { rate, slower_than }),
                ..HalfOpen::default()
            }),
    ];
    let probes = prop_oneof![
        (1..=u32::MAX).prop_map(|probes| Probes::Limited(NonZeroU32::new(probes).unwrap())),
        Just(Probes::Unlimited),
    ];
    let period = prop::option::of((
        any_time(),
        one_of(&[OnPeriodTimeout::Open, OnPeriodTimeout::Close]),
    ));
    (
        close,
        probes,
        time(SECOND..=longest),
        one_of(&[OnProbeTimeout::Replace, OnProbeTimeout::Fail]),
        one_of(&[Places::Freed, Places::Spent]),
        period,
    )
        .prop_map(
            |(close, probes, probe_timeout, on_probe_timeout, places, period)| {
                let half_open = HalfOpen {
                    probes,
                    probe_timeout: probe_timeout.max(Duration::from_nanos(SECOND)),
                    on_probe_timeout,
                    places,
                    period_timeout: period.map(|(timeout, _)| timeout),
                    on_period_timeout: period.map_or_else(OnPeriodTimeout::default, |(_, on)| on),
                    ..close
                };
                // Used-up places must be enough for a decision; those that are not are freed instead.
                let settings = Settings {
                    half_open,
                    ..Settings::default()
                };
                match settings.validate() {
                    Ok(()) => half_open,
                    Err(_) => HalfOpen {
                        places: Places::Freed,
                        ..half_open
                    },
                }
            },
        )
}

fn settings(request: Duration) -> impl Strategy<Value = Settings> {
    let compares = &[Compare::AtLeast, Compare::Above];
    let words = (
        one_of(&[JudgeOn::EveryOutcome, JudgeOn::Failures]),
        one_of(compares),
        one_of(compares),
        one_of(&[WindowKind::Sliding, WindowKind::Tumbling]),
        one_of(&[History::Clear, History::Keep]),
        one_of(&[RetryAfter::Ignore, RetryAfter::Honour, RetryAfter::Trip]),
        one_of(&[Mode::Enforce, Mode::Monitor, Mode::Disabled]),
    );
    let parts = (
        prop::collection::vec(rule(), 1..5),
        cooldown(),
        half_open(request),
        prop::option::of((any_time(), ratio())),
        prop::option::of(short_time()),
    );
    (words, parts)
        .prop_map(|(words, (trip, cooldown, half_open, ramp, abandoned))| {
            let (judge_on, compare, slow_compare, window, history, retry_after, mode) = words;
            Settings {
                trip,
                judge_on,
                compare,
                slow_compare,
                window,
                history,
                cooldown,
                retry_after,
                half_open,
                ramp: ramp.map(|(over, from)| Ramp { over, from }),
                // It has no key: the gateway's own faults never count.
                on_panic: OnPanic::Ignored,
                on_abandoned: abandoned.map_or(OnAbandoned::Ignore, OnAbandoned::FailureAfter),
                mode,
            }
        })
        .prop_filter("settings that can work", |settings| {
            settings.validate().is_ok()
        })
        // Unboxed, all of it lies on a test's stack at once.
        .boxed()
}

fn key() -> impl Strategy<Value = Key> {
    let parts = [
        KeyPart::Upstream,
        KeyPart::Endpoint,
        KeyPart::Route,
        KeyPart::Method,
        KeyPart::Header(http::HeaderName::from_static("x-tenant")),
        KeyPart::Path("id".to_owned()),
    ];
    prop::sample::subsequence(parts.to_vec(), 1..=6).prop_map(Key)
}

/// The plan of a file with one upstream, one route, and that breaker.
fn plan(breaker: &str) -> Plan {
    plan_of(&format!(
        "listen: 127.0.0.1:8080
upstreams: {{ orders: {{ url: http://a/base, breaker: {breaker} }} }}
routes: [{{ path: '/{{id}}', upstream: orders }}]
"
    ))
}

fn upstream() -> impl Strategy<Value = Upstream> {
    let failure = one_of(&[
        "{}",
        r#"{ failure: 'status == 418 || error != ""' }"#,
        r#"{ failure: 'error != "" || body.contains("$${NAME}")', failure_body: 64KiB }"#,
        r#"{ ignore: 'status in [401, 404] || "x-test" in headers' }"#,
    ]);
    let timeout =
        (any_time(), time(SECOND..=LONGEST), any_time()).prop_map(|(connect, request, idle)| {
            Timeout {
                connect,
                total: None,
                request: request.max(Duration::from_nanos(SECOND)),
                idle,
            }
        });
    let settled = timeout.prop_flat_map(|timeout| (settings(timeout.request), Just(timeout)));
    let numbers = (1..=10_000_000usize, 1..=1usize << 20, 0..=100_000usize);
    let times = (
        any_time(),
        any_time(),
        any_time(),
        prop::option::of(any_time()),
    );
    let overflows = one_of(&[OnOverflow::Share, OnOverflow::Pass]);
    (settled, failure, key(), numbers, times, overflows).prop_map(
        |((settings, timeout), failure, key, numbers, times, on_overflow)| {
            let (settle, pool_idle_timeout, pool_max_age, idle_after) = times;
            let (keys_max, body_max, pool_idle_max) = numbers;
            let plain = plan(failure).upstreams[0].as_ref().clone();
            Upstream {
                timeout,
                pool_idle_max,
                pool_idle_timeout,
                pool_max_age,
                breaker: Breaker {
                    settings,
                    // One breaker for all has no bound, and says so.
                    keys_max: if key.is_upstream() { 10_000 } else { keys_max },
                    idle_after: idle_after.filter(|_| !key.is_upstream()),
                    on_overflow: if key.is_upstream() {
                        OnOverflow::Share
                    } else {
                        on_overflow
                    },
                    key,
                    failure_body_max: plain.breaker.failure_body_max.map(|_| body_max),
                    settle,
                    ..plain.breaker
                },
                ..plain
            }
        },
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    let numbers = (1..=10_000_000usize, 256..=16usize << 20, 1..=10_000usize);
    let bytes = (1..=1u64 << 50, prop::option::of(1..=1u64 << 50));
    let times = (
        any_time(),
        any_time(),
        any_time(),
        any_time(),
        any_time(),
        prop_oneof![Just(Duration::ZERO), any_time()],
    );
    let streams = (
        1..=10_000u32,
        any_time(),
        1..=10_000usize,
        1..=1_000_000usize,
        1..=1_000_000u32,
    );
    (numbers, bytes, times, streams).prop_map(|(numbers, bytes, times, streams)| Limits {
        connections_max: numbers.0,
        head_bytes_max: numbers.1,
        head_fields_max: numbers.2,
        body_rate_min: bytes.0,
        request_body_max: bytes.1,
        first_byte_timeout: times.0,
        head_timeout: times.1,
        keep_alive_timeout: times.2,
        streams_max: streams.0,
        stream_stall_timeout: streams.1,
        stream_resets_max: streams.2,
        stream_errors_max: streams.3,
        control_frames_rate: streams.4,
        upgrade_idle_timeout: times.3,
        drain_timeout: times.4,
        drain_delay: times.5,
    })
}

#[test]
fn text_in_the_form_of_a_variable_is_written_out_as_text() {
    let plan = plan_of(
        r#"listen: 127.0.0.1:8080
routes:
  - name: "$${ROUTE} and $$${ROUTE}"
    path: /
    respond: { headers: { x-price: "5 $${EUR}" }, text: "$${TEXT}" }
"#,
    );
    assert_eq!(&*plan.routes[0].name, "${ROUTE} and $${ROUTE}");
    let again = read_text(&plan.to_json().to_string());
    assert_eq!(again.plan, Some(plan), "{}", lines(&again));
}

proptest! {
    #[test]
    fn a_plan_written_out_is_read_back_as_the_same_plan(upstream in upstream(), limits in limits()) {
        let plain = plan("{}");
        let upstream = Arc::new(upstream);
        let steps = vec![Step::Forward(Forward::to(upstream.clone()))];
        let route = Route {
            steps,
            ..plain.routes[0].as_ref().clone()
        };
        let plan = Plan {
            upstreams: vec![upstream],
            limits,
            routes: vec![Arc::new(route)],
            ..plain
        };
        let written = plan.to_json().to_string();
        let again = read_text(&written);
        prop_assert_eq!(again.plan.as_ref(), Some(&plan), "{}\n{}", lines(&again), written);
    }
}
