//! Single breakers: shown, and held, released or reset by an operator.

use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Json;
use fusebox_breaker::HoldKind;
use fusebox_gateway::app::{CircuitFault, Steer};
use fusebox_gateway::{Action, BreakerStatus, FleetError, Gateway, PageQuery};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use crate::body;
use crate::fleet::Fleet;
use crate::problem::Problem;
use crate::problem_kind::Kind;
use crate::view;

/// The longest reason, and the longest name of an operator, in characters.
pub const TEXT_MAX: usize = 256;
/// The longest duration of a hold.
const HOLD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Answers `GET /api/v1/breakers/{name}`.
pub async fn show(
    State(gateway): State<Gateway>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    let Path(name) = name.map_err(unreadable)?;
    let Some(breaker) = gateway.breaker(&name) else {
        let circuit = gateway.circuit(&name).await.map_err(fault)?;
        let Some(circuit) = circuit else {
            return Err(unknown(&gateway, &name).await);
        };
        return Ok(Json(view::circuit(&circuit, gateway.clock().wall_millis())));
    };
    let fleet = gateway.fleet(Some(&breaker.name)).await.map(Fleet::of);
    let wall = gateway.clock().wall();
    let mut shown = view::breaker(&breaker, fleet.as_ref(), wall);
    if let Some(explanation) = gateway.explain(&name) {
        shown["explanation"] = view::explanation(&explanation, wall);
    }
    let failures = gateway.last_failures(&name).unwrap_or_default();
    shown["last_failures"] = failures.iter().map(|it| view::failed(it, wall)).collect();
    Ok(Json(shown))
}

/// The body of an operator's command.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    /// The duration of a hold, such as `10m`; without it the hold has no end.
    #[serde(rename = "for")]
    duration: Option<String>,
    /// The operator's reason, for the log and the hold.
    reason: Option<String>,
    /// The operator's name; `admin` by default.
    by: Option<String>,
    /// The scope: `node`, which is this gateway and the default, or `fleet`.
    scope: Option<String>,
}

/// A command to a breaker, by its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Holds it open.
    Open,
    /// Holds it closed.
    Close,
    /// Closes it with nothing counted.
    Reset,
    /// Ends a hold.
    Release,
}

impl Word {
    const fn as_str(self) -> &'static str {
        match self {
            Word::Open => "open",
            Word::Close => "close",
            Word::Reset => "reset",
            Word::Release => "release",
        }
    }
}

/// Answers `POST /api/v1/breakers/{name}/open`.
pub async fn open(
    gateway: State<Gateway>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    act(gateway, Word::Open, name, &headers, body).await
}

/// Answers `POST /api/v1/breakers/{name}/close`.
pub async fn close(
    gateway: State<Gateway>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    act(gateway, Word::Close, name, &headers, body).await
}

/// Answers `POST /api/v1/breakers/{name}/reset`.
pub async fn reset(
    gateway: State<Gateway>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    act(gateway, Word::Reset, name, &headers, body).await
}

/// Answers `POST /api/v1/breakers/{name}/release`.
pub async fn release(
    gateway: State<Gateway>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    act(gateway, Word::Release, name, &headers, body).await
}

