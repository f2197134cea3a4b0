//! Replays of logs with known answers: an outage, noise, a slow creep, flapping, a day with three outages. Every number
//! is worked out in the comment beside it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use fusebox_breaker::{Cooldown, HalfOpen, Over, Phase, Ramp, Ratio, Rule, Settings};
use fusebox_sim::rerun::{Call, Extent, Fact, Report, rerun, sort};
use fusebox_sim::sweep::{Axis, Ranked, Sweep};
use fusebox_sim::trace::{FieldMap, Format, Reader, attempts};
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

fn consecutive(threshold: u32, cooldown: u64) -> Settings {
    Settings {
        trip: vec![Rule::ConsecutiveFailures {
            threshold,
            within: None,
        }],
        cooldown: Cooldown::fixed(Duration::from_secs(cooldown)),
        ..Settings::default()
    }
}

fn call(at_ms: u64, took_ms: u64, fact: Fact) -> Call {
    Call {
        start: (at_ms * MS) as i64,
        lasted: took_ms * MS,
        took: took_ms * MS,
        fact,
        code: if fact == Fact::Failure { 503 } else { 0 },
    }
}

/// Calls every `every` ms from 0 to `until` ms, each 30 ms long; `fails` says which fail, by number and time in ms.
fn calls(every: u64, until: u64, fails: impl Fn(u64, u64) -> bool) -> Vec<Call> {
    let fact = |number, at| match fails(number, at) {
        true => Fact::Failure,
        false => Fact::Success,
    };
    (0..until / every)
        .map(|number| call(number * every, 30, fact(number, number * every)))
        .collect()
}

fn replay(settings: &Settings, calls: &[Call]) -> Report {
    let extent = Extent {
        timeline: Some((60 * SECOND, 60)),
        ..Extent::default()
    };
    rerun(&Arc::new(settings.clone()), calls, extent).unwrap()
}

fn sweep(axes: &[&str], today: &Settings, calls: &[Call]) -> Ranked {
    let sweep = Sweep {
        axes: axes.iter().map(|axis| Axis::read(axis).unwrap()).collect(),
        good_call: 1.0,
    };
    let threads = NonZeroUsize::new(2).unwrap();
    sweep
        .run(today, &[(calls, Extent::default())], threads)
        .unwrap()
}

#[test]
fn an_outage_of_a_minute_costs_the_calls_in_flight_and_a_probe_each_cooldown() {
    // 100 calls/s over 3 minutes; down from 60 s to 120 s.
    let log = calls(10, 180_000, |_, at| (60_000..120_000).contains(&at));
    let report = replay(&consecutive(5, 5), &log);
    // The calls of 60.00 to 60.04 s fail at 60.03 to 60.07 s: a trip at 60.07 s. Until then those of 60.05 and 60.06 s
    // start too; that of 60.07 s comes after the trip.
    assert_eq!(report.opens_after, Some(5));
    assert_eq!(report.detected, [70 * MS]);
    // A probe at 65.07 s fails at 65.10 s, the next at 70.10 s, every 5.03 s: the last failing one starts at
    // 65.07 + 10 x 5.03 = 115.37 s. So 11 reopenings, and 7 + 11 failed calls.
    assert_eq!(report.trips.len(), 12);
    let at: Vec<_> = report.trips.iter().map(|trip| trip.at / MS).collect();
    assert_eq!(at[..3], [60_070, 65_100, 70_130]);
    assert_eq!(at[11], 115_400);
    assert!(
        report.trips[1..]
            .iter()
            .all(|trip| trip.from == Phase::HalfOpen)
    );
    assert_eq!(report.trips[0].until, 65_070 * MS);
    assert_eq!(report.failed, 18);
    assert_eq!(report.refused_failed, 6_000 - 18);
    // The probe of 120.40 s closes at 120.43 s; refused since 120 s are 43 good calls less the probe.
    assert_eq!(report.refused_good, 42);
    assert_eq!(report.recovered, [430 * MS]);
    assert_eq!(report.calls, 18_000 - 5_982 - 42);
    assert_eq!(report.unjudged, 0);
    assert_eq!(
        report.trips[0].reason.to_string(),
        "5 consecutive failures: 5 × 503 (the limit is 5)"
    );
}

