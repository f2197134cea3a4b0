//! Recognises the native form of an action's steps: a breaker around a call.
//!
//! Recognition depends on the effect of the steps and not on names: conditions are evaluated as after a call that
//! failed, one that succeeded, and one that the breaker refused.

use std::sync::Arc;

use fusebox_plan::dialect::quote;

use crate::Expression;
use crate::Fault;
use crate::Map;
use crate::Value;
use crate::flow::{Action, Activity, BreakerActivity, FlowStep, RestActivity};

/// The outcome of a call, as conditions see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Failed,
    Succeeded,
    Refused,
}

/// The native reading of an action.
pub(crate) struct Recipe<'a> {
    /// The action's only call; `None` if it makes none, or several.
    pub call: Option<Call<'a>>,
    /// The breaker before the call, if it receives all reports that it needs.
    pub breaker: Option<&'a BreakerActivity>,
    /// The steps without a native form, by index, each with the reason.
    pub left: Vec<(usize, String)>,
}

/// The only call of an action.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub service: usize,
    pub step: &'a FlowStep,
    pub rest: &'a RestActivity,
}

impl<'a> Recipe<'a> {
    pub fn of(action: &'a Action) -> Recipe<'a> {
        let conditions = Conditions { action };
        let steps = action.steps.iter().enumerate();
        let live: Vec<(usize, &FlowStep)> = steps
            .filter(|(_, step)| conditions.constant(step.when.as_ref()) != Some(false))
            .collect();
        let mut recipe = Recipe {
            call: None,
            breaker: None,
            left: Vec::new(),
        };
        let calls = live.iter().filter_map(|(index, step)| {
            let Activity::Rest(rest) = &action.services[step.service].activity else {
                return None;
            };
            let service = step.service;
            Some((
                *index,
                Call {
                    service,
                    step,
                    rest,
                },
            ))
        });
        let calls: Vec<_> = calls.collect();
        match &calls[..] {
            [(index, call)] => {
                if conditions.constant(call.step.when.as_ref()) != Some(true) {
                    let what = "the call is conditional there and unconditional here";
                    recipe.left.push((*index, what.to_owned()));
                }
                recipe.call = Some(*call);
            }
            _ => {
                for (index, _) in &calls {
                    let what = "one of several calls: a native route makes one";
                    recipe.left.push((*index, what.to_owned()));
                }
            }
        }
        recipe.find_breaker(&conditions, &live);
        for (index, step) in live {
            let service = &action.services[step.service];
            let what = match &service.activity {
                Activity::Rest(_) => continue,
                Activity::Breaker(breaker) if recipe.has_breaker(breaker) => continue,
                Activity::Breaker(_) => {
                    "the breaker is not checked before the call, or does not receive its failures and successes"
                }
                Activity::RateLimiter(_) => "the rate limiter has no native form yet",
                Activity::Jwt => {
                    "the check of the token has no native form yet: check it before the gateway"
                }
                Activity::Log => "the log line: the gateway logs and counts by itself",
                Activity::Counter(_) => "the counter: the gateway's metrics count by themselves",
                Activity::Channel => "the message to the channel has no native form",
                Activity::Return(_) | Activity::Reply(_) => "the results have no native form",
            };
            let name = quote(&service.name);
            recipe
                .left
                .push((index, format!("the step of {name}: {what}")));
        }
        recipe.left.sort();
        recipe
    }

    /// Finds the breaker that is checked before the call, and that counts a failure after a failed call and is reset
    /// after a successful one.
    fn find_breaker(&mut self, conditions: &Conditions<'a>, live: &[(usize, &'a FlowStep)]) {
        let Some(call) = &self.call else { return };
        let mut steps = live.iter();
        let at = steps.position(|(_, step)| std::ptr::eq(*step, call.step));
        let (before, after) = live.split_at(at.unwrap_or(0));
        let breakers = before.iter().filter_map(|(_, step)| {
            let Activity::Breaker(breaker) = &conditions.action.services[step.service].activity
            else {
                return None;
            };
            let checks = conditions.operation(step) == Some("")
                && conditions.constant(step.when.as_ref()) == Some(true);
            checks.then_some((step.service, breaker))
        });
        let found: Vec<_> = breakers.collect();
        let reports_once = |service: usize, operation: &str, outcome: Outcome, other: Outcome| {
            let holds = |step: &FlowStep, outcome| {
                let scope = conditions.scope_after(call.service, service, outcome);
                holds(step.when.as_ref(), &scope)
            };
            let mut reports = after.iter().map(|(_, step)| *step).filter(|step| {
                step.service == service && conditions.operation(step) == Some(operation)
            });
            match (reports.next(), reports.next()) {
                (Some(step), None) => holds(step, outcome) && !holds(step, other),
                _ => false,
            }
        };
        self.breaker = match found[..] {
            [(service, breaker)]
                if reports_once(service, "counter", Outcome::Failed, Outcome::Succeeded)
                    && reports_once(service, "reset", Outcome::Succeeded, Outcome::Failed) =>
            {
                Some(breaker)
            }
            _ => None,
        };
    }

    fn has_breaker(&self, breaker: &BreakerActivity) -> bool {
        self.breaker.is_some_and(|found| found.name == breaker.name)
    }
}

