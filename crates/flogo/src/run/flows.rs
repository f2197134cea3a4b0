//! Runs a flow: its tasks one after another, along the links whose conditions hold.
//!
//! The course is that of the original's simple model: a task runs when all links to it are decided and one of them is
//! followed, and is skipped when none is; tasks wait in one queue. An error follows the task's `error` links, else it
//! starts the error handler, else it ends the run.

use std::collections::VecDeque;
use std::sync::Arc;

use super::action::LiveAction;
use super::channels::RunContext;
use super::steps::{RunError, run_service};
use crate::flow::{Flow, LinkKind};
use crate::language::functions::coerce::to_named;
use crate::{FaultKind, Map, Value};

/// The state of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    Unknown,
    Followed,
    Left,
}

/// A run of a flow.
struct Run<'a> {
    flow: &'a Flow,
    /// The attributes, and the outputs and errors of tasks under names of their own.
    values: Map,
    links: Vec<LinkState>,
    /// True for each task that has been queued or skipped.
    entered: Vec<bool>,
    queue: VecDeque<usize>,
    is_handling: bool,
    /// The first reply, which is the answer whatever follows.
    reply: Option<Map>,
    returned: Option<Map>,
}

/// Runs a flow with the inputs of its handler. Returns its results.
///
/// # Errors
/// The message of the error that ended it.
pub async fn run(
    action: &Arc<LiveAction>,
    flow: &Flow,
    inputs: Map,
    context: &RunContext,
) -> Result<Map, RunError> {
    let mut run = Run {
        flow,
        values: start(flow, inputs)?,
        links: vec![LinkState::Unknown; flow.links.len()],
        entered: vec![false; flow.tasks.len()],
        queue: VecDeque::new(),
        is_handling: false,
        reply: None,
        returned: None,
    };
    run.begin(0..flow.main);
    while let Some(task) = run.queue.pop_front() {
        match run.task(task, action, context).await {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(flow = %flow.name, %error, "the flow has failed");
                return match run.reply {
                    Some(reply) => Ok(reply),
                    // An error of the error handler leaves no results, and is none for the trigger.
                    None if run.is_handling && flow.main < flow.tasks.len() => Ok(Map::new()),
                    None => Err(error),
                };
            }
        }
    }
    Ok(run.results())
}

/// The attributes of a run: their defaults, and the inputs, converted to the types that the flow declares.
fn start(flow: &Flow, inputs: Map) -> Result<Map, RunError> {
    let defaults = flow.inputs.iter();
    let mut values: Map = defaults
        .map(|attribute| (attribute.name.clone(), attribute.value.clone()))
        .collect();
    for (name, value) in inputs {
        let mut declared = flow.inputs.iter();
        let value = match declared.find(|attribute| attribute.name == name) {
            Some(attribute) => to_named(&value, &attribute.kind).map_err(|error| error.message)?,
            None => value,
        };
        values.insert(name, value);
    }
    Ok(values)
}

