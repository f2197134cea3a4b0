//! Runs an action's steps without a request, to see which of them run when its calls end in a certain way.
//!
//! Checks of tokens and limits pass, a condition that only a request can decide holds, and a step that can end the
//! steps before the call does not, so that this is the course of a request that nothing keeps from the call.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::flow::{Action, Activity, FlowStep};
use crate::{Expression, Fault, Map, Value};

/// The end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// An error of the network.
    Failed,
    /// An answer with a status.
    Answered(u16),
}

/// The events of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Script<'s> {
    /// The ends of calls, by service; all others are answered 200.
    pub ends: &'s [(usize, Ended)],
    /// True if breakers refuse.
    pub refuses: bool,
    /// The value of all counters.
    pub count: i64,
    /// True if conditions on the request do not hold.
    pub keeps_back: bool,
}

impl Default for Script<'_> {
    fn default() -> Self {
        Script {
            ends: &[],
            refuses: false,
            count: 1,
            keeps_back: false,
        }
    }
}

/// A run without a request.
#[derive(Debug, Default)]
pub(super) struct Rehearsal {
    /// The steps that ran, in order.
    pub ran: Vec<usize>,
    /// The steps that ran though their condition depends on the request.
    pub assumed: BTreeSet<usize>,
    /// The steps among `assumed` whose condition reads values that no rehearsal has.
    pub unknown: BTreeSet<usize>,
    /// The steps before a call that end the others on a condition which depends on the request.
    pub exits: BTreeSet<usize>,
    has_called: bool,
    scope: Map,
}

impl Rehearsal {
    pub fn of(action: &Action, script: Script<'_>) -> Rehearsal {
        let mut run = Rehearsal {
            scope: static_scope(action),
            ..Rehearsal::default()
        };
        for (index, step) in action.steps.iter().enumerate() {
            if !run.step(index, step, action, script) {
                break;
            }
        }
        run
    }

    /// The calls that it makes, by step.
    pub fn calls(&self, action: &Action) -> Vec<usize> {
        let steps = self.ran.iter().copied();
        let is_call = |step: &usize| {
            let service = &action.services[action.steps[*step].service];
            matches!(service.activity, Activity::Rest(_))
        };
        steps.filter(is_call).collect()
    }

    /// The first response whose condition holds, by index.
    pub fn answer(&self, action: &Action) -> Option<usize> {
        let mut responses = action.responses.iter();
        responses.position(|response| truth(response.when.as_ref(), &self.scope) == Some(true))
    }

    /// Runs a step. False: the steps end here.
    fn step(&mut self, index: usize, step: &FlowStep, action: &Action, script: Script<'_>) -> bool {
        let service = &action.services[step.service];
        let is_end = matches!(service.activity, Activity::Return(_));
        let is_met = match self.truth(step.when.as_ref()) {
            Truth::False => false,
            Truth::True => true,
            // A condition that is neither true nor false changes nothing.
            Truth::None if self.has_called => return true,
            _ if is_end && !self.has_called && !script.keeps_back => {
                self.exits.insert(index);
                false
            }
            // Before the call only a request decides what cannot be evaluated.
            truth => {
                if truth == Truth::None {
                    self.unknown.insert(index);
                }
                self.assumed.insert(index);
                !script.keeps_back
            }
        };
        self.has_called |= is_met && matches!(service.activity, Activity::Rest(_));
        let (outputs, fault) = match is_met {
            true => {
                self.ran.push(index);
                result(index, action, script)
            }
            false => (Map::new(), None),
        };
        let failed = fault.is_some();
        let context = Map::from([
            (Arc::from("inputs"), service.settings.clone()),
            ("outputs".into(), Value::from(outputs)),
            ("error".into(), fault.map_or(Value::Null, Value::from)),
        ]);
        self.scope
            .insert(service.name.clone(), Value::from(context));
        let halts = match &step.halt {
            Some(halt) => {
                let halts = self.truth(Some(&halt.condition));
                let is_open = matches!(halts, Truth::None | Truth::OfRequest);
                if is_met && is_open && !self.has_called {
                    self.exits.insert(index);
                }
                halts == Truth::True
            }
            None => failed,
        };
        !(is_met && (halts || is_end))
    }

