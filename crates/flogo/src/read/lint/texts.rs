//! Expressions of a definition: names that nothing has, comparisons in vain, and expressions that stay text.

use std::collections::BTreeSet;

use fusebox_plan::dialect::{Kind, Node, quote, suggest};

use super::known::Known;
use super::services::{entries, object_of};
use super::{Subject, part_at};
use crate::flow::{Activity, Given, MapNode, Mapping};
use crate::language::expression::{Comparison, Expression, Operator, Read};
use crate::read::mapping::is_directive;
use crate::read::object::{Object, text};
use crate::read::reader::{Reader, expression_of};
use crate::{Names, Value};

/// The names of every scope of a definition.
const ALWAYS: [&str; 4] = ["payload", "conf", "env", "async"];

/// The mend for an expression below the top level of a definition's values, whose names may have dots.
const DOTTED: &str =
    "give it a name of its own there: `\"a.b\": \"=…\"` sets `b` in the object `a`";

/// The parts of the payload that hold nothing but texts.
const TEXTS: [&str; 3] = ["pathParams", "queryParams", "headers"];

impl Subject<'_> {
    pub(super) fn texts(&self, reader: &mut Reader<'_>) {
        let action = &self.built.action;
        let mut known: BTreeSet<&str> = ALWAYS.into();
        for service in &action.services {
            known.insert(&service.name);
            if let Activity::Reply(mapping) | Activity::Return(mapping) = &service.activity {
                known.extend(mapping.0.iter().map(|(name, _)| &**name));
            }
        }
        for (node, source) in texts(self.definition) {
            let Ok(expression) = Expression::compile(source, &reader.definition_names) else {
                continue;
            };
            for read in expression.reads() {
                let mut services = action.services.iter();
                let service = services.find(|it| &*it.name == read.name);
                if let (Some(service), false) = (service, read.may_miss) {
                    warn_of_part(node, &read, &service.activity, reader);
                }
                if !read.may_miss && !known.contains(read.name) {
                    let part = format!("$.{}", read.name);
                    let name = quote(read.name);
                    let what =
                        format!("no service is called {name}, so this is an error of each request");
                    let mend = suggest(read.name, known.iter().copied());
                    let at = part_at(node, &part, reader);
                    reader.notes.warn(at, what, mend);
                }
            }
            let reads = expression.reads();
            for read in reads.iter().filter(|read| read.name == "payload") {
                if let Some(param) = param_of(&read.path) {
                    self.parameter(node, param, reader);
                }
            }
            for comparison in expression.comparisons() {
                if comparison.read.name == "payload" && self.is_text(&comparison.read.path) {
                    warn_of_texts(node, &comparison, reader);
                }
            }
        }
        for step in self.steps() {
            for entry in entries(object_of(step.0, "input")) {
                nested(&entry.value, "an input", DOTTED, true, reader);
            }
        }
        for (index, service) in self.written_services().into_iter().enumerate() {
            let mapped = matches!(
                self.activity(index),
                Some(Activity::Reply(_) | Activity::Return(_))
            );
            for entry in entries(object_of(service, "settings")) {
                if !(mapped && entry.key == "mappings") {
                    nested(&entry.value, "a setting", DOTTED, true, reader);
                }
            }
        }
        for response in self.list("responses") {
            let output = Object::of(response).and_then(|response| object_of(response, "output"));
            let Some(data) = output.and_then(|output| output.get("data")) else {
                continue;
            };
            match &data.value.kind {
                Kind::Map(entries) => {
                    for entry in entries {
                        nested(&entry.value, "`data`", DOTTED, true, reader);
                    }
                }
                _ => nested(&data.value, "`data`", DOTTED, true, reader),
            }
        }
    }
}

/// The name of the path parameter that a path of the payload leads to.
fn param_of(path: &str) -> Option<&str> {
    let parts = path.split(['.', '[', ']', '"', '\'']);
    let mut parts = parts.filter(|part| !part.is_empty());
    (parts.next() == Some("pathParams")).then(|| parts.next())?
}

/// Warns of a path parameter that none of the paths has.
pub(super) fn warn_of_param(node: &Node, param: &str, known: &[&str], reader: &mut Reader<'_>) {
    let shown = quote(param);
    let what = format!("no path that leads here has the parameter {shown}, so it is an empty text");
    let mend = suggest(param, known.iter().copied());
    let at = part_at(node, param, reader);
    reader.notes.warn(at, what, mend);
}

