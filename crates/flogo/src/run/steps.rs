//! Runs an action: its steps in order, then the first response whose condition holds.

use std::sync::Arc;

use super::action::{LiveAction, LiveActivity, LiveService};
use super::channels;
use super::channels::RunContext;
use super::jwt;
use super::scope::RunScope;
use crate::{Expression, Fault, FlowStep, Map, Scope, Value, assign_all};

/// The results of an action: `code` and `data`.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// The answer's status; 404 if no response matched.
    pub code: i64,
    /// The data of the answer.
    pub data: Value,
}

/// The message of an error that ended the steps early or left the action without results.
pub type RunError = String;

/// Runs an action with a payload.
///
/// # Errors
/// The error that left the action without results, in the words of the original.
pub async fn run(
    action: &Arc<LiveAction>,
    payload: Value,
    context: &RunContext,
) -> Result<Results, RunError> {
    let mut scope = RunScope::new(action.clone(), payload);
    if action.plan.asynchronous {
        // The responses see no service, since it would be a matter of chance which steps have finished.
        let initial = RunScope::new(action.clone(), scope.get("payload").unwrap_or_default());
        let task_context = context.clone();
        let token = context.worker.task_token();
        tokio::spawn(async move {
            run_steps(&mut scope, &task_context).await;
            drop(token);
        });
        return respond(&initial.respond(), action, None);
    }
    let ended = run_steps(&mut scope, context).await;
    respond(&scope.respond(), action, ended)
}

