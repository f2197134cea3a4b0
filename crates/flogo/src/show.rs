//! The JSON of a handler in the plan: its calls and conditions, without values that may be secret.

use serde_json::{Map, Value as Json, json};

use crate::Expression;
use crate::Value;
use crate::flow::{
    Action, Activity, Assignment, Choice, CounterOperation, Data, FlowResponse, FlowStep, Given,
    Handler, Service,
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
    if let Some(when) = &choice.when {
        shown["if"] = json!(when.source());
    }
    for (key, mapping) in [("input", &choice.input), ("output", &choice.output)] {
        if let Some(mapping) = mapping {
            let names: Vec<&str> = mapping.0.iter().map(|(name, _)| &**name).collect();
            shown[key] = json!(names);
        }
    }
    shown
}

fn show_action(action: &Action) -> Json {
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
            "settings": fusebox_plan::dialect::show_settings(&breaker.settings),
        }),
        Activity::Rest(rest) => {
            let mut shown = json!({
                "activity": "rest",
                "method": rest.method.as_str(),
                // A query may contain a key.
                "uri": rest.uri.split('?').next(),
                "verified": rest.tls.verified,
            });
            if let Some(timeout) = rest.timeout {
                shown["timeout"] = json!(fusebox_plan::dialect::show_duration(timeout));
            }
            if let Some(proxy) = &rest.proxy {
                shown["proxy"] = json!(proxy.url());
            }
            shown
        }
        Activity::RateLimiter(limiter) => json!({
            "activity": "ratelimiter",
            "limit": limiter.limit,
            "over": fusebox_plan::dialect::show_duration(limiter.window),
        }),
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
        Activity::Channel => json!({ "activity": "channel" }),
        Activity::Return(_) => json!({ "activity": "actreturn" }),
        Activity::Reply(_) => json!({ "activity": "actreply" }),
    }
}

fn show_step(step: &FlowStep, action: &Action) -> Json {
    let service = action.services.get(step.service);
    let mut shown = json!({ "service": service.map(|service| &*service.name) });
    if let Some(when) = &step.when {
        shown["if"] = json!(when.source());
    }
    if !step.input.is_empty() {
        shown["input"] = show_assignments(&step.input);
    }
    if let Some(halt) = &step.halt {
        shown["halt"] = json!(&*halt.text);
    }
    shown
}

fn show_response(response: &FlowResponse) -> Json {
    let mut shown = json!({});
    if let Some(when) = &response.when {
        shown["if"] = json!(when.source());
    }
    if let Some(code) = &response.code {
        shown["code"] = show_given(code);
    }
    match &response.data {
        None => {}
        Some(Data::One(given)) => shown["data"] = show_given(given),
        Some(Data::Object(entries)) => shown["data"] = show_assignments(entries),
    }
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
        Given::Expression(expression) => show_expression(expression),
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

fn show_expression(expression: &Expression) -> Json {
    json!(format!("={}", expression.source()))
}
