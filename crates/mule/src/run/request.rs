//! `http:request`: from an event to a call, and from the response to the event.

mod address;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::utf8_percent_encode;

use self::address::RESERVED;
use super::answer;
use super::engine::{At, Run};
use super::error::{Done, Fault, MuleError};
use super::outside::{Answer, Call, SendFault};
use crate::app::{BasicAuthentication, Given, Request, SendBody};
use crate::{Event, Typed, Value};

const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

impl Run {
    /// Sends a request and delivers its response. A response that is an error leaves the event unchanged.
    pub async fn request(&self, at: At<'_>, it: &Request, event: &mut Event) -> Done {
        let call = self.call(at, it, event)?;
        let resource = Resource::of(&call);
        let sent = call.headers.get(CONTENT_TYPE).cloned();
        let answer = self.send(at, it, call, event).await?;
        let answer = answer.map_err(|fault| answer::unanswered(&resource.to_string(), &fault))?;
        let status = answer.status;
        let message = answer::message(answer, it.media_type.as_ref());
        let config = it.config.as_ref();
        let validator = it.validator.as_ref();
        let validator = validator.or_else(|| config.and_then(|config| config.validator.as_ref()));
        let accepted = match validator {
            Some(validator) => validator.accepts(status),
            None => status < 400,
        };
        if !accepted {
            let sent = sent.as_ref().map_or("*/*".into(), answer::field_text);
            let error = answer::rejected(&resource.to_string(), status, &sent, message);
            return Err(error.into());
        }
        self.deliver(at, it.target.as_ref(), event, message)
    }

    /// Sends a call for the user of its configuration: at once, or again after a 401.
    async fn send(
        &self,
        at: At<'_>,
        it: &Request,
        mut call: Call,
        event: &Event,
    ) -> Done<Result<Answer, SendFault>> {
        let user = it.config.as_ref();
        let user = user.and_then(|config| config.authentication.as_ref());
        // An `Authorization` that the flow sets is kept.
        let Some(user) = user.filter(|_| !call.headers.contains_key(AUTHORIZATION)) else {
            return Ok(self.world.send(call).await);
        };
        let authorization = self.authorization(at, user, event)?;
        if self.given(at, &user.preemptive, event)?.truth()? {
            call.headers.insert(AUTHORIZATION, authorization);
            return Ok(self.world.send(call).await);
        }
        let mut again = call.clone();
        let before = self.world.now();
        let first = self.world.send(call).await;
        if !first.as_ref().is_ok_and(answer::asks_for_user) {
            return Ok(first);
        }
        // Both exchanges together have the time of one.
        let spent = self.world.now().duration_since(before);
        let spent = Duration::try_from(spent).unwrap_or_default();
        again.timeout = again.timeout.saturating_sub(spent);
        again.headers.insert(AUTHORIZATION, authorization);
        Ok(self.world.send(again).await)
    }

    /// The field `Authorization` of a user.
    fn authorization(
        &self,
        at: At<'_>,
        user: &BasicAuthentication,
        event: &Event,
    ) -> Done<HeaderValue> {
        let text = |given| Ok::<_, Fault>(self.text(at, given, event)?.unwrap_or_default());
        let pair = format!("{}:{}", text(&user.username)?, text(&user.password)?);
        let mut field = value(
            &AUTHORIZATION,
            &format!("Basic {}", BASE64_STANDARD.encode(pair)),
        )?;
        field.set_sensitive(true);
        Ok(field)
    }

