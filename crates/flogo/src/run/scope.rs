//! The scope of one run: the payload, the action's own values, and the services' contexts so far.

use std::sync::Arc;

use super::action::LiveAction;
use crate::{Fault, Map, Scope, Value};

/// The scope of one run of an action.
#[derive(Debug)]
pub struct RunScope {
    action: Arc<LiveAction>,
    payload: Value,
    /// The context of each service, by its index in the action; `None` before it runs.
    services: Vec<Option<Value>>,
    /// The values of replies, which hide all other names until a service of that name runs.
    replies: Map,
    /// True once the steps have ended and the responses are evaluated.
    responds: bool,
}

impl RunScope {
    /// A scope before any service has run.
    pub fn new(action: Arc<LiveAction>, payload: Value) -> RunScope {
        RunScope {
            services: vec![None; action.services.len()],
            action,
            payload,
            replies: Map::new(),
            responds: false,
        }
    }

    /// The scope for the responses, to which the parts of a token that is not valid are null.
    pub fn respond(mut self) -> RunScope {
        self.responds = true;
        self
    }

    /// The action of the run.
    pub fn action(&self) -> &Arc<LiveAction> {
        &self.action
    }

    /// Resets a service's context: its settings as inputs, no outputs, no error.
    pub fn clear(&mut self, service: usize) {
        let cleared = self.action.services[service].cleared.clone();
        self.set(service, cleared);
    }

    /// Records a service's inputs, outputs and error in its context.
    pub fn record(
        &mut self,
        service: usize,
        inputs: Arc<Map>,
        outputs: Map,
        error: Option<&Fault>,
    ) {
        let error = error.map_or(Value::Null, |fault| Value::Error(Arc::new(fault.clone())));
        let left = self.action.names.context(inputs, outputs.into(), error);
        self.set(service, left);
    }

    /// Adds the values of a reply to the scope.
    pub fn reply(&mut self, values: Map) {
        self.replies.extend(values);
    }

    fn set(&mut self, service: usize, context: Value) {
        self.replies.remove(&self.action.services[service].name);
        self.services[service] = Some(context);
    }
}

impl Scope for RunScope {
    fn is_proved_only(&self) -> bool {
        !self.responds
    }

    fn get(&self, name: &str) -> Option<Value> {
        if let Some(value) = self.replies.get(name) {
            return Some(value.clone());
        }
        let service = self
            .action
            .services
            .iter()
            .position(|service| &*service.name == name);
        if let Some(context) = service.and_then(|at| self.services[at].as_ref()) {
            return Some(context.clone());
        }
        match name {
            "payload" => Some(self.payload.clone()),
            "conf" => Some(self.action.plan.conf.clone()),
            "env" => Some(self.action.plan.env.clone()),
            "async" => Some(self.action.plan.asynchronous.into()),
            _ => None,
        }
    }
}

/// The names of the members of a context, allocated once.
#[derive(Debug, Clone)]
pub struct Names {
    inputs: Arc<str>,
    outputs: Arc<str>,
    error: Arc<str>,
}

impl Default for Names {
    fn default() -> Names {
        Names {
            inputs: "inputs".into(),
            outputs: "outputs".into(),
            error: "error".into(),
        }
    }
}

impl Names {
    /// Builds the context of a service.
    pub fn context(&self, inputs: Arc<Map>, outputs: Value, error: Value) -> Value {
        let mut context = Map::new();
        context.insert(self.error.clone(), error);
        context.insert(self.inputs.clone(), Value::Object(inputs));
        context.insert(self.outputs.clone(), outputs);
        context.into()
    }
}
