//! The `rest` activity: a request to another service, built from its settings and a step's inputs.

mod tls;
mod words;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fusebox_gateway::parts::{
    LiveUpstream, NO_LIMIT, Outbound, Policy, Pool, Pools, Redirects, Repeat, Trust, WorkerRef,
    fetch, fields, is_idempotent,
};
use fusebox_plan::plan::{Breaker, Endpoint, HttpVersion, Limits, Timeout, Upstream};
use http::header::{CONTENT_TYPE, HOST, PROXY_AUTHORIZATION, SET_COOKIE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};

use super::canonical::canonical;
use crate::language::urlencoded;
use crate::{Fault, Map, NilKind, Numbers, Params, RestActivity, RestTls, TargetPart, Value};

/// The most requests that one call makes, redirects among them.
const REQUESTS_MAX: usize = 10;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");
/// The name of the original, by which services may recognise clients.
const AGENT: HeaderValue = HeaderValue::from_static("Go-http-client/1.1");

/// The longest time to connect, TLS included.
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// The longest gap in an answer's body.
const GAP_MAX: Duration = Duration::from_secs(60);

/// The largest answer, also once it is decompressed.
const ANSWER_MAX: usize = 32 * 1024 * 1024;

/// Go's client turns redirected requests into GET where it must, and sends `Referer`.
const REDIRECTS: Redirects = Redirects {
    most: REQUESTS_MAX - 1,
    becomes_get: |_, _| true,
    keeps_secrets: |from, to| from.host == to.host,
    tells_referer: true,
};

/// A GET may be repeated after an idle connection was closed; a request that was not sent is always repeated.
const POLICY: Policy<'_> = Policy {
    repeat: |method| Repeat {
        on_any_idle: is_idempotent(method),
        times: if *method == Method::GET { 1 } else { 0 },
        from_new: false,
    },
    redirects: Some(&REDIRECTS),
    jar: None,
    places: None,
    total: None,
    gzip: true,
    body_max: ANSWER_MAX,
};

/// A service that calls another one.
#[derive(Debug)]
pub struct Rest {
    plan: Box<RestActivity>,
    target: Arc<LiveUpstream>,
    /// The fields in the settings, which a step's fields override.
    headers: Arc<Params>,
}

/// Connections to one endpoint, for all services that reach it with the same settings.
#[derive(Debug)]
pub struct Client {
    home: Endpoint,
    proxy: Option<Endpoint>,
    tls: RestTls,
    limits: Limits,
    pools: Pools,
}

impl Client {
    /// A client for a service and for others with the same settings. Each worker has connections of its own, opened on
    /// demand. `system` is the trust in the system's authorities.
    ///
    /// # Errors
    /// The resource in the plan that is unavailable.
    pub fn new(
        plan: &RestActivity,
        limits: &Limits,
        workers: usize,
        system: &Trust,
    ) -> Result<Client, String> {
        let (trust, proxy) = (tls::trust(&plan.tls, system)?, plan.proxy.as_ref());
        let upstream = upstream("".into(), plan);
        Ok(Client {
            home: plan.endpoint.clone(),
            proxy: plan.proxy.clone(),
            tls: plan.tls.clone(),
            limits: limits.clone(),
            pools: Pool::for_workers(
                workers,
                &upstream,
                upstream.endpoint(),
                proxy,
                limits,
                &trust,
            )?,
        })
    }

    /// True if a service can use this client.
    pub fn serves(&self, plan: &RestActivity, limits: &Limits) -> bool {
        self.home == plan.endpoint
            && self.proxy == plan.proxy
            && self.tls == plan.tls
            && self.limits == *limits
    }

    /// The connections of each worker.
    pub fn pools(&self) -> &Pools {
        &self.pools
    }
}

/// The upstream of a service, with the service's name, the timeouts of Go's client, and no breaker.
pub fn upstream(name: Arc<str>, plan: &RestActivity) -> Upstream {
    let request = plan.timeout.unwrap_or(NO_LIMIT);
    Upstream {
        timeout: Timeout {
            connect: CONNECT_MAX,
            request,
            total: None,
            idle: GAP_MAX,
        },
        pool_idle_max: 512,
        pool_idle_timeout: Duration::from_secs(30),
        pool_max_age: Duration::from_secs(300),
        // With TLS settings of its own Go's transport speaks HTTP/1.1.
        http: HttpVersion::One,
        breaker: Breaker::disabled(request),
        ..Upstream::new(name, plan.endpoint.clone())
    }
}

