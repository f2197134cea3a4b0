//! Policies: chains around the flow of an HTTP request.
//!
//! Policies run from outside in. `execute-next` runs the next one, or the flow itself, on the client's message and with
//! no variables; what comes back is the response as a message, whose attributes are `statusCode`, `reasonPhrase` and
//! `headers`. An error of the flow is raised again there, with the response to it as the message. The message at the end
//! of the outermost policy is the response.

use std::sync::Arc;

use http::header::CONTENT_TYPE;

use super::answer::{self, headers_value};
use super::engine::{At, Run};
use super::error::{Done, Ended, Failure, Message, MuleError};
use super::outside::Pending;
use super::request::items_of;
use super::respond::{Reply, Responder};
use crate::app::{FlowId, Given, MessageKind, PolicyStep, Source};
use crate::{Event, Form, MediaType, Typed, Value};

/// The policies that are left around a flow.
#[derive(Debug)]
pub(super) struct Next {
    /// The flow within.
    flow: FlowId,
    /// The number of policies around this run.
    around: usize,
    /// The message that the outermost policy got from the client.
    message: Message,
}

impl Run {
    /// Runs a flow that an event enters: with its policies around it, if an HTTP request starts it.
    pub async fn enter(&self, id: FlowId, event: Event) -> Ended {
        let flow = self.engine.app.flow(id);
        let is_http = matches!(flow.source, Some(Source::Http(_)));
        if self.engine.app.policies.sources.is_empty() || !is_http {
            return self.flow(self.start(flow), flow, event).await;
        }
        let message = Message::of(&event);
        self.around(self.start(flow), (id, 0), message, event).await
    }