/// Warns of a part that the state of a service does not have, or its outputs.
fn warn_of_part(node: &Node, read: &Read<'_>, activity: &Activity, reader: &mut Reader<'_>) {
    const PARTS: [&str; 3] = ["inputs", "outputs", "error"];
    let parts = read.path.split(['.', '[', ']', '"', '\'']);
    let mut parts = parts.filter(|part| !part.is_empty());
    let Some(part) = parts.next() else {
        return;
    };
    if ALWAYS.contains(&read.name) {
        return;
    }
    let name = quote(read.name);
    let (what, known) = match (PARTS.contains(&part), part) {
        (false, _) => (format!("{name} has no part {}", quote(part)), &PARTS[..]),
        (true, "outputs") => match (parts.next(), Known::outputs(activity)) {
            (Some(output), Some(known)) if !known.contains(&output) => {
                (format!("{name} has no output {}", quote(output)), known)
            }
            _ => return,
        },
        _ => return,
    };
    let effect = match parts.next() {
        None => "so this is null",
        Some(_) => "so this is an error of each request",
    };
    let meant = what.rsplit('`').nth(1).unwrap_or_default();
    let mend = suggest(meant, known.iter().copied());
    let full = format!("$.{}{}", read.name, read.path);
    let at = part_at(node, &full, reader);
    reader.notes.warn(at, format!("{what}, {effect}"), mend);
}

impl Subject<'_> {
    /// Warns of a path parameter that no path that leads here has.
    fn parameter(&self, node: &Node, param: &str, reader: &mut Reader<'_>) {
        let params = self
            .users
            .iter()
            .flat_map(|user| user.params.iter().flatten());
        let is_known = params.clone().any(|known| *known == param);
        if !self.users.is_empty() && !is_known && self.is_of_trigger("pathParams") {
            let known: Vec<&str> = params.copied().collect();
            warn_of_param(node, param, &known, reader);
        }
    }

    /// True if a part of the payload is a text in every request: a parameter or a field.
    fn is_text(&self, path: &str) -> bool {
        let parts = path.split(['.', '[', ']', '"', '\'']);
        let mut parts = parts.filter(|part| !part.is_empty());
        let (Some(first), second) = (parts.next(), parts.next()) else {
            return false;
        };
        if second.is_some() && TEXTS.contains(&first) {
            return self.is_of_trigger(first);
        }
        // An input that the handler takes from a parameter or a field.
        let is_taken = |given: &Given| match given {
            Given::Expression(expression) => {
                let reads = expression.reads();
                let [read] = &reads[..] else { return false };
                TEXTS.contains(&read.name)
                    && !read.path.is_empty()
                    && expression
                        .source()
                        .strip_prefix("$.")
                        .is_some_and(|source| source.strip_prefix(read.name) == Some(&*read.path))
            }
            Given::Literal(_) => false,
        };
        let is_input = |mapping: &Mapping| {
            mapping.0.iter().any(|(name, node)| {
                &**name == first && matches!(node, MapNode::Given(given) if is_taken(given))
            })
        };
        let mut users = self.users.iter();
        second.is_none()
            && !self.users.is_empty()
            && users.all(|user| user.params.is_some() && user.input.is_some_and(is_input))
    }
}

/// The texts of a definition that are evaluated, each with its source.
fn texts(definition: Object<'_>) -> Vec<(&Node, &str)> {
    let mut found = Vec::new();
    let list = |key: &str| match definition.get(key).map(|entry| &entry.value.kind) {
        Some(Kind::List(items)) => &items[..],
        _ => &[],
    };
    fn condition<'n>(object: Object<'n>, key: &str, found: &mut Vec<(&'n Node, &'n str)>) {
        if let Some(entry) = object.get(key)
            && let Some(text) = text(&entry.value)
            && !text.get().is_empty()
        {
            found.push((&entry.value, text.get()));
        }
    }
    fn values<'n>(object: Option<Object<'n>>, found: &mut Vec<(&'n Node, &'n str)>) {
        for entry in entries(object) {
            value(&entry.value, found);
        }
    }
    fn value<'n>(node: &'n Node, found: &mut Vec<(&'n Node, &'n str)>) {
        found.extend(expression_of(node).map(|(_, source)| (node, source)));
    }
    for step in list("steps").iter().filter_map(Object::of) {
        condition(step, "if", &mut found);
        condition(step, "halt", &mut found);
        values(object_of(step, "input"), &mut found);
    }
    for response in list("responses").iter().filter_map(Object::of) {
        condition(response, "if", &mut found);
        let output = object_of(response, "output");
        for key in ["code", "data"] {
            if let Some(entry) = output.and_then(|output| output.get(key)) {
                value(&entry.value, &mut found);
            }
        }
        values(
            output.and_then(|output| object_of(output, "data")),
            &mut found,
        );
    }
    for service in list("services").iter().filter_map(Object::of) {
        values(object_of(service, "settings"), &mut found);
    }
    found
}

