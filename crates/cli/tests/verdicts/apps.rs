//! Applications whose own requests play the cases: a Mule flow and a Flogo service, each with a breaker before it.

use serde_json::{Value, json};

use super::super::support::flogo::{REST, single};
use super::super::support::mule::{flow, setup};
use super::super::support::{Gateway, Setup, Upstream};
use super::cases::{Body, Case, End};

/// The breaker of each case, as before the native route.
fn guards(target: &str) -> String {
    format!(
        "upstreams:
  orders:
    applies_to: {target}
    timeout: {{ request: 1500ms, idle: 1500ms }}
    breaker: {{ key: \"{{header.x-case}}\", max_keys: 1000, trip: {{ consecutive_failures: 1 }}, cooldown: 60s }}
limits: {{ head: 16KiB, fields: 60 }}
"
    )
}

/// A flow that makes the request of any case.
pub fn mule(upstream: &Upstream) -> Gateway {
    let config = format!(
        "<http:request-config name='Orders'><http:request-connection host='127.0.0.1' port='{}' usePersistentConnections='false'/></http:request-config>",
        upstream.addr().port()
    );
    let request = "<http:request config-ref='Orders' path='/it' method=\"#[attributes.queryParams.method]\">\
        <http:headers>#[{'X-Case': attributes.queryParams.case}]</http:headers></http:request>";
    setup(config + &flow("it", "/t", request), &[])
        .workers(1)
        .beside("guards.yaml", &guards("Orders"))
        .start()
}

/// A service that makes the request of a case without a body.
pub fn flogo(upstream: &Upstream) -> Gateway {
    let definition: Value = json!({
        "name": "It",
        "steps": [{
            "service": "Orders",
            "input": { "headers.X-Case": "=$.payload.queryParams.case" },
        }],
        "responses": [{
            "error": false,
            "output": { "code": "=$.Orders.outputs.status", "data": "=$.Orders.outputs.data" },
        }],
        "services": [{
            "name": "Orders", "ref": REST,
            "settings": { "uri": format!("{}/it", upstream.url()), "method": "GET" },
        }],
    });
    Setup::new(single(definition).to_string())
        .workers(1)
        .beside("guards.yaml", &guards("Orders"))
        .start()
}

/// Whether a case is the upstream's doing, so that any program can play it whose requests have their body at hand.
pub fn is_for_mule(case: &Case) -> bool {
    let by_upstream = matches!(
        case.end,
        End::Whole
            | End::CutBeforeHead
            | End::CutInHead
            | End::CutInBody
            | End::CutAtLast
            | End::SilentBeforeHead
            | End::SilentInBody
            | End::NonsenseForHead
            | End::NonsenseInBody
            | End::HeadTooLarge
            | End::TooManyFields
    );
    by_upstream && matches!(case.body, Body::None | Body::Length)
}

/// The same, for a service whose method is GET.
pub fn is_for_flogo(case: &Case) -> bool {
    is_for_mule(case) && case.method() == "GET"
}

/// Has an application make the request of a case; its own answer is its own business.
pub fn ask(gateway: &Gateway, case: &Case) {
    let path = format!("/t?case={}&method={}", case.name(), case.method());
    let mut client = gateway.client();
    match case.body {
        Body::None => client.get(&path),
        _ => client.request("GET", &path, "Content-Type: text/plain\r\n", "hello"),
    };
}
