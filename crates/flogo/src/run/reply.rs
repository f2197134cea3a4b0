//! The answers of a REST trigger: a handler's results as a response, and the answers without a handler.

use bytes::Bytes;
use fusebox_gateway::parts::{Body, is_fusebox_word};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONNECTION,
    CONTENT_LENGTH, CONTENT_TYPE, LOCATION, ORIGIN, SET_COOKIE, TRANSFER_ENCODING,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::cookie;
use crate::{Cors, JsonFaultKind, Map, Value};

const ERROR_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");

/// A response with a status and a body.
fn response(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::fixed(body));
    *response.status_mut() = status;
    response
}

/// A message for the client, as a line of text that no browser interprets as another type.
pub fn error(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = response(status, format!("{message}\n"));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, ERROR_TEXT);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The answer to an unknown path.
pub fn no_handler() -> Response<Body> {
    error(StatusCode::NOT_FOUND, "404 page not found")
}

/// The answer to a path that supports other methods. `allow` is the value of `Allow`.
pub fn wrong_method(allow: &str) -> Response<Body> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    let allow = HeaderValue::from_str(allow).expect("methods are field values");
    response.headers_mut().insert(ALLOW, allow);
    response
}

/// Redirects a request to another path.
pub fn moved(method: &Method, path: &str, query: Option<&str>) -> Response<Body> {
    let status = match *method {
        Method::GET => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::TEMPORARY_REDIRECT,
    };
    let location = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    // Go sends a page to a browser, and its type to HEAD as well.
    let page = match *method {
        Method::GET => format!(
            "<a href=\"{}\">Moved Permanently</a>.\n\n",
            escaped(&location)
        ),
        _ => String::new(),
    };
    let mut response = response(status, page);
    let headers = response.headers_mut();
    if matches!(*method, Method::GET | Method::HEAD) {
        headers.insert(CONTENT_TYPE, HTML);
    }
    let location = HeaderValue::try_from(location).expect("an escaped path is a field value");
    headers.insert(LOCATION, location);
    response
}

/// A text within an attribute of HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            char => out.push(char),
        }
    }
    out
}

