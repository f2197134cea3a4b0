//! Scopes and routers whose parts run concurrently.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::engine::{At, Run};
use super::error::{Done, Ended, Failure, Message, MuleError};
use super::outside::Pending;
use super::scopes::{attempt, items};
use crate::app::{Async, Chain, ErrorType, ParallelForeach, ScatterGather, Target};
use crate::{Event, Typed, Value, Vars};

/// The limit of concurrent items of a `parallel-foreach` that sets none.
const ITEMS_AT_ONCE: usize = 256;

/// A chain with the event that it starts from.
type Route<'a> = (&'a Chain, Event);

/// The limit of an error's description, in bytes: that of routes within routes holds those of all of them.
const DESCRIPTION_MAX: usize = 16 << 10;

impl Run {
    /// Runs the chain on every item concurrently, each from the same event. The payload becomes the list of the
    /// resulting messages, in the order of the items.
    pub async fn parallel_foreach(&self, at: At<'_>, it: &ParallelForeach, event: Event) -> Ended {
        let whole = self.collection(at, it.collection.as_ref(), &event);
        let whole = attempt!(at, event, whole);
        let items = attempt!(at, event, items(&whole));
        let mut routes: Vec<Route<'_>> = Vec::with_capacity(items.len());
        for item in items {
            let payload = attempt!(at, event, whole.part(item));
            let begin = Event {
                payload,
                ..event.clone()
            };
            routes.push((&it.chain, begin));
        }
        let width = it.gather.max_concurrency.unwrap_or(ITEMS_AT_ONCE);
        let ended = self.all(at, routes, width, it.gather.timeout).await;
        let done = attempt!(at, event, together(ended));
        let results = done.iter().map(|event| Message::of(event).value());
        let payload = Typed::java(Value::array(results.collect()));
        self.gathered(at, it.gather.target.as_ref(), event, payload, Vars::new())
    }

    /// Runs all routes concurrently on the same event. The payload becomes an object of their messages. A variable
    /// changed by one route keeps that value; one changed by several becomes the list of the values.
    pub async fn scatter_gather(&self, at: At<'_>, it: &ScatterGather, event: Event) -> Ended {
        let routes: Vec<Route<'_>> = it.routes.iter().map(|it| (it, event.clone())).collect();
        let width = it.gather.max_concurrency.unwrap_or(routes.len());
        let ended = self.all(at, routes, width, it.gather.timeout).await;
        let done = attempt!(at, event, together(ended));
        let messages = done.iter().map(|event| Message::of(event).value());
        let messages = messages
            .enumerate()
            .map(|(number, message)| (number.to_string().into(), message));
        let payload = Typed::java(Value::object(messages.collect()));
        let vars = merged(&event.vars, &done);
        self.gathered(at, it.gather.target.as_ref(), event, payload, vars)
    }

    /// Runs a copy of the event beside the flow and returns the event unchanged.
    pub fn run_async(&self, at: At<'_>, it: &Async, event: Event) -> Event {
        let run = self.clone();
        let chain = it.chain.clone();
        let gate = it.max_concurrency;
        let gate = gate.map(|width| self.engine.gate(at.site, width));
        let (flow, site) = (at.flow.clone(), at.site.clone());
        let (depth, flows) = (at.depth, at.flows);
        let copy = event.clone();
        self.world.spawn(Box::pin(async move {
            let at = At {
                flow: &flow,
                site: &site,
                depth,
                flows,
            };
            let place = match &gate {
                Some(gate) => gate.acquire().await.ok(),
                None => None,
            };
            if let Err(failure) = run.chain(at, &chain, copy).await
                && !failure.logged
            {
                run.log_error(at, &failure);
            }
            drop(place);
        }));
        event
    }