/// Runs the steps. Returns the error if they ended early.
async fn run_steps(scope: &mut RunScope, context: &RunContext) -> Option<RunError> {
    let action = scope.action().clone();
    for step in &action.plan.steps {
        match run_step(step, &action, scope, context).await {
            Ok(Next::Continue) => {}
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
    Continue,
    End,
}

async fn run_step(
    step: &FlowStep,
    action: &Arc<LiveAction>,
    scope: &mut RunScope,
    context: &RunContext,
) -> Result<Next, RunError> {
    let Ok(taken) = holds(step.when.as_ref(), scope) else {
        // A condition that is neither true nor false skips the step without any change.
        return Ok(Next::Continue);
    };
    scope.clear(step.service);
    if !taken {
        return Ok(Next::Continue);
    }
    let service = &action.services[step.service];
    let inputs = inputs(step, service, scope)?;
    let done = run_service(service, &inputs, action, scope, context).await;
    if let Some(values) = done.reply {
        scope.reply(values);
    }
    scope.record(step.service, inputs, done.outputs, done.fault.as_ref());
    if let Some(halt) = &step.halt {
        // A halt condition that is not a truth value continues the steps, whatever the service's error.
        if holds(Some(&halt.condition), scope) == Ok(true) {
            return Err(format!("execution halted with expression: {}", halt.text));
        }
    } else if let Some(fault) = done.fault {
        return Err(fault.message.to_string());
    }
    Ok(match done.ends {
        true => Next::End,
        false => Next::Continue,
    })
}

/// Evaluates a condition; a missing one holds.
fn holds(condition: Option<&Expression>, scope: &dyn Scope) -> Result<bool, RunError> {
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

/// The inputs of a service: its settings, overridden by the step's own values.
fn inputs(step: &FlowStep, service: &LiveService, scope: &RunScope) -> Result<Arc<Map>, RunError> {
    if step.input.is_empty() {
        return Ok(service.settings.clone());
    }
    let mut inputs = Map::clone(&service.settings);
    assign_all(&step.input, scope, &mut inputs).map_err(|error| error.message)?;
    Ok(Arc::new(inputs))
}

/// The result of a service's run.
#[derive(Default)]
pub(super) struct ServiceResult {
    pub outputs: Map,
    pub fault: Option<Fault>,
    /// The values to add to the scope.
    pub reply: Option<Map>,
    /// True if the steps end here.
    pub ends: bool,
}

impl From<Result<Map, Fault>> for ServiceResult {
    fn from(result: Result<Map, Fault>) -> ServiceResult {
        let (outputs, fault) = match result {
            Ok(outputs) => (outputs, None),
            Err(fault) => (Map::new(), Some(fault)),
        };
        ServiceResult {
            outputs,
            fault,
            ..ServiceResult::default()
        }
    }
}

/// Runs a service with its inputs.
pub(super) async fn run_service(
    service: &LiveService,
    inputs: &Map,
    action: &LiveAction,
    scope: &(dyn Scope + Sync),
    context: &RunContext,
) -> ServiceResult {
    let worker = &context.worker_ref;
    match &service.activity {
        LiveActivity::Breaker(breaker) => {
            let (outputs, fault) = breaker.run(inputs, worker);
            ServiceResult {
                outputs,
                fault,
                ..ServiceResult::default()
            }
        }
        LiveActivity::Rest(rest) => rest.call(inputs, worker).await.into(),
        LiveActivity::Limit(limiter) => {
            let token = text(inputs, "token");
            let now = worker.clock.exact();
            Ok(super::limiter::outputs(limiter, &token, now)).into()
        }
        LiveActivity::Quota(quota) => {
            let (operation, token) = (text(inputs, "operation"), text(inputs, "token"));
            let now = worker.clock.exact();
            Ok(quota.outputs(&operation, &token, now)).into()
        }
        #[cfg(feature = "graphql")]
        LiveActivity::GraphQl(graphql) => Ok(graphql.outputs(inputs).await).into(),
        #[cfg(feature = "script")]
        LiveActivity::Script(text) => super::script::outputs(text, inputs).await.into(),
        LiveActivity::Jwt => {
            let required = jwt::Requirements {
                key: text(inputs, "key"),
                signing_method: text(inputs, "signingMethod"),
                issuer: text(inputs, "iss"),
                audience: text(inputs, "aud"),
                subject: text(inputs, "sub"),
            };
            let now = worker.clock.wall_millis() / 1000;
            let now = i64::try_from(now).unwrap_or(i64::MAX);
            jwt::check(&text(inputs, "token"), &required, now).into()
        }
        LiveActivity::Log => {
            log(inputs, action, service);
            ServiceResult::default()
        }
        LiveActivity::Nothing => ServiceResult::default(),
        LiveActivity::Count(count, operation) => {
            let value = i64::try_from(count.apply(*operation)).unwrap_or(i64::MAX);
            Ok(Map::from([("value".into(), value.into())])).into()
        }
        LiveActivity::Publish => {
            let data = inputs.get("data").cloned().unwrap_or_default();
            let published = channels::publish(&text(inputs, "channel"), data, context).await;
            published.map(|()| Map::new()).into()
        }
        LiveActivity::Return(mapping) | LiveActivity::Reply(mapping) => match mapping.eval(scope) {
            Ok(values) => ServiceResult {
                reply: Some(values),
                ends: matches!(service.activity, LiveActivity::Return(_)),
                ..ServiceResult::default()
            },
            Err(error) => Err(Fault::activity(error.message)).into(),
        },
    }
}

/// An input as text; empty if it is missing.
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

/// Answers with the first response that matches. If none does, the last condition decides: a plain false gives 404,
/// everything else its error; without any response, the error that ended the steps decides.
fn respond(
    scope: &RunScope,
    action: &LiveAction,
    mut left: Option<RunError>,
) -> Result<Results, RunError> {
    for response in &action.plan.responses {
        match holds(response.when.as_ref(), scope) {
            Err(error) => left = Some(error),
            Ok(false) => left = None,
            Ok(true) => {
                let code = response.code.as_ref().map(|code| code.eval(scope));
                let code = code.transpose().map_err(|error| error.message)?;
                let code = status(&code.unwrap_or_default());
                let data = response.data.as_ref().map(|data| data.eval(scope));
                let data = data.transpose().map_err(|error| error.message)?;
                let data = data.unwrap_or_default();
                return Ok(Results { code: code?, data });
            }
        }
    }
    let (code, data) = (404, Value::Null);
    left.map_or(Ok(Results { code, data }), Err)
}

/// The status of a response's `code`: 200 for 0 and for every kind that cannot be a status.
fn status(code: &Value) -> Result<i64, RunError> {
    let status = match code {
        Value::Float(_) | Value::Int(_) | Value::Str(_) => {
            code.to_int().map_err(|error| error.message)?
        }
        _ => 0,
    };
    Ok(if status == 0 { 200 } else { status })
}