    fn call(&self, at: At<'_>, it: &Request, event: &Event) -> Done<Call> {
        let config = it.config.as_deref();
        let method = self.method(at, &it.method, event)?;
        let mut address = self.address(at, it, event)?;
        let mut separator = match address.target.contains('?') {
            true => '&',
            false => '?',
        };
        for (name, value) in self.query(at, it, event)? {
            address.target.push(separator);
            address.target.extend(utf8_percent_encode(&name, RESERVED));
            if let Some(value) = value {
                address.target.push('=');
                address.target.extend(utf8_percent_encode(&value, RESERVED));
            }
            separator = '&';
        }
        let mut headers = self.headers(at, it, event)?;
        let send_body = it.send_body.or(config.map(|config| config.send_body));
        let has_body = match send_body.unwrap_or_default() {
            SendBody::Auto => !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS),
            SendBody::Always => true,
            SendBody::Never => false,
        };
        let mut bytes = bytes::Bytes::new();
        if has_body {
            let body = match &it.body {
                Some(given) => self.given(at, given, event)?,
                None => event.payload.clone(),
            };
            let body = body.body(self.engine.app.compat)?;
            bytes = body.bytes;
            if let Some(content_type) = body.content_type
                && !bytes.is_empty()
                && !headers.contains_key(CONTENT_TYPE)
            {
                headers.insert(CONTENT_TYPE, value(&CONTENT_TYPE, &content_type)?);
            }
        }
        let sends = it.sends_correlation_id;
        let sends = sends.or(config.map(|config| config.sends_correlation_id));
        let id = match &it.correlation_id {
            Some(given) => self.text(at, given, event)?.unwrap_or_default(),
            None => event.correlation_id.clone(),
        };
        if sends != Some(false) && !headers.contains_key(CORRELATION_ID) && !id.is_empty() {
            headers.insert(CORRELATION_ID, value(&CORRELATION_ID, &id)?);
        }
        let redirects = it.follow_redirects.as_ref();
        let redirects =
            redirects.map(|given| self.given(at, given, event)?.truth().map_err(Fault::from));
        let redirects = redirects.transpose()?;
        Ok(Call {
            requester: it.config.clone(),
            tls: address.tls,
            host: address.host,
            port: address.port,
            method,
            target: address.target,
            headers,
            body: bytes,
            timeout: self.timeout(at, it, event)?,
            follow_redirects: redirects
                .or(config.map(|config| config.follow_redirects))
                .unwrap_or(true),
        })
    }

    /// The query parameters of a request: those of its configuration that it does not set itself, and its own.
    fn query(&self, at: At<'_>, it: &Request, event: &Event) -> Done<Fields> {
        let own = match &it.query_params {
            Some(given) => self.fields(at, given, event)?,
            None => Fields::new(),
        };
        let mut query = Fields::new();
        for (name, given) in it.config.iter().flat_map(|config| &config.default_query) {
            let name = self.text(at, name, event)?.unwrap_or_default();
            if !own.iter().any(|(own, _)| *own == name) {
                query.push((name, self.text(at, given, event)?));
            }
        }
        query.extend(own);
        Ok(query)
    }

    fn method(&self, at: At<'_>, given: &Given, event: &Event) -> Done<Method> {
        let text = self.text(at, given, event)?.unwrap_or_default();
        Method::from_bytes(text.trim().to_ascii_uppercase().as_bytes())
            .map_err(|_| expression(format!("'{text}' is not a method, such as GET or POST")))
    }

    /// The time limit of the exchange: from the request, else the configuration, else the application.
    pub(super) fn timeout(&self, at: At<'_>, it: &Request, event: &Event) -> Done<Duration> {
        let own = it.response_timeout.as_ref();
        let own = own.map(|given| self.given(at, given, event)).transpose()?;
        let own = own.map(|given| given.whole()).transpose()?;
        let own = own.and_then(|millis| u64::try_from(millis).ok());
        let own = own.filter(|millis| *millis > 0).map(Duration::from_millis);
        let config = it.config.as_ref();
        let config = config.and_then(|config| config.response_timeout);
        Ok(own.or(config).unwrap_or(self.engine.app.response_timeout))
    }

    pub(super) fn headers(&self, at: At<'_>, it: &Request, event: &Event) -> Done<HeaderMap> {
        let mut headers = HeaderMap::new();
        for (name, given) in it.config.iter().flat_map(|config| &config.default_headers) {
            let name = header(&self.text(at, name, event)?.unwrap_or_default())?;
            if let Some(text) = self.text(at, given, event)? {
                let value = value(&name, &text)?;
                headers.append(name, value);
            }
        }
        let Some(given) = &it.headers else {
            return Ok(headers);
        };
        let mut own = HeaderMap::new();
        for (name, text) in self.fields(at, given, event)? {
            let name = header(&name)?;
            if let Some(text) = text {
                let value = value(&name, &text)?;
                own.append(name, value);
            }
        }
        for name in own.keys() {
            headers.remove(name);
        }
        headers.extend(own);
        Ok(headers)
    }

    /// The names and texts of an object. A list gives one field for each item, null a field without text.
    fn fields(&self, at: At<'_>, given: &Given, event: &Event) -> Done<Fields> {
        let typed = self.given(at, given, event)?;
        let object = match typed.read()? {
            Value::Null => return Ok(Vec::new()),
            Value::Object(object) => object,
            other => {
                let what = format!("expected an object, found {}", other.kind());
                return Err(expression(what));
            }
        };
        let mut fields = Fields::new();
        for (name, value) in object.entries() {
            for item in items_of(value) {
                fields.push((name.name().clone(), Typed::java(item.clone()).text()?));
            }
        }
        Ok(fields)
    }
}

/// The items of a list, or a single value as the only item.
pub(super) fn items_of(value: &Value) -> &[Value] {
    match value {
        Value::Array(array) => array.items(),
        value => std::slice::from_ref(value),
    }
}

/// Names with their texts; `None` stands for null.
type Fields = Vec<(Arc<str>, Option<Arc<str>>)>;

fn expression(what: impl Into<Arc<str>>) -> Fault {
    MuleError::new("MULE:EXPRESSION", what).into()
}

fn header(name: &str) -> Done<HeaderName> {
    HeaderName::try_from(name.trim())
        .map_err(|_| expression(format!("'{name}' is not a header name")))
}

fn value(name: &HeaderName, text: &str) -> Done<HeaderValue> {
    let wrong = || format!("the value of header '{name}' has a control character");
    HeaderValue::try_from(text).map_err(|_| expression(wrong()))
}

/// A request's name in error descriptions.
struct Resource {
    method: Method,
    tls: bool,
    host: Arc<str>,
    port: u16,
    path: String,
}

impl Resource {
    fn of(call: &Call) -> Resource {
        let path = call.target.split('?').next().unwrap_or_default();
        Resource {
            method: call.method.clone(),
            tls: call.tls,
            host: call.host.clone(),
            port: call.port,
            path: path.to_owned(),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Resource {
            method,
            tls,
            host,
            port,
            path,
        } = self;
        let scheme = if *tls { "https" } else { "http" };
        let (open, close) = match host.contains(':') {
            true => ("[", "]"),
            false => ("", ""),
        };
        write!(
            f,
            "HTTP {method} on resource '{scheme}://{open}{host}{close}:{port}{path}' failed"
        )
    }
}