/// Adds the fields for other origins to a handler's answer.
pub fn add_cors(headers: &mut HeaderMap, cors: &Cors) {
    set(headers, ACCESS_CONTROL_ALLOW_ORIGIN, &cors.allow_origin);
    if cors.allow_credentials {
        set(headers, ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
}

/// The answer to a preflight request: the permissions of other origins, or none if the request exceeds them.
pub fn preflight(request: &HeaderMap, cors: &Cors) -> Response<Body> {
    let mut response = response(StatusCode::OK, "");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let requested = |name: HeaderName| match request.get(name).map(HeaderValue::to_str) {
        Some(Ok(value)) => value,
        _ => "",
    };
    let lists = |list: &str, value: &str| {
        let mut listed = list.split(',').map(str::trim);
        listed.any(|item| item.eq_ignore_ascii_case(value.trim()))
    };
    let method = requested(ACCESS_CONTROL_REQUEST_METHOD);
    let fields = requested(ACCESS_CONTROL_REQUEST_HEADERS);
    let allowed = !requested(ORIGIN).is_empty()
        && !method.is_empty()
        && lists(&cors.allow_methods, method)
        && (fields.is_empty() || fields.split(',').all(|it| lists(&cors.allow_headers, it)));
    if allowed {
        add_cors(headers, cors);
        set(headers, ACCESS_CONTROL_ALLOW_METHODS, &cors.allow_methods);
        set(headers, ACCESS_CONTROL_ALLOW_HEADERS, &cors.allow_headers);
        set(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose_headers);
        if !cors.max_age.is_empty() {
            set(headers, ACCESS_CONTROL_MAX_AGE, &cors.max_age);
        }
    }
    response
}

/// Sets a field to a text from the environment, if it is a valid value.
fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    match HeaderValue::from_str(text) {
        Ok(value) => {
            headers.insert(name, value);
        }
        Err(_) => {
            tracing::warn!(field = %name, "a text of the environment is not a valid field value")
        }
    }
}

/// Converts a handler's results to a response.
pub fn of_results(results: &Map) -> Response<Body> {
    let bad = |message: &str| error(StatusCode::BAD_REQUEST, message);
    let part = |name: &str| results.get(name).unwrap_or(&Value::Null);
    let code = match part("code").to_int() {
        Ok(0) => 200,
        Ok(code) => code,
        Err(error) => return bad(&error.message),
    };
    // A final answer has no informational status, and larger numbers do not fit a status line.
    let number = u16::try_from(code).ok();
    let number = number.filter(|code| (200..=999).contains(code));
    let Some(status) = number.and_then(|code| StatusCode::from_u16(code).ok()) else {
        let message = format!("the handler's code {code} is not a status");
        return error(StatusCode::INTERNAL_SERVER_ERROR, &message);
    };
    let (media_type, body) = match part("data") {
        Value::Null => (None, Bytes::new()),
        Value::Str(text) => {
            let media_type = if is_json(text) { JSON } else { TEXT };
            (Some(media_type), Bytes::copy_from_slice(text.as_bytes()))
        }
        data => match data.to_json_text() {
            Ok(text) => (Some(JSON), format!("{text}\n").into()),
            Err(fault) if fault.kind == JsonFaultKind::TooLong => return bad(&fault.message),
            // Values without a form in JSON leave the body empty, as in the original.
            Err(_) => (Some(JSON), Bytes::new()),
        },
    };
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let mut response = response(status, if bodiless { Bytes::new() } else { body });
    let fields = match part("headers").to_params() {
        Ok(fields) => fields,
        Err(error) => return bad(&error.message),
    };
    for (name, value) in fields.iter() {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        let (Ok(name), Ok(value)) = (name, value) else {
            return bad("a field of the reply is none that HTTP has");
        };
        // A handler controls neither the framing of the body nor the gateway's own fields.
        if ![CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(&name)
            && !is_fusebox_word(name.as_str())
        {
            response.headers_mut().insert(name, value);
        }
    }
    if let Some(media_type) = media_type {
        response.headers_mut().insert(CONTENT_TYPE, media_type);
    }
    if status == StatusCode::NOT_MODIFIED {
        // Go's server removes the field from an answer that has no body to describe.
        response.headers_mut().remove(CONTENT_TYPE);
    }
    let cookies = part("cookies").to_array();
    if !cookies.is_empty() {
        response.headers_mut().remove(SET_COOKIE);
    }
    for cookie in cookies.iter() {
        match cookie::set_cookie_value(cookie) {
            Ok(Some(cookie)) => {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            Ok(None) => {}
            Err(message) => return error(StatusCode::INTERNAL_SERVER_ERROR, &message),
        }
    }
    response
}

/// True if a whole text is JSON.
fn is_json(text: &str) -> bool {
    // Most other texts differ in their first character.
    let first = text.trim_start().chars().next();
    first.is_some_and(|first| "{[\"-0123456789tfn".contains(first))
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NilKind;
    use http_body_util::BodyExt as _;

    fn shown(results: &[(&str, Value)]) -> (u16, String, String) {
        let results = results
            .iter()
            .map(|(name, value)| ((*name).into(), value.clone()));
        parts(of_results(&results.collect()))
    }

    fn parts(response: Response<Body>) -> (u16, String, String) {
        let status = response.status().as_u16();
        let media_type = response.headers().get(CONTENT_TYPE);
        let media_type = media_type.map_or("", |it| it.to_str().unwrap()).to_owned();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let body = runtime.unwrap().block_on(response.into_body().collect());
        let body = body.unwrap().to_bytes();
        (status, media_type, String::from_utf8(body.into()).unwrap())
    }

    fn of(code: i64, data: Value) -> (u16, String, String) {
        shown(&[("code", code.into()), ("data", data)])
    }

    #[test]
    fn data_decides_the_media_type() {
        let text = "text/plain; charset=UTF-8";
        let json = "application/json; charset=UTF-8";
        for (code, data, expected) in [
            (0, "hello".into(), (200, text, "hello")),
            (201, "5".into(), (201, json, "5")),
            (200, " {\"a\": 1} ".into(), (200, json, " {\"a\": 1} ")),
            (200, "{\"a\": 1".into(), (200, text, "{\"a\": 1")),
            (200, Value::Float(200.0), (200, json, "200\n")),
            (404, Value::Null, (404, "", "")),
            (200, Value::Float(f64::NAN), (200, json, "")),
            (204, "x".into(), (204, text, "")),
            (304, "x".into(), (304, "", "")),
            (200, Value::Nil(NilKind::Array), (200, json, "null\n")),
        ] {
            let (status, media_type, body) = of(code, data);
            assert_eq!((status, &*media_type, &*body), expected);
        }
        assert_eq!(shown(&[]), (200, String::new(), String::new()));
    }

    #[test]
    fn a_redirect_has_a_page_for_a_browser() {
        for (method, query, media_type, page) in [
            (
                Method::GET,
                None,
                "text/html; charset=utf-8",
                "<a href=\"/x/7\">Moved Permanently</a>.\n\n",
            ),
            (
                Method::GET,
                Some("a='1'&b=2"),
                "text/html; charset=utf-8",
                "<a href=\"/x/7?a=&#39;1&#39;&amp;b=2\">Moved Permanently</a>.\n\n",
            ),
            (Method::HEAD, None, "text/html; charset=utf-8", ""),
            (Method::POST, None, "", ""),
        ] {
            let (_, found, body) = parts(moved(&method, "/x/7", query));
            assert_eq!((&*found, &*body), (media_type, page), "{method}");
        }
    }

    #[test]
    fn data_that_would_be_too_long_is_refused() {
        let part = Value::from("x".repeat(1 << 20));
        let (status, _, body) = of(200, vec![part; 100].into());
        assert_eq!(status, 400);
        assert!(body.contains("is longer than"), "{body}");
    }

    #[test]
    fn an_invalid_status_is_a_500_and_a_code_that_is_not_a_number_a_400() {
        for code in [-1, 1, 99, 100, 199, 1000, i64::MAX] {
            assert_eq!(of(code, Value::Null).0, 500, "{code}");
        }
        assert_eq!(shown(&[("code", "x".into())]).0, 400);
    }

    #[test]
    fn a_reply_may_have_fields_and_cookies_but_not_break_its_framing() {
        let headers: Map = [
            ("X-A", "1"),
            ("Content-Length", "7"),
            ("Fusebox-Reason", "breaker_open"),
            ("Content-Type", "x/y"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        let cookies = vec![Value::from("a=1"), "b=2".into()];
        let results = Map::from([
            ("headers".into(), headers.into()),
            ("cookies".into(), cookies.into()),
            ("data".into(), "text".into()),
        ]);
        let response = of_results(&results);
        let headers = response.headers();
        assert_eq!(headers["x-a"], "1");
        assert_eq!(headers[CONTENT_TYPE], "text/plain; charset=UTF-8");
        assert!(!headers.contains_key(CONTENT_LENGTH) && !headers.contains_key("fusebox-reason"));
        let cookies: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        let bad = Map::from([("cookies".into(), vec![Value::from(true)].into())]);
        assert_eq!(of_results(&bad).status(), 500);
    }

    #[test]
    fn a_preflight_gets_permissions_only_if_it_requests_no_more() {
        let cors = Cors {
            allow_origin: "*".into(),
            allow_methods: "GET, PUT".into(),
            allow_headers: "Accept, X-A".into(),
            expose_headers: String::new(),
            allow_credentials: true,
            max_age: "60".into(),
        };
        let ask = |fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            preflight(&headers, &cors).headers().clone()
        };
        let method = ("access-control-request-method", "put");
        let answer = ask(&[("origin", "http://a"), method]);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(answer[ACCESS_CONTROL_MAX_AGE], "60");
        assert_eq!(answer[CONTENT_TYPE], "application/json");
        let fields = ("access-control-request-headers", "x-a, accept");
        assert!(ask(&[("origin", "a"), method, fields]).contains_key(ACCESS_CONTROL_ALLOW_METHODS));
        let more = ("access-control-request-headers", "x-b");
        for refused in [
            &[method][..],
            &[("origin", "a"), ("access-control-request-method", "POST")],
            &[("origin", "a"), method, more],
        ] {
            let answer = ask(refused);
            let allowed = answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN);
            assert!(!allowed, "{refused:?}");
        }
    }
}
