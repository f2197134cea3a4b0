//! The `rest` activity: a request to another service, made of its settings and a step's inputs.

mod answer;
mod client;
mod tls;

use std::sync::Arc;

use answer::Answer;
use bytes::Bytes;
use fusebox_gateway::parts::{Desk, RequestMeters, UpstreamErrors, location};
use fusebox_plan::plan::Limits;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION,
    PROXY_AUTHORIZATION, REFERER, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio_rustls::rustls::ClientConfig;

use super::canonical::canonical;
use super::urlencoded;
use crate::{EvalError, Fault, FaultKind, Map, Numbers, Params, RestActivity, TargetPart, Value};
pub use client::Client;
use client::{NoAnswer, Question, TlsSource};

/// How many requests one call may make, redirects among them.
const REQUESTS_MAX: usize = 10;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");
/// What the original calls itself; services may tell programs by it.
const AGENT: HeaderValue = HeaderValue::from_static("Go-http-client/1.1");

/// Fields that belong to the connection or are ours to say.
const NOT_FOR_CALLERS: [HeaderName; 9] = [
    HOST,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    TRAILER,
    CONNECTION,
    UPGRADE,
    TE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
];

/// A service that calls others.
#[derive(Debug)]
pub struct Rest {
    plan: Box<RestActivity>,
    client: Arc<Client>,
    /// The settings' own fields: what a step's are laid over.
    headers: Arc<Params>,
    meter: RequestMeters,
    errors: Arc<UpstreamErrors>,
}

/// A client as a plan wants it; `system` gives the TLS configuration of all who want none of
/// their own.
///
/// # Errors
/// What the plan asks for that cannot be had.
pub fn client(
    plan: &RestActivity,
    limits: &Limits,
    workers: usize,
    system: impl Fn() -> Arc<ClientConfig> + Send + Sync + 'static,
) -> Result<Client, String> {
    let source = if tls::is_plain(&plan.tls) {
        TlsSource(Arc::new(system))
    } else {
        let config = tls::config(&plan.tls)?;
        TlsSource(Arc::new(move || config.clone()))
    };
    Client::new(plan, limits, source, workers)
}

impl Rest {
    /// A service with its settings, calling through `client`.
    pub fn new(
        plan: Box<RestActivity>,
        settings: &Map,
        client: Arc<Client>,
        meter: RequestMeters,
        errors: Arc<UpstreamErrors>,
    ) -> Rest {
        let headers = settings.get("headers").and_then(|it| it.to_params().ok());
        Rest {
            plan,
            client,
            headers: headers.unwrap_or_default(),
            meter,
            errors,
        }
    }

    /// What each worker counts of its calls.
    pub fn meter(&self) -> &RequestMeters {
        &self.meter
    }

    /// The errors of its calls by kind.
    pub fn errors(&self) -> &Arc<UpstreamErrors> {
        &self.errors
    }

    /// Calls the service and gives the activity's outputs.
    ///
    /// # Errors
    /// Why there is no answer, or none that can be read. No status is an error.
    pub async fn call(&self, inputs: &Map, desk: &Desk) -> Result<Map, Fault> {
        let mut question = self.question(inputs)?;
        let op = title(&self.plan.method);
        let timeout = self.plan.timeout;
        for _ in 0..REQUESTS_MAX {
            let began = desk.clock.exact();
            let asked = self.client.ask(&question, timeout, desk, &self.errors);
            let asked = asked.await;
            if let Ok(answer) = &asked {
                let took = desk.clock.exact().saturating_since(began);
                let meter = self.meter.of(desk.worker);
                meter.observe(&question.method, answer.status, took);
            }
            let answer = asked.map_err(|failed| match failed {
                NoAnswer::Network(cause) => Fault::network(&op, &question.url(), &cause),
                NoAnswer::Ours => Fault::plain("the gateway has no connection to spare"),
            })?;
            match redirected(&question, &answer) {
                None => return outputs(answer, desk, &self.errors).await,
                Some(Ok(next)) => {
                    answer.body.discard(desk);
                    question = next;
                }
                Some(Err(cause)) => return Err(Fault::network(&op, &question.url(), &cause)),
            }
        }
        let cause = format!("stopped after {REQUESTS_MAX} redirects");
        Err(Fault::network(&op, &question.url(), &cause))
    }

    fn question(&self, inputs: &Map) -> Result<Question, Fault> {
        let params = |name: &str| match inputs.get(name) {
            Some(value) => value.to_params().map_err(coercion),
            None => Ok(Arc::default()),
        };
        let mut target = self.target(&*params("pathParams")?)?;
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
        Ok(Question {
            method: self.plan.method.clone(),
            endpoint: self.plan.endpoint.clone(),
            target,
            headers,
            body: body.map(|(bytes, _)| bytes),
        })
    }

    /// The URI's path and query with its parameters filled in.
    fn target(&self, params: &Params) -> Result<String, Fault> {
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
    if NOT_FOR_CALLERS.contains(&field) {
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

/// What is sent as a body, and what it is called; null is none.
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

/// Where an answer leads, if it leads anywhere.
fn redirected(question: &Question, answer: &Answer) -> Option<Result<Question, String>> {
    let keeps = match answer.status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => false,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        _ => return None,
    };
    // One that leads nowhere is an answer.
    let location = answer.headers.get(LOCATION)?;
    Some(follow(question, location, keeps))
}

fn follow(question: &Question, location: &HeaderValue, keeps: bool) -> Result<Question, String> {
    let shown = String::from_utf8_lossy(location.as_bytes()).into_owned();
    let bad = |why: String| format!("failed to parse Location header {shown:?}: {why}");
    let (endpoint, target) =
        location::resolve(&question.endpoint, &question.target, &shown).map_err(bad)?;
    let mut headers = question.headers.clone();
    if endpoint.host != question.endpoint.host {
        for secret in [AUTHORIZATION, COOKIE] {
            headers.remove(secret);
        }
    }
    if (!question.endpoint.tls || endpoint.tls)
        && let Ok(referer) = HeaderValue::from_str(&question.url())
    {
        headers.insert(REFERER, referer);
    }
    let (method, body) = if keeps {
        (question.method.clone(), question.body.clone())
    } else {
        headers.remove(CONTENT_TYPE);
        (Method::GET, None)
    };
    Ok(Question {
        method,
        endpoint,
        target,
        headers,
        body,
    })
}

async fn outputs(answer: Answer, desk: &Desk, errors: &UpstreamErrors) -> Result<Map, Fault> {
    let is_json = answer
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|media_type| media_type == "application/json");
    let mut headers = Params::new();
    for name in answer.headers.keys() {
        let first = answer.headers.get(name).map(HeaderValue::as_bytes);
        let first = String::from_utf8_lossy(first.unwrap_or_default());
        headers.insert(canonical(name), first.into());
    }
    let cookies: Vec<Value> = answer
        .headers
        .get_all(SET_COOKIE)
        .iter()
        .map(|cookie| Value::from(&*String::from_utf8_lossy(cookie.as_bytes())))
        .collect();
    let body = answer.body.read(desk, errors).await?;
    let text = match str::from_utf8(&body) {
        Ok(text) => text.into(),
        Err(_) => String::from_utf8_lossy(&body),
    };
    let data = if !is_json {
        Value::from(&*text)
    } else if text.trim_ascii().is_empty() {
        Value::Null
    } else {
        Value::from_json_text(&text, Numbers::Text).map_err(Fault::from)?
    };
    let mut outputs = Map::new();
    outputs.insert("status".into(), i64::from(answer.status.as_u16()).into());
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
}