#[test]
fn noise_of_one_percent_trips_only_a_threshold_of_one() {
    // Every 100th call fails: 100 of 10,000, never two in a row.
    let log = calls(10, 100_000, |number, _| number % 100 == 50);
    let report = replay(&consecutive(2, 5), &log);
    assert_eq!(
        (report.trips.len(), report.refused, report.failed),
        (0, 0, 100)
    );
    let report = replay(&consecutive(1, 5), &log);
    // The failure of 0.50 s trips at 0.53 s. The probe of 5.53 s is good and closes at 5.56 s; the next failure is that
    // of 6.50 s. A round takes 6 s: at 0.53, 6.53, …, 96.53 s, 17 trips. The last cooldown ends at 101.53 s, after the log.
    assert_eq!(report.trips.len(), 17);
    assert_eq!(report.failed, 17);
    // A round refuses the calls of 0.53 to 5.55 s but the probe of 5.53 s: 503 - 1, of which those of 1.5 to 5.5 s,
    // 5 of them, had failed. The last round refuses those from 96.53 s on: 347, 3 of which had failed.
    assert_eq!(report.refused, 16 * 502 + 347);
    assert_eq!(report.refused_failed, 16 * 5 + 3);
    assert_eq!(report.refused_good, report.refused - report.refused_failed);
}

#[test]
fn a_slow_creep_trips_the_rate_of_slow_calls_when_half_of_its_window_is_slow() {
    // 10 calls/s. From 100 s on the calls of even number take 3 s, from 200 s on all of them.
    let log: Vec<_> = (0..3_000)
        .map(|number| {
            let at = number * 100;
            let slow = at >= 200_000 || (at >= 100_000 && number % 2 == 0);
            call(at, if slow { 3_000 } else { 100 }, Fact::Success)
        })
        .collect();
    let settings = Settings {
        trip: vec![Rule::SlowRate {
            rate: Ratio::percent(80),
            slower_than: Duration::from_secs(2),
            over: Over::Calls(100),
            min_calls: 100,
        }],
        cooldown: Cooldown::fixed(Duration::from_secs(3_600)),
        ..Settings::default()
    };
    let report = replay(&settings, &log);
    // Until 200 s half of the outcomes are slow: no trip. The last fast one ends at 200.0 s; after it 14 slow calls of
    // before end, 0.2 s apart, and from 203 s on all those of 200 s and later, 0.1 s apart. After n slow outcomes in a row
    // the other 100 - n of the window alternate: n + (100 - n) / 2 >= 80 at n = 60. The 46th call since 200 s is that of
    // 204.5 s, which ends at 207.5 s.
    assert_eq!(report.trips.len(), 1);
    let Some(trip) = report.trips.first() else {
        unreachable!()
    };
    assert_eq!(trip.at / MS, 207_500);
    assert_eq!(trip.reason.token(), "slow_rate");
    // All succeeded, so all that is refused would have: those from 207.5 s on.
    assert_eq!((report.failed, report.refused_failed), (0, 0));
    assert_eq!(report.refused_good, 3_000 - 2_075);
}

#[test]
fn a_flapping_upstream_trips_once_a_flap() {
    // 100 calls/s; of each 20 s the first 10 s fail. A cooldown of 10 s.
    let log = calls(10, 100_000, |_, at| at % 20_000 < 10_000);
    let report = replay(&consecutive(5, 10), &log);
    // Flap k begins at 20k s: the trip is at 20k + 0.07 s, the probe at 20k + 10.07 s is good and closes at 20k + 10.10 s.
    assert_eq!(report.trips.len(), 5);
    let at: Vec<_> = report.trips.iter().map(|trip| trip.at / MS).collect();
    assert_eq!(at, [70, 20_070, 40_070, 60_070, 80_070]);
    assert_eq!(report.detected, [70 * MS; 5]);
    assert_eq!(report.recovered, [100 * MS; 5]);
    // Of each flap 7 failures pass and 993 are refused; of the good calls those of 10.00 to 10.09 s less the probe.
    assert_eq!((report.failed, report.refused_failed), (35, 5 * 993));
    assert_eq!(report.refused_good, 5 * 9);
}

