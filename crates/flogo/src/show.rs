//! The JSON of a handler in the plan: its calls and conditions, without values that may be secret.

use std::time::Duration;

use fusebox_plan::dialect::{put, show_duration, show_settings};
use fusebox_plan::plan::Endpoint;
use serde_json::{Map, Value as Json, json};

use crate::Expression;
use crate::Value;
use crate::flow::{
    Action, Activity, Assignment, Choice, CounterOperation, Data, FlowResponse, FlowStep, Given,
    Handler, Mapping, PassKind, Service,
};

/// The JSON of a handler: its actions in the order in which they are tried.
pub(crate) fn show_handler(handler: &Handler) -> Json {
    json!({
        "handler": &*handler.name,
        "actions": handler.choices.iter().map(show_choice).collect::<Vec<_>>(),
    })
}

fn show_choice(choice: &Choice) -> Json {
    let mut shown = show_action(&choice.action);
    put(
        &mut shown,
        "if",
        choice.when.as_ref().map(Expression::source),
    );
    let names = |mapping: &Mapping| -> Vec<String> {
        let names = mapping.0.iter().map(|(name, _)| name.to_string());
        names.collect()
    };
    put(&mut shown, "input", choice.input.as_ref().map(names));
    put(&mut shown, "output", choice.output.as_ref().map(names));
    shown
}

fn show_action(action: &Action) -> Json {
    let mut shown = show_services(action);
    let flow = action.flow.as_ref().map(|flow| {
        let id = |task: usize| flow.tasks.get(task).map(|task| &*task.id);
        let links = flow.links.iter();
        let links = links.map(|link| json!({ "from": id(link.from), "to": id(link.to) }));
        json!({
            "name": &*flow.name,
            "tasks": flow.tasks.iter().map(|task| &*task.id).collect::<Vec<_>>(),
            "links": links.collect::<Vec<_>>(),
        })
    });
    put(&mut shown, "flow", flow);
    shown
}

fn show_services(action: &Action) -> Json {
    json!({
        "action": &*action.name,
        "async": action.asynchronous,
        "services": action
            .services
            .iter()
            .map(|service| (service.name.to_string(), show_service(service)))
            .collect::<Map<_, _>>(),
        "steps": action.steps.iter().map(|step| show_step(step, action)).collect::<Vec<_>>(),
        "responses": action.responses.iter().map(show_response).collect::<Vec<_>>(),
    })
}

fn show_service(service: &Service) -> Json {
    match &service.activity {
        Activity::Breaker(breaker) => json!({
            "activity": "circuitbreaker",
            "breaker": &*breaker.name,
            "settings": show_settings(&breaker.settings),
        }),
        Activity::Rest(rest) => {
            let mut shown = json!({
                "activity": "rest",
                "method": rest.method.as_str(),
                // A query may contain a key.
                "uri": rest.uri.split('?').next(),
                "verified": rest.tls.verified,
            });
            put(&mut shown, "timeout", rest.timeout.map(show_duration));
            put(&mut shown, "proxy", rest.proxy.as_ref().map(Endpoint::url));
            shown
        }
        Activity::RateLimiter(limiter) => json!({
            "activity": "ratelimiter",
            "limit": limiter.limit,
            "over": show_duration(limiter.window),
        }),
        Activity::Quota(quota) => json!({
            "activity": "graphql",
            "most": show_duration(Duration::from_millis(quota.most)),
            "fill": show_duration(Duration::from_millis(quota.fill)),
            "every": show_duration(quota.every),
        }),
        Activity::GraphQl(graphql) => json!({
            "activity": "graphql",
            "schemas": graphql.schemas.keys().map(|name| &**name).collect::<Vec<_>>(),
        }),
        Activity::Pass(pass) => json!({
            "activity": match pass.kind {
                PassKind::Socket => "wsproxy",
                PassKind::Grpc => "grpc",
            },
            "address": pass.endpoint.url(),
        }),
        Activity::Script(_) => json!({ "activity": "jsexec" }),
        Activity::Jwt => json!({ "activity": "jwt" }),
        Activity::Log => json!({ "activity": "log" }),
        Activity::Counter(counter) => json!({
            "activity": "counter",
            "counter": &*counter.counter,
            "op": match counter.operation {
                CounterOperation::Get => "get",
                CounterOperation::Increment => "increment",
                CounterOperation::Reset => "reset",
            },
        }),
        Activity::Nothing => json!({ "activity": "noop" }),
        Activity::Channel => json!({ "activity": "channel" }),
        Activity::Return(_) => json!({ "activity": "actreturn" }),
        Activity::Reply(_) => json!({ "activity": "actreply" }),
    }
}

fn show_step(step: &FlowStep, action: &Action) -> Json {
    let service = action.services.get(step.service);
    let mut shown = json!({ "service": service.map(|service| &*service.name) });
    put(&mut shown, "if", step.when.as_ref().map(Expression::source));
    if !step.input.is_empty() {
        shown["input"] = show_assignments(&step.input);
    }
    put(
        &mut shown,
        "halt",
        step.halt.as_ref().map(|halt| &*halt.text),
    );
    shown
}

fn show_response(response: &FlowResponse) -> Json {
    let mut shown = json!({});
    let data = response.data.as_ref().map(|data| match data {
        Data::One(given) => show_given(given),
        Data::Object(entries) => show_assignments(entries),
    });
    put(
        &mut shown,
        "if",
        response.when.as_ref().map(Expression::source),
    );
    put(&mut shown, "code", response.code.as_ref().map(show_given));
    put(&mut shown, "data", data);
    shown
}

fn show_assignments(assignments: &[Assignment]) -> Json {
    assignments
        .iter()
        .map(|assignment| (assignment.path.join("."), show_given(&assignment.value)))
        .collect::<Map<_, _>>()
        .into()
}

/// Shows expressions as written, and only those literals that cannot be secret.
fn show_given(given: &Given) -> Json {
    match given {
        Given::Expression(expression) => json!(format!("={}", expression.source())),
        Given::Literal(Value::Null) => Json::Null,
        Given::Literal(Value::Bool(flag)) => json!(flag),
        Given::Literal(Value::Int(number)) => json!(number),
        Given::Literal(Value::Float(number)) if number.fract() == 0.0 => json!(*number as i64),
        Given::Literal(Value::Float(number)) => json!(number),
        Given::Literal(Value::Str(text)) if matches!(&**text, "counter" | "reset" | "") => {
            json!(&**text)
        }
        Given::Literal(_) => json!("…"),
    }
}