impl Rest {
    /// A service with its settings and its target.
    pub fn new(plan: Box<RestActivity>, settings: &Map, target: Arc<LiveUpstream>) -> Rest {
        let headers = settings.get("headers").and_then(|it| it.to_params().ok());
        Rest {
            plan,
            target,
            headers: headers.unwrap_or_default(),
        }
    }

    /// The upstream of the service.
    pub fn target(&self) -> &Arc<LiveUpstream> {
        &self.target
    }

    /// Calls the service and returns the activity's outputs.
    ///
    /// # Errors
    /// The fault of a call without a readable answer. No status is an error.
    pub async fn call(&self, inputs: &Map, worker: &WorkerRef) -> Result<Map, Fault> {
        let request = self.request(inputs)?;
        let answer = fetch(&self.target, request, &POLICY, worker).await;
        let answer = answer.map_err(|none| words::fault(&title(&self.plan.method), &none))?;
        outputs(&answer)
    }

    fn request(&self, inputs: &Map) -> Result<Outbound, Fault> {
        let params = |name: &str| match inputs.get(name) {
            Some(value) => value
                .to_params()
                .map_err(|error| Fault::plain(error.message)),
            None => Ok(Arc::default()),
        };
        let mut target = self.path(&*params("pathParams")?)?;
        let query = params("queryParams")?;
        if !query.is_empty() {
            // The original begins a second query where the URI has one.
            target.push(if target.contains('?') { '&' } else { '?' });
            let pairs = query.iter().map(|(name, value)| (&**name, &**value));
            target.push_str(&urlencoded::query(pairs));
        }
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, AGENT);
        let takes_body = matches!(self.plan.method, Method::POST | Method::PUT | Method::PATCH);
        let content = inputs.get("content").filter(|_| takes_body);
        let body = content.map_or(Ok(None), body_of)?;
        if let Some((_, media_type)) = &body {
            headers.insert(CONTENT_TYPE, media_type.clone());
        }
        let given = params("headers")?;
        for (name, value) in self.headers.iter().chain(given.iter()) {
            set(&mut headers, name, value)?;
        }
        Ok(Outbound {
            method: self.plan.method.clone(),
            endpoint: self.plan.endpoint.clone(),
            target,
            headers,
            body: body.map(|(bytes, _)| bytes),
        })
    }

    /// The URI's path and query, with the parameters filled in.
    fn path(&self, params: &Params) -> Result<String, Fault> {
        let mut target = String::with_capacity(self.plan.uri.len());
        // A parameter without a name, which stays a colon, asks for parameters too.
        let asked = self.plan.asks_for_params();
        for part in &self.plan.target {
            match part {
                TargetPart::Literal(text) => target.push_str(text),
                TargetPart::Param(name) => {
                    let value = params.get(name.as_str()).map_or("", |value| value);
                    if matches!(value, "." | "..") {
                        let why = "which would change the URL";
                        let message = format!("path parameter `{name}` is `{value}`, {why}");
                        return Err(Fault::activity(message));
                    }
                    target.push_str(&urlencoded::segment(value));
                }
            }
        }
        if asked && params.is_empty() {
            let uri = &self.plan.uri;
            let message = format!("Path Params not specified, required for URI: {uri}");
            return Err(Fault::activity(message));
        }
        if !target.starts_with('/') {
            target.insert(0, '/');
        }
        Ok(target)
    }
}

/// Adds a field from a caller. Unlike in the original, an invalid one is not a network fault: a client that controls a
/// value must not be able to trip the service's breaker.
fn set(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Fault> {
    let bad = |what: &str, shown: &str| {
        Fault::activity(format!("net/http: invalid header field {what} {shown:?}"))
    };
    let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("name", name))?;
    // Fields of the connection, and fields that the gateway sets.
    if fields::is_framing(field.as_str()) || [HOST, PROXY_AUTHORIZATION].contains(&field) {
        return Ok(());
    }
    let value =
        HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| bad("value for", name))?;
    headers.insert(field, value);
    Ok(())
}

/// The method in the form of Go's messages: `Get` for GET.
fn title(method: &Method) -> String {
    let (first, rest) = method.as_str().split_at(1);
    format!("{first}{}", rest.to_lowercase())
}