#[test]
fn a_day_with_three_outages_is_three_troubles_and_the_sweep_finds_the_threshold_worked_out_by_hand()
{
    // One call a second over a day. Three outages of 10 min, at 2 h, 10 h and 18 h; and each hour, at its 30th minute,
    // three failures in a row.
    let log = calls(1_000, 86_400_000, |_, at| {
        let second = at / 1_000;
        let of_hour = second % 3_600;
        let outage = [2, 10, 18]
            .iter()
            .any(|hour| (hour * 3_600..hour * 3_600 + 600).contains(&second));
        outage || (1_800..1_803).contains(&of_hour)
    });
    let today = consecutive(5, 60);
    let report = replay(&today, &log);
    // An outage: calls of 0 to 4 s fail, the trip is at 4.03 s. Probes at 65, 126, …: 61 s apart, as the call of the
    // cooldown's end comes up to a second later: at 65 + 61k < 600 s for k = 0 to 8. So 9 reopenings, and the probe of
    // 614 s closes. 14 failures pass, 586 are refused; of the good calls those of 600 to 613 s are refused.
    assert_eq!(report.trips.len(), 3 * 10);
    assert_eq!(report.detected, [4_030 * MS; 3]);
    assert_eq!(report.recovered, [14_030 * MS; 3]);
    assert_eq!(report.failed, 3 * 14 + 24 * 3);
    assert_eq!(report.refused_failed, 3 * 586);
    assert_eq!(report.refused_good, 3 * 14);
    // A threshold of 3 or less trips 24 times more on the three in a row, each for 60 good calls; every step above 4 lets
    // one failure more of each outage through. So 4 is best: the trip comes at 3.03 s, probes at 64 + 61k s, the last
    // failing one at 552 s, and the closing one at 613 s: 13 failures and 13 good calls an outage.
    let ranked = sweep(&["consecutive_failures=2..8"], &today, &log);
    let best = ranked.best().unwrap();
    assert_eq!(best.values[0].to_string(), "4");
    assert_eq!((best.failed, best.refused_good), (3 * 13 + 72, 3 * 13));
    assert_eq!(best.cost, (3 * 13 + 72 + 3 * 13) as f64);
    assert_eq!(best.line, "trip: { consecutive_failures: 4 }");
    assert!(ranked.improves());
    assert_eq!(ranked.today.cost, (3 * 14 + 72 + 3 * 14) as f64);
    let order: Vec<_> = ranked
        .tried
        .iter()
        .map(|it| it.values[0].to_string())
        .collect();
    assert_eq!(order[..5], ["4", "5", "6", "7", "8"]);
    // Nothing beats 4 where it is today's already.
    let ranked = sweep(&["consecutive_failures=2..8"], &consecutive(4, 60), &log);
    assert!(!ranked.improves() && ranked.tried[0].is_today);
}

#[test]
fn a_good_call_may_be_worth_more_than_a_failure() {
    // Bursts of three failures, each 10 s, in a good log of 1 call/s.
    let log = calls(1_000, 600_000, |_, at| (at / 1_000) % 10 < 3);
    let run = |good_call| {
        let axes = vec![Axis::read("consecutive_failures=1,10").unwrap()];
        let sweep = Sweep { axes, good_call };
        let threads = NonZeroUsize::new(1).unwrap();
        let ranked = sweep.run(&consecutive(5, 2), &[(&log, Extent::default())], threads);
        ranked.unwrap().best().unwrap().values[0].to_string()
    };
    // Tripped by the first failure, the other two of a burst are refused and the good call after them probes: two
    // failures avoided and nothing lost. A threshold of ten does nothing. Both hold whatever a good call costs.
    assert_eq!(run(1.0), "1");
    let log_of_noise = calls(10, 60_000, |number, _| number % 50 == 0);
    let ranked = sweep(
        &["consecutive_failures=1,10"],
        &consecutive(10, 2),
        &log_of_noise,
    );
    assert_eq!(ranked.best().unwrap().values[0].to_string(), "10");
    assert!(!ranked.improves());
}

