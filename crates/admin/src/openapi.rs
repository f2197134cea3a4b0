//! The OpenAPI description of the API: every route, its parameters and its answers.
//!
//! It is written by hand, with the limits and words of the code, since answers are written member by member and have no
//! types to derive it from. Tests compare it with the router, and answers of a running gateway with its schemas.

mod breakers;
mod calls;
mod commands;
mod events;
mod flow;
mod paths;
mod schema;
mod shared;
mod state;

use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Map, Value, json};

/// The document as it is sent, made at the first request.
static SENT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());

const ABOUT: &str = "Shows and steers the breakers of a running gateway. With `admin.token` configured, requests carry it or, \
                     to read, `admin.read_token`; without it none is needed. `Host` must be an IP address or `localhost`, and an \
                     `Origin` the API's own. Errors are problems (RFC 9457) with a stable `type`. Later versions may add members to \
                     answers and types of events.";

/// Answers `GET /openapi.json`.
pub async fn show() -> Response {
    let media_type = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, media_type)], SENT.clone()).into_response()
}

/// The document, of OpenAPI 3.1.
pub fn document() -> Value {
    let schemas = [
        breakers::schemas(),
        shared::schemas(),
        flow::schemas(),
        commands::schemas(),
        calls::schemas(),
        state::schemas(),
        events::schemas(),
    ];
    let schemas: Map<_, _> = schemas
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "The admin API of Fusebox",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "http://127.0.0.1:9900", "description": "the default address" }],
        "security": [{ "token": [] }, { "read_token": [] }],
        "tags": [
            { "name": "breakers", "description": "Breakers, and an operator's commands to them" },
            { "name": "calls", "description": "A breaker as a service: programs ask before their calls, and report afterwards" },
            { "name": "gateway", "description": "The gateway as a whole" },
            { "name": "probes", "description": "Liveness, readiness and metrics" },
            { "name": "page", "description": "The dashboard" },
        ],
        "paths": paths::paths(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`admin.token`: may do everything",
                },
                "read_token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`admin.read_token`: may only read",
                },
                "service_token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`admin.service_token`: may only ask breakers and report to them",
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(to)) = members.get("$ref") {
                    found.insert(to.clone());
                }
                members.values().for_each(|it| references(it, found));
            }
            Value::Array(items) => items.iter().for_each(|it| references(it, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema_and_every_schema_is_used() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let known = schemas.keys().map(|name| schema::place(name));
        assert_eq!(found, known.collect());
    }
}
