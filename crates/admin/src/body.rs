//! The body of a command: one JSON object, within a limit.

use axum::body::Body;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The largest body of a command, in bytes.
pub const BODY_MAX: usize = 16 * 1024;

/// Reads a command; `None` for an empty body.
///
/// # Errors
/// As of [`read_up_to`], with the limit of a command.
pub async fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<Option<T>, Problem> {
    read_up_to(BODY_MAX, headers, body).await
}

/// Reads a body up to a limit in bytes; `None` for an empty one.
///
/// # Errors
/// 413 for a body that is too large, 415 for one that is not declared as JSON, 400 for one that is no object of this
/// form.
pub async fn read_up_to<T: DeserializeOwned>(
    max: usize,
    headers: &HeaderMap,
    body: Body,
) -> Result<Option<T>, Problem> {
    let bytes = axum::body::to_bytes(body, max)
        .await
        .map_err(|_| Problem::too_large(format!("a body has at most {max} bytes here")))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let json = json
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if !json.is_some_and(|value| value.eq_ignore_ascii_case("application/json")) {
        return Err(Problem::not_json());
    }
    // A list of the members' values would be taken for the object.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::bad_request("the body is not a JSON object"));
    }
    let command = serde_json::from_slice(&bytes);
    command
        .map(Some)
        .map_err(|error| Problem::bad_request(error.to_string()))
}