#[test]
fn calls_that_a_live_breaker_refused_have_no_outcome() {
    let mut log = calls(100, 10_000, |_, at| at < 1_000);
    for one in &mut log[10..60] {
        one.fact = Fact::Unknown;
    }
    let report = replay(&consecutive(5, 2), &log);
    // Failures of 0 to 0.4 s trip at 0.43 s; those of 0.5 to 0.9 s are refused. Refused unknowns are those of 1.0 to
    // 2.4 s; those of 2.5 s on are admitted to half-open and give their place back, until the call of 6.0 s closes.
    assert_eq!(report.trips.len(), 1);
    assert_eq!(
        (report.failed, report.refused_failed, report.refused_good),
        (5, 5, 0)
    );
    assert_eq!(report.unknown, 50);
    assert_eq!(report.refused, 5 + 15);
    assert_eq!(report.admitted_unknown, 35);
    assert_eq!(report.states.last(), Some(&(6_030 * MS, Phase::Closed)));
}

#[test]
fn a_probe_that_outlasts_its_deadline_reopens_at_the_deadline() {
    let mut settings = consecutive(1, 1);
    settings.half_open.probe_timeout = Duration::from_secs(2);
    settings.half_open.on_probe_timeout = fusebox_breaker::OnProbeTimeout::Fail;
    let log = [
        call(0, 10, Fact::Failure),
        call(2_000, 60_000, Fact::Success),
        call(9_000, 10, Fact::Success),
    ];
    let report = replay(&settings, &log);
    let at: Vec<_> = report.trips.iter().map(|trip| trip.at / MS).collect();
    assert_eq!(at, [10, 4_000]);
    assert_eq!(report.trips[1].reason.token(), "probe_timeout");
    assert_eq!(report.states.last(), Some(&(9_010 * MS, Phase::Closed)));
}

#[test]
fn a_rate_without_its_calls_never_judges_and_the_report_says_so() {
    // One call a second, and a window of 10 s with a minimum of 20 calls.
    let log = calls(1_000, 100_000, |_, _| true);
    let settings = Settings {
        trip: vec![Rule::FailureRate {
            rate: Ratio::percent(50),
            over: Over::Time(Duration::from_secs(10)),
            min_calls: 20,
        }],
        ..Settings::default()
    };
    let report = replay(&settings, &log);
    assert_eq!((report.trips.len(), report.failed), (0, 100));
    assert_eq!((report.unjudged, report.judged_of), (100, 100));
    assert_eq!(report.judging[0].too_few, 100);
}

#[test]
fn a_sweep_tries_the_product_of_its_settings() {
    let log = calls(10, 30_000, |_, at| (10_000..20_000).contains(&at));
    let today = consecutive(5, 5);
    let ranked = sweep(
        &["consecutive_failures=3..5", "cooldown=2s,5s"],
        &today,
        &log,
    );
    assert_eq!(ranked.tried.len(), 6);
    assert_eq!(ranked.tried.iter().filter(|it| it.is_today).count(), 1);
    let changes = |failures, cooldown| {
        let is = |it: &&fusebox_sim::sweep::Tried| {
            it.values[0].to_string() == failures && it.values[1].to_string() == cooldown
        };
        ranked.tried.iter().find(is).unwrap().changes
    };
    assert_eq!(
        (changes("5", "5s"), changes("5", "2s"), changes("3", "2s")),
        (0, 1, 2)
    );
    let front: Vec<_> = ranked.tried.iter().filter(|it| it.on_front).collect();
    for one in &front {
        let beats = |it: &&fusebox_sim::sweep::Tried| {
            it.failed <= one.failed
                && it.refused_good <= one.refused_good
                && (it.failed, it.refused_good) != (one.failed, one.refused_good)
        };
        assert!(!ranked.tried.iter().any(|it| beats(&it)), "{one:?}");
    }
    assert!(!front.is_empty());
    // A rule that the settings do not have is added, with the window of the sweep.
    let ranked = sweep(&["failure_rate=50%", "over=20 calls"], &today, &log);
    assert_eq!(
        ranked.tried[0].line,
        "trip: [{ consecutive_failures: 5 }, { failure_rate: 50%, over: 20 calls, min_calls: 20 }]"
    );
}

