//! The response of an HTTP listener when its flow has ended.
//!
//! `http:response` and `http:error-response` describe it if a listener has them. Otherwise Mule responds 200 with the
//! payload, or 500 with the error's description. Published flows, and those that Mule's own tools scaffold, set
//! `vars.httpStatus` and `vars.outboundHeaders` all the same; [`Compat::Intent`] responds with these.
//!
//! Source: [the HTTP listener's response](https://docs.mulesoft.com/http-connector/latest/http-listener-ref#http-response).

use std::sync::Arc;

use bytes::Bytes;
use fusebox_gateway::parts::{Body, is_framing, is_fusebox_word};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use hyper::ext::ReasonPhrase;

use super::error::{Ended, Failure, MuleError};
use super::outside::World;
use super::policy::response_of;
use super::request::items_of;
use super::secrets;
use crate::app::{App, Compat, Given, HttpSource, Respond};
use crate::{Context, EvalFault, Event, MediaType, Typed, Value};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain");

/// The response of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status, 200..=999.
    pub status: StatusCode,
    /// The reason phrase; `None`: the standard one of the status.
    pub reason: Option<String>,
    /// The header fields, with `Content-Type`.
    pub headers: HeaderMap,
    /// The body; empty if the status forbids one.
    pub body: Bytes,
}

/// Makes the responses of a flow's listener.
#[derive(Debug)]
pub struct Responder<'a> {
    /// The application with its properties.
    pub app: &'a App,
    /// The flow's name.
    pub flow: &'a str,
    /// The flow's listener.
    pub source: &'a HttpSource,
    /// The world of the run.
    pub world: &'a dyn World,
}