impl Run<'_> {
    /// Enters the tasks that no link leads to.
    fn begin(&mut self, tasks: std::ops::Range<usize>) {
        for task in tasks {
            if self.flow.tasks[task].incoming.is_empty() {
                self.enter(task);
            }
        }
    }

    /// Queues a task when all links to it are decided, or skips it and what only follows it.
    fn enter(&mut self, task: usize) {
        let mut next = vec![task];
        while let Some(task) = next.pop() {
            let incoming = self.flow.tasks[task].incoming.iter();
            let states: Vec<LinkState> = incoming.map(|link| self.links[*link]).collect();
            if self.entered[task] || states.contains(&LinkState::Unknown) {
                continue;
            }
            self.entered[task] = true;
            if states.is_empty() || states.contains(&LinkState::Followed) {
                self.queue.push_back(task);
                continue;
            }
            for link in &self.flow.tasks[task].outgoing {
                self.links[*link] = LinkState::Left;
                next.push(self.flow.links[*link].to);
            }
        }
    }

    /// Runs a task and follows its links. True: the flow ends here.
    async fn task(
        &mut self,
        index: usize,
        action: &Arc<LiveAction>,
        context: &RunContext,
    ) -> Result<bool, RunError> {
        let (task, service) = (&self.flow.tasks[index], &action.services[index]);
        let inputs = match task.input.eval(&self.values) {
            Ok(inputs) => inputs,
            Err(error) => {
                let what = ErrorObject::of(&task.name, "mapper", &error.message);
                return self.failed(index, what);
            }
        };
        let done = run_service(service, &inputs, action, &self.values, context).await;
        if let Some(fault) = done.fault {
            let is_activity = matches!(fault.kind, FaultKind::Activity);
            let kind = if is_activity { "activity" } else { "unknown" };
            let name = if is_activity { &task.name } else { &task.id };
            return self.failed(index, ErrorObject::of(name, kind, &fault.message));
        }
        for (name, value) in &done.outputs {
            let name = format!("_A.{}.{name}", task.id);
            self.values.insert(name.into(), value.clone());
        }
        let outputs = Value::from(done.outputs);
        self.values
            .insert(format!("_A.{}", task.id).into(), outputs);
        if let Some(values) = done.reply {
            // Without mappings nothing is said.
            let values = Some(values).filter(|values| !values.is_empty());
            if done.ends {
                self.returned = values;
                return Ok(true);
            }
            self.reply = self.reply.take().or_else(|| values.clone());
            self.returned = values;
        }
        self.follow(index)
    }

    /// Follows the links of a task that has succeeded.
    fn follow(&mut self, index: usize) -> Result<bool, RunError> {
        let mut entries: Vec<(u8, usize)> = Vec::new();
        let (mut otherwise, mut has_condition, mut is_met) = (None, false, false);
        let flow = self.flow;
        for at in &flow.tasks[index].outgoing {
            let (at, link) = (*at, &flow.links[*at]);
            let order = match &link.kind {
                LinkKind::Always => Some(0),
                LinkKind::Label => Some(3),
                LinkKind::Error => None,
                LinkKind::Otherwise => {
                    otherwise = Some(at);
                    continue;
                }
                LinkKind::When(condition) => {
                    has_condition = true;
                    let holds = condition.eval(&self.values).and_then(|it| it.to_bool());
                    match holds {
                        Ok(holds) => Some(1).filter(|_| holds),
                        Err(error) => {
                            let (from, to) = (&self.flow.tasks[index], &self.flow.tasks[link.to]);
                            let what = format!(
                                "error handling task done transition for task [{}] in flow [{}] : error executing link [{} -> {}]: {}",
                                from.name, self.flow.name, from.id, to.id, error.message
                            );
                            let what = ErrorObject::of(&from.id, "unknown", &what);
                            return self.handle(index, what);
                        }
                    }
                }
            };
            is_met |= order == Some(1);
            self.decide(at, order, &mut entries);
        }
        if let Some(at) = otherwise {
            self.decide(
                at,
                Some(2).filter(|_| has_condition && !is_met),
                &mut entries,
            );
        }
        entries.sort_by_key(|(order, _)| *order);
        entries.iter().for_each(|(_, task)| self.enter(*task));
        Ok(false)
    }

    /// Decides a link; `order`: the place of its task among those of the other links, `None` if it is not followed.
    fn decide(&mut self, link: usize, order: Option<u8>, entries: &mut Vec<(u8, usize)>) {
        self.links[link] = match order {
            Some(_) => LinkState::Followed,
            None => LinkState::Left,
        };
        entries.push((order.unwrap_or(4), self.flow.links[link].to));
    }

    /// Follows the `error` links of a task that has failed; without one the flow fails.
    fn failed(&mut self, index: usize, error: ErrorObject) -> Result<bool, RunError> {
        let flow = self.flow;
        let is_error = |link: &usize| flow.links[*link].kind == LinkKind::Error;
        let own = &flow.tasks[index].outgoing;
        if !own.iter().any(is_error) {
            return self.handle(index, error);
        }
        self.note(index, &error);
        let mut entries = Vec::new();
        for link in own {
            self.decide(*link, Some(0).filter(|_| is_error(link)), &mut entries);
        }
        entries.sort_by_key(|(order, _)| *order);
        entries.iter().for_each(|(_, task)| self.enter(*task));
        Ok(false)
    }

    /// Starts the error handler, or fails the run.
    fn handle(&mut self, index: usize, error: ErrorObject) -> Result<bool, RunError> {
        self.note(index, &error);
        if self.is_handling || self.flow.main == self.flow.tasks.len() {
            return Err(error.message);
        }
        self.is_handling = true;
        self.begin(self.flow.main..self.flow.tasks.len());
        Ok(false)
    }

    /// Keeps an error as `$error` and `$error[ID]`.
    fn note(&mut self, index: usize, error: &ErrorObject) {
        let value = error.value();
        let id = &self.flow.tasks[index].id;
        self.values.insert(format!("_E.{id}").into(), value.clone());
        self.values.insert("_E".into(), value);
    }

    /// The results: the first reply, else what was returned, else the flow's declared outputs.
    fn results(mut self) -> Map {
        if let Some(results) = self.reply.take().or_else(|| self.returned.take()) {
            return results;
        }
        let outputs = self.flow.outputs.iter();
        let outputs = outputs.filter_map(|output| {
            let value = match &output.value {
                Value::Null => self.values.get(&output.name)?.clone(),
                value => value.clone(),
            };
            Some((output.name.clone(), value))
        });
        outputs.collect()
    }
}

/// An error as expressions see it.
struct ErrorObject {
    activity: Arc<str>,
    kind: &'static str,
    message: RunError,
}

impl ErrorObject {
    fn of(activity: &Arc<str>, kind: &'static str, message: &str) -> ErrorObject {
        ErrorObject {
            activity: activity.clone(),
            kind,
            message: message.to_owned(),
        }
    }

    fn value(&self) -> Value {
        let text = |text: &str| Value::from(text);
        Value::from(Map::from([
            (Arc::from("activity"), Value::Str(self.activity.clone())),
            ("message".into(), text(&self.message)),
            ("type".into(), text(self.kind)),
            ("code".into(), text("")),
            ("data".into(), Value::from(Map::new())),
        ]))
    }
}