/// True if a condition is met in a scope, or missing.
fn holds(when: Option<&Expression>, scope: &Map) -> bool {
    when.is_none_or(|when| when.eval(scope) == Ok(Value::Bool(true)))
}

/// The response to an outcome, by index; `None` if no response matches, or if that depends on the request.
pub(crate) fn answer(action: &Action, recipe: &Recipe<'_>, outcome: Outcome) -> Option<usize> {
    let conditions = Conditions { action };
    let call = recipe.call.as_ref()?;
    let mut activities = action.services.iter().map(|service| &service.activity);
    let breaker = activities.position(
        |activity| matches!(activity, Activity::Breaker(breaker) if recipe.has_breaker(breaker)),
    );
    let scope = conditions.scope_after(call.service, breaker.unwrap_or(usize::MAX), outcome);
    let mut responses = action.responses.iter();
    responses.position(|response| holds(response.when.as_ref(), &scope))
}

/// Evaluates an action's conditions without a request.
struct Conditions<'a> {
    action: &'a Action,
}

impl Conditions<'_> {
    /// The value of a condition for all requests; `None` if it depends on the request.
    fn constant(&self, when: Option<&Expression>) -> Option<bool> {
        let Some(when) = when else { return Some(true) };
        match when.eval(&self.static_scope()) {
            Ok(Value::Bool(holds)) => Some(holds),
            _ => None,
        }
    }

    /// The scope without a request and without services.
    fn static_scope(&self) -> Map {
        [
            (Arc::from("async"), Value::Bool(self.action.asynchronous)),
            ("env".into(), self.action.env.clone()),
            ("conf".into(), self.action.conf.clone()),
        ]
        .into()
    }

    /// The scope after a call, with the outputs and errors of the services.
    fn scope_after(&self, call: usize, breaker: usize, outcome: Outcome) -> Map {
        let mut scope = self.static_scope();
        for (index, service) in self.action.services.iter().enumerate() {
            let (outputs, error) = match outcome {
                Outcome::Refused if index == breaker => (
                    Map::from([(Arc::from("tripped"), Value::Bool(true))]),
                    Value::from(Fault::plain("circuit breaker tripped")),
                ),
                // A refusal by the breaker ends the steps before the call.
                Outcome::Refused if index == call => continue,
                Outcome::Failed if index == call => (
                    Map::new(),
                    Value::from(Fault::network("Get", "http://upstream/", "EOF")),
                ),
                Outcome::Succeeded if index == call => (
                    Map::from([
                        (Arc::from("status"), Value::Int(200)),
                        ("data".into(), Value::from(Map::new())),
                    ]),
                    Value::Null,
                ),
                _ => (Map::new(), Value::Null),
            };
            let context = Map::from([
                (Arc::from("inputs"), service.settings.clone()),
                ("outputs".into(), Value::from(outputs)),
                ("error".into(), error),
            ]);
            scope.insert(service.name.clone(), Value::from(context));
        }
        scope
    }

    /// The operation of a step on a breaker; empty for a check. `None` if it depends on the request.
    fn operation(&self, step: &FlowStep) -> Option<&'static str> {
        let mut input = step.input.iter();
        let given = input.find(|assignment| *assignment.path == [Arc::from("operation")]);
        let value = match (given, &self.action.services[step.service].settings) {
            (Some(given), _) => given.value.eval(&self.static_scope()).ok()?,
            (None, Value::Object(settings)) => {
                settings.get("operation").cloned().unwrap_or_default()
            }
            _ => Value::Null,
        };
        Some(match value {
            Value::Str(text) if &*text == "counter" => "counter",
            Value::Str(text) if &*text == "reset" => "reset",
            _ => "",
        })
    }
}
