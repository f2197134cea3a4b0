//! `http:request`: from an event to a call, and from the response to the event.

use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use fusebox_plan::plan::Endpoint;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::answer;
use super::engine::{At, Run};
use super::error::{Done, Fault, MuleError};
use super::outside::{Answer, Call, SendFault};
use crate::app::{BasicAuthentication, Given, Request, Requester, SendBody};
use crate::{Event, Typed, Value};

const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// Characters that are encoded in a target. `%` is left alone, so that encoded text stays as it is.
const ILLEGAL: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Characters that are encoded in a value that becomes part of a target.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The server and the target of a request.
struct Address {
    tls: bool,
    host: Arc<str>,
    port: u16,
    /// Path and query.
    target: String,
}

impl Run {
    /// Sends a request and delivers its response. A response that is an error leaves the event unchanged.
    pub async fn request(&self, at: At<'_>, it: &Request, event: &mut Event) -> Done {
        let call = self.call(at, it, event)?;
        let resource = resource(&call);
        let sent = call.headers.get(CONTENT_TYPE);
        let sent = sent.map_or("*/*".to_owned(), |it| answer::field_text(it).into_owned());
        let answer = self.send(at, it, call, event).await?;
        let answer = answer.map_err(|fault| answer::unanswered(&resource, &fault))?;
        let message = answer::message(&answer, it.media_type.as_ref());
        let config = it.config.as_ref();
        let validator = it.validator.as_ref();
        let validator = validator.or_else(|| config.and_then(|config| config.validator.as_ref()));
        let accepted = match validator {
            Some(validator) => validator.accepts(answer.status),
            None => answer.status < 400,
        };
        if !accepted {
            let error = answer::rejected(&resource, answer.status, &sent, message);
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

    fn address(&self, at: At<'_>, it: &Request, event: &Event) -> Done<Address> {
        if let Some(given) = &it.url {
            let url = self.text(at, given, event)?.unwrap_or_default();
            return parse(&self.filled(at, it, &url, event)?);
        }
        let Some(config) = it.config.as_deref() else {
            return Err(expression("the request has neither a url nor a config-ref"));
        };
        let path = self.text(at, &it.path, event)?.unwrap_or_default();
        let base = match &config.computed.base_path {
            Some(given) => self.text(at, given, event)?,
            None => None,
        };
        let base = base.as_deref().unwrap_or(&config.base_path);
        let path = self.filled(at, it, &joined(base, &path), event)?;
        let (host, port) = self.server(at, config, event)?;
        Ok(Address {
            tls: config.tls,
            host,
            port,
            target: utf8_percent_encode(&path, ILLEGAL).to_string(),
        })
    }

    /// The host and the port of a configuration, as far as they are computed for each request.
    fn server(&self, at: At<'_>, config: &Requester, event: &Event) -> Done<(Arc<str>, u16)> {
        let Some(host) = &config.computed.host else {
            if config.host.is_empty() {
                let what = format!("the configuration '{}' has no host", config.name);
                return Err(MuleError::new("HTTP:CONNECTIVITY", what).into());
            }
            return Ok((config.host.clone(), config.port));
        };
        let host = self.text(at, host, event)?.unwrap_or_default();
        let host = host.trim().trim_matches(['[', ']']);
        // Nothing else may come into the address with it.
        let is_host = |char: char| char.is_alphanumeric() || "-._:%".contains(char);
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(expression(format!("'{host}' is not a host name")));
        }
        let port = match &config.computed.port {
            Some(port) => {
                let port = self.given(at, port, event)?.whole()?;
                let in_range = u16::try_from(port).ok().filter(|port| *port > 0);
                in_range.ok_or_else(|| {
                    let what = format!("the port {port} is not from 1 to 65535");
                    MuleError::new("HTTP:CONNECTIVITY", what)
                })?
            }
            None if config.tls => 443,
            None => 80,
        };
        Ok((host.into(), port))
    }

    /// A path whose `{name}`s are replaced by the values of `http:uri-params`.
    fn filled(&self, at: At<'_>, it: &Request, path: &str, event: &Event) -> Done<String> {
        let Some(given) = &it.uri_params else {
            return Ok(path.to_owned());
        };
        let mut path = path.to_owned();
        for (name, value) in self.fields(at, given, event)? {
            let value = value.ok_or_else(|| expression(format!("uri-param '{name}' is null")))?;
            let value = utf8_percent_encode(&value, RESERVED).to_string();
            path = path.replace(&format!("{{{name}}}"), &value);
        }
        Ok(path)
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

/// A request's path below its configuration's base path.
fn joined(base: &str, path: &str) -> String {
    let base = base.trim_matches('/');
    let base = match base {
        "" => String::new(),
        base => format!("/{base}"),
    };
    match path.strip_prefix('/').unwrap_or(path) {
        "" if !base.is_empty() && !path.starts_with('/') => base,
        path => format!("{base}/{path}"),
    }
}

/// Reads a whole URL.
fn parse(url: &str) -> Done<Address> {
    let encoded = utf8_percent_encode(url.trim(), ILLEGAL).to_string();
    let wrong = || expression(format!("'{url}' is not a URL; write http://host:port/path"));
    let uri: Uri = encoded.parse().map_err(|_| wrong())?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(wrong()),
    };
    let authority = uri.authority().filter(|it| !it.host().is_empty());
    let authority = authority.ok_or_else(wrong)?;
    let port = Endpoint::port_of(authority, tls).ok_or_else(|| {
        let what = format!("the port of '{url}' is not from 1 to 65535");
        MuleError::new("HTTP:CONNECTIVITY", what)
    })?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let target = match target.strip_prefix('?') {
        Some(query) => format!("/?{query}"),
        None => target.to_owned(),
    };
    Ok(Address {
        tls,
        host: authority.host().trim_matches(['[', ']']).into(),
        port,
        target,
    })
}

/// A request's name in error descriptions.
fn resource(call: &Call) -> String {
    let scheme = if call.tls { "https" } else { "http" };
    let path = call.target.split('?').next().unwrap_or_default();
    let host = match call.host.contains(':') {
        true => format!("[{}]", call.host),
        false => call.host.to_string(),
    };
    let (method, port) = (&call.method, call.port);
    format!("HTTP {method} on resource '{scheme}://{host}:{port}{path}' failed")
}