    /// Runs the policy with a number around a flow, or without such a policy the flow, whose response is the result.
    fn around<'a>(
        &'a self,
        at: At<'a>,
        (id, number): (FlowId, usize),
        message: Message,
        event: Event,
    ) -> Pending<'a, Ended> {
        Box::pin(async move {
            let app = &self.engine.app;
            let Some(policy) = app.policies.sources.get(number) else {
                let flow = app.flow(id);
                let run = Run {
                    next: None,
                    ..self.clone()
                };
                let ended = run.flow(at, flow, event).await;
                return run.responded(id, ended);
            };
            let next = Next {
                flow: id,
                around: number + 1,
                message,
            };
            let run = Run {
                next: Some(Arc::new(next)),
                ..self.clone()
            };
            run.flow(at, app.flow(policy.flow), event).await
        })
    }

    /// The response of a flow's listener as a message.
    fn responded(&self, id: FlowId, ended: Ended) -> Ended {
        let flow = self.engine.app.flow(id);
        let Some(Source::Http(source)) = &flow.source else {
            return ended;
        };
        let responder = Responder {
            app: &self.engine.app,
            flow: &flow.name,
            source,
            world: &*self.world,
        };
        match ended {
            Ok(event) => {
                let reply = responder.of_flow(Ok(event.clone()));
                Ok(with_reply(event, reply))
            }
            Err(mut failure) => {
                let reply = responder.of_flow(Err(failure.clone()));
                failure.event = with_reply(failure.event, reply);
                Err(failure)
            }
        }
    }

    /// Runs a step of a policy.
    pub async fn policy_step(&self, at: At<'_>, step: &PolicyStep, mut event: Event) -> Ended {
        if *step == PolicyStep::ExecuteNext {
            return self.execute_next(at, event).await;
        }
        match self.transformed(at, step, &mut event) {
            Ok(()) => Ok(event),
            Err(error) => Err(Failure::at(at, error, event)),
        }
    }

    async fn execute_next(&self, at: At<'_>, event: Event) -> Ended {
        if let Some(operation) = &self.operation {
            return self.next_of_operation(at, operation, event).await;
        }
        let Some(next) = &self.next else {
            let what = "nothing is next: `execute-next` runs outside a policy";
            return Err(Failure::at(
                at,
                MuleError::new("MULE:UNKNOWN", what).into(),
                event,
            ));
        };
        let policies = &self.engine.app.policies.sources;
        let policy = next.around.checked_sub(1).and_then(|it| policies.get(it));
        let message = match policy.is_some_and(|policy| policy.propagates) {
            true => Message::of(&event),
            false => next.message.clone(),
        };
        let inner = Event {
            payload: message.payload.clone(),
            attributes: message.attributes.clone(),
            correlation_id: event.correlation_id.clone(),
            ..Event::default()
        };
        let back = |inner: Event| Event {
            payload: inner.payload,
            attributes: inner.attributes,
            ..event
        };
        let within = (next.flow, next.around);
        match self.around(at, within, message, inner).await {
            Ok(inner) => Ok(back(inner)),
            Err(mut failure) => {
                failure.event = back(failure.event);
                Err(failure)
            }
        }
    }

    fn transformed(&self, at: At<'_>, step: &PolicyStep, event: &mut Event) -> Done {
        match step {
            PolicyStep::ExecuteNext => {}
            PolicyStep::AddHeaders { of, headers } => {
                let added = self.entries(at, headers, event)?;
                add(event, *of, added);
            }
            PolicyStep::AddHeaderList { of, headers } => {
                let mut added = Vec::with_capacity(headers.len());
                for (name, value) in headers {
                    let name = self.text(at, name, event)?.unwrap_or_default();
                    added.push((name, self.given(at, value, event)?.read()?));
                }
                add(event, *of, added);
            }
            PolicyStep::RemoveHeaders(names) => {
                let names = self.given(at, names, event)?.read()?;
                let mut gone = Vec::new();
                for name in items_of(&names) {
                    let name = Typed::java(name.clone()).text()?;
                    gone.extend(name.map(|name| name.to_ascii_lowercase()));
                }
                let kept = fields_of(&event.attributes, "headers").into_iter();
                let kept = kept.filter(|(name, _)| !gone.contains(&name.to_ascii_lowercase()));
                let kept = kept.collect();
                set(event, "headers", Value::formed(kept, Form::Headers));
            }
            PolicyStep::SetResponse {
                status,
                reason,
                body,
                headers,
            } => {
                let status = self.optional(at, status.as_ref(), event)?;
                let reason = self.optional(at, reason.as_ref(), event)?;
                let body = self.body(at, body.as_ref(), event)?;
                let mut fields = match headers {
                    Some(headers) => self.entries(at, headers, event)?,
                    None => Vec::new(),
                };
                // Fields that were added before there was a response belong to this one.
                if response_of(&event.attributes).is_some_and(|it| it.status.is_none()) {
                    let before = fields_of(&event.attributes, "headers").into_iter();
                    let before = before.filter(|(name, _)| !has(&fields, name));
                    fields = before
                        .collect::<Vec<_>>()
                        .into_iter()
                        .chain(fields)
                        .collect();
                }
                event.payload = body;
                event.attributes = response(status, reason, fields);
            }
            PolicyStep::SetRequest {
                path,
                body,
                headers,
                uri_params,
                query_params,
            } => {
                let path = self.optional(at, path.as_ref(), event)?;
                let body = self.body(at, body.as_ref(), event)?;
                let mut parts = Vec::new();
                for (name, given) in [
                    ("headers", headers),
                    ("uriParams", uri_params),
                    ("queryParams", query_params),
                ] {
                    let fields = match given {
                        Some(given) => self.entries(at, given, event)?,
                        None => Vec::new(),
                    };
                    parts.push((name, Value::formed(fields, Form::Headers)));
                }
                event.payload = body;
                if !path.is_null() {
                    set(event, "requestPath", path);
                }
                for (name, value) in parts {
                    set(event, name, value);
                }
            }
        }
        Ok(())
    }

    fn optional(&self, at: At<'_>, given: Option<&Given>, event: &Event) -> Done<Value> {
        match given {
            Some(given) => Ok(self.given(at, given, event)?.read()?),
            None => Ok(Value::Null),
        }
    }

    fn body(&self, at: At<'_>, given: Option<&Given>, event: &Event) -> Done<Typed> {
        match given {
            Some(given) => self.given(at, given, event),
            None => Ok(Typed {
                value: Value::text(""),
                media_type: MediaType::any(),
            }),
        }
    }

    /// The entries of an object.
    fn entries(&self, at: At<'_>, given: &Given, event: &Event) -> Done<Vec<(Arc<str>, Value)>> {
        match self.given(at, given, event)?.read()? {
            Value::Null => Ok(Vec::new()),
            Value::Object(object) => Ok(object.named()),
            other => {
                let what = format!("expected an object of fields, found {}", other.kind());
                Err(MuleError::new("MULE:EXPRESSION", what).into())
            }
        }
    }
}

