//! The breakers all together: a page at a time, by name, written as it is read.
//!
//! A page has at most [`LIMIT_MAX`] breakers and says in `next` where the one behind it begins. It is made of handles
//! first; each breaker is read and written only when the client takes it, so a list costs a few of them at a time
//! however many there are.

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

/// The most breakers of a page, and how many it has unless fewer are asked for.
const LIMIT_MAX: usize = 1_000;
/// How many breakers are read and written at once.
const AT_ONCE: usize = 16;

/// The query of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    prefix: Option<String>,
    state: Option<String>,
    limit: Option<usize>,
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
        // A page of none would have no name to go on from.
        if self.limit == Some(0) {
            return Err(Problem::bad_request(
                "`limit` is 0; expected 1 to 1,000".to_owned(),
            ));
        }
        Ok(PageQuery {
            prefix: self.prefix.as_deref().unwrap_or_default(),
            state,
            after: self.after.as_deref(),
            limit: self.limit.unwrap_or(LIMIT_MAX).min(LIMIT_MAX),
        })
    }
}

/// A line of the list: a breaker of the gateway's, or one that a flow builds.
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

/// `GET /api/v1/breakers`.
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
    // A store that does not answer hides its circuits, and nothing else: the list is wanted most then.
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
        left: entries.into_iter(),
        written: 0,
    };
    let body = Body::from_stream(stream::unfold(rows, async |mut rows| {
        let bytes = rows.more().await?;
        Some((Ok::<_, Infallible>(bytes), rows))
    }));
    let media_type = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, media_type)], body).into_response())
}

/// What is still to be written of a list.
struct Rows {
    gateway: Gateway,
    /// `None`: the list's beginning has been written.
    head: Option<String>,
    left: IntoIter<Entry>,
    written: usize,
}

impl Rows {
    /// The next bytes; `None`: the list is complete.
    async fn more(&mut self) -> Option<Bytes> {
        let mut text = match self.head.take() {
            Some(head) => head,
            None if self.left.len() == 0 => return None,
            None => String::new(),
        };
        let entries: Vec<_> = self.left.by_ref().take(AT_ONCE).collect();
        let gateway = &self.gateway;
        for shown in join_all(entries.iter().map(|entry| show(gateway, entry))).await {
            if self.written > 0 {
                text.push(',');
            }
            text.push_str(&shown.to_string());
            self.written += 1;
        }
        if self.left.len() == 0 {
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
