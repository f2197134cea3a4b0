//! The paths of the API: parameters with their bounds, bodies, answers and the problems of each.

use serde_json::{Map, Value, json};

use super::breakers::STATES;
use super::calls;
use super::schema::{of, text, words};
use crate::list::LIMIT_MAX;
use crate::page;
use crate::problem_kind::Kind;
use crate::wishes::TYPES;

const JSON: &str = "application/json";

/// The paths with their operations.
pub fn paths() -> Value {
    let commands = ["open", "close", "reset", "release"];
    let mut paths = Map::new();
    let all = reading().into_iter().chain(changing()).chain(open());
    for (path, method, operation) in all.chain(calls::paths()) {
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[method] = operation;
    }
    for word in commands {
        let path = format!("/api/v1/breakers/{{name}}/{word}");
        paths.insert(path, json!({ "post": command(word) }));
    }
    Value::Object(paths)
}

/// A path, its method and its operation.
pub(super) type Route = (&'static str, &'static str, Value);

/// The paths that show something to those who may read.
fn reading() -> Vec<Route> {
    let breaker = json!({ "anyOf": [of("BreakerInFull"), of("FlowBreaker")] });
    vec![
        (
            "/api/v1/breakers",
            "get",
            Operation::new("list_breakers", "breakers", "Lists the breakers in pages, by name")
                .query("prefix", text("the beginning of their names"))
                .query("state", words(&STATES, "their state"))
                .query("limit", json!({
                    "type": "integer",
                    "minimum": 1,
                    "maximum": u32::MAX,
                    "default": LIMIT_MAX,
                    "description": format!("the most breakers in the page; above {LIMIT_MAX} it is taken as {LIMIT_MAX}"),
                }))
                .query("after", text("the name after which the page begins: `next` of the page before it"))
                .answers(JSON, of("Breakers"))
                .problems(&[Kind::Malformed])
                .done(),
        ),
        (
            "/api/v1/breakers/{name}",
            "get",
            Operation::new("show_breaker", "breakers", "Shows one breaker")
                .name()
                .answers(JSON, breaker)
                .problems(&[Kind::Malformed, Kind::UnknownBreaker, Kind::StoreAway])
                .done(),
        ),
        (
            "/api/v1/upstreams",
            "get",
            Operation::new("list_upstreams", "gateway", "Lists the upstreams with what stands around their breakers")
                .answers(JSON, of("Upstreams"))
                .done(),
        ),
        (
            "/api/v1/state",
            "get",
            Operation::new("show_state", "gateway", "Shows one snapshot of all, with the event to continue from")
                .answers(JSON, of("State"))
                .done(),
        ),
        (
            "/api/v1/plan",
            "get",
            Operation::new("show_plan", "gateway", "Shows the plan as it runs, with defaults and without secrets")
                .answers(JSON, of("Plan"))
                .done(),
        ),
        ("/api/v1/events", "get", events()),
        (
            "/openapi.json",
            "get",
            Operation::new("show_openapi", "gateway", "Describes this API")
                .answers(JSON, json!({ "type": "object", "required": ["openapi", "info", "paths"] }))
                .done(),
        ),
        (
            "/metrics",
            "get",
            Operation::new("show_metrics", "probes", "Shows the metrics, in the format that `Accept` asks for")
                .answers("text/plain", json!({ "type": "string" }))
                .or_as("application/openmetrics-text", json!({ "type": "string" }))
                .problems(&[Kind::Internal])
                .done(),
        ),
    ]
}

fn events() -> Value {
    let types = TYPES.join("|");
    let types = json!({
        "type": "string",
        "pattern": format!("^({types})(,({types}))*$"),
        "description": "the types of the events, separated by commas; gaps and resets are always told",
    });
    let last = text("the last event that was seen: the stream continues after it");
    let stream = json!({
        "type": "string",
        "description": "Server-sent events. The `data` of each is JSON with the schema `Event`, and `event` its type",
    });
    let mut operation = Operation::new(
        "stream_events",
        "gateway",
        "Streams events as they happen, with no end",
    )
    .query("last_event_id", last.clone())
    .query("type", types)
    .query("breaker", text("the breaker that the events are about"))
    .query("pulse", words(&["1s"], "adds the rates once a second"))
    .answers("text/event-stream", stream)
    .problems(&[Kind::Malformed, Kind::TooManyListeners, Kind::Ending]);
    operation.parameter("header", "Last-Event-ID", last, false);
    let mut operation = operation.done();
    // OpenAPI has no place for the schema of an event in a stream before 3.2.
    operation["responses"]["200"]["content"]["text/event-stream"]["x-event-schema"] = of("Event");
    operation
}

