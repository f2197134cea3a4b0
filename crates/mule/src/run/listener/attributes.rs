//! The attributes of a message that an HTTP request started.
//!
//! Source: [HttpRequestAttributes](https://docs.mulesoft.com/http-connector/latest/http-documentation#HttpRequestAttributes).

use std::net::SocketAddr;
use std::sync::Arc;

use http::Version;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::certificate::certificate_value;
use crate::app::HttpSource;
use crate::run::answer::headers_value;
use crate::{Form, MediaType, Typed, Value};

/// The two ends of a request's connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionInfo<'a> {
    /// The gateway's address.
    pub local: SocketAddr,
    /// The client's address.
    pub remote: SocketAddr,
    /// The scheme, `http` or `https`.
    pub scheme: &'static str,
    /// The client's certificate in DER; `None`: it was asked for none, or has none.
    pub certificate: Option<&'a [u8]>,
}

/// The attributes of a request to a flow's listener. `params` are the names in the listener's path with their
/// values, decoded.
pub fn attributes(
    source: &HttpSource,
    parts: &Parts,
    params: &[(String, String)],
    connection: ConnectionInfo<'_>,
) -> Value {
    Value::object(entries(source, parts, params, connection))
}

pub(super) fn entries(
    source: &HttpSource,
    parts: &Parts,
    params: &[(String, String)],
    connection: ConnectionInfo<'_>,
) -> Vec<(Arc<str>, Value)> {
    let raw_path = parts.uri.path();
    let path = decoded(raw_path);
    let query = parts.uri.query().unwrap_or_default();
    let raw_uri = match parts.uri.query() {
        Some(query) => format!("{raw_path}?{query}"),
        None => raw_path.to_owned(),
    };
    let relative = path.strip_prefix(&source.config.base_path);
    let relative = relative.filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let relative = match relative.unwrap_or(&path) {
        "" => "/".to_owned(),
        relative => relative.to_owned(),
    };
    let params = params
        .iter()
        .map(|(name, value)| (name.as_str().into(), value.as_str().into()));
    let version = match parts.version {
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    };
    let entries: [(&str, Value); 17] = [
        ("listenerPath", source.path.as_str().into()),
        ("relativePath", relative.into()),
        ("maskedRequestPath", masked(&source.path, &path)),
        ("version", version.into()),
        ("scheme", connection.scheme.into()),
        ("method", parts.method.as_str().into()),
        ("requestPath", path.into()),
        ("rawRequestPath", raw_path.into()),
        ("requestUri", decoded(&raw_uri).into()),
        ("rawRequestUri", raw_uri.into()),
        ("queryString", query.into()),
        ("localAddress", address(connection.local)),
        ("remoteAddress", address(connection.remote)),
        (
            "clientCertificate",
            connection
                .certificate
                .map_or(Value::Null, certificate_value),
        ),
        ("queryParams", pairs(query)),
        ("uriParams", Value::object(params.collect())),
        ("headers", headers_value(&parts.headers)),
    ];
    entries.map(|(name, value)| (name.into(), value)).into()
}

/// The pairs of a query, decoded; a name may occur several times.
fn pairs(query: &str) -> Value {
    let query = Typed {
        value: query.into(),
        media_type: MediaType::new("application/x-www-form-urlencoded"),
    };
    let pairs = match query.read() {
        Ok(Value::Object(pairs)) => {
            let pairs = pairs.entries().iter();
            pairs
                .map(|(name, value)| (name.name().clone(), value.clone()))
                .collect()
        }
        _ => Vec::new(),
    };
    Value::formed(pairs, Form::Parameters)
}

/// The part of a path that a final `*` of the listener's path matches; null without a final `*`.
fn masked(listener: &str, path: &str) -> Value {
    let Some(before) = listener.strip_suffix("/*") else {
        return Value::Null;
    };
    let depth = before.matches('/').count();
    let rest: Vec<&str> = path.split('/').skip(depth + 1).collect();
    format!("/{}", rest.join("/")).into()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// An address as Java writes one without a host name.
fn address(address: SocketAddr) -> Value {
    format!("/{address}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Object;
    use crate::run::fixtures;
    use http::Request;

    fn of(path: &str, uri: &str, params: &[(&str, &str)]) -> Arc<Object> {
        let source = fixtures::source("/api", path);
        let request = Request::builder().uri(uri).header("X-Two", "a");
        let request = request.header("X-Two", "b").body(());
        let (parts, ()) = request.unwrap().into_parts();
        let params = params.iter();
        let params = params.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let params: Vec<_> = params.collect();
        let connection = ConnectionInfo {
            local: source.config.addr,
            remote: SocketAddr::from(([127, 0, 0, 1], 50000)),
            scheme: "http",
            certificate: None,
        };
        object(&attributes(&source, &parts, &params, connection))
    }

    fn object(value: &Value) -> Arc<Object> {
        match value {
            Value::Object(object) => object.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn member(of: &Object, name: &str) -> Arc<Object> {
        object(of.get(name).unwrap())
    }

    #[test]
    fn a_request_is_told_decoded_and_as_it_came() {
        let uri = "/api/o/a%20b?q=%C3%A9+x&q=2";
        let found = of("/api/o/{id}", uri, &[("id", "a b")]);
        for (name, value) in [
            ("requestPath", "/api/o/a b"),
            ("rawRequestPath", "/api/o/a%20b"),
            ("requestUri", "/api/o/a b?q=é+x&q=2"),
            ("rawRequestUri", "/api/o/a%20b?q=%C3%A9+x&q=2"),
            ("relativePath", "/o/a b"),
            ("listenerPath", "/api/o/{id}"),
            ("queryString", "q=%C3%A9+x&q=2"),
            ("version", "HTTP/1.1"),
            ("scheme", "http"),
            ("method", "GET"),
            ("localAddress", "/127.0.0.1:8081"),
            ("remoteAddress", "/127.0.0.1:50000"),
        ] {
            assert_eq!(found.get(name), Some(&value.into()), "{name}");
        }
        assert_eq!(found.get("clientCertificate"), Some(&Value::Null));
        assert_eq!(found.get("maskedRequestPath"), Some(&Value::Null));
        assert_eq!(member(&found, "uriParams").get("id"), Some(&"a b".into()));
    }

    #[test]
    fn a_name_may_have_more_than_one_value() {
        let found = of("/api/o", "/api/o?q=1&Q=3&q=2", &[]);
        let query = member(&found, "queryParams");
        let values: Vec<_> = query.all("q").cloned().collect();
        assert_eq!(values, ["1".into(), "2".into()]);
        let fields = member(&found, "headers");
        let values: Vec<_> = fields.all("X-TWO").cloned().collect();
        assert_eq!(values, ["a".into(), "b".into()]);
        assert_eq!(fields.entries()[0].0.as_ref(), "x-two");
    }

    #[test]
    fn what_a_star_stands_for_is_the_masked_path() {
        for (path, uri, masked) in [
            ("/api/*", "/api/a/b", "/a/b"),
            ("/api/*", "/api", "/"),
            ("/*", "/api/a", "/api/a"),
            ("/api/{x}/*", "/api/1/a%20b/", "/a b/"),
        ] {
            let found = of(path, uri, &[]);
            let found = found.get("maskedRequestPath");
            assert_eq!(found, Some(&masked.into()), "{path} {uri}");
        }
    }
}
