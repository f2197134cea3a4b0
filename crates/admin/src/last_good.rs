//! Removes last good answers on an operator's word.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use fusebox_gateway::Gateway;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body;
use crate::problem::Problem;
use crate::problem_kind::Kind;

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
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let purge = body::read(&headers, body).await?;
    let Purge { upstream, path } = purge.ok_or_else(|| {
        Problem::bad_request(
            "send a body that says of which upstream, such as {\"upstream\":\"orders\"}",
        )
    })?;
    if path.as_ref().is_some_and(|path| !path.starts_with('/')) {
        return Err(Problem::bad_request(
            "`path` begins with `/`, as the upstream sees it".to_owned(),
        ));
    }
    match gateway.purge_last_good(&upstream, path.as_deref()).await {
        Ok(Some(removed)) => Ok(Json(json!({ "removed": removed }))),
        Ok(None) => Err(Problem::new(
            Kind::NothingKept,
            format!("no upstream `{upstream}` keeps last good answers"),
        )),
        Err(error) => Err(Problem::new(
            Kind::StoreNotWritten,
            format!(
                "the store cannot be written, so answers may come back after a restart: {error}"
            ),
        )),
    }
}