/// The paths that change something, but the commands to a breaker.
fn changing() -> Vec<Route> {
    let mut reload = Operation::new(
        "reload",
        "gateway",
        "Reads the configuration again, as SIGHUP does",
    )
    .changes()
    .answers(JSON, of("Reloaded"))
    .problems(&[
        Kind::ConfigurationRefused,
        Kind::ConfigurationFailed,
        Kind::Internal,
    ])
    .done();
    let problem = "application/problem+json";
    reload["responses"]["422"]["content"][problem]["schema"] = of("ReloadProblem");
    let purge = [
        Kind::Malformed,
        Kind::NothingKept,
        Kind::StoreNotWritten,
        Kind::TooLarge,
        Kind::NotJson,
    ];
    vec![
        ("/api/v1/reload", "post", reload),
        (
            "/api/v1/last-good/purge",
            "post",
            Operation::new(
                "purge_last_good",
                "gateway",
                "Removes last good answers for good",
            )
            .changes()
            .body(of("Purge"), true)
            .answers(JSON, of("Purged"))
            .problems(&purge)
            .done(),
        ),
    ]
}

fn command(word: &str) -> Value {
    let (id, about, body) = match word {
        "open" => ("open_breaker", "Holds a breaker open", "HoldCommand"),
        "close" => ("close_breaker", "Holds a breaker closed", "HoldCommand"),
        "reset" => (
            "reset_breaker",
            "Closes a breaker, with nothing counted and no hold",
            "Command",
        ),
        _ => ("release_breaker", "Ends a hold", "Command"),
    };
    Operation::new(id, "breakers", about)
        .changes()
        .name()
        .body(of(body), false)
        .answers(JSON, json!({ "anyOf": [of("Breaker"), of("FlowBreaker")] }))
        .problems(&[
            Kind::Malformed,
            Kind::UnknownBreaker,
            Kind::FlowBreaker,
            Kind::NotShared,
            Kind::TooLarge,
            Kind::NotJson,
            Kind::StoreAway,
        ])
        .done()
}

/// The paths that need no token.
fn open() -> Vec<Route> {
    let line = || json!({ "type": "string" });
    let names: Vec<_> = page::names().collect();
    let mut asset = Operation::new("show_asset", "page", "An asset of the dashboard")
        .without_token()
        .answers("text/javascript", line())
        .or_as("text/css", line())
        .not_modified()
        .problems(&[Kind::Malformed, Kind::UnknownPath]);
    asset.parameter("path", "name", words(&names, "the asset's name"), true);
    vec![
        (
            "/",
            "get",
            Operation::new("show_page", "page", "The dashboard")
                .without_token()
                .answers("text/html", line())
                .not_modified()
                .done(),
        ),
        ("/page/{name}", "get", asset.done()),
        (
            "/healthz",
            "get",
            Operation::new("show_health", "probes", "Says whether all workers run")
                .without_token()
                .answers("text/plain", line())
                .unavailable("A worker does not answer")
                .done(),
        ),
        (
            "/readyz",
            "get",
            Operation::new(
                "show_readiness",
                "probes",
                "Says whether requests are accepted. With `verbose` it needs the token",
            )
            .token_at_times()
            .query(
                "verbose",
                text("present, whatever its value: each part's state, which needs the token"),
            )
            .answers("text/plain", line())
            .unavailable("The gateway drains, or begins to")
            .done(),
        ),
    ]
}

/// An operation while it is described.
pub(super) struct Operation(Value);

