//! A breaker as a service: programs in any language ask before their calls, and report afterwards (docs/service.md).

use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Json, Response};
use fusebox_gateway::{CallAnswer, CallError, CallRefusal, Counted, Gateway, ReportedCall};
use http::header::{ALLOW, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body;
use crate::problem::Problem;
use crate::problem_kind::Kind;

/// The largest body of a report, in bytes: the outcomes of one permit with their kinds.
pub const REPORT_MAX: usize = 256 * 1024;
/// The longest kind of an error, in characters.
pub const KIND_MAX: usize = 64;
/// The longest time in a report, in milliseconds: 366 days.
pub const MS_MAX: f64 = 366.0 * 86_400_000.0;

/// The field with the reason of a refusal.
const REASON: HeaderName = HeaderName::from_static("fusebox-reason");

type Name = Result<Path<String>, PathRejection>;

/// The query of `…/check`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statuses {
    /// The status of a refusal: 503, the default, or 403.
    deny: Option<String>,
    /// The status of the answer that a call would pass: 204, the default, or 200, which some proxies want.
    allow: Option<String>,
}

impl Statuses {
    /// True if statuses are asked for, as only a proxy does.
    fn are_given(&self) -> bool {
        self.deny.is_some() || self.allow.is_some()
    }
}

/// The body of a report.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    permit: Option<String>,
    #[serde(default)]
    outcomes: Vec<Outcome>,
}

/// A call that a program has made. Further members are left alone, for programs of a later version.
#[derive(Debug, Deserialize)]
struct Outcome {
    ok: bool,
    #[serde(flatten)]
    facts: Facts,
}

/// The facts of a call beside its end.
#[derive(Debug, Default, Deserialize)]
struct Facts {
    /// The call's duration in milliseconds.
    ms: Option<f64>,
    kind: Option<String>,
    /// A whole number, which JSON may write as `503.0`.
    status: Option<f64>,
    /// Seconds after which the other side asked to be called again.
    retry_after: Option<f64>,
}

type AskedStatuses = Result<Query<Statuses>, QueryRejection>;

/// Answers `POST /api/v1/calls/{name}/check`. With `deny` or `allow` it is the question of a proxy that asks by its
/// request's own method.
pub async fn check(
    State(gateway): State<Gateway>,
    name: Name,
    query: AskedStatuses,
) -> Result<Response, Problem> {
    if !matches!(&query, Ok(Query(statuses)) if !statuses.are_given()) {
        return look(State(gateway), name, query).await;
    }
    let name = read_name(name)?;
    let answer = gateway.check_call(&name);
    let answer = answer.map_err(|error| problem(&gateway, &name, error))?;
    Ok(Json(match answer {
        CallAnswer::Permitted {
            permit,
            calls,
            valid_for,
        } => json!({
            "tripped": false,
            "permit": permit,
            "valid_for_ms": u64::try_from(valid_for.as_millis()).unwrap_or(u64::MAX),
            "calls": calls,
        }),
        CallAnswer::Refused(refusal) => refused(&refusal),
    })
    .into_response())
}

/// Answers the other methods of `/api/v1/calls/{name}/check`, by which only proxies ask, with `deny` or `allow`.
pub async fn look_by_another_method(
    State(gateway): State<Gateway>,
    method: Method,
    name: Name,
    query: AskedStatuses,
) -> Result<Response, Problem> {
    if matches!(&query, Ok(Query(statuses)) if !statuses.are_given()) {
        let problem = Problem::wrong_method(format!(
            "check does not support {method}; expected GET or POST, or any method with `?deny=403`"
        ));
        return Ok(([(ALLOW, "GET, HEAD, POST")], problem).into_response());
    }
    look(State(gateway), name, query).await
}

