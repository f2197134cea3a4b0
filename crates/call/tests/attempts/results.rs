//! The repeats that are called off, and the results that are counted.

use fusebox_breaker::Outcome;
use fusebox_call::attempts::{End, Moment, Next, Resume, RetryResult};
use http::Method;

use crate::kit::{Case, NOT_RETRIABLE, RETRIED, START, answer, moment, ms, returned, status};

#[test]
fn a_call_has_one_result_if_it_could_have_been_retried() {
    use RetryResult::{Failure, Left, Success};
    let rows: [(&[End], Option<RetryResult>); 9] = [
        (&[status(200)], None),
        (&[status(500)], None),
        (&[End::ClientFault], None),
        (&[status(503), status(200)], Some(Success)),
        (&[status(503), status(404)], Some(Success)),
        (&[status(503), status(500)], Some(Failure)),
        (&[status(503), status(503)], Some(Failure)),
        (&[status(503), End::OwnFault], Some(Failure)),
        (&[status(503), End::ClientFault], Some(Left)),
    ];
    for (ends, result) in rows {
        let made = ends.len();
        assert_eq!(Case::attempts(2).course(ends), (made, result), "{ends:?}");
    }
    let free = [End::NotProcessed, status(200)];
    assert_eq!(Case::attempts(2).course(&free), (2, None));
}

#[test]
fn the_token_is_taken_before_the_pause() {
    let case = Case::of(Method::GET);
    assert_eq!(case.first(status(503), moment()), RETRIED);
    assert_eq!(case.tokens(), 2);
}

#[test]
fn a_spent_budget_sends_the_failed_answer_out() {
    let case = Case::of(Method::GET);
    while case.budget.take(START) {}
    let next = case.first(status(503), moment());
    assert_eq!(next, returned(RetryResult::Budget));
    assert_eq!(case.first(status(200), moment()), NOT_RETRIABLE);
}

#[test]
fn a_breaker_that_is_not_closed_stops_the_repeat_before_the_pause() {
    let case = Case::of(Method::GET);
    let at = Moment {
        is_closed: false,
        ..moment()
    };
    let next = case.first(status(503), at);
    assert_eq!(next, returned(RetryResult::BreakerOpen));
    assert_eq!(case.tokens(), 3, "no token is taken");
}

#[test]
fn a_breaker_that_opens_in_the_pause_stops_the_repeat() {
    let case = Case::of(Method::GET);
    let mut attempts = case.begin();
    assert_eq!(
        attempts.ended(&case.call(), &status(503), &moment()),
        RETRIED
    );
    let resumed = attempts.after_backoff(&case.call(), ms(125), false, true);
    assert_eq!(resumed, Resume::Return(Some(RetryResult::BreakerOpen)));
    assert_eq!(attempts.number(), 1);
    assert_eq!(case.tokens(), 2, "the token is gone");
}

#[test]
fn a_probe_is_one_attempt_even_if_the_breaker_closes_meanwhile() {
    let mut case = Case::of(Method::GET);
    case.is_probe = true;
    let next = case.first(status(503), moment());
    assert_eq!(next, returned(RetryResult::BreakerOpen));
    let next = case.first(End::NotProcessed, moment());
    assert_eq!(next, Next::RepeatFree);
}

#[test]
fn an_answer_known_to_be_long_is_passed_on() {
    let case = Case::of(Method::GET);
    let mut long = answer(503, Outcome::Failure);
    long.is_long = true;
    let next = case.first(End::Answered(long), moment());
    assert_eq!(next, returned(RetryResult::TooLong));
    assert_eq!(case.tokens(), 3, "no token is taken");
}

#[test]
fn an_answer_found_to_be_long_in_the_pause_is_passed_on() {
    let case = Case::of(Method::GET);
    let mut attempts = case.begin();
    let _ = attempts.ended(&case.call(), &status(503), &moment());
    assert_eq!(attempts.answer_too_long(), RetryResult::TooLong);
    let resumed = attempts.after_backoff(&case.call(), ms(0), true, true);
    assert_eq!(resumed, Resume::Return(None));
}

#[test]
fn an_answer_that_is_not_whole_within_the_total_is_passed_on() {
    let case = Case::of(Method::GET);
    let mut attempts = case.begin();
    let _ = attempts.ended(&case.call(), &status(503), &moment());
    assert_eq!(attempts.answer_too_late(), RetryResult::Total);
    let resumed = attempts.after_backoff(&case.call(), ms(0), true, true);
    assert_eq!(resumed, Resume::Return(None));
}

#[test]
fn a_pause_that_would_end_after_total_is_not_begun() {
    let mut case = Case::of(Method::GET);
    case.total = ms(1_000);
    let used = |used| Moment {
        used: ms(used),
        ..moment()
    };
    assert_eq!(case.first(status(503), used(974)), RETRIED);
    let next = case.first(status(503), used(975));
    assert_eq!(next, returned(RetryResult::Total));

    let mut patient = answer(503, Outcome::Failure);
    patient.retry_after = Some(ms(900));
    let next = case.first(End::Answered(patient), used(100));
    assert_eq!(next, returned(RetryResult::Total));
    assert_eq!(case.tokens(), 2, "one retry");
}

#[test]
fn a_total_that_cut_the_attempt_leaves_no_time_for_another_one() {
    let mut case = Case::of(Method::GET);
    case.retry().on.timeout = true;
    let over = Moment {
        used: case.total,
        ..moment()
    };
    let next = case.first(End::TimedOut, over);
    assert_eq!(next, returned(RetryResult::Total));
    let next = case.first(End::NotProcessed, over);
    assert_eq!(next, returned(RetryResult::Total));
}

#[test]
fn a_pause_that_ended_late_begins_nothing_after_total() {
    let case = Case::of(Method::GET);
    let mut attempts = case.begin();
    let _ = attempts.ended(&case.call(), &status(503), &moment());
    let resumed = attempts.after_backoff(&case.call(), case.total, true, true);
    assert_eq!(resumed, Resume::Return(Some(RetryResult::Total)));
}

#[test]
fn without_a_place_after_the_pause_the_failed_answer_goes_out() {
    let case = Case::of(Method::GET);
    let mut attempts = case.begin();
    let _ = attempts.ended(&case.call(), &status(503), &moment());
    let resumed = attempts.after_backoff(&case.call(), ms(125), true, false);
    assert_eq!(resumed, Resume::Return(Some(RetryResult::Bulkhead)));
}

#[test]
fn a_client_that_leaves_in_a_pause_or_a_repeat_is_counted() {
    let case = Case::of(Method::GET);
    let mut attempts = case.begin();
    assert_eq!(attempts.clone().client_left(), None);
    let _ = attempts.ended(&case.call(), &status(503), &moment());
    assert_eq!(attempts.clone().client_left(), Some(RetryResult::Left));
    let _ = attempts.after_backoff(&case.call(), ms(125), true, true);
    assert_eq!(attempts.clone().client_left(), Some(RetryResult::Left));
    let _ = attempts.ended(&case.call(), &status(200), &moment());
    assert_eq!(attempts.client_left(), None, "it has been counted");
}

#[test]
fn only_a_configured_call_pays_into_the_budget() {
    let case = Case::of(Method::GET);
    (0..5).for_each(|_| drop(case.begin()));
    assert_eq!(case.tokens(), 4);
}

#[test]
fn labels_are_distinct_words() {
    let labels = RetryResult::ALL.map(|result| result.to_string()).join(" ");
    assert_eq!(
        labels,
        "success failure budget breaker_open body_too_large too_long bulkhead total left"
    );
}
