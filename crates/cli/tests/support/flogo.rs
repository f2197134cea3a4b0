//! Flogo applications, put together for a test.

use serde_json::{Value, json};

/// The activities' references, in the original's words.
pub const BREAKER: &str = "github.com/project-flogo/microgateway/activity/circuitbreaker";
pub const JWT: &str = "github.com/project-flogo/microgateway/activity/jwt";
pub const LIMITER: &str = "github.com/project-flogo/microgateway/activity/ratelimiter";
pub const LOG: &str = "github.com/project-flogo/contrib/activity/log";
pub const REST: &str = "github.com/project-flogo/contrib/activity/rest";

/// The reference of the microgateway itself.
pub const MICROGATEWAY: &str = "github.com/project-flogo/microgateway";

/// An application of these handlers on one REST trigger, and these definitions by name.
pub fn app(handlers: Value, definitions: &[(&str, Value)]) -> Value {
    let resources = definitions.iter().map(|(name, data)| {
        json!({ "id": format!("microgateway:{name}"), "compressed": false, "data": data })
    });
    json!({
        "name": "Test", "type": "flogo:app", "version": "1.0.0", "description": "for a test",
        "properties": null, "channels": null,
        "triggers": [{
            "name": "flogo-rest", "id": "MyProxy",
            "ref": "github.com/project-flogo/contrib/trigger/rest",
            "settings": { "port": "0" },
            "handlers": handlers,
        }],
        "resources": resources.collect::<Vec<_>>(),
        "actions": [],
    })
}

/// A handler with one action of these settings.
pub fn handler(method: &str, path: &str, settings: Value) -> Value {
    json!({
        "settings": { "method": method, "path": path },
        "actions": [{ "ref": MICROGATEWAY, "settings": settings }],
    })
}

/// An application with one handler, `GET /t`, that runs a definition.
pub fn single(definition: Value) -> Value {
    let settings = json!({ "uri": "microgateway:G" });
    app(
        json!([handler("GET", "/t", settings)]),
        &[("G", definition)],
    )
}

/// The recipe of the original: ask the breaker, call, tell the breaker, answer by what came.
pub fn guarded(breaker: Value, uri: &str) -> Value {
    json!({
        "name": "Pets",
        "steps": [
            { "service": "CircuitBreaker" },
            {
                "service": "PetStorePets",
                "halt": "($.PetStorePets.error != nil) && !error.isneterror($.PetStorePets.error)",
            },
            {
                "if": "$.PetStorePets.error != nil",
                "service": "CircuitBreaker", "input": { "operation": "counter" },
            },
            {
                "if": "$.PetStorePets.error == nil",
                "service": "CircuitBreaker", "input": { "operation": "reset" },
            },
        ],
        "responses": [
            {
                "if": "$.CircuitBreaker.outputs.tripped == true", "error": true,
                "output": { "code": 403, "data": { "error": "circuit breaker tripped" } },
            },
            {
                "if": "$.PetStorePets.outputs.data.status == 'available'", "error": false,
                "output": { "code": 200, "data": {
                    "pet": "=$.PetStorePets.outputs.data",
                    "status": "=$.PetStorePets.outputs.data.status",
                } },
            },
            { "error": true, "output": { "code": 403, "data": { "error": "connection failure" } } },
        ],
        "services": [
            { "name": "CircuitBreaker", "ref": BREAKER, "settings": breaker },
            { "name": "PetStorePets", "ref": REST, "settings": { "uri": uri, "method": "GET" } },
        ],
    })
}