/// Answers `GET /api/v1/calls/{name}/check`, for proxies that ask for each request.
pub async fn look(
    State(gateway): State<Gateway>,
    name: Name,
    query: AskedStatuses,
) -> Result<Response, Problem> {
    let name = read_name(name)?;
    let query = query.map_err(|error| Problem::bad_request(error.body_text()));
    let Query(Statuses { deny, allow }) = query?;
    let status = match deny.as_deref() {
        None | Some("503") => StatusCode::SERVICE_UNAVAILABLE,
        Some("403") => StatusCode::FORBIDDEN,
        Some(other) => {
            return Err(Problem::bad_request(format!(
                "`deny` is `{other}`; expected 403 or 503"
            )));
        }
    };
    let passes = match allow.as_deref() {
        None | Some("204") => StatusCode::NO_CONTENT,
        Some("200") => StatusCode::OK,
        Some(other) => {
            return Err(Problem::bad_request(format!(
                "`allow` is `{other}`; expected 200 or 204"
            )));
        }
    };
    let refusal = gateway.look_at_call(&name);
    let refusal = refusal.map_err(|error| problem(&gateway, &name, error))?;
    let Some(refusal) = refusal else {
        return Ok(passes.into_response());
    };
    let reason = refusal.rejection.reason.as_str();
    let body = Json(json!({
        "error": format!("breaker \"{}\" refuses calls: {reason}", refusal.breaker),
        "breaker": &*refusal.breaker,
        "retry_after": refusal.retry_after(),
    }));
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(REASON, refusal.reason_field());
    if let Some(seconds) = refusal.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

/// Answers `POST /api/v1/calls/{name}/report`.
pub async fn report(
    State(gateway): State<Gateway>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let name = read_name(name)?;
    let report: Report = body::read_up_to(REPORT_MAX, &headers, body)
        .await?
        .unwrap_or_default();
    let calls = report
        .outcomes
        .into_iter()
        .map(|outcome| call(outcome.ok, outcome.facts));
    let calls: Vec<_> = calls.collect::<Result<_, _>>()?;
    take(&gateway, &name, report.permit.as_deref(), &calls)
}

/// Answers `POST /api/v1/calls/{name}/counter`: one failure.
pub async fn counter(
    State(gateway): State<Gateway>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    one(&gateway, name, &headers, body, false).await
}

/// Answers `POST /api/v1/calls/{name}/reset`: one success.
pub async fn reset(
    State(gateway): State<Gateway>,
    name: Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    one(&gateway, name, &headers, body, true).await
}

async fn one(
    gateway: &Gateway,
    name: Name,
    headers: &HeaderMap,
    body: Body,
    ok: bool,
) -> Result<Json<Value>, Problem> {
    let name = read_name(name)?;
    let facts = body::read(headers, body).await?.unwrap_or_default();
    take(gateway, &name, None, &[call(ok, facts)?])
}

fn take(
    gateway: &Gateway,
    name: &str,
    permit: Option<&str>,
    calls: &[ReportedCall],
) -> Result<Json<Value>, Problem> {
    let counted = gateway.report_calls(name, permit, calls);
    let Counted {
        counted,
        late,
        refused: refusal,
    } = counted.map_err(|error| problem(gateway, name, error))?;
    let mut answer = match refusal {
        Some(refusal) => refused(&refusal),
        None => json!({ "tripped": false }),
    };
    answer["counted"] = json!(counted);
    answer["late"] = json!(late);
    Ok(Json(answer))
}

fn refused(refusal: &CallRefusal) -> Value {
    json!({
        "tripped": true,
        "retry_after": refusal.retry_after(),
        "reason": refusal.rejection.reason.as_str(),
    })
}

fn call(ok: bool, facts: Facts) -> Result<ReportedCall, Problem> {
    let time = |key: &str, millis: Option<f64>| match millis {
        None => Ok(None),
        Some(millis) if (0.0..=MS_MAX).contains(&millis) => {
            Ok(Some(Duration::from_secs_f64(millis / 1_000.0)))
        }
        Some(_) => Err(Problem::bad_request(format!(
            "`{key}` must be from 0 to 366 days"
        ))),
    };
    if let Some(kind) = &facts.kind
        && (kind.chars().count() > KIND_MAX || kind.chars().any(char::is_control))
    {
        return Err(Problem::bad_request(format!(
            "`kind` has at most {KIND_MAX} characters and no control characters"
        )));
    }
    let status = match facts.status {
        None => None,
        Some(status) if (100.0..600.0).contains(&status) && status.fract() == 0.0 => {
            Some(status as u16)
        }
        Some(status) => {
            return Err(Problem::bad_request(format!(
                "`status` is {status}; expected 100 to 599"
            )));
        }
    };
    Ok(ReportedCall {
        ok,
        duration: time("ms", facts.ms)?,
        kind: facts.kind.filter(|kind| !kind.is_empty()),
        status,
        retry_after: time("retry_after", facts.retry_after.map(|it| it * 1_000.0))?,
    })
}

fn read_name(name: Name) -> Result<String, Problem> {
    let Path(name) = name.map_err(|error| {
        Problem::bad_request(format!(
            "a breaker's name must be percent-encoded UTF-8: {}",
            error.body_text()
        ))
    })?;
    Ok(name)
}

fn problem(gateway: &Gateway, name: &str, error: CallError) -> Problem {
    match error {
        CallError::Unknown => {
            let names = gateway.askable();
            let mend = match names.is_empty() {
                true => "the configuration has neither `breakers` nor a breaker before an upstream"
                    .to_owned(),
                false => fusebox_plan::suggest(name, names.iter().map(|it| &**it)),
            };
            Problem::new(
                Kind::UnknownBreaker,
                format!("unknown breaker `{name}`; {mend}"),
            )
        }
        CallError::Keyed => Problem::new(
            Kind::UnknownBreaker,
            format!(
                "the upstream `{name}` has a breaker for each key; ask for one by its full name, `{name}%2FKEY`"
            ),
        ),
        CallError::Unreadable => {
            Problem::bad_request("`permit` is unreadable; expected the text that `check` gave")
        }
        CallError::Forged => Problem::new(
            Kind::ForgedPermit,
            format!("this gateway has given no such permit for the breaker `{name}`"),
        ),
        CallError::Beyond(left) => Problem::new(
            Kind::BeyondPermit,
            format!(
                "the permit has {left} outcomes left, and none of these was counted; ask `check` for another permit"
            ),
        ),
    }
}
