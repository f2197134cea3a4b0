//! Lowers the parts of a definition: steps and responses.

use std::collections::BTreeMap;

use fusebox_plan::dialect::{Entry, Kind, Node, Place, quote, suggest};

use crate::flow::{Assignment, Data, FlowResponse, FlowStep, Given, Halt};
pub(crate) use crate::read::mapping::mapping;
use crate::read::object::{Object, Text};
use crate::read::reader::{NESTED, Owner, Reader, dotted};

/// The indices of an action's services, by name.
pub(crate) type IndexMap<'n> = BTreeMap<&'n str, usize>;

/// Lowers the steps of a definition; `names` are those of its services. Faulty steps are omitted.
pub(crate) fn steps(
    items: &[Node],
    names: &IndexMap<'_>,
    reader: &mut Reader<'_>,
) -> Vec<(FlowStep, Place)> {
    let objects = Object::each(items, "a step", reader.notes).into_iter();
    objects
        .filter_map(|object| Some((step(object, names, reader)?, object.at)))
        .collect()
}

fn step(object: Object<'_>, names: &IndexMap<'_>, reader: &mut Reader<'_>) -> Option<FlowStep> {
    let before = reader.notes.errors();
    let when = condition(object, "if", reader);
    let service = service(object, names, reader);
    let input = match object.object("input", reader.notes) {
        Some(input) => assignments(input.entries(), reader),
        None => Vec::new(),
    };
    let halt = condition(object, "halt", reader).map(|(text, condition)| Halt {
        text: text.get().into(),
        condition,
    });
    let service = service?;
    (before == reader.notes.errors()).then_some(FlowStep {
        when: when.map(|(_, condition)| condition),
        service,
        input,
        halt,
    })
}

fn service(object: Object<'_>, names: &IndexMap<'_>, reader: &mut Reader<'_>) -> Option<usize> {
    let Some(name) = object.text("service", reader.notes) else {
        let what = "service not found: the step has no `service`";
        return reader.refuse(object.at, what, "add `\"service\"`");
    };
    let found = names.get(name.get()).copied();
    found.or_else(|| {
        let what = format!("service not found: {}", name.get());
        reader.refuse(name.at, what, suggest(name.get(), names.keys().copied()))
    })
}

/// A condition with its text; an empty one counts as absent.
fn condition<'n>(
    object: Object<'n>,
    key: &str,
    reader: &mut Reader<'_>,
) -> Option<(Text<'n>, crate::Expression)> {
    let text = object.word(key, reader.notes)?;
    let what = match key {
        "halt" => "halt condition parsing error",
        _ => "condition parsing error",
    };
    Some((text, reader.condition(text, what, Owner::Definitions)?))
}

/// Lowers values with their destinations, sorted by name.
fn assignments(entries: &[Entry], reader: &mut Reader<'_>) -> Vec<Assignment> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by(|one, two| one.key.cmp(&two.key));
    let mut assignments: Vec<Assignment> = Vec::new();
    for entry in sorted {
        let Some(value) = reader.given(&entry.value, Owner::Definitions) else {
            continue;
        };
        let path = dotted(&entry.key);
        let blocked = assignments.iter().find(|earlier| {
            use crate::Value::{Object, Params};
            path.len() > earlier.path.len()
                && path.starts_with(&earlier.path)
                && matches!(&earlier.value, Given::Literal(value) if !matches!(value, Object(_) | Params(_)))
        });
        if let Some(earlier) = blocked {
            let (key, path) = (quote(&entry.key), quote(&earlier.path.join(".")));
            let what = format!("{key} cannot be set in {path}, which is not an object");
            reader.notes.error(entry.at, what, NESTED);
            continue;
        }
        assignments.push(Assignment { path, value });
    }
    assignments
}

/// Lowers the responses of a definition. Faulty ones are omitted.
pub(crate) fn responses(items: &[Node], reader: &mut Reader<'_>) -> Vec<(FlowResponse, Place)> {
    let objects = Object::each(items, "a response", reader.notes).into_iter();
    objects
        .filter_map(|object| Some((response(object, reader)?, object.at)))
        .collect()
}

fn response(object: Object<'_>, reader: &mut Reader<'_>) -> Option<FlowResponse> {
    let before = reader.notes.errors();
    let when = condition(object, "if", reader).map(|(_, condition)| condition);
    let output = object.object("output", reader.notes);
    // Null is a value here, not an absent one.
    let value = |key: &str| Some(&output?.entry(key)?.value);
    let code = value("code").and_then(|node| reader.given(node, Owner::Definitions));
    let data = value("data").and_then(|node| match &node.kind {
        Kind::Map(entries) => Some(Data::Object(assignments(entries, reader))),
        _ => reader.given(node, Owner::Definitions).map(Data::One),
    });
    (before == reader.notes.errors()).then_some(FlowResponse { when, code, data })
}