impl Operation {
    pub(super) fn new(id: &str, tag: &str, summary: &str) -> Operation {
        Operation(json!({
            "operationId": id,
            "tags": [tag],
            "summary": summary,
            "parameters": [],
            "responses": {},
        }))
        .problems(&[
            Kind::Malformed,
            Kind::Unauthorized,
            Kind::ServiceOnly,
            Kind::ForeignHost,
            Kind::ForeignOrigin,
            Kind::TooSlow,
            Kind::TooManyTokens,
        ])
    }

    /// Only the token that may do everything will do.
    fn changes(mut self) -> Operation {
        self.0["security"] = json!([{ "token": [] }]);
        self.problems(&[Kind::ReadOnly])
    }

    /// The token of programs does as well as the one that may do everything.
    pub(super) fn serves(mut self) -> Operation {
        self.0["security"] = json!([{ "token": [] }, { "service_token": [] }]);
        self
    }

    /// Any token does.
    pub(super) fn serves_readers(mut self) -> Operation {
        self.0["security"] = json!([
            { "token": [] },
            { "read_token": [] },
            { "service_token": [] },
        ]);
        self
    }

    fn without_token(mut self) -> Operation {
        self.0["security"] = json!([]);
        for status in ["401", "429"] {
            if let Some(responses) = self.0["responses"].as_object_mut() {
                responses.remove(status);
            }
        }
        self
    }

    fn token_at_times(mut self) -> Operation {
        self.0["security"] = json!([{}, { "token": [] }, { "read_token": [] }]);
        self
    }

    fn parameter(&mut self, place: &str, name: &str, schema: Value, required: bool) {
        if let Some(parameters) = self.0["parameters"].as_array_mut() {
            parameters
                .push(json!({ "in": place, "name": name, "required": required, "schema": schema }));
        }
    }

    pub(super) fn query(mut self, name: &str, schema: Value) -> Operation {
        self.parameter("query", name, schema, false);
        self
    }

    /// A breaker's name in the path.
    pub(super) fn name(mut self) -> Operation {
        let mut name = text("the breaker's name; a `/` in it is `%2F`");
        name["minLength"] = json!(1);
        name["examples"] = json!(["orders"]);
        self.parameter("path", "name", name, true);
        self
    }

    pub(super) fn body(mut self, schema: Value, required: bool) -> Operation {
        self.0["requestBody"] =
            json!({ "required": required, "content": { JSON: { "schema": schema } } });
        self
    }

    pub(super) fn answers(mut self, media_type: &str, schema: Value) -> Operation {
        let content = json!({ media_type: { "schema": schema } });
        self.0["responses"]["200"] = json!({ "description": "Done", "content": content });
        self
    }

    /// The same answer in another media type.
    fn or_as(mut self, media_type: &str, schema: Value) -> Operation {
        self.0["responses"]["200"]["content"][media_type] = json!({ "schema": schema });
        self
    }

    fn not_modified(mut self) -> Operation {
        self.0["responses"]["304"] = json!({ "description": "The client has it" });
        self
    }

    fn unavailable(mut self, about: &str) -> Operation {
        let content = json!({ "text/plain": { "schema": { "type": "string" } } });
        self.0["responses"]["503"] = json!({ "description": about, "content": content });
        self
    }

    pub(super) fn problems(mut self, kinds: &[Kind]) -> Operation {
        for kind in kinds {
            let answer = &mut self.0["responses"][kind.status().as_str()];
            let titles = answer["description"].as_str().map(str::to_owned);
            let description = match titles {
                Some(known) if known.split("; ").any(|it| it == kind.title()) => continue,
                Some(known) => format!("{known}; {}", kind.title()),
                None => kind.title().to_owned(),
            };
            *answer = json!({
                "description": description,
                "content": { "application/problem+json": { "schema": of("Problem") } },
            });
            match kind {
                Kind::Unauthorized => {
                    answer["headers"] = json!({
                        "WWW-Authenticate": { "required": true, "schema": { "const": "Bearer" } },
                    });
                }
                Kind::TooManyTokens | Kind::TooManyListeners | Kind::Ending => {
                    answer["headers"] = json!({
                        "Retry-After": {
                            "required": true,
                            "description": "seconds after which it is worth asking again",
                            "schema": { "type": "integer", "minimum": 1 },
                        },
                    });
                }
                _ => {}
            }
        }
        self
    }

    pub(super) fn done(self) -> Value {
        self.0
    }
}
