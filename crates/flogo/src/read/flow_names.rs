//! The names that the expressions of a flow read: of its tasks, of their outputs, of its attributes.

use std::collections::BTreeMap;

use fusebox_plan::dialect::{Kind, Node, nearest, quote, suggest};

use crate::Expression;
use crate::read::object::{Text, text};
use crate::read::reader::Reader;

/// The names that a flow has.
pub(super) struct FlowNames<'f> {
    /// The outputs of each task, by its id; `None`: any name.
    pub outputs: BTreeMap<String, Option<&'static [&'static str]>>,
    /// The declared inputs.
    pub inputs: Vec<&'f str>,
}

impl FlowNames<'_> {
    /// Warns of expressions that read what the flow does not have.
    pub fn warn(&self, node: &Node, reader: &mut Reader<'_>) {
        match &node.kind {
            Kind::Map(entries) => {
                for entry in entries {
                    self.warn(&entry.value, reader);
                }
            }
            Kind::List(items) => items.iter().for_each(|it| self.warn(it, reader)),
            Kind::Scalar(_) => {
                let Some(text) = text(node) else { return };
                let source = text.get().strip_prefix('=').unwrap_or(text.get());
                if source.contains("$activity[") || source.contains("$flow.") {
                    self.expression(text, source, reader);
                }
            }
        }
    }

    fn expression(&self, text: Text<'_>, source: &str, reader: &mut Reader<'_>) {
        let Ok(expression) = Expression::compile(source, &reader.flow_names) else {
            return;
        };
        for read in expression.reads().iter().filter(|read| !read.may_miss) {
            match read.name.strip_prefix("_A.") {
                Some(output) => self.output(text, output, reader),
                None => self.input(text, read.name, reader),
            }
        }
    }

    fn output(&self, text: Text<'_>, output: &str, reader: &mut Reader<'_>) {
        if self.outputs.contains_key(output) {
            return;
        }
        let mut ends = output.match_indices('.').map(|(at, _)| at);
        let found = ends.find_map(|at| {
            let (id, name) = (&output[..at], &output[at + 1..]);
            Some((id, name, self.outputs.get(id)?))
        });
        match found {
            None => {
                let id = output.split('.').next().unwrap_or(output);
                let what = format!("no task has the id {}, so this is an error", quote(id));
                let mend = suggest(id, self.outputs.keys().map(String::as_str).take(256));
                warn_at(text, &format!("[{id}]"), what, mend, reader);
            }
            Some((id, name, Some(known))) if !known.contains(&name) => {
                let (task, output) = (quote(id), quote(name));
                let what = format!("the task {task} has no output {output}, so this is an error");
                let mend = suggest(name, known.iter().copied());
                warn_at(text, name, what, mend, reader);
            }
            Some(_) => {}
        }
    }

    /// An attribute that is nearly one of the declared ones; a handler may give others.
    fn input(&self, text: Text<'_>, name: &str, reader: &mut Reader<'_>) {
        let part = format!("$flow.{name}");
        if self.inputs.contains(&name) || !text.get().contains(&part) {
            return;
        }
        if let Some(near) = nearest(name, self.inputs.iter().copied()) {
            let what = format!("the flow declares no input {}", quote(name));
            let mend = format!("did you mean {}?", quote(near));
            warn_at(text, &part, what, mend, reader);
        }
    }
}

fn warn_at(text: Text<'_>, part: &str, what: String, mend: String, reader: &mut Reader<'_>) {
    let at = text.get().find(part).unwrap_or(0);
    let at = reader.place_in(text, at);
    reader.notes.warn(at, what, mend);
}
