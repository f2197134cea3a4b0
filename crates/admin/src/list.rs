//! The list of breakers: in pages, by name, written while it is read.
//!
//! A page has at most [`LIMIT_MAX`] breakers, and `next` names the one after which the next page begins. The page is
//! built of handles; each breaker is read and written only as the client reads the answer, so that a list of any length
//! costs only a few breakers' memory at a time.

use std::convert::Infallible;
use std::vec::IntoIter;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use fusebox_breaker::Phase;
use fusebox_gateway::app::Circuit;
use fusebox_gateway::{Gateway, Listed, PageQuery};
use fusebox_plan::plan::Share;
use futures_util::future::join_all;
use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::fleet::Fleet;
use crate::problem::Problem;
use crate::view;

/// The most breakers in a page, which is also the default.
pub const LIMIT_MAX: usize = 1_000;
/// Number of breakers that are read and written at once.
const AT_ONCE: usize = 16;

/// The query parameters of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    prefix: Option<String>,
    state: Option<String>,
    limit: Option<u32>,
    after: Option<String>,
}

impl Filter {
    fn query(&self) -> Result<PageQuery<'_>, Problem> {
        let state = match self.state.as_deref() {
            None => None,
            Some("closed") => Some(Phase::Closed),
            Some("open") => Some(Phase::Open),
            Some("half_open") => Some(Phase::HalfOpen),
            Some(other) => {
                return Err(Problem::bad_request(format!(
                    "unknown state `{other}`; expected closed, open or half_open"
                )));
            }
        };
        // An empty page would have no name from which to continue.
        if self.limit == Some(0) {
            return Err(Problem::bad_request(
                "`limit` is 0; expected 1 to 1,000".to_owned(),
            ));
        }
        Ok(PageQuery {
            prefix: self.prefix.as_deref().unwrap_or_default(),
            state,
            after: self.after.as_deref(),
            limit: self
                .limit
                .map_or(LIMIT_MAX, |limit| LIMIT_MAX.min(limit as usize)),
        })
    }
}

/// An entry of the list: a breaker of the gateway, or a circuit that a flow builds.
enum Entry {
    Breaker(Listed),
    Circuit(Box<Circuit>),
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Entry::Breaker(breaker) => breaker.name(),
            Entry::Circuit(circuit) => &circuit.name,
        }
    }
}

/// Answers `GET /api/v1/breakers`.
pub async fn list(
    State(gateway): State<Gateway>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(filter) = filter.map_err(|error| Problem::bad_request(error.body_text()))?;
    let query = filter.query()?;
    let page = gateway.page(query).await;
    let mut total = page.total;
    let mut has_more = page.has_more;
    let mut entries: Vec<_> = page.breakers.into_iter().map(Entry::Breaker).collect();
    // An unreachable store hides its circuits and no breakers: the list matters most at such a time.
    let (circuits, incomplete) = match gateway.circuits().await {
        Ok(circuits) => (circuits, None),
        Err(error) => (Vec::new(), Some(format!("circuits of flows: {error}"))),
    };
    for circuit in circuits {
        let state = query.state.map(Phase::as_str);
        if circuit.name.starts_with(query.prefix)
            && state.is_none_or(|state| circuit.state.as_str() == state)
        {
            total += 1;
            if query.is_ahead(&circuit.name) {
                entries.push(Entry::Circuit(Box::new(circuit)));
            }
        }
    }
    entries.sort_by(|a, b| a.name().cmp(b.name()));
    has_more |= entries.len() > query.limit;
    entries.truncate(query.limit);
    let next = entries.last().filter(|_| has_more).map(Entry::name);
    let head = format!(
        "{{\"total\":{total},\"next\":{},\"incomplete\":{},\"breakers\":[",
        json!(next),
        json!(incomplete),
    );
    let rows = Rows {
        gateway,
        head: Some(head),
        rest: entries.into_iter(),
        written: 0,
    };
    let body = Body::from_stream(stream::unfold(rows, async |mut rows| {
        let bytes = rows.more().await?;
        Some((Ok::<_, Infallible>(bytes), rows))
    }));
    let media_type = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, media_type)], body).into_response())
}

/// The unwritten rest of a list.
struct Rows {
    gateway: Gateway,
    /// The beginning of the list; `None` once it is written.
    head: Option<String>,
    rest: IntoIter<Entry>,
    written: usize,
}

impl Rows {
    /// The next bytes; `None` once the list is complete.
    async fn more(&mut self) -> Option<Bytes> {
        let mut text = match self.head.take() {
            Some(head) => head,
            None if self.rest.len() == 0 => return None,
            None => String::new(),
        };
        let entries: Vec<_> = self.rest.by_ref().take(AT_ONCE).collect();
        let gateway = &self.gateway;
        for shown in join_all(entries.iter().map(|entry| show(gateway, entry))).await {
            if self.written > 0 {
                text.push(',');
            }
            text.push_str(&shown.to_string());
            self.written += 1;
        }
        if self.rest.len() == 0 {
            text.push_str("]}");
        }
        Some(text.into())
    }
}

async fn show(gateway: &Gateway, entry: &Entry) -> Value {
    let listed = match entry {
        Entry::Breaker(listed) => listed,
        Entry::Circuit(circuit) => return view::circuit(circuit, gateway.clock().wall_millis()),
    };
    let status = gateway.read(listed);
    let fleet = match status.share {
        Share::None => None,
        _ => gateway.fleet(Some(&status.name)).await.map(Fleet::of),
    };
    view::breaker(&status, fleet.as_ref(), gateway.clock().wall())
}