async fn act(
    State(gateway): State<Gateway>,
    word: Word,
    name: Result<Path<String>, PathRejection>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let Path(name) = name.map_err(unreadable)?;
    let order: Command = body::read(headers, body).await?.unwrap_or_default();
    let fleet = match order.scope.as_deref() {
        None | Some("node") => false,
        Some("fleet") => true,
        Some(other) => {
            return Err(Problem::bad_request(format!(
                "unknown scope `{other}`; expected node or fleet"
            )));
        }
    };
    let reason = text(order.reason, "reason")?.unwrap_or_else(|| "no reason given".into());
    let by = text(order.by, "by")?.unwrap_or_else(|| "admin".into());
    let duration = order.duration.as_deref().map(duration).transpose()?;
    let hold = |kind| Action::Hold {
        kind,
        duration,
        reason: reason.clone(),
        by: by.clone(),
    };
    let command = word.as_str();
    let (action, takes_duration) = match word {
        Word::Open => (hold(HoldKind::Open), true),
        Word::Close => (hold(HoldKind::Closed), true),
        Word::Reset => (Action::Reset { by: by.clone() }, false),
        Word::Release => (Action::Release { by: by.clone() }, false),
    };
    if duration.is_some() && !takes_duration {
        return Err(Problem::bad_request(
            "`for` is valid only with open and close; remove it",
        ));
    }
    if gateway.breaker(&name).is_none() {
        // A flow's entry lies where all gateways of its store see it, whatever the scope.
        let steer = match word {
            _ if duration.is_some() => {
                return Err(Problem::new(
                    Kind::FlowBreaker,
                    format!(
                        "`{name}` is built by a flow, and its entry lives as long as its store keeps it; remove `for`"
                    ),
                ));
            }
            Word::Open => Steer::Open,
            Word::Close => Steer::Close,
            Word::Reset => Steer::Reset,
            Word::Release if gateway.circuit(&name).await.map_err(fault)?.is_none() => {
                return Err(unknown(&gateway, &name).await);
            }
            Word::Release => {
                return Err(Problem::new(
                    Kind::FlowBreaker,
                    format!(
                        "`{name}` is built by a flow and cannot be held or released; close or reset it"
                    ),
                ));
            }
        };
        let circuit = gateway.steer(&name, steer).await.map_err(fault)?;
        let Some(circuit) = circuit else {
            return Err(unknown(&gateway, &name).await);
        };
        tracing::info!(breaker = %name, %command, %by, %reason, "an operator's command");
        return Ok(Json(view::circuit(&circuit, gateway.clock().wall_millis())));
    }
    let done = if fleet {
        gateway.act_on_fleet(&name, action).await
    } else {
        gateway.act(&name, action).ok_or(FleetError::NoBreaker)
    };
    let breaker = match done {
        Ok(breaker) => breaker,
        Err(FleetError::NoBreaker) => return Err(unknown(&gateway, &name).await),
        Err(error @ (FleetError::NoFleet | FleetError::NotShared)) => {
            return Err(Problem::new(Kind::NotShared, error.to_string()));
        }
        Err(error @ FleetError::NotTaken) => return Err(Problem::store_away(error.to_string())),
    };
    let scope = if fleet { "fleet" } else { "node" };
    tracing::info!(breaker = %name, %command, scope, %by, %reason, "an operator's command");
    Ok(Json(view_of(&gateway, &breaker).await))
}

/// The JSON of a breaker, with its part in the fleet.
async fn view_of(gateway: &Gateway, breaker: &BreakerStatus) -> Value {
    let fleet = gateway.fleet(Some(&breaker.name)).await.map(Fleet::of);
    view::breaker(breaker, fleet.as_ref(), gateway.clock().wall())
}

fn text(text: Option<String>, what: &str) -> Result<Option<String>, Problem> {
    let Some(text) = text else { return Ok(None) };
    if text.chars().count() > TEXT_MAX || text.chars().any(char::is_control) {
        return Err(Problem::bad_request(format!(
            "`{what}` has at most {TEXT_MAX} characters and no control characters"
        )));
    }
    Ok(Some(text))
}

fn duration(text: &str) -> Result<Duration, Problem> {
    match fusebox_plan::read_duration(text) {
        Some(duration) if !duration.is_zero() && duration <= HOLD_MAX => Ok(duration),
        _ => Err(Problem::bad_request(format!(
            "invalid `for` `{text}`; expected a duration such as 90s, 10m or 2h"
        ))),
    }
}

fn unreadable(error: PathRejection) -> Problem {
    Problem::bad_request(format!(
        "a breaker's name must be percent-encoded UTF-8: {}",
        error.body_text()
    ))
}

/// The answer to a fault in reading or steering a flow's circuit.
fn fault(fault: CircuitFault) -> Problem {
    match fault {
        CircuitFault::Conflict(why) => Problem::new(Kind::FlowBreaker, why),
        CircuitFault::Store(_) => Problem::store_away(fault.to_string()),
    }
}

async fn unknown(gateway: &Gateway, name: &str) -> Problem {
    let some = PageQuery {
        limit: 10,
        ..PageQuery::default()
    };
    let some = gateway.page(some).await;
    let names: Vec<_> = some.breakers.iter().map(|it| &**it.name()).collect();
    let more = if some.has_more { ", …" } else { "" };
    let names = names.join(", ");
    Problem::new(
        Kind::UnknownBreaker,
        format!("unknown breaker `{name}`; known breakers: {names}{more}"),
    )
}