/// Calls at distinct times with any outcome.
fn any_log() -> impl Strategy<Value = Vec<Call>> {
    let fact = prop_oneof![
        4 => Just(Fact::Success),
        3 => Just(Fact::Failure),
        1 => Just(Fact::Ignored),
        1 => Just(Fact::Left),
        1 => Just(Fact::Unknown),
    ];
    let one = (1u64..400, 0u64..2_000, fact);
    prop::collection::vec(one, 0..200).prop_map(|gaps| {
        let mut at = 0;
        let starts = gaps.into_iter().map(|(gap, took, fact)| {
            at += gap;
            call(at, took, fact)
        });
        starts.collect()
    })
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let rule = prop_oneof![
        (1u32..6).prop_map(|threshold| Rule::ConsecutiveFailures {
            threshold,
            within: None
        }),
        (1u8..=100, 1u32..20).prop_map(|(rate, calls)| Rule::FailureRate {
            rate: Ratio::percent(rate),
            over: Over::Calls(calls),
            min_calls: calls,
        }),
        (1u8..=100, 1u64..10).prop_map(|(rate, seconds)| Rule::SlowRate {
            rate: Ratio::percent(rate),
            slower_than: Duration::from_millis(500),
            over: Over::Time(Duration::from_secs(seconds)),
            min_calls: 3,
        }),
    ];
    let rules = prop::collection::vec(rule, 1..3);
    (rules, 1u64..20, any::<bool>()).prop_map(|(trip, cooldown, ramps)| Settings {
        trip,
        cooldown: Cooldown::exponential(Duration::from_secs(cooldown)),
        half_open: HalfOpen {
            probe_timeout: Duration::from_secs(1),
            ..HalfOpen::default()
        },
        ramp: ramps.then(|| Ramp::linear(Duration::from_secs(5))),
        ..Settings::default()
    })
}