/// Adds header fields to a message; equal names are replaced.
fn add(event: &mut Event, of: MessageKind, added: Vec<(Arc<str>, Value)>) {
    let is_response = response_of(&event.attributes).is_some();
    if of == MessageKind::Response && !is_response {
        event.attributes = response(Value::Null, Value::Null, added);
        return;
    }
    let before = fields_of(&event.attributes, "headers").into_iter();
    let before = before.filter(|(name, _)| !has(&added, name));
    let fields = before.collect::<Vec<_>>().into_iter().chain(added);
    let fields = Value::formed(fields.collect(), Form::Headers);
    set(event, "headers", fields);
}

fn has(fields: &[(Arc<str>, Value)], name: &str) -> bool {
    fields
        .iter()
        .any(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// The entries of an object in some attributes.
fn fields_of(attributes: &Value, name: &str) -> Vec<(Arc<str>, Value)> {
    match attributes {
        Value::Object(attributes) => match attributes.get(name) {
            Some(Value::Object(fields)) => fields.named(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Sets one of the attributes.
fn set(event: &mut Event, name: &str, value: Value) {
    let mut entries = match &event.attributes {
        Value::Object(attributes) => attributes.named(),
        _ => Vec::new(),
    };
    match entries.iter_mut().find(|(known, _)| **known == *name) {
        Some((_, known)) => *known = value,
        None => entries.push((name.into(), value)),
    }
    event.attributes = Value::object(entries);
}

/// The attributes of a response.
fn response(status: Value, reason: Value, headers: Vec<(Arc<str>, Value)>) -> Value {
    Value::record([
        ("statusCode", status),
        ("reasonPhrase", reason),
        ("headers", Value::formed(headers, Form::Headers)),
    ])
}

/// The response that a message stands for by its attributes.
pub(super) struct ResponseParts {
    pub status: Option<Value>,
    pub reason: Option<Arc<str>>,
    pub headers: Value,
}

/// The response of attributes; `None`: they are those of a request.
pub(super) fn response_of(attributes: &Value) -> Option<ResponseParts> {
    let Value::Object(attributes) = attributes else {
        return None;
    };
    let status = attributes.get("statusCode")?;
    Some(ResponseParts {
        status: (!status.is_null()).then(|| status.clone()),
        reason: match attributes.get("reasonPhrase") {
            Some(Value::String(reason)) if !reason.is_empty() => Some(reason.clone()),
            _ => None,
        },
        headers: attributes.get("headers").cloned().unwrap_or(Value::Null),
    })
}

/// An event whose message is a reply.
fn with_reply(event: Event, reply: Reply) -> Event {
    let media_type = reply.headers.get(CONTENT_TYPE).map(answer::field_text);
    let reason = match &reply.reason {
        Some(reason) => reason.as_str(),
        None => reply.status.canonical_reason().unwrap_or_default(),
    };
    Event {
        payload: Typed::received(reply.body, media_type.as_deref()),
        attributes: Value::record([
            ("statusCode", Value::from(i64::from(reply.status.as_u16()))),
            ("reasonPhrase", reason.into()),
            ("headers", headers_value(&reply.headers)),
        ]),
        ..event
    }
}
