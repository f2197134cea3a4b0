//! A route's answers to the scripts of other origins (`cors:`): preflights, and the fields of every other answer.

use fusebox_plan::plan::{Cors, Origins, Route};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request};

use crate::message::fields;

/// The fields of our own that a script may read beside those that every script may.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Retry-After, Fusebox-Reason, Fusebox-Fallback, X-Request-Id");

/// The fields that only the gateway writes where a route has `cors`.
const OURS: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

/// The method that a preflight asks for; `None`: the request is none.
pub fn asked<B>(request: &Request<B>) -> Option<Method> {
    if request.method() != Method::OPTIONS || !request.headers().contains_key(ORIGIN) {
        return None;
    }
    let method = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(method.as_bytes()).ok()
}

/// True if the request that a preflight announces may have the fields that a route asks for: a preflight names the
/// fields of a script, without their values.
pub fn may_fit(route: &Route, preflight: &HeaderMap) -> bool {
    route.headers.iter().all(|(name, value)| {
        preflight.get(name) == Some(value)
            || fields::lists(preflight, &ACCESS_CONTROL_REQUEST_HEADERS, name.as_str())
    })
}

/// Removes an upstream's own fields for other origins.
pub fn strip(headers: &mut HeaderMap) {
    for name in OURS {
        headers.remove(name);
    }
}

/// Adds the fields for an origin to an answer; none if it is not let in.
pub fn add(cors: &Cors, origin: Option<&HeaderValue>, headers: &mut HeaderMap) -> bool {
    let allowed = match (&cors.origins, origin) {
        (Origins::All, _) => Some(HeaderValue::from_static("*")),
        (Origins::These(origins), origin) => {
            if !fields::lists(headers, &VARY, "origin") {
                headers.append(VARY, HeaderValue::from_static("Origin"));
            }
            let is_listed = |origin: &&HeaderValue| {
                let mut listed = origins.iter().map(String::as_bytes);
                listed.any(|it| it.eq_ignore_ascii_case(origin.as_bytes()))
            };
            origin.filter(is_listed).cloned()
        }
    };
    let Some(allowed) = allowed else { return false };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    if cors.credentials {
        let yes = HeaderValue::from_static("true");
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
    // `response.set` may expose more.
    headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    true
}

/// Adds what a preflight grants to the origins that are let in.
pub fn grant(cors: &Cors, route: &Route, method: &Method, headers: &mut HeaderMap) {
    let list = |name: HeaderName, items: Vec<&str>, headers: &mut HeaderMap| {
        if let (false, Ok(value)) = (items.is_empty(), HeaderValue::from_str(&items.join(", "))) {
            headers.insert(name, value);
        }
    };
    let methods = match cors.methods.as_ref().or(route.methods.as_ref()) {
        Some(methods) => methods.iter().map(Method::as_str).collect(),
        None => vec![method.as_str()],
    };
    list(ACCESS_CONTROL_ALLOW_METHODS, methods, headers);
    let names = cors.headers.iter().map(HeaderName::as_str).collect();
    list(ACCESS_CONTROL_ALLOW_HEADERS, names, headers);
    if let Some(max_age) = cors.max_age {
        let seconds = HeaderValue::from(max_age.as_secs());
        headers.insert(ACCESS_CONTROL_MAX_AGE, seconds);
    }
}