/// The names and paths that the expressions of a definition read.
pub(crate) fn all_reads(definition: Object<'_>, reader: &Reader<'_>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (_, source) in texts(definition) {
        if let Ok(expression) = Expression::compile(source, &reader.definition_names) {
            let reads = expression.reads();
            found.extend(
                reads
                    .iter()
                    .map(|Read { name, path, .. }| ((*name).to_owned(), path.clone().into_owned())),
            );
        }
    }
    found
}

/// Warns of a text that is compared with another kind.
pub(super) fn warn_of_texts(node: &Node, comparison: &Comparison<'_>, reader: &mut Reader<'_>) {
    let Comparison {
        read,
        operator,
        literal,
    } = comparison;
    let (shown, mend) = match literal {
        Value::Null => (
            "nil".to_owned(),
            "a missing one is an empty text: compare with `\"\"`".to_owned(),
        ),
        Value::Bool(_) | Value::Int(_) | Value::Long(_) | Value::Float(_) => {
            let shown = literal.to_text();
            let mend = match literal {
                Value::Bool(_) => format!("compare with the text `\"{shown}\"`"),
                _ if matches!(operator, Operator::Equal | Operator::Unequal) => {
                    format!("compare with the text `\"{shown}\"`, or use `coerce.toInt`")
                }
                _ => "use `coerce.toInt`, or `coerce.toFloat64`".to_owned(),
            };
            (shown, mend)
        }
        _ => return,
    };
    let effect = match operator {
        Operator::Equal => "never holds",
        Operator::Unequal => "always holds",
        _ => "is an error",
    };
    let full = format!("$.{}{}", read.name, read.path);
    let what = format!(
        "the comparison of {} with {shown} {effect}, since parameters and headers are texts",
        quote(&full)
    );
    let at = part_at(node, &full, reader);
    reader.notes.warn(at, what, mend);
}

/// Warns of expressions below the top level of a value, which stay text.
pub(super) fn nested(node: &Node, of: &str, mend: &str, is_top: bool, reader: &mut Reader<'_>) {
    match &node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                if mend == DOTTED && is_directive(&entry.key) {
                    let what = format!(
                        "{} is data here: {of} has no directives, only a handler's `input` and `output`",
                        quote(&entry.key)
                    );
                    let mend = "make the value there, and read it as `$.payload`";
                    reader.notes.warn(entry.at, what, mend);
                } else {
                    nested(&entry.value, of, mend, false, reader);
                }
            }
        }
        Kind::List(items) => {
            let mend = match mend {
                DOTTED => "make the list by one expression: `array.create(…)`",
                other => other,
            };
            for item in items {
                nested(item, of, mend, false, reader);
            }
        }
        Kind::Scalar(_) => {
            if !is_top
                && let Some((text, source)) = expression_of(node)
                && is_meant(source, &reader.definition_names)
            {
                let shown = text.shown();
                let what = format!("{shown} stays text: only the top level of {of} is evaluated");
                reader.notes.warn(node.at, what, mend);
            }
        }
    }
}

/// True if a text looks like an expression that is to be evaluated.
fn is_meant(source: &str, names: &Names) -> bool {
    let compiled = Expression::compile(source, names);
    compiled.is_ok_and(|it| it.constant().is_none() || source.trim_start().starts_with("$env"))
        || source.trim_start().starts_with("$.")
        || ["$property[", "$flow.", "$activity["]
            .iter()
            .any(|start| source.trim_start().starts_with(start))
}
