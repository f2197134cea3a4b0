//! Runs an action: its steps in order, then the first response that matches.

use std::sync::Arc;

use super::action::{Does, LiveAction, LiveService};
use super::channels;
use super::channels::Surroundings;
use super::jwt;
use super::scope::RunScope;
use crate::{Expression, Fault, FlowStep, Map, Scope, Value, assign_all};

/// What an action gives: `code` and `data`.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// The answer's status; 404 where nothing matched.
    pub code: i64,
    /// What is answered with.
    pub data: Value,
}

/// Why steps have ended before their end, or why an action has no results: a message.
pub type Ended = String;

/// Runs an action with a payload.
///
/// # Errors
/// Why it has no results, in the words of the original.
pub async fn run(
    action: &Arc<LiveAction>,
    payload: Value,
    around: &Surroundings,
) -> Result<Results, Ended> {
    let mut scope = RunScope::new(action.clone(), payload);
    if action.plan.asynchronous {
        // The responses see no service: what of the steps would be done by then is chance.
        let seen = RunScope::new(action.clone(), scope.get("payload").unwrap_or_default());
        let task_around = around.clone();
        let token = around.worker.task_token();
        tokio::spawn(async move {
            carry_out(&mut scope, &task_around).await;
            drop(token);
        });
        return respond(&seen, action, None);
    }
    let ended = carry_out(&mut scope, around).await;
    respond(&scope, action, ended)
}

/// The steps, and why they ended if it was before their end.
async fn carry_out(scope: &mut RunScope, around: &Surroundings) -> Option<Ended> {
    let action = scope.action().clone();
    for step in &action.plan.steps {
        match perform(step, &action, scope, around).await {
            Ok(Next::GoOn) => {}
            Ok(Next::End) => return None,
            Err(ended) => {
                tracing::debug!(action = %action.plan.name, %ended, "the steps have ended early");
                return Some(ended);
            }
        }
    }
    None
}

enum Next {
    GoOn,
    End,
}

async fn perform(
    step: &FlowStep,
    action: &Arc<LiveAction>,
    scope: &mut RunScope,
    around: &Surroundings,
) -> Result<Next, Ended> {
    let Ok(taken) = holds(step.when.as_ref(), scope) else {
        // A condition that is neither true nor false leaves everything as it is.
        return Ok(Next::GoOn);
    };
    scope.clear(step.service);
    if !taken {
        return Ok(Next::GoOn);
    }
    let service = &action.services[step.service];
    let inputs = inputs(step, service, scope)?;
    let done = act(service, &inputs, action, scope, around).await;
    let Done {
        outputs,
        fault,
        reply,
        ends,
    } = done;
    if let Some(values) = reply {
        scope.reply(values);
    }
    scope.leave(step.service, inputs, outputs, fault.as_ref());
    if let Some(halt) = &step.halt {
        // A halt that is no truth value lets the steps go on, whatever the service's error.
        if holds(Some(&halt.condition), scope) == Ok(true) {
            return Err(format!("execution halted with expression: {}", halt.text));
        }
    } else if let Some(fault) = fault {
        return Err(fault.message.to_string());
    }
    Ok(if ends { Next::End } else { Next::GoOn })
}

/// Whether a condition holds; one that is missing does.
fn holds(condition: Option<&Expression>, scope: &dyn Scope) -> Result<bool, Ended> {
    let Some(condition) = condition else {
        return Ok(true);
    };
    match condition.eval(scope) {
        Ok(Value::Bool(holds)) => Ok(holds),
        Ok(Value::Null) => Err("expression has nil value".into()),
        Ok(_) => Err("expression has a non-bool value".into()),
        Err(error) => Err(error.message),
    }
}

/// What a service is called with: its settings, and the step's own values over them.
fn inputs(step: &FlowStep, service: &LiveService, scope: &RunScope) -> Result<Arc<Map>, Ended> {
    if step.input.is_empty() {
        return Ok(service.settings.clone());
    }
    let mut inputs = Map::clone(&service.settings);
    assign_all(&step.input, scope, &mut inputs).map_err(|error| error.message)?;
    Ok(Arc::new(inputs))
}

/// What a service has done.
#[derive(Default)]
struct Done {
    outputs: Map,
    fault: Option<Fault>,
    /// What it puts beside the services.
    reply: Option<Map>,
    /// Whether the steps end here.
    ends: bool,
}

