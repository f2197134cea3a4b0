//! Scopes and routers whose parts run one after another.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::engine::{At, Run};
use super::error::{Done, Ended, Failure, Fault, Message, MuleError};
use crate::app::{
    Cache, CacheKey, Chain, Choice, FlowName, Foreach, Given, Invalidate, LogLevel, Site, Target,
    UntilSuccessful,
};
use crate::{Event, Script, Typed, Value};

/// The limit of flows that are within one another by references; Mule's.
const FLOWS_MAX: u16 = 50;
/// The number of flows within one another from which calls are counted.
const DEEP: u16 = 12;
/// The limit of counted calls for an event.
const DEEP_CALLS_MAX: usize = 1_000;

/// Unwraps a result; an error returns from the function as a failure with the event.
macro_rules! attempt {
    ($at:expr, $event:expr, $result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(Failure::at($at, error.into(), $event)),
        }
    };
}
pub(super) use attempt;

impl Run {
    /// Runs another flow on the event. With a target, the event is restored and only the result is kept.
    pub async fn flow_ref(
        &self,
        at: At<'_>,
        name: &FlowName,
        target: Option<&Target>,
        event: Event,
    ) -> Ended {
        let app = &self.engine.app;
        let id = match name {
            FlowName::Known(id) => *id,
            FlowName::Nothing => return Ok(event),
            FlowName::Computed(given) => {
                let name = attempt!(at, event, self.text(at, given, &event));
                let found = name.as_ref().and_then(|name| app.find(name));
                let missing = || {
                    let name = name.as_deref().unwrap_or("null");
                    let what = format!("unknown flow '{name}'");
                    Fault::from(MuleError::new("MULE:EXPRESSION", what))
                };
                attempt!(at, event, found.ok_or_else(missing))
            }
        };
        let flow = app.flow(id);
        if flow.is_stopped {
            let what = format!("the flow '{}' is stopped", flow.name);
            let error = MuleError::new("MULE:UNKNOWN", what);
            return Err(Failure::at(at, error.into(), event));
        }
        // Where each call leads to two more, their number has no bound that the depth gives.
        let is_deep = at.flows >= DEEP;
        let calls_too_often =
            is_deep && self.deep_calls.fetch_add(1, Ordering::Relaxed) >= DEEP_CALLS_MAX;
        if at.flows >= FLOWS_MAX || calls_too_often {
            let what = format!(
                "Too many nested child contexts: more than {FLOWS_MAX} flows refer to one another; \
                 does one refer to itself without an end?"
            );
            let error = MuleError::new("MULE:UNKNOWN", what);
            return Err(Failure::at(at, error.into(), event));
        }
        let before = target.map(|target| (target, event.clone()));
        let after = self.flow(at, flow, event).await?;
        let Some((target, mut before)) = before else {
            return Ok(after);
        };
        let value = match &target.value {
            None => after.payload,
            Some(script) => attempt!(at, before, script.eval(&self.context(at, &after))),
        };
        before.vars.insert(target.variable.clone(), value);
        Ok(before)
    }

    /// Runs the first route whose condition is true.
    pub async fn choice(&self, at: At<'_>, it: &Choice, event: Event) -> Ended {
        for (when, chain) in &it.whens {
            let truth = when.eval(&self.context(at, &event));
            if attempt!(at, event, truth.and_then(|value| value.truth())) {
                return self.chain(at, chain, event).await;
            }
        }
        match &it.otherwise {
            Some(chain) => self.chain(at, chain, event).await,
            None => Ok(event),
        }
    }

    /// Repeats the chain until it succeeds, each time from the original event.
    pub async fn until_successful(&self, at: At<'_>, it: &UntilSuccessful, event: Event) -> Ended {
        let retries = attempt!(at, event, self.count(at, &it.retries, &event));
        let between = attempt!(at, event, self.count(at, &it.between, &event));
        let between = Duration::from_millis(between);
        let mut retried = 0;
        loop {
            let failure = match self.chain(at, &it.chain, event.clone()).await {
                Ok(event) => return Ok(event),
                Err(failure) => failure,
            };
            let error = &failure.error;
            if retried == retries {
                let what = format!(
                    "'until-successful' retries exhausted. Last exception message was: {}",
                    error.description
                );
                let mut exhausted = MuleError::new("MULE:RETRY_EXHAUSTED", what);
                exhausted.wrapped = Some(error.clone());
                return Err(Failure::at(at, exhausted.into(), failure.event));
            }
            retried += 1;
            let message = format!(
                "attempt {retried} of {} failed with {}: {}; next attempt in {} ms",
                retries.saturating_add(1),
                error.kind,
                error.description,
                between.as_millis(),
            );
            self.log(at, LogLevel::Error, &failure.event, &message);
            drop(failure);
            tokio::time::sleep(between).await;
        }
    }