impl Responder<'_> {
    /// The response to a request whose run has ended.
    ///
    /// If the response cannot be made, the error response follows; the flow's handlers do not see this error.
    pub fn reply(&self, ended: Ended) -> Reply {
        match self.app.policies.sources.is_empty() {
            true => self.of_flow(ended),
            false => self.of_policy(ended),
        }
    }

    /// The response of the outermost policy: its message, if that is a response, else 200 or 500 with its payload.
    fn of_policy(&self, ended: Ended) -> Reply {
        let (event, error) = match ended {
            Ok(event) => (event, None),
            Err(failure) => (failure.event, Some(failure.error)),
        };
        let parts = response_of(&event.attributes);
        let default = if error.is_none() { 200 } else { 500 };
        let body = match (&error, &parts) {
            // A message that is not a response says nothing of the error.
            (Some(error), None) => described(error),
            _ => event.payload.clone(),
        };
        let made = || -> Result<Reply, EvalFault> {
            let status = parts.as_ref().and_then(|parts| parts.status.clone());
            let status = status.map_or(Ok(default), |status| Typed::java(status).whole())?;
            let mut reply = reply(status, &body, self.app.compat)?;
            if let Some(parts) = &parts {
                reply.reason = parts.reason.as_ref().map(ToString::to_string);
                add_fields(&mut reply.headers, &Typed::java(parts.headers.clone()))?;
            }
            Ok(reply)
        };
        made().unwrap_or_else(|fault| {
            let error = MuleError::new("MULE:SOURCE_RESPONSE_GENERATE", fault.description);
            tracing::error!(flow = self.flow, error = %secrets::hidden(self.app, &error.description), "the response cannot be made");
            bare(&error)
        })
    }

    /// The response of the flow itself, without policies.
    pub(super) fn of_flow(&self, ended: Ended) -> Reply {
        let failure = match ended {
            Ok(event) => match self.success(&event) {
                Ok(reply) => return reply,
                Err(fault) => {
                    let error = MuleError::new("MULE:SOURCE_RESPONSE_GENERATE", fault.description);
                    tracing::error!(flow = self.flow, error = %secrets::hidden(self.app, &error.description), "the response cannot be made");
                    Failure {
                        error: Arc::new(error),
                        event,
                        logged: true,
                    }
                }
            },
            Err(failure) => *failure,
        };
        self.failure(failure)
    }

    fn success(&self, event: &Event) -> Result<Reply, EvalFault> {
        let Some(respond) = &self.source.response else {
            let status = self.custom_status(event).map_or(Ok(200), Typed::whole)?;
            return self.with_body(event, status, &event.payload);
        };
        let context = self.context(event);
        let body = match &respond.body {
            Some(given) => given.eval(&context)?,
            None => event.payload.clone(),
        };
        self.build(respond, &context, 200, &body)
    }

    fn failure(&self, failure: Failure) -> Reply {
        let Failure {
            error, mut event, ..
        } = failure;
        event.error = error.value();
        let description = || described(&error);
        let reply = match &self.source.error_response {
            Some(respond) => {
                let context = self.context(&event);
                let body = match &respond.body {
                    Some(given) => given.eval(&context),
                    None => Ok(description()),
                };
                body.and_then(|body| self.build(respond, &context, 500, &body))
            }
            None => match self.custom_status(&event).map(|status| status.whole()) {
                Some(Ok(status)) if status >= 400 => self.with_body(&event, status, &event.payload),
                _ => self.with_body(&event, 500, &description()),
            },
        };
        reply.unwrap_or_else(|fault| {
            tracing::error!(flow = self.flow, error = %secrets::hidden(self.app, &fault.description), "the error response cannot be made");
            bare(&error)
        })
    }

    /// The value of `vars.httpStatus`, for a flow without `http:response`.
    fn custom_status<'e>(&self, event: &'e Event) -> Option<&'e Typed> {
        let intent = self.app.compat == Compat::Intent;
        let status = event.vars.get("httpStatus").filter(|_| intent);
        status.filter(|status| !status.value.is_null())
    }

    fn with_body(&self, event: &Event, status: i64, body: &Typed) -> Result<Reply, EvalFault> {
        let mut reply = reply(status, body, self.app.compat)?;
        self.add_outbound(event, &mut reply.headers)?;
        Ok(reply)
    }

    fn add_outbound(&self, event: &Event, headers: &mut HeaderMap) -> Result<(), EvalFault> {
        let outbound = event.vars.get("outboundHeaders");
        match outbound.filter(|_| self.app.compat == Compat::Intent) {
            Some(outbound) => add_fields(headers, outbound),
            None => Ok(()),
        }
    }

    fn build(
        &self,
        respond: &Respond,
        context: &Context<'_>,
        default: i64,
        body: &Typed,
    ) -> Result<Reply, EvalFault> {
        let part = |given: &Option<Given>| given.as_ref().map(|it| it.eval(context)).transpose();
        let status = part(&respond.status)?.map_or(Ok(default), |status| status.whole())?;
        let mut reply = reply(status, body, self.app.compat)?;
        if let Some(reason) = part(&respond.reason)? {
            reply.reason = reason.text()?.map(|reason| reason.to_string());
        }
        if let Some(fields) = part(&respond.headers)? {
            add_fields(&mut reply.headers, &fields)?;
        }
        Ok(reply)
    }

    fn context<'c>(&'c self, event: &'c Event) -> Context<'c> {
        Context {
            event,
            properties: &self.app.properties,
            flow: self.flow,
            app: &self.app.name,
            now: self.world.now(),
            zone: self.world.zone(),
            random: self.world.random(),
            waits: None,
        }
    }
}

/// The description of an error as a body.
fn described(error: &MuleError) -> Typed {
    Typed {
        value: Value::String(error.description.clone()),
        media_type: MediaType::new("text/plain"),
    }
}

/// The reply to an error, 500 with its description.
fn bare(error: &MuleError) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, TEXT);
    Reply {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        reason: None,
        headers,
        body: Bytes::copy_from_slice(error.description.as_bytes()),
    }
}

/// Makes a reply of a status and a body. A value that is not a final status becomes 500.
fn reply(status: i64, body: &Typed, compat: Compat) -> Result<Reply, EvalFault> {
    let status = u16::try_from(status).ok().filter(|status| *status >= 200);
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = body.body(compat)?;
    let mut headers = HeaderMap::new();
    if let Some(media_type) = body.content_type {
        let value = HeaderValue::from_str(&media_type);
        let value =
            value.map_err(|_| EvalFault::new(format!("`{media_type}` is not a media type")))?;
        headers.insert(CONTENT_TYPE, value);
    }
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    Ok(Reply {
        status,
        reason: None,
        headers,
        body: if bodiless { Bytes::new() } else { body.bytes },
    })
}

