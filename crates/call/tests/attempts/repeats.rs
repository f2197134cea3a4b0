//! The ends that are repeated, by `on`, `methods` and the request.

use fusebox_breaker::Outcome;
use fusebox_call::attempts::{Attempts, Body, End, Moment, Next, RetryResult};
use http::{Method, StatusCode};

use crate::kit::{Case, NOT_RETRIABLE, RETRIED, answer, moment, ms, returned, status};

#[test]
fn by_default_connect_errors_resets_and_502_503_504_are_repeated() {
    let first = |end| Case::of(Method::GET).first(end, moment());
    for end in [
        End::ConnectError,
        End::Reset,
        status(502),
        status(503),
        status(504),
    ] {
        assert_eq!(first(end), RETRIED, "{end:?}");
    }
    for end in [
        End::TimedOut,
        End::ClientFault,
        End::OwnFault,
        status(200),
        status(404),
        status(429),
        status(500),
    ] {
        assert_eq!(first(end), NOT_RETRIABLE, "{end:?}");
    }
}

#[test]
fn on_decides_and_not_the_judgement() {
    let mut case = Case::of(Method::GET);
    case.retry().on.statuses = vec![StatusCode::TOO_MANY_REQUESTS];
    for judged in [Outcome::Success, Outcome::Failure, Outcome::Ignored] {
        let named = End::Answered(answer(429, judged));
        assert_eq!(case.first(named, moment()), RETRIED, "{judged:?}");
        let other = End::Answered(answer(503, judged));
        assert_eq!(case.first(other, moment()), NOT_RETRIABLE, "{judged:?}");
    }
}

#[test]
fn a_timeout_is_repeated_where_on_names_it() {
    let mut case = Case::of(Method::GET);
    case.retry().on.timeout = true;
    assert_eq!(case.first(End::TimedOut, moment()), RETRIED);
}

#[test]
fn a_post_is_repeated_after_a_connect_error_alone() {
    let case = Case::of(Method::POST);
    assert_eq!(case.first(End::ConnectError, moment()), RETRIED);
    for end in [End::Reset, End::TimedOut, status(503)] {
        assert_eq!(case.first(end, moment()), NOT_RETRIABLE, "{end:?}");
    }
}

#[test]
fn a_post_is_repeated_where_methods_name_it() {
    let mut case = Case::of(Method::POST);
    case.retry().methods.push(Method::POST);
    assert_eq!(case.first(status(503), moment()), RETRIED);
}

#[test]
fn a_long_body_goes_again_after_a_connect_error_since_nothing_was_sent() {
    let kept = Moment {
        body: Body::Kept,
        ..moment()
    };
    let case = Case::of(Method::POST);
    assert_eq!(case.first(End::ConnectError, kept), RETRIED);
}

#[test]
fn a_body_that_was_begun_and_is_longer_than_the_buffer_is_sent_once() {
    let lost = Moment {
        body: Body::Lost,
        ..moment()
    };
    let case = Case::of(Method::PUT);
    for end in [End::Reset, status(503)] {
        let next = case.first(end, lost);
        assert_eq!(next, returned(RetryResult::BodyTooLarge), "{end:?}");
    }
    assert_eq!(case.first(status(200), lost), NOT_RETRIABLE);
    assert_eq!(case.tokens(), 3, "no token is taken");
}

#[test]
fn an_upgrade_is_never_repeated() {
    let mut case = Case::of(Method::GET);
    case.is_upgrade = true;
    for end in [End::ConnectError, End::Reset, status(503)] {
        assert_eq!(case.first(end, moment()), NOT_RETRIABLE, "{end:?}");
    }
}

#[test]
fn one_layer_retries() {
    let mut inner = Case::of(Method::GET);
    inner.is_attempt = true;
    assert_eq!(inner.first(status(503), moment()), NOT_RETRIABLE);
    assert_eq!(inner.first(End::ConnectError, moment()), NOT_RETRIABLE);

    let outer = Case::of(Method::GET);
    let mut refused = answer(503, Outcome::Failure);
    refused.is_from_fusebox = true;
    let next = outer.first(End::Answered(refused), moment());
    assert_eq!(next, NOT_RETRIABLE);
}

#[test]
fn a_request_that_was_not_processed_goes_again_once_free_of_charge() {
    for (method, is_closed) in [(Method::GET, true), (Method::POST, false)] {
        let case = Case::of(method);
        let at = Moment {
            is_closed,
            ..moment()
        };
        let mut attempts = case.begin();
        let next = attempts.ended(&case.call(), &End::NotProcessed, &at);
        assert_eq!(next, Next::RepeatFree);
        assert_eq!(attempts.number(), 1);
        assert_eq!(case.tokens(), 3);
        assert_ne!(
            attempts.ended(&case.call(), &End::NotProcessed, &at),
            Next::RepeatFree
        );
    }
}

#[test]
fn a_free_repeat_needs_no_retry_but_a_body_that_is_kept() {
    let mut case = Case::of(Method::POST);
    case.is_configured = false;
    assert_eq!(case.first(End::NotProcessed, moment()), Next::RepeatFree);
    let lost = Moment {
        body: Body::Lost,
        ..moment()
    };
    assert_eq!(case.first(End::NotProcessed, lost), NOT_RETRIABLE);
    assert_eq!(case.first(End::ConnectError, moment()), NOT_RETRIABLE);
}