/// The body of a content, with its media type; `None` for null.
///
/// # Errors
/// Fails if JSON cannot express the content.
fn body_of(content: &Value) -> Result<Option<(Bytes, HeaderValue)>, Fault> {
    let json = || content.to_json_text();
    Ok(Some(match content {
        Value::Null => return Ok(None),
        Value::Str(text) => {
            let media_type = match text.starts_with(['{', '[']) {
                true => JSON,
                false => TEXT,
            };
            (Bytes::copy_from_slice(text.as_bytes()), media_type)
        }
        Value::Bool(_) | Value::Int(_) | Value::Long(_) | Value::Float(_) | Value::Num(_) => {
            (json()?.into(), TEXT)
        }
        _ => (json()?.into(), JSON),
    }))
}

fn outputs(answer: &Response<Bytes>) -> Result<Map, Fault> {
    let fields = answer.headers();
    let media_type = fields.get(CONTENT_TYPE);
    let is_json = media_type.is_some_and(|media_type| media_type == "application/json");
    let mut headers = Params::new();
    for name in fields.keys() {
        let first = fields.get(name).map(HeaderValue::as_bytes);
        let first = String::from_utf8_lossy(first.unwrap_or_default());
        headers.insert(canonical(name), first.into());
    }
    let cookies = fields.get_all(SET_COOKIE).iter();
    let cookies: Vec<Value> = cookies
        .map(|cookie| Value::from(&*String::from_utf8_lossy(cookie.as_bytes())))
        .collect();
    let body = answer.body();
    let text = match str::from_utf8(body) {
        Ok(text) => text.into(),
        Err(_) => String::from_utf8_lossy(body),
    };
    let data = if !is_json {
        Value::from(&*text)
    } else if text.trim_ascii().is_empty() {
        Value::Null
    } else {
        Value::from_json_text(&text, Numbers::Text).map_err(Fault::from)?
    };
    let cookies = match cookies.is_empty() {
        true => Value::Nil(NilKind::Array),
        false => cookies.into(),
    };
    let status = i64::from(answer.status().as_u16());
    Ok(Map::from([
        ("status".into(), status.into()),
        ("data".into(), data),
        ("headers".into(), headers.into()),
        ("cookies".into(), cookies),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use http::header::{AUTHORIZATION, LOCATION, REFERER};

    #[test]
    fn content_that_json_cannot_say_is_an_error_and_not_an_empty_body() {
        assert!(body_of(&Value::Float(f64::NAN)).is_err());
        assert_eq!(body_of(&Value::Null), Ok(None));
        let (body, media_type) = body_of(&Value::Float(1.5)).unwrap().unwrap();
        assert_eq!((&body[..], media_type), (&b"1.5"[..], TEXT));
    }

    #[test]
    fn a_field_that_http_does_not_have_is_no_fault_of_the_network() {
        for (name, value) in [("X-A", "a\r\nX-B: 1"), ("X-A", "a\0"), ("X A", "a")] {
            let fault = set(&mut HeaderMap::new(), name, value).unwrap_err();
            assert!(!fault.is_network(), "{fault}");
        }
    }

    #[test]
    fn go_follows_as_get_and_keeps_its_secrets_to_a_host() {
        let asked = |tls| Outbound {
            method: Method::PUT,
            endpoint: Endpoint::new(tls, "a", 8081),
            target: "/b".into(),
            headers: HeaderMap::from_iter([(AUTHORIZATION, TEXT), (CONTENT_TYPE, TEXT)]),
            body: Some(Bytes::from_static(b"x")),
        };
        let led = |tls, status, location| {
            let answer = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
            let status = StatusCode::from_u16(status).unwrap();
            REDIRECTS.next(&asked(tls), status, &answer)
        };
        let next = led(false, 301, "http://a:1/").unwrap().unwrap();
        assert_eq!((next.method, next.body), (Method::GET, None));
        assert_eq!(next.headers[REFERER], "http://a:8081/b");
        assert!(
            next.headers.contains_key(AUTHORIZATION) && !next.headers.contains_key(CONTENT_TYPE)
        );
        let next = led(true, 308, "http://b/").unwrap().unwrap();
        assert_eq!((next.method, next.body.is_some()), (Method::PUT, true));
        assert!(!next.headers.contains_key(AUTHORIZATION) && !next.headers.contains_key(REFERER));
        assert_eq!(
            led(false, 302, "ftp://b").unwrap().unwrap_err().location,
            "ftp://b"
        );
        assert!(led(false, 304, "/").is_none());
    }
}