    fn truth(&self, when: Option<&Expression>) -> Truth {
        let Some(when) = when else { return Truth::True };
        if when.is_random() {
            return Truth::OfRequest;
        }
        match when.truth_but_for(&self.scope, &|read| read.name == "payload") {
            (None, _) => Truth::None,
            (Some(false), _) => Truth::False,
            (Some(true), true) => Truth::OfRequest,
            (Some(true), false) => Truth::True,
        }
    }
}

/// The truth of a condition in a run without a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    True,
    False,
    /// True or false by the request.
    OfRequest,
    /// Neither true nor false.
    None,
}

/// The outputs of a step, or its error.
fn result(index: usize, action: &Action, script: Script<'_>) -> (Map, Option<Fault>) {
    let step = &action.steps[index];
    let outputs = match &action.services[step.service].activity {
        Activity::Rest(_) => {
            let mut ends = script.ends.iter();
            let end = ends.find(|(service, _)| *service == step.service);
            match end.map_or(Ended::Answered(200), |(_, end)| *end) {
                Ended::Failed => {
                    let fault = Fault::network("Get", "http://upstream/", "EOF");
                    return (Map::new(), Some(fault));
                }
                Ended::Answered(status) => Map::from([
                    (Arc::from("status"), Value::Int(i64::from(status))),
                    ("data".into(), Value::from(Map::new())),
                ]),
            }
        }
        Activity::Breaker(_) => {
            let refuses = script.refuses && operation(action, step) == Some("");
            let outputs = Map::from([(Arc::from("tripped"), Value::Bool(refuses))]);
            let fault = refuses.then(|| Fault::plain("circuit breaker tripped"));
            return (outputs, fault);
        }
        Activity::Jwt | Activity::GraphQl(_) => {
            Map::from([(Arc::from("valid"), Value::Bool(true))])
        }
        Activity::Script(_) => Map::from([
            (Arc::from("error"), Value::Bool(false)),
            ("result".into(), Value::from(Map::new())),
        ]),
        Activity::RateLimiter(_) => Map::from([
            (Arc::from("limitReached"), Value::Bool(false)),
            ("limitAvailable".into(), Value::Int(1)),
            ("error".into(), Value::Bool(false)),
        ]),
        Activity::Quota(_) => Map::from([(Arc::from("error"), Value::Bool(false))]),
        Activity::Counter(_) => Map::from([(Arc::from("value"), Value::Int(script.count))]),
        Activity::Log
        | Activity::Nothing
        | Activity::Pass(_)
        | Activity::Channel
        | Activity::Return(_)
        | Activity::Reply(_) => Map::new(),
    };
    (outputs, None)
}

/// The scope without a request and without services.
pub(super) fn static_scope(action: &Action) -> Map {
    [
        (Arc::from("async"), Value::Bool(action.asynchronous)),
        ("env".into(), action.env.clone()),
        ("conf".into(), action.conf.clone()),
    ]
    .into()
}

/// The truth of a condition in a scope; a missing one is true. `None` if it has none.
pub(super) fn truth(when: Option<&Expression>, scope: &Map) -> Option<bool> {
    let Some(when) = when else { return Some(true) };
    match when.eval(scope) {
        Ok(Value::Bool(holds)) => Some(holds),
        _ => None,
    }
}

/// The operation of a step on a breaker; empty for a check. `None` if it depends on the request.
pub(super) fn operation(action: &Action, step: &FlowStep) -> Option<&'static str> {
    let mut input = step.input.iter();
    let given = input.find(|assignment| *assignment.path == [Arc::from("operation")]);
    let value = match (given, &action.services[step.service].settings) {
        (Some(given), _) => given.value.eval(&static_scope(action)).ok()?,
        (None, Value::Object(settings)) => settings.get("operation").cloned().unwrap_or_default(),
        _ => Value::Null,
    };
    Some(match value {
        Value::Str(text) if &*text == "counter" => "counter",
        Value::Str(text) if &*text == "reset" => "reset",
        _ => "",
    })
}