    /// Runs routes concurrently, at most `width` at a time, each for at most `limit`.
    async fn all<'a>(
        &'a self,
        at: At<'a>,
        routes: Vec<Route<'a>>,
        width: usize,
        limit: Option<Duration>,
    ) -> Vec<Ended> {
        let mut waiting = routes.into_iter().enumerate();
        let mut running = FuturesUnordered::new();
        let mut ended = BTreeMap::new();
        loop {
            while running.len() < width.max(1)
                && let Some((number, (chain, event))) = waiting.next()
            {
                running.push(self.route(at, number, chain, event, limit));
            }
            match running.next().await {
                Some((number, end)) => ended.insert(number, end),
                None => return ended.into_values().collect(),
            };
        }
    }

    fn route<'a>(
        &'a self,
        at: At<'a>,
        number: usize,
        chain: &'a Chain,
        event: Event,
        limit: Option<Duration>,
    ) -> Pending<'a, (usize, Ended)> {
        Box::pin(async move {
            let Some(limit) = limit else {
                return (number, self.chain(at, chain, event).await);
            };
            let run = self.chain(at, chain, event.clone());
            let ended = tokio::time::timeout(limit, run).await;
            let ended = ended.unwrap_or_else(|_| {
                let what = format!("Route {number} timed out after {} ms", limit.as_millis());
                let error = MuleError::new("MULE:TIMEOUT", what);
                Err(Failure::at(at, error.into(), event))
            });
            (number, ended)
        })
    }

    fn gathered(
        &self,
        at: At<'_>,
        target: Option<&Target>,
        event: Event,
        payload: Typed,
        vars: Vars,
    ) -> Ended {
        let mut event = event;
        let result = Message {
            payload,
            attributes: Value::Null,
        };
        let delivered = self.deliver(at, target, &mut event, result);
        attempt!(at, event, delivered);
        if target.is_none() {
            event.vars.extend(vars);
        }
        Ok(event)
    }
}

/// The events of all routes, or one error that combines those of the failed routes.
fn together(ended: Vec<Ended>) -> Done<Vec<Event>> {
    let mut done = Vec::with_capacity(ended.len());
    let mut results: Vec<(Arc<str>, Value)> = Vec::new();
    let mut failures: Vec<(Arc<str>, Value)> = Vec::new();
    let mut children = Vec::new();
    let mut what = "Error(s) were found for route(s):".to_owned();
    for (number, ended) in ended.into_iter().enumerate() {
        let key = number.to_string().into();
        match ended {
            Ok(event) => {
                results.push((key, Message::of(&event).value()));
                done.push(event);
            }
            Err(failure) => {
                let error = failure.error;
                failures.push((key, error.value()));
                what += &format!("\n\tRoute {number}: {}: {}", error.kind, error.description);
                children.push(error);
            }
        }
    }
    if failures.is_empty() {
        return Ok(done);
    }
    if what.len() > DESCRIPTION_MAX {
        let end = (0..=DESCRIPTION_MAX)
            .rev()
            .find(|at| what.is_char_boundary(*at));
        what.truncate(end.unwrap_or(0));
        what.push('…');
    }
    let kind = ErrorType::new("MULE", "COMPOSITE_ROUTING");
    let mut error = MuleError::of(kind, what);
    error.children = children;
    error.message = Some(Message {
        payload: Typed::java(Value::record([
            ("results", Value::object(results)),
            ("failures", Value::object(failures)),
        ])),
        attributes: Value::Null,
    });
    Err(error.into())
}

/// The variables that routes have changed.
fn merged(before: &Vars, done: &[Event]) -> Vars {
    let mut changed: BTreeMap<Arc<str>, Vec<Typed>> = BTreeMap::new();
    for event in done {
        for (name, value) in &event.vars {
            if before.get(name) != Some(value) {
                changed.entry(name.clone()).or_default().push(value.clone());
            }
        }
    }
    let changed = changed.into_iter().map(|(name, mut values)| {
        let value = match values.len() {
            1 => values.remove(0),
            _ => {
                let read = |typed: Typed| typed.read().unwrap_or(typed.value);
                Typed::java(Value::array(values.into_iter().map(read).collect()))
            }
        };
        (name, value)
    });
    changed.collect()
}
