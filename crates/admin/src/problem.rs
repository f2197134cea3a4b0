//! Errors of the API, as `application/problem+json` (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Map, Value, json};

use crate::problem_kind::Kind;

/// An error answer: its kind and its detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    /// Seconds after which it is worth asking again.
    retry_after: Option<u32>,
    /// The members beyond those of RFC 9457.
    members: Map<String, Value>,
}

impl Problem {
    /// A problem of a kind, with a sentence about this one.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        Problem {
            kind,
            detail: detail.into(),
            retry_after: None,
            members: Map::new(),
        }
    }

    /// The same with a further member.
    pub fn with(mut self, name: &str, value: Value) -> Problem {
        self.members.insert(name.to_owned(), value);
        self
    }

    /// The same with the seconds after which it is worth asking again.
    pub fn retry_after(mut self, seconds: u32) -> Problem {
        self.retry_after = Some(seconds);
        self
    }

    /// 400: the request is malformed.
    pub fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(Kind::Malformed, detail)
    }

    /// 401: the token is missing or wrong.
    pub fn unauthorized() -> Problem {
        Problem::new(
            Kind::Unauthorized,
            "send the admin token: Authorization: Bearer TOKEN",
        )
    }

    /// 404: the path is unknown.
    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(Kind::UnknownPath, detail)
    }

    /// 405: the path does not support this method.
    pub fn wrong_method(detail: impl Into<String>) -> Problem {
        Problem::new(Kind::WrongMethod, detail)
    }

    /// 408: the request took too long to arrive.
    pub fn too_slow() -> Problem {
        Problem::new(Kind::TooSlow, "the request took too long to arrive")
    }

    /// 413: the body is too large.
    pub fn too_large(detail: impl Into<String>) -> Problem {
        Problem::new(Kind::TooLarge, detail)
    }

    /// 415: the body is not JSON.
    pub fn not_json() -> Problem {
        Problem::new(Kind::NotJson, "send Content-Type: application/json")
    }

    /// 429: too many wrong tokens.
    pub fn too_many() -> Problem {
        Problem::new(
            Kind::TooManyTokens,
            "too many wrong tokens; try again in a second",
        )
        .retry_after(1)
    }

    /// 503: a store that the answer needs does not respond.
    pub fn store_away(detail: impl Into<String>) -> Problem {
        Problem::new(Kind::StoreAway, detail)
    }

    /// 500: a fault of the admin API itself.
    pub fn internal(detail: impl Into<String>) -> Problem {
        Problem::new(Kind::Internal, detail)
    }
}

/// A problem's detail, as a response extension for the log.
#[derive(Debug, Clone)]
pub struct Detail(pub String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": self.kind.uri(),
            "title": self.kind.title(),
            "status": self.kind.status().as_u16(),
            "detail": self.detail,
        });
        for (name, value) in self.members {
            body[name] = value;
        }
        let mut response = (self.kind.status(), body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.kind == Kind::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Detail(self.detail));
        response
    }
}