/// A line of each form.
const LINES: [&str; 6] = [
    r#"{"ts":"2026-11-30T15:47:23.000007Z","path":"/a","status":200,"duration_ms":31.204,"upstream":"a","attempts":[{"endpoint":"b","ms":0.412,"status":null,"error":"connect","outcome":"failure"}],"flags":["UF"],"headers":{"x-a":"\u00e9"}}"#,
    r#"192.0.2.7 - - [30/Nov/2026:15:47:23 +0000] "GET /a?b HTTP/1.1" 502 157 "-" "curl" rt=0.123 urt="0.001, 0.120""#,
    r#"{"msec":"1.5","request":"GET /a HTTP/1.1","status":"200","request_time":"0.1","upstream_response_time":"0.1, 0.2"}"#,
    r#"[2026-11-30T15:47:23.310Z] "POST /a HTTP/2" 503 UF,URX 154 0 226 100 "-" "c" "id" "h:80" "10.0.2.1:80""#,
    r#"1.5,200,"a, ""b""",30,orders"#,
    r#"{"at":1e3,"ms":"30","status":503,"upstream":"orders","h":{"tenant":"a"}}"#,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_line_brings_a_reader_down(
        line in 0usize..LINES.len(),
        cut in 0usize..300,
        changes in prop::collection::vec((0usize..300, prop_oneof![any::<u8>(), prop::sample::select(b"\"\\[]{}:,.- =+0e".to_vec())]), 0..6),
    ) {
        let mut line = LINES[line].as_bytes().to_vec();
        for (at, byte) in changes {
            let length = line.len();
            line[at % length] = byte;
        }
        line.truncate(cut);
        Format::detect(&line);
        for format in [Format::Fusebox, Format::Nginx, Format::Envoy, Format::Csv, Format::Ndjson] {
            let map = FieldMap::read("header.x=.h.tenant").unwrap();
            let mut reader = Reader::new(format, map, true);
            if format == Format::Csv {
                reader.read(b"at,status,note,ms,upstream").unwrap();
            }
            if let Ok(Some(read)) = reader.read(&line)
                && let Some(raw) = read.attempts
            {
                attempts(raw, &mut Vec::new()).ok();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_parts_of_a_report_are_the_log(log in any_log(), settings in any_settings(), seed: u64) {
        let extent = Extent { seed, timeline: Some((100 * SECOND, 10)), ..Extent::default() };
        let report = rerun(&Arc::new(settings), &log, extent).unwrap();
        prop_assert_eq!(report.calls + report.refused, log.len() as u64);
        let of = |fact| log.iter().filter(|call| call.fact == fact).count() as u64;
        prop_assert_eq!(report.failed + report.refused_failed, of(Fact::Failure));
        let refused_unknown = report.refused - report.refused_failed - report.refused_good;
        prop_assert!(refused_unknown <= report.unknown);
        prop_assert!(report.unknown <= of(Fact::Unknown) + of(Fact::Left));
        let buckets = &report.timeline.as_ref().unwrap().buckets;
        let drawn: u64 = buckets
            .iter()
            .map(|it| it.good + it.failed + it.refused_failed + it.refused_good + it.unknown)
            .sum();
        prop_assert_eq!(drawn, log.len() as u64);
        let closed = report.trips.iter().filter(|trip| trip.from == Phase::Closed).count();
        prop_assert_eq!(report.detected.len(), closed);
        prop_assert!(report.recovered.len() <= closed);
        prop_assert!(report.trips.iter().all(|trip| trip.until >= trip.at));
        prop_assert!(report.unjudged <= report.judged_of);
    }

    #[test]
    fn the_order_of_the_lines_does_not_matter(log in any_log(), settings in any_settings(), seed: u64) {
        let mut mixed = log.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut mixed);
        sort(&mut mixed);
        prop_assert_eq!(&mixed, &log);
        let settings = Arc::new(settings);
        let run = |calls: &[Call]| rerun(&settings, calls, Extent { seed, ..Extent::default() }).unwrap();
        prop_assert_eq!(run(&mixed), run(&log));
    }

    #[test]
    fn a_rule_that_can_never_trip_refuses_nothing(log in any_log()) {
        let report = replay(&consecutive(1_000, 30), &log);
        prop_assert_eq!(report.refused, 0);
        prop_assert!(report.trips.is_empty() && report.states.is_empty());
    }

    #[test]
    fn a_log_without_failures_is_never_refused(log in any_log(), threshold in 1u32..5) {
        let good: Vec<_> = log
            .into_iter()
            .map(|call| Call { fact: Fact::Success, ..call })
            .collect();
        prop_assert_eq!(replay(&consecutive(threshold, 30), &good).refused, 0);
    }

    #[test]
    fn a_sweep_of_todays_value_alone_is_todays_result(log in any_log(), threshold in 1u32..6) {
        let today = consecutive(threshold, 3);
        let ranked = sweep(&[&format!("consecutive_failures={threshold}")], &today, &log);
        let best = ranked.best().unwrap();
        prop_assert!(best.is_today && !ranked.improves());
        prop_assert_eq!((best.failed, best.refused_good, best.trips), (ranked.today.failed, ranked.today.refused_good, ranked.today.trips));
    }
}
