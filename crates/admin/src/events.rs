//! The stream of events: `GET /api/v1/events`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;

use crate::hub::{Full, Hub};
use crate::problem::Problem;
use crate::problem_kind::Kind;
use crate::slots::Activity;
use crate::wishes::Wishes;

/// The field with the identifier of the last event that a client has seen.
const LAST_EVENT_ID: &str = "last-event-id";

/// The query parameters of a stream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    last_event_id: Option<String>,
    pulse: Option<String>,
    breaker: Option<String>,
    r#type: Option<String>,
}

/// Answers `GET /api/v1/events`.
pub async fn stream(
    State(hub): State<Hub>,
    Extension(activity): Extension<Arc<Activity>>,
    headers: HeaderMap,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let sent = headers.get(LAST_EVENT_ID).map(HeaderValue::as_bytes);
    let sent = sent.map(|id| String::from_utf8_lossy(id).into_owned());
    // A client that comes back sends the field, and its old address with it.
    let last_id = sent.or_else(|| asked.last_event_id.clone());
    let wishes = Wishes::read(
        asked.pulse.as_deref(),
        asked.r#type.as_deref(),
        asked.breaker.as_deref(),
    )?;
    let subscription = hub.subscribe(wishes, last_id.as_deref(), activity);
    let subscription = subscription.map_err(|full| match full {
        Full::Listeners => Problem::new(
            Kind::TooManyListeners,
            "too many listeners; try again later",
        )
        .retry_after(5),
        Full::Over => Problem::new(Kind::Ending, "the gateway ends").retry_after(5),
    })?;
    let body = Body::from_stream(stream::unfold(subscription, async |mut subscription| {
        let bytes = subscription.next().await?;
        Some((Ok::<_, Infallible>(bytes), subscription))
    }));
    let media_type = HeaderValue::from_static("text/event-stream");
    Ok(([(CONTENT_TYPE, media_type)], body).into_response())
}