#[test]
fn a_stream_refused_twice_is_repeated_like_a_reset() {
    let twice = [End::NotProcessed, End::NotProcessed, status(200)];
    let (made, result) = Case::of(Method::GET).course(&twice);
    assert_eq!((made, result), (3, Some(RetryResult::Success)));
    assert_eq!(Case::of(Method::POST).course(&twice), (2, None));
}

#[test]
fn attempts_counts_all_tries() {
    for attempts in 1..=4 {
        let case = Case::attempts(attempts);
        let (made, result) = case.course(&[status(503); 10]);
        assert_eq!(made, attempts as usize);
        assert_eq!(result, (attempts > 1).then_some(RetryResult::Failure));
    }
}

#[test]
fn the_pause_doubles_and_is_drawn_from_0() {
    let case = Case::attempts(3);
    let mut attempts = case.begin();
    let at = |draw| Moment { draw, ..moment() };
    let next = attempts.ended(&case.call(), &End::Reset, &at(0.5));
    assert_eq!(next, Next::RetryAfter(ms(25) / 2));
    let _ = attempts.after_backoff(&case.call(), ms(150), true, true);
    assert_eq!(attempts.number(), 2);
    let next = attempts.ended(&case.call(), &End::Reset, &at(0.5));
    assert_eq!(next, Next::RetryAfter(ms(25)));
}

#[test]
fn retry_after_is_waited_for_on_429_and_503_alone() {
    let mut case = Case::of(Method::GET);
    case.retry().on.statuses.push(StatusCode::TOO_MANY_REQUESTS);
    for (status, pause) in [(429, 2_000), (503, 2_000), (502, 25), (504, 25)] {
        let mut asked = answer(status, Outcome::Failure);
        asked.retry_after = Some(ms(2_000));
        case.budget = Case::of(Method::GET).budget;
        let next = case.first(End::Answered(asked), moment());
        assert_eq!(next, Next::RetryAfter(ms(pause)), "{status}");
        // A shorter wait than the back-off does not shorten it.
        asked.retry_after = Some(ms(1));
        let next = case.first(End::Answered(asked), moment());
        assert_eq!(next, RETRIED, "{status}");
    }
}

#[test]
fn the_failed_probe_of_an_endpoint_goes_to_another_one_at_once() {
    let case = Case::of(Method::GET);
    let at = Moment {
        is_endpoint_probe: true,
        ..moment()
    };
    let mut patient = answer(503, Outcome::Failure);
    patient.retry_after = Some(ms(60_000));
    for end in [status(500), End::TimedOut, End::Answered(patient)] {
        let next = case.first(end, at);
        assert_eq!(next, Next::RetryAfter(ms(0)), "{end:?}");
    }
    assert_eq!(case.tokens(), 0, "from the budget");
    assert_eq!(case.first(status(404), at), NOT_RETRIABLE);
    let post = Case::of(Method::POST);
    assert_eq!(post.first(status(500), at), NOT_RETRIABLE);
}

#[test]
fn an_attempt_is_cut_by_per_try_by_the_requests_timeout_and_by_what_is_left_of_total() {
    let mut case = Case::of(Method::GET);
    let limit = |case: &Case, used| Attempts::limit(&case.call(), ms(used));
    assert_eq!(limit(&case, 0), ms(10_000));
    assert_eq!(limit(&case, 29_000), ms(1_000));
    assert_eq!(limit(&case, 31_000), ms(0));
    case.retry().per_try = Some(ms(2_000));
    assert_eq!(limit(&case, 0), ms(2_000));
    assert_eq!(limit(&case, 29_000), ms(1_000));
    case.retry().per_try = Some(ms(20_000));
    assert_eq!(limit(&case, 0), ms(10_000));
}

/// The answer of a gRPC server that ended the call with its head.
fn grpc(code: u8) -> fusebox_call::attempts::Answer {
    fusebox_call::attempts::Answer {
        grpc_status: Some(code),
        ..answer(200, Outcome::Failure)
    }
}

#[test]
fn a_grpc_call_that_ended_unavailable_is_repeated_although_it_is_a_post() {
    let case = Case::of(Method::POST);
    let first = |code| case.first(End::Answered(grpc(code)), moment());
    assert_eq!(first(14), RETRIED);
    for code in [0, 1, 2, 4, 8, 13, 15] {
        assert_eq!(first(code), NOT_RETRIABLE, "{code}");
    }
    assert_eq!(case.first(status(503), moment()), NOT_RETRIABLE);
}

#[test]
fn a_grpc_status_is_repeated_where_on_names_it() {
    let mut case = Case::of(Method::POST);
    case.retry().on.grpc = fusebox_call::GrpcCodes::of(&[8]);
    assert_eq!(case.first(End::Answered(grpc(8)), moment()), RETRIED);
    assert_eq!(case.first(End::Answered(grpc(14)), moment()), NOT_RETRIABLE);
}

#[test]
fn a_pushback_is_waited_for_and_a_negative_one_ends_the_call() {
    let case = Case::of(Method::POST);
    let told = |answer| case.first(End::Answered(answer), moment());
    let after = fusebox_call::attempts::Answer {
        retry_after: Some(ms(700)),
        ..grpc(14)
    };
    assert_eq!(told(after), Next::RetryAfter(ms(700)));
    let never = fusebox_call::attempts::Answer {
        is_final: true,
        ..grpc(14)
    };
    assert_eq!(told(never), NOT_RETRIABLE);
    let inner = fusebox_call::attempts::Answer {
        is_from_fusebox: true,
        ..grpc(14)
    };
    assert_eq!(told(inner), NOT_RETRIABLE);
}
