//! Laws of any course of a call, under random ends, breakers, budgets and clocks.

use std::time::Duration;

use fusebox_breaker::{Outcome, Timestamp};
use fusebox_call::attempts::{Answer, Attempts, Body, End, Moment, Next, Resume};
use fusebox_call::{Budget, Hedge, budget::RetryBudget};
use http::{Method, StatusCode};
use proptest::prelude::*;

use crate::kit::{Case, START, ms};

fn end() -> impl Strategy<Value = End> {
    let statuses = prop::sample::select(vec![200, 404, 429, 500, 502, 503, 504]);
    let judged = prop::sample::select(vec![Outcome::Success, Outcome::Failure, Outcome::Ignored]);
    let retry_after = prop::option::weighted(0.3, (0u64..5_000).prop_map(ms));
    let rare = || prop::bool::weighted(0.1);
    let answers = (statuses, judged, retry_after, rare(), rare()).prop_map(
        |(status, judged, retry_after, is_from_fusebox, is_long)| {
            End::Answered(Answer {
                status: StatusCode::from_u16(status).unwrap(),
                judged,
                retry_after,
                is_from_fusebox,
                is_long,
                grpc_status: (status == 200).then_some(14),
                is_final: false,
            })
        },
    );
    prop_oneof![
        6 => answers,
        2 => Just(End::NotProcessed),
        2 => Just(End::ConnectError),
        2 => Just(End::Reset),
        2 => Just(End::TimedOut),
        1 => Just(End::ClientFault),
        1 => Just(End::OwnFault),
    ]
}

/// A step of a call: the time that passes, its end, and the facts at that time.
#[derive(Debug, Clone)]
struct Step {
    took: Duration,
    end: End,
    is_closed: bool,
    has_place: bool,
    is_hedge_due: bool,
    body: Body,
    is_endpoint_probe: bool,
    draw: f64,
}

fn step() -> impl Strategy<Value = Step> {
    let body = prop::sample::select(vec![Body::None, Body::Kept, Body::Kept, Body::Lost]);
    let flags = (
        prop::bool::weighted(0.85),
        prop::bool::weighted(0.85),
        any::<bool>(),
        prop::bool::weighted(0.1),
    );
    (0u64..1_500, end(), flags, body, 0.0..1.0).prop_map(|(took, end, flags, body, draw)| Step {
        took: ms(took),
        end,
        is_closed: flags.0,
        has_place: flags.1,
        is_hedge_due: flags.2,
        body,
        is_endpoint_probe: flags.3,
        draw,
    })
}

fn case() -> impl Strategy<Value = Case> {
    let methods = vec![Method::GET, Method::HEAD, Method::PUT, Method::POST];
    let method = prop::sample::select(methods);
    let rare = || prop::bool::weighted(0.1);
    (
        (
            method,
            1u32..=10,
            any::<bool>(),
            any::<bool>(),
            any::<bool>(),
        ),
        (rare(), rare(), rare(), rare()),
        (0u64..10_000, 0u32..5),
    )
        .prop_map(|(chosen, flags, (total, min))| {
            let (method, attempts, has_retry, has_hedge, on_timeout) = chosen;
            let mut case = Case::attempts(attempts);
            case.method = method;
            case.retry().on.timeout = on_timeout;
            if !has_retry {
                case.retry = None;
            }
            case.hedge = has_hedge.then_some(Hedge { after: ms(200) });
            case.is_upgrade = flags.0;
            case.is_attempt = flags.1;
            case.is_probe = flags.2;
            case.is_configured = !flags.3;
            case.total = ms(total);
            case.budget = RetryBudget::new(Budget { ratio: 0.2, min }, START);
            case
        })
}

/// The counts of a course.
#[derive(Debug, Default)]
struct Tally {
    sent: u32,
    free: u32,
    paid: u32,
    not_closed: u32,
    begun_late: u32,
    lost: u32,
    results: u32,
}

/// Runs a call to its end; `None` if the steps do not suffice.
fn run(case: &Case, steps: &[Step], now: Timestamp) -> Option<Tally> {
    let call = case.call();
    let mut attempts = Attempts::begin(&call, now);
    let mut tally = Tally {
        sent: 1,
        ..Tally::default()
    };
    let mut used = Duration::ZERO;
    for step in steps {
        used += step.took;
        let at = Moment {
            now,
            used,
            is_closed: step.is_closed,
            body: step.body,
            is_endpoint_probe: step.is_endpoint_probe,
            draw: step.draw,
        };
        let mut begin = |is_closed: bool, used: Duration| {
            tally.sent += 1;
            tally.not_closed += u32::from(!is_closed || case.is_probe);
            tally.begun_late += u32::from(used >= case.total);
            tally.lost += u32::from(step.body == Body::Lost);
        };
        if step.is_hedge_due && attempts.hedge(&call, &at, step.has_place) {
            begin(step.is_closed, used);
            tally.paid += 1;
        }
        match attempts.ended(&call, &step.end, &at) {
            Next::Wait => {}
            Next::RepeatFree => {
                tally.sent += 1;
                tally.free += 1;
                tally.begun_late += u32::from(used >= case.total);
                tally.lost += u32::from(step.body == Body::Lost);
            }
            Next::RetryAfter(pause) => {
                tally.paid += 1;
                used += pause;
                assert!(used < case.total, "a pause that ends after the total");
                // In the pause the breaker may open, and the place may go.
                let (is_closed, has_place) = (step.draw > 0.1, step.has_place);
                match attempts.after_backoff(&call, used, is_closed, has_place) {
                    Resume::Attempt => begin(is_closed, used),
                    Resume::Return(result) => {
                        tally.results += u32::from(result.is_some());
                        return Some(tally);
                    }
                }
            }
            Next::Return(result) => {
                tally.results += u32::from(result.is_some());
                return Some(tally);
            }
        }
    }
    None
}

proptest! {
    #[test]
    fn a_call_obeys_its_bounds(case in case(), steps in prop::collection::vec(step(), 14..20)) {
        let before = case.tokens();
        let tally = run(&case, &steps, START);
        let tally = tally.expect("eleven attempts end any call");
        let attempts = match (&case.retry, case.hedge) {
            _ if !case.is_configured => 1,
            (Some(retry), _) => retry.attempts,
            (None, Some(_)) => 2,
            (None, None) => 1,
        };
        prop_assert!(tally.free <= 1);
        prop_assert!(tally.sent <= attempts + tally.free);
        prop_assert_eq!(tally.not_closed, 0);
        prop_assert_eq!(tally.begun_late, 0);
        prop_assert_eq!(tally.lost, 0);
        prop_assert!(tally.paid <= before + 1);
        // One call deposits a fifth of a token.
        prop_assert_eq!(case.tokens(), before - tally.paid);
        let is_plain = !case.is_configured || case.is_upgrade || case.is_attempt;
        if is_plain {
            prop_assert_eq!((tally.paid, tally.results), (0, 0));
        }
        prop_assert!(tally.results <= 1);
        prop_assert!(tally.sent - tally.free == 1 || tally.results == 1);
    }

    #[test]
    fn the_retries_of_many_calls_stay_within_the_budget(
        mut case in case(), calls in prop::collection::vec(prop::collection::vec(step(), 14..15), 1..80),
    ) {
        case.total = ms(10_000);
        // All of it is there at the beginning or paid in: nothing comes by time here.
        let allowed = case.tokens() + calls.len() as u32 / 5;
        let paid: u32 = calls.iter().filter_map(|steps| run(&case, steps, START)).map(|it| it.paid).sum();
        prop_assert!(paid <= allowed, "{paid} retries, {allowed} allowed");
    }
}
