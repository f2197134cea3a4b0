//! The checked model of a flow: tasks, each with an activity, and the links between them.

use std::sync::Arc;

use crate::flow::Mapping;
use crate::{Expression, Value};

/// A flow of Flogo: its tasks run one after another, along the links whose conditions hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// The flow's name, for messages.
    pub name: Arc<str>,
    /// `metadata.input`: the attributes that a run begins with, `$flow.NAME`.
    pub inputs: Vec<Attribute>,
    /// `metadata.output`: the results of a run that returns none itself.
    pub outputs: Vec<Attribute>,
    /// The tasks, those of the error handler last.
    pub tasks: Vec<Task>,
    /// The links, in the order of the file.
    pub links: Vec<Link>,
    /// The number of tasks before the error handler's; all of them without one.
    pub main: usize,
}

/// An attribute of a flow.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// The attribute's name.
    pub name: Arc<str>,
    /// The name of the type that a given value is converted to.
    pub kind: Arc<str>,
    /// `value`: the default; null without one.
    pub value: Value,
}

/// A task: an activity with its inputs. Its activity is the service of the same index.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// The task's id, by which others refer to its outputs: `$activity[ID].NAME`.
    pub id: Arc<str>,
    /// The task's name, for messages and errors.
    pub name: Arc<str>,
    /// The inputs of its activity.
    pub input: Mapping,
    /// The indices of the links that lead to it.
    pub incoming: Vec<usize>,
    /// The indices of the links that begin at it.
    pub outgoing: Vec<usize>,
}

/// A link from a task to one that follows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The index of the task that it begins at.
    pub from: usize,
    /// The index of the task that it leads to.
    pub to: usize,
    /// The condition under which it is followed.
    pub kind: LinkKind,
}

/// The condition under which a link is followed.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkKind {
    /// Always, where the task has succeeded.
    Always,
    /// `label`: as `Always`, after the tasks of all other links.
    Label,
    /// `expression`: where the value is true.
    When(Expression),
    /// `exprOtherwise`: where no expression among the task's links holds, and there is one.
    Otherwise,
    /// `error`: where the task has failed.
    Error,
}
