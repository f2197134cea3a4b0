//! A summary of an application's flows: their triggers and their calls.

use fusebox_plan::dialect::show_duration;
use serde_json::{Value, json};

use super::app::{App, Does, Flow, FlowName, ObjectCall, Source, When};

/// The name shown for the application's default object store.
const DEFAULT_STORE: &str = "default";

/// A list with each flow's name, trigger, and calls; equal calls appear once.
pub(crate) fn show_flows(app: &App) -> Value {
    app.flows.iter().map(|flow| show_flow(app, flow)).collect()
}

fn show_flow(app: &App, flow: &Flow) -> Value {
    let mut shown = json!({
        "name": &*flow.name,
        "at": format!("{}:{}", flow.site.file, flow.site.line),
    });
    if let Some(source) = &flow.source {
        shown["source"] = show_source(source);
    }
    if flow.is_stopped {
        shown["stopped"] = json!(true);
    }
    if let Some(max) = flow.max_concurrency {
        shown["max_concurrency"] = json!(max);
    }
    let mut calls: Vec<String> = Vec::new();
    flow.walk(&mut |processor| {
        if let Some(call) = show_call(app, &processor.does)
            && !calls.contains(&call)
        {
            calls.push(call);
        }
    });
    shown["calls"] = json!(calls);
    shown
}

fn show_source(source: &Source) -> Value {
    match source {
        Source::Http(http) => {
            let mut shown = json!({ "listener": &*http.config.name, "path": http.path });
            if let Some(methods) = &http.methods {
                shown["methods"] = methods
                    .iter()
                    .map(|method| json!(method.as_str()))
                    .collect();
            }
            shown
        }
        Source::Scheduler(schedule) => match &schedule.when {
            When::Every { every, .. } => json!({ "every": show_duration(*every) }),
            When::Cron { cron, zone } => {
                let mut shown = json!({ "cron": cron.text });
                if let Some(name) = zone.as_ref().and_then(|zone| zone.iana_name()) {
                    shown["zone"] = json!(name);
                }
                shown
            }
        },
        Source::Queue { queue, .. } => json!({ "queue": &**queue }),
    }
}

fn show_call(app: &App, does: &Does) -> Option<String> {
    match does {
        Does::FlowRef { flow, .. } => Some(match flow {
            FlowName::Known(id) => format!("flow {}", app.flow(*id).name),
            FlowName::Computed(_) => "flow by name".to_owned(),
            FlowName::Nothing => return None,
        }),
        Does::Request(request) => Some(match &request.config {
            Some(config) => format!("http {}", config.name),
            None => "http by address".to_owned(),
        }),
        Does::Object(call) => {
            let ObjectCall { store, .. } = &**call;
            let name = store.as_ref().map_or(DEFAULT_STORE, |store| &store.name);
            Some(format!("store {name}"))
        }
        Does::Route(api) => Some(format!("API {}", api.name)),
        Does::Idempotent(it) => Some(format!("store {}", it.store.name)),
        Does::PublishConsume { publish, .. } => Some(format!("queue {}", publish.queue)),
        Does::Consume(consume) => Some(format!("queue {}", consume.queue)),
        Does::Publish(publish) => Some(format!("queue {}", publish.queue)),
        _ => None,
    }
}
