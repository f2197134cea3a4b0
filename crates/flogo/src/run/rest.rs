//! The `rest` activity: a request to another service, made of its settings and a step's inputs.

mod tls;
mod words;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fusebox_gateway::parts::{
    LiveUpstream, NO_LIMIT, Outbound, Policy, Pool, Pools, Redirects, Repeat, Trust, WorkerRef,
    fetch, fields, is_idempotent,
};
use fusebox_plan::plan::{Breaker, Endpoint, Limits, Timeout, Upstream};
use http::header::{CONTENT_TYPE, HOST, PROXY_AUTHORIZATION, SET_COOKIE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};

use super::canonical::canonical;
use super::urlencoded;
use crate::{
    EvalError, Fault, FaultKind, Map, Numbers, Params, RestActivity, RestTls, TargetPart, Value,
};

/// The most requests that one call makes, redirects among them.
const REQUESTS_MAX: usize = 10;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");
/// The name of the original; services may tell programs by it.
const AGENT: HeaderValue = HeaderValue::from_static("Go-http-client/1.1");

/// The longest time to connect, TLS included.
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// The longest gap in an answer's body.
const GAP_MAX: Duration = Duration::from_secs(60);

/// The largest answer, also once it is decompressed.
const ANSWER_MAX: usize = 32 * 1024 * 1024;

/// Go's client follows what it must as a GET, and says whence it comes.
const REDIRECTS: Redirects = Redirects {
    most: REQUESTS_MAX - 1,
    becomes_get: |_, _| true,
    keeps_secrets: |from, to| from.host == to.host,
    tells_referer: true,
};

/// An idle connection that was closed costs a GET nothing; whatever was not sent goes out again.
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

/// A service that calls others.
#[derive(Debug)]
pub struct Rest {
    plan: Box<RestActivity>,
    target: Arc<LiveUpstream>,
    /// The settings' own fields: what a step's are laid over.
    headers: Arc<Params>,
}

/// Connections to one endpoint, for all services that reach it in the same way.
#[derive(Debug)]
pub struct Client {
    home: Endpoint,
    proxy: Option<Endpoint>,
    tls: RestTls,
    limits: Limits,
    pools: Pools,
}

impl Client {
    /// A client for a service and others like it, each worker with connections of its own, which are made when they
    /// are needed; `system` is for all that trust nobody else.
    ///
    /// # Errors
    /// The thing that the plan asks for and that cannot be had.
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
            pools: Pool::for_workers(workers, &upstream, proxy, limits, &trust)?,
        })
    }

    /// True where a service can use it.
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

/// The upstream that a service calls, under the service's name, with the times of Go's client and no breaker.
pub fn upstream(name: Arc<str>, plan: &RestActivity) -> Upstream {
    let request = plan.timeout.unwrap_or(NO_LIMIT);
    Upstream {
        name,
        endpoint: plan.endpoint.clone(),
        timeout: Timeout {
            connect: CONNECT_MAX,
            request,
            idle: GAP_MAX,
        },
        pool_idle_max: 512,
        pool_idle_timeout: Duration::from_secs(30),
        pool_max_age: Duration::from_secs(300),
        breaker: Breaker::disabled(request),
    }
}

impl Rest {
    /// A service with its settings, calling its target.
    pub fn new(plan: Box<RestActivity>, settings: &Map, target: Arc<LiveUpstream>) -> Rest {
        let headers = settings.get("headers").and_then(|it| it.to_params().ok());
        Rest {
            plan,
            target,
            headers: headers.unwrap_or_default(),
        }
    }

    /// The upstream that it calls.
    pub fn target(&self) -> &Arc<LiveUpstream> {
        &self.target
    }

    /// Calls the service and gives the activity's outputs.
    ///
    /// # Errors
    /// The reason why there is no answer, or none that can be read. No status is an error.
    pub async fn call(&self, inputs: &Map, worker: &WorkerRef) -> Result<Map, Fault> {
        let request = self.request(inputs)?;
        let answer = fetch(&self.target, request, &POLICY, worker).await;
        let answer = answer.map_err(|none| words::fault(&title(&self.plan.method), &none))?;
        outputs(&answer)
    }