    fn count(&self, at: At<'_>, given: &Given, event: &Event) -> Done<u64> {
        let count = self.given(at, given, event)?.whole()?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Runs the chain for each item. Changes of variables stay; the message is restored at the end.
    pub async fn foreach(&self, at: At<'_>, it: &Foreach, event: Event) -> Ended {
        let whole = self.collection(at, it.collection.as_ref(), &event);
        let whole = attempt!(at, event, whole);
        let batch = attempt!(at, event, self.count(at, &it.batch, &event));
        let batch = usize::try_from(batch).unwrap_or(1).max(1);
        let items = attempt!(at, event, items(&whole));
        let message = Message::of(&event);
        let root = Typed::java(message.value());
        let hidden = [&it.counter, &it.root].map(|name| (name, event.vars.get(name).cloned()));
        let mut event = event;
        for (number, items) in items.chunks(batch).enumerate() {
            let item = match items {
                [item] if batch == 1 => item.clone(),
                items => Value::array(items.to_vec()),
            };
            event.payload = attempt!(at, event, whole.part(item));
            // The attributes belong to the message as a whole.
            event.attributes = Value::Null;
            let count = i64::try_from(number + 1).unwrap_or(i64::MAX);
            event.vars.insert(it.counter.clone(), Typed::java(count));
            event.vars.insert(it.root.clone(), root.clone());
            event = self.chain(at, &it.chain, event).await?;
        }
        for (name, value) in hidden {
            match value {
                Some(value) => event.vars.insert(name.clone(), value),
                None => event.vars.remove(name),
            };
        }
        event.payload = message.payload;
        event.attributes = message.attributes;
        Ok(event)
    }

    /// Tries the routes in order, each from the same event.
    pub async fn first_successful(&self, at: At<'_>, routes: &[Chain], event: Event) -> Ended {
        let Some((last, routes)) = routes.split_last() else {
            return Ok(event);
        };
        for route in routes {
            if let Ok(event) = self.chain(at, route, event.clone()).await {
                return Ok(event);
            }
        }
        self.chain(at, last, event).await
    }

    /// Runs the route whose turn it is.
    pub async fn round_robin(&self, at: At<'_>, routes: &[Chain], event: Event) -> Ended {
        let turn = self.engine.turn(at.site, routes.len());
        match routes.get(turn) {
            Some(route) => self.chain(at, route, event).await,
            None => Ok(event),
        }
    }

    /// Takes the payload from the store, or runs the scope and stores its payload. A store that fails counts as empty.
    pub async fn cache(&self, at: At<'_>, it: &Cache, event: Event) -> Ended {
        let key = match &it.key {
            Some(given) => self.text(at, given, &event),
            None => payload_key(&event).map(Some),
        };
        let Some(key) = attempt!(at, event, key).filter(|key| !key.trim().is_empty()) else {
            return self.chain(at, &it.chain, event).await;
        };
        let stores = &self.engine.stores;
        let (partition, key) = match &it.store {
            Some(declaration) => (stores.partition(Some(declaration)), key),
            None => {
                let Site { file, line, col } = at.site;
                (
                    stores.cache(),
                    digest(format!("{file}:{line}:{col}/{key}").as_bytes()),
                )
            }
        };
        let now = self.world.now();
        match partition.get(&key, now).await {
            Ok(Some(payload)) => return Ok(Event { payload, ..event }),
            Ok(None) => {}
            Err(error) => self.warn(at, &event, &format!("caching skipped: {error}")),
        }
        let event = self.chain(at, &it.chain, event).await?;
        if !event.payload.value.is_null() {
            let now = self.world.now();
            if let Err(error) = partition.put(&key, &event.payload, false, now).await {
                self.warn(at, &event, &format!("caching skipped: {error}"));
            }
        }
        Ok(event)
    }

    /// Removes entries of a cache; a store that fails is an error, since outdated entries would stay.
    pub async fn invalidate(&self, at: At<'_>, it: &Invalidate, event: &Event) -> Done {
        let partition = self.engine.stores.partition(Some(&it.store));
        let now = self.world.now();
        let key = match &it.entry {
            None => return Ok(partition.clear(now).await?),
            Some(CacheKey::Payload) => Some(payload_key(event)?),
            Some(CacheKey::Computed(given)) => self.text(at, given, event)?,
        };
        if let Some(key) = key.filter(|key| !key.trim().is_empty()) {
            partition.remove(&key, now).await?;
        }
        Ok(())
    }

    /// The collection of a scope: the result of its script, or the payload.
    pub fn collection(&self, at: At<'_>, script: Option<&Script>, event: &Event) -> Done<Typed> {
        match script {
            Some(script) => Ok(script.eval(&self.context(at, event))?),
            None => Ok(event.payload.clone()),
        }
    }
}

/// The items of a collection; null is empty.
pub(super) fn items(collection: &Typed) -> Done<Vec<Value>> {
    match collection.read()? {
        Value::Null => Ok(Vec::new()),
        Value::Array(array) => Ok(array.items().to_vec()),
        other => {
            let what = format!("expected a list, found {}", other.kind());
            Err(MuleError::new("MULE:EXPRESSION", what).into())
        }
    }
}

/// The key of a payload in a cache without a key expression.
pub(super) fn payload_key(event: &Event) -> Done<Arc<str>> {
    Ok(digest(&event.payload.to_stored()?))
}

/// The SHA-256 of some bytes in hexadecimal digits.
fn digest(bytes: &[u8]) -> Arc<str> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    hex.collect::<String>().into()
}
