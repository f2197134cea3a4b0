//! Our own answers as gRPC clients understand them: HTTP status 200 with the gRPC status in the head, and no body.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::message::body::Body;
use crate::message::grpc;

/// An answer of our own for a gRPC client. `Fusebox-Reason` and `Retry-After` stay, and the latter says
/// `grpc-retry-pushback-ms` too. An upstream's answer, and one that has a gRPC status, stay as they are.
pub fn told(mut answer: Response<Body>) -> Response<Body> {
    let Body::Fixed(body) = answer.body_mut() else {
        return answer;
    };
    let body = body.take();
    let status = answer.status();
    let is_told = answer.headers().contains_key(grpc::STATUS);
    let said = body.as_deref().and_then(error_of);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, grpc::MEDIA_TYPE);
    headers.remove(CONTENT_LENGTH);
    if !is_told {
        let code = grpc::code_of(status);
        headers.insert(grpc::STATUS, grpc::number(u64::from(code)));
        let what = said.as_deref().or(status.canonical_reason());
        headers.insert(grpc::MESSAGE, grpc::message(what.unwrap_or("refused")));
        if let Some(seconds) = headers.get(RETRY_AFTER).and_then(seconds) {
            let millis = seconds.saturating_mul(1_000);
            headers.insert(grpc::PUSHBACK, grpc::number(millis));
        }
    }
    *answer.status_mut() = StatusCode::OK;
    answer
}

/// The `error` of a body that one of our own answers has.
fn error_of(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(body.get("error")?.as_str()?.to_owned())
}

fn seconds(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;
    use crate::request::answer;
    use crate::upstream::bulkhead::Full;

    fn field(answer: &Response<Body>, name: &str) -> Option<String> {
        let value = answer.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_refusal_is_unavailable_with_the_time_to_come_back() {
        let refusal = answer::bulkhead_full("upstream", "orders", Full::BulkheadFull);
        let answer = told(refusal);
        assert_eq!(answer.status(), 200);
        assert_eq!(field(&answer, "grpc-status").as_deref(), Some("14"));
        assert_eq!(
            field(&answer, "grpc-retry-pushback-ms").as_deref(),
            Some("1000")
        );
        assert_eq!(field(&answer, "retry-after").as_deref(), Some("1"));
        assert_eq!(
            field(&answer, "content-type").as_deref(),
            Some("application/grpc")
        );
        let message = field(&answer, "grpc-message").unwrap();
        assert!(message.starts_with("the bulkhead of upstream \"orders\""));
        assert!(field(&answer, "fusebox-reason").is_some());
        assert!(answer.body().is_end_stream(), "the head is all of it");
    }

    #[test]
    fn without_a_route_it_is_unimplemented_and_without_pushback() {
        let answer = told(answer::no_route());
        assert_eq!(field(&answer, "grpc-status").as_deref(), Some("12"));
        assert_eq!(field(&answer, "grpc-retry-pushback-ms"), None);
    }

    #[test]
    fn an_answer_with_a_grpc_status_of_its_own_keeps_it() {
        let mut own = Response::new(Body::fixed("x"));
        let status = grpc::number(9);
        own.headers_mut().insert(grpc::STATUS, status);
        let answer = told(own);
        assert_eq!(field(&answer, "grpc-status").as_deref(), Some("9"));
        assert_eq!(field(&answer, "grpc-message"), None);
        assert!(answer.body().is_end_stream());
    }
}
