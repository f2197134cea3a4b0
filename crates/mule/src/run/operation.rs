//! Policies around the requests of an application's flows.
//!
//! A policy gets the request as a message: the body as payload, and the attributes `requestPath`, `headers`, `uriParams`,
//! `queryParams` and `method`. What it changes before `execute-next` is sent. What it changes afterwards reaches the flow
//! only if the policy propagates it.

use std::sync::{Arc, Mutex, PoisonError};

use super::answer::headers_value;
use super::engine::{At, Run};
use super::error::{Done, Ended, Failure, Message, MuleError};
use super::outside::Pending;
use crate::app::{Given, Request};
use crate::{Event, Script, Value};

/// The policies that are left around a request.
#[derive(Debug)]
pub(super) struct Operation {
    request: Arc<Request>,
    /// The number of policies around this run.
    around: usize,
    /// The response that `execute-next` has given.
    response: Mutex<Option<Message>>,
}

impl Run {
    /// True if requests of this run have policies around them.
    pub fn guards_requests(&self) -> bool {
        let operations = &self.engine.app.policies.operations;
        !operations.is_empty() && self.next.is_none() && self.operation.is_none()
    }

    /// Sends a request through its policies and delivers the response.
    pub async fn guarded_request(&self, at: At<'_>, it: &Request, event: &mut Event) -> Done {
        let inner = Event {
            payload: match &it.body {
                Some(body) => self.given(at, body, event)?,
                None => event.payload.clone(),
            },
            attributes: self.request_attributes(at, it, event)?,
            correlation_id: event.correlation_id.clone(),
            ..Event::default()
        };
        let request = Arc::new(of_message(it, self.timeout(at, it, event)?));
        match self.around_operation(at, (&request, 0), inner).await {
            Ok(inner) => self.deliver(at, it.target.as_ref(), event, Message::of(&inner)),
            Err(failure) => Err(Box::new(MuleError::clone(&failure.error))),
        }
    }

    fn request_attributes(&self, at: At<'_>, it: &Request, event: &Event) -> Done<Value> {
        let object = |given: &Option<Given>| -> Done<Value> {
            match given {
                Some(given) => Ok(self.given(at, given, event)?.read()?),
                None => Ok(Value::object(Vec::new())),
            }
        };
        let url = it.url.as_ref().map(|url| self.text(at, url, event));
        let url = url.transpose()?.flatten();
        let path = self.text(at, &it.path, event)?.unwrap_or_default();
        let method = self.text(at, &it.method, event)?.unwrap_or_default();
        Ok(Value::record([
            ("requestPath", Value::String(path)),
            ("method", Value::String(method)),
            ("headers", headers_value(&self.headers(at, it, event)?)),
            ("uriParams", object(&it.uri_params)?),
            ("queryParams", object(&it.query_params)?),
            ("url", url.map_or(Value::Null, Value::String)),
        ]))
    }

    /// Runs the policy with a number around a request, or without such a policy sends it.
    fn around_operation<'a>(
        &'a self,
        at: At<'a>,
        (request, number): (&'a Arc<Request>, usize),
        event: Event,
    ) -> Pending<'a, Ended> {
        Box::pin(async move {
            let app = &self.engine.app;
            let Some(policy) = app.policies.operations.get(number) else {
                let mut event = event;
                return match self.request(at, request, &mut event).await {
                    Ok(()) => Ok(event),
                    Err(error) => Err(Failure::at(at, error, event)),
                };
            };
            let operation = Arc::new(Operation {
                request: request.clone(),
                around: number + 1,
                response: Mutex::default(),
            });
            let run = Run {
                operation: Some(operation.clone()),
                ..self.clone()
            };
            let mut event = run.flow(at, app.flow(policy.flow), event).await?;
            let response = operation.response.lock();
            let response = response.unwrap_or_else(PoisonError::into_inner).take();
            if let Some(response) = response.filter(|_| !policy.propagates) {
                event.payload = response.payload;
                event.attributes = response.attributes;
            }
            Ok(event)
        })
    }

    /// Runs the next policy around a request, or sends it, and remembers the response.
    pub(super) async fn next_of_operation(
        &self,
        at: At<'_>,
        operation: &Operation,
        event: Event,
    ) -> Ended {
        let inner = Event {
            payload: event.payload.clone(),
            attributes: event.attributes.clone(),
            correlation_id: event.correlation_id.clone(),
            ..Event::default()
        };
        let within = (&operation.request, operation.around);
        match self.around_operation(at, within, inner).await {
            Ok(inner) => {
                let message = Message::of(&inner);
                let response = operation.response.lock();
                *response.unwrap_or_else(PoisonError::into_inner) = Some(message);
                Ok(Event {
                    payload: inner.payload,
                    attributes: inner.attributes,
                    ..event
                })
            }
            Err(mut failure) => {
                failure.event = event;
                Err(failure)
            }
        }
    }
}

/// A request whose parts are those of a policy's message.
fn of_message(it: &Request, timeout: std::time::Duration) -> Request {
    let part = |text: &str| Script::parse(text).ok().map(Given::Expression);
    let millis = timeout.as_millis().to_string();
    Request {
        method: part("attributes.method").unwrap_or_else(|| it.method.clone()),
        path: part("attributes.requestPath").unwrap_or_else(|| it.path.clone()),
        url: it.url.as_ref().and_then(|_| part("attributes.url")),
        body: part("payload"),
        headers: part("attributes.headers"),
        uri_params: part("attributes.uriParams"),
        query_params: part("attributes.queryParams"),
        response_timeout: Some(Given::Literal(millis.into())),
        target: None,
        ..it.clone()
    }
}