/// Adds the fields of an object; a list adds a line for each item, null adds nothing.
fn add_fields(headers: &mut HeaderMap, fields: &Typed) -> Result<(), EvalFault> {
    let fields = match fields.read()? {
        Value::Null => return Ok(()),
        Value::Object(fields) => fields,
        other => {
            let kind = other.kind();
            return Err(EvalFault::new(format!(
                "expected an object of header fields, found {kind}"
            )));
        }
    };
    let mut added: Vec<HeaderName> = Vec::new();
    for (name, value) in fields.entries() {
        let field = HeaderName::from_bytes(name.as_bytes());
        let field = field.map_err(|_| EvalFault::new(format!("`{name}` is not a header name")))?;
        if is_framing(field.as_str()) || is_fusebox_word(field.as_str()) {
            continue;
        }
        for value in items_of(value) {
            let Some(text) = Typed::java(value.clone()).text()? else {
                continue;
            };
            let value = HeaderValue::from_str(text.trim());
            let value =
                value.map_err(|_| EvalFault::new(format!("`{name}` cannot be {text:?}")))?;
            // Two equal names in the object are two lines, while the flow's fields replace ours.
            if added.contains(&field) {
                headers.append(field.clone(), value);
            } else {
                headers.insert(field.clone(), value);
                added.push(field.clone());
            }
        }
    }
    Ok(())
}

