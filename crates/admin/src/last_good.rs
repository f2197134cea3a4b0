//! Removes last good answers on an operator's word.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use fusebox_gateway::Gateway;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::problem::Problem;

/// The answers to remove.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purge {
    /// The upstream's name.
    upstream: String,
    /// The path as the upstream sees it, with all its queries; `None`: all paths.
    path: Option<String>,
}

/// Removes the last good answers of an upstream for good.
pub async fn purge(
    State(gateway): State<Gateway>,
    purge: Result<Json<Purge>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(Purge { upstream, path }) =
        purge.map_err(|error| Problem::bad_request(error.body_text()))?;
    if path.as_ref().is_some_and(|path| !path.starts_with('/')) {
        return Err(Problem::bad_request(
            "`path` begins with `/`, as the upstream sees it".to_owned(),
        ));
    }
    match gateway.purge_last_good(&upstream, path.as_deref()).await {
        Ok(Some(removed)) => Ok(Json(json!({ "removed": removed }))),
        Ok(None) => Err(Problem::not_found(format!(
            "no upstream `{upstream}` keeps last good answers"
        ))),
        Err(error) => Err(Problem::conflict(format!(
            "the store cannot be written, so answers may come back after a restart: {error}"
        ))),
    }
}