    fn request(&self, inputs: &Map) -> Result<Outbound, Fault> {
        let params = |name: &str| match inputs.get(name) {
            Some(value) => value.to_params().map_err(coercion),
            None => Ok(Arc::default()),
        };
        let mut target = self.path(&*params("pathParams")?)?;
        let query = params("queryParams")?;
        if !query.is_empty() {
            // The original begins a second query where the URI has one.
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(&urlencoded::query(
                query.iter().map(|(name, value)| (&**name, &**value)),
            ));
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

    /// The URI's path and query with its parameters filled in.
    fn path(&self, params: &Params) -> Result<String, Fault> {
        let mut target = String::with_capacity(self.plan.uri.len());
        let mut asked = false;
        for part in &self.plan.target {
            match part {
                TargetPart::Literal(text) => target.push_str(text),
                TargetPart::Param(name) => {
                    asked = true;
                    let value = params.get(name.as_str()).map_or("", |value| value);
                    if matches!(value, "." | "..") {
                        let message = format!(
                            "path parameter `{name}` is `{value}`, which would change the URL"
                        );
                        return Err(activity(&message));
                    }
                    target.push_str(&urlencoded::segment(value));
                }
            }
        }
        if asked && params.is_empty() {
            let message = format!(
                "Path Params not specified, required for URI: {}",
                self.plan.uri
            );
            return Err(activity(&message));
        }
        if !target.starts_with('/') {
            target.insert(0, '/');
        }
        Ok(target)
    }
}

/// Adds a field of a caller's. One that HTTP does not have is no fault of the network, as it is in the
/// original: a client that can set a value must not be able to trip the service's breaker.
fn set(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Fault> {
    let bad = |what: &str, shown: &str| {
        activity(&format!("net/http: invalid header field {what} {shown:?}"))
    };
    let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("name", name))?;
    // What belongs to the connection, and what is ours to say.
    if fields::is_framing(field.as_str()) || [HOST, PROXY_AUTHORIZATION].contains(&field) {
        return Ok(());
    }
    let value =
        HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| bad("value for", name))?;
    headers.insert(field, value);
    Ok(())
}

fn activity(message: &str) -> Fault {
    Fault {
        kind: FaultKind::Activity,
        message: message.into(),
    }
}

fn coercion(error: EvalError) -> Fault {
    Fault::plain(error.to_string())
}

/// `Get` of GET, as Go's messages begin.
fn title(method: &Method) -> String {
    let (first, rest) = method.as_str().split_at(1);
    format!("{first}{}", rest.to_lowercase())
}

/// The body that content is sent as, with its media type; null is none.
///
/// # Errors
/// If JSON cannot say it.
fn body_of(content: &Value) -> Result<Option<(Bytes, HeaderValue)>, Fault> {
    let json = || content.to_json_text();
    Ok(Some(match content {
        Value::Null => return Ok(None),
        Value::Str(text) => {
            let media_type = if text.starts_with(['{', '[']) {
                JSON
            } else {
                TEXT
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
    let is_json = answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|media_type| media_type == "application/json");
    let mut headers = Params::new();
    for name in answer.headers().keys() {
        let first = answer.headers().get(name).map(HeaderValue::as_bytes);
        let first = String::from_utf8_lossy(first.unwrap_or_default());
        headers.insert(canonical(name), first.into());
    }
    let cookies: Vec<Value> = answer
        .headers()
        .get_all(SET_COOKIE)
        .iter()
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
    let mut outputs = Map::new();
    outputs.insert("status".into(), i64::from(answer.status().as_u16()).into());
    outputs.insert("data".into(), data);
    outputs.insert("headers".into(), headers.into());
    let cookies = if cookies.is_empty() {
        Value::Null
    } else {
        cookies.into()
    };
    outputs.insert("cookies".into(), cookies);
    Ok(outputs)
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