impl From<Result<Map, Fault>> for Done {
    fn from(result: Result<Map, Fault>) -> Done {
        match result {
            Ok(outputs) => Done {
                outputs,
                ..Done::default()
            },
            Err(fault) => Done {
                fault: Some(fault),
                ..Done::default()
            },
        }
    }
}

async fn act(
    service: &LiveService,
    inputs: &Map,
    action: &LiveAction,
    scope: &RunScope,
    around: &Surroundings,
) -> Done {
    let worker = &around.worker_ref;
    match &service.does {
        Does::Breaker(breaker) => {
            let (outputs, fault) = breaker.run(inputs, worker);
            Done {
                outputs,
                fault,
                ..Done::default()
            }
        }
        Does::Rest(rest) => rest.call(inputs, worker).await.into(),
        Does::Limit(limiter) => {
            let token = text(inputs, "token");
            let now = worker.clock.exact();
            Ok(super::limiter::outputs(limiter, &token, now)).into()
        }
        Does::Jwt => {
            let wanted = jwt::Wanted {
                key: text(inputs, "key"),
                signing_method: text(inputs, "signingMethod"),
                issuer: text(inputs, "iss"),
                audience: text(inputs, "aud"),
                subject: text(inputs, "sub"),
            };
            let now = worker.clock.wall_millis() / 1000;
            let now = i64::try_from(now).unwrap_or(i64::MAX);
            jwt::check(&text(inputs, "token"), &wanted, now).into()
        }
        Does::Log => {
            log(inputs, action, service);
            Done::default()
        }
        Does::Count(count, operation) => {
            let value = i64::try_from(count.apply(*operation)).unwrap_or(i64::MAX);
            let mut outputs = Map::new();
            outputs.insert("value".into(), value.into());
            Ok(outputs).into()
        }
        Does::Publish => {
            let data = inputs.get("data").cloned().unwrap_or_default();
            let published = channels::publish(&text(inputs, "channel"), data, around).await;
            published.map(|()| Map::new()).into()
        }
        Does::Return(mapping) | Does::Reply(mapping) => match mapping.eval(scope) {
            Ok(values) => Done {
                reply: Some(values),
                ends: matches!(service.does, Does::Return(_)),
                ..Done::default()
            },
            Err(error) => Err(Fault {
                kind: crate::FaultKind::Activity,
                message: error.message.into(),
            })
            .into(),
        },
    }
}

/// An input as text; one that is missing is empty.
fn text(inputs: &Map, name: &str) -> Arc<str> {
    match inputs.get(name) {
        Some(Value::Str(text)) => text.clone(),
        Some(value) => value.to_text().into(),
        None => "".into(),
    }
}

fn log(inputs: &Map, action: &LiveAction, service: &LiveService) {
    let message = text(inputs, "message");
    let details = inputs.get("addDetails").map(Value::to_bool);
    let (name, service) = (&action.plan.name, &service.name);
    if matches!(details, Some(Ok(true))) {
        tracing::info!(action = %name, %service, "'{message}' - HostID [{name}], HostName [{name}], Activity [{service}]");
    } else {
        tracing::info!(action = %name, %service, "{message}");
    }
}

/// The first response that matches. Where none does, what the last condition left decides: a clean
/// false gives 404, everything else its error; without any response, so does what ended the steps.
fn respond(
    scope: &RunScope,
    action: &LiveAction,
    mut left: Option<Ended>,
) -> Result<Results, Ended> {
    for response in &action.plan.responses {
        match holds(response.when.as_ref(), scope) {
            Err(error) => left = Some(error),
            Ok(false) => left = None,
            Ok(true) => {
                let code = match &response.code {
                    Some(code) => code.eval(scope).map_err(|error| error.message)?,
                    None => Value::Null,
                };
                let code = status(&code);
                let data = match &response.data {
                    Some(data) => data.eval(scope).map_err(|error| error.message)?,
                    None => Value::Null,
                };
                return Ok(Results { code: code?, data });
            }
        }
    }
    match left {
        Some(ended) => Err(ended),
        None => Ok(Results {
            code: 404,
            data: Value::Null,
        }),
    }
}

/// The status that a response's `code` is: 200 for 0 and for every kind that cannot be one.
fn status(code: &Value) -> Result<i64, Ended> {
    let status = match code {
        Value::Float(_) | Value::Int(_) | Value::Str(_) => {
            code.to_int().map_err(|error| error.message)?
        }
        _ => 0,
    };
    Ok(if status == 0 { 200 } else { status })
}