impl Reply {
    /// The reply as an HTTP response.
    pub(crate) fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::fixed(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        let reason = self.reason.map(String::into_bytes);
        let reason = reason.map(ReasonPhrase::try_from);
        if let Some(Ok(reason)) = reason {
            response.extensions_mut().insert(reason);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jiff::{Timestamp, tz::TimeZone};
    use crate::run::fixtures::{app, source};
    use crate::run::outside::{Answer, Call, Parcel, Pending, PublishFault, Published, SendFault};
    use crate::{Random, Script};
    use std::time::Duration;

    /// A world in which nothing can be reached.
    #[derive(Default)]
    struct Nowhere(Random);

    impl World for Nowhere {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }

        fn zone(&self) -> &TimeZone {
            const { &TimeZone::UTC }
        }

        fn random(&self) -> &Random {
            &self.0
        }

        fn send(&self, _: Call) -> Pending<'_, Result<Answer, SendFault>> {
            Box::pin(async { Err(SendFault::Timeout) })
        }

        fn publish<'a>(
            &'a self,
            queue: &'a Arc<str>,
            _: Parcel,
            _: Duration,
        ) -> Pending<'a, Published> {
            Box::pin(async { Err(PublishFault::Full(queue.clone())) })
        }

        fn consume<'a>(
            &'a self,
            _: &'a Arc<str>,
            _: Duration,
        ) -> Pending<'a, Result<Option<Parcel>, PublishFault>> {
            Box::pin(async { Ok(None) })
        }

        fn spawn(&self, _: Pending<'static, ()>) {}
    }

    fn event(payload: Typed, vars: &[(&str, Typed)]) -> Event {
        let vars = vars.iter().cloned();
        Event {
            payload,
            vars: vars.map(|(name, value)| (name.into(), value)).collect(),
            ..Event::default()
        }
    }

    fn failed(event: Event) -> Ended {
        Err(Box::new(Failure {
            error: Arc::new(MuleError::new("APP:X", "it failed")),
            event,
            logged: false,
        }))
    }

    /// A flow's reply in `intent`, its listener being without responses.
    fn intent(ended: Ended) -> Reply {
        reply_of(&source("", "/"), Compat::Intent, ended)
    }

    /// A flow's reply in `strict`, its listener being without responses.
    fn strict(ended: Ended) -> Reply {
        reply_of(&source("", "/"), Compat::Strict, ended)
    }

    fn reply_of(source: &HttpSource, compat: Compat, ended: Ended) -> Reply {
        let app = app(compat, Vec::new());
        let responder = Responder {
            app: &app,
            flow: "f",
            source,
            world: &Nowhere::default(),
        };
        responder.reply(ended)
    }

    fn shown(reply: &Reply) -> (u16, Option<&str>, &str) {
        let media_type = reply.headers.get(CONTENT_TYPE);
        (
            reply.status.as_u16(),
            media_type.map(|it| it.to_str().unwrap()),
            std::str::from_utf8(&reply.body).unwrap(),
        )
    }

    fn expression(text: &str) -> Option<Given> {
        Some(Given::Expression(Script::parse(text).unwrap()))
    }

    const JSON: Option<&str> = Some("application/json");
    const PLAIN: Option<&str> = Some("text/plain");

    fn json(text: &str) -> Typed {
        Typed {
            value: text.into(),
            media_type: MediaType::json(),
        }
    }

    /// An event with the literal payload `p` and no variables.
    fn plain() -> Event {
        event(Typed::literal("p"), &[])
    }

    fn with_status(payload: Typed, status: Typed) -> Event {
        event(payload, &[("httpStatus", status)])
    }

    #[test]
    fn a_flow_without_a_response_answers_by_its_status_in_intent_alone() {
        let done = || Ok(with_status(json("{}"), Typed::literal("202")));
        assert_eq!(shown(&intent(done())), (202, JSON, "{}"));
        assert_eq!(shown(&strict(done())), (200, JSON, "{}"));
        assert_eq!(shown(&intent(Ok(plain()))), (200, None, "p"));
    }

    #[test]
    fn an_error_answers_by_a_status_that_is_one_of_errors() {
        let with = |status| failed(with_status(json("{}"), Typed::java(status)));
        assert_eq!(shown(&intent(with(503))), (503, JSON, "{}"));
        let plain = (500, PLAIN, "it failed");
        assert_eq!(shown(&intent(with(200))), plain);
        assert_eq!(shown(&strict(with(503))), plain);
    }

    #[test]
    fn what_is_no_status_is_500() {
        let numbers = [0, 99, 101, 1000, -1].map(Typed::java);
        for status in numbers.into_iter().chain([Typed::literal("soon")]) {
            let shown = format!("{status:?}");
            let done = Ok(with_status(Typed::literal("p"), status));
            assert_eq!(intent(done).status, 500, "{shown}");
        }
    }

    #[test]
    fn some_statuses_have_no_body() {
        for status in [204, 304] {
            let reply = intent(Ok(with_status(json("{}"), Typed::java(i64::from(status)))));
            assert_eq!((reply.status.as_u16(), reply.body.len()), (status, 0));
        }
    }

    #[test]
    fn outbound_headers_are_added_in_intent() {
        let fields = Value::object(vec![
            ("X-A".into(), 1.into()),
            ("X-B".into(), vec!["a".into(), "b".into()].into()),
            ("Content-Length".into(), 9.into()),
            ("Fusebox-Reason".into(), "breaker_open".into()),
            ("content-type".into(), "x/y".into()),
            ("X-C".into(), Value::Null),
        ]);
        let vars = [("outboundHeaders", Typed::java(fields))];
        let done = || Ok(event(json("{}"), &vars));
        let reply = intent(done());
        let lines: Vec<_> = reply.headers.get_all("x-b").iter().collect();
        assert_eq!(lines, ["a", "b"]);
        assert_eq!(reply.headers["x-a"], "1");
        assert_eq!(reply.headers[CONTENT_TYPE], "x/y");
        assert_eq!(reply.headers.len(), 4);
        assert_eq!(strict(done()).headers.len(), 1);
    }

    #[test]
    fn a_response_is_what_its_expressions_give() {
        let mut source = source("", "/");
        source.response = Some(Respond {
            status: expression("vars.s default 201"),
            reason: Some(Given::Literal("Made".into())),
            body: expression("output application/json --- {a: payload}"),
            headers: expression("{'X-A': payload}"),
        });
        source.error_response = Some(Respond {
            status: expression("if (error.errorType.identifier == 'X') 418 else 500"),
            headers: expression("{'X-D': error.description}"),
            ..Respond::default()
        });
        let reply = reply_of(&source, Compat::Strict, Ok(plain()));
        assert_eq!(shown(&reply), (201, JSON, "{\n  \"a\": \"p\"\n}"));
        assert_eq!(reply.reason.as_deref(), Some("Made"));
        assert_eq!(reply.headers["x-a"], "p");
        let reply = reply_of(&source, Compat::Strict, failed(plain()));
        assert_eq!(shown(&reply), (418, PLAIN, "it failed"));
        assert_eq!(reply.headers["x-d"], "it failed");
    }

    #[test]
    fn a_response_that_fails_is_an_error_of_its_own() {
        let mut source = source("", "/");
        source.response = Some(Respond {
            body: expression("payload + 1"),
            ..Respond::default()
        });
        let mut on_error = |status| {
            source.error_response = Some(Respond {
                status: expression(status),
                ..Respond::default()
            });
            source.clone()
        };
        let generated =
            "if (error.errorType.identifier == 'SOURCE_RESPONSE_GENERATE') 502 else 500";
        let reply = reply_of(&on_error(generated), Compat::Intent, Ok(plain()));
        assert_eq!(reply.status, 502);
        let reply = reply_of(&on_error("nothing"), Compat::Intent, failed(plain()));
        assert_eq!(shown(&reply), (500, PLAIN, "it failed"));
    }
}
