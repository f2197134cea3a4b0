//! Lowers the parts of a definition: steps, responses, mappings.

use std::collections::BTreeMap;
use std::sync::Arc;

use fusebox_plan::dialect::{Entry, Kind, Node, Place, quote, suggest};

use crate::flow::{
    Assignment, Base, Data, FlowResponse, FlowStep, ForEach, Given, Halt, MapNode, Mapping,
};
use crate::read::located;
use crate::read::object::{Object, Text, is_null, text};
use crate::read::reader::{NESTED, Owner, Reader, dotted};

/// The indices of an action's services, by name.
pub(crate) type IndexMap<'n> = BTreeMap<&'n str, usize>;

/// Lowers the steps of a definition; `names` are those of its services. Faulty steps are omitted.
pub(crate) fn steps(
    items: &[Node],
    names: &IndexMap<'_>,
    reader: &mut Reader<'_>,
) -> Vec<(FlowStep, Place)> {
    let objects = items
        .iter()
        .filter_map(|item| Object::open(item, "a step", reader.notes))
        .collect::<Vec<_>>();
    objects
        .into_iter()
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
        reader.notes.error(
            object.at,
            "service not found: the step has no `service`",
            "add `\"service\"`",
        );
        return None;
    };
    let found = names.get(name.get()).copied();
    if found.is_none() {
        reader.notes.error(
            name.at,
            format!("service not found: {}", name.get()),
            suggest(name.get(), names.keys().copied()),
        );
    }
    found
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
            let is_object = |value: &crate::Value| {
                matches!(value, crate::Value::Object(_) | crate::Value::Params(_))
            };
            path.len() > earlier.path.len()
                && path.starts_with(&earlier.path)
                && matches!(&earlier.value, Given::Literal(value) if !is_object(value))
        });
        if let Some(earlier) = blocked {
            reader.notes.error(
                entry.at,
                format!(
                    "{} cannot be set in {}, which is not an object",
                    quote(&entry.key),
                    quote(&earlier.path.join("."))
                ),
                NESTED,
            );
            continue;
        }
        assignments.push(Assignment { path, value });
    }
    assignments
}

/// Lowers the responses of a definition. Faulty ones are omitted.
pub(crate) fn responses(items: &[Node], reader: &mut Reader<'_>) -> Vec<(FlowResponse, Place)> {
    let objects = items
        .iter()
        .filter_map(|item| Object::open(item, "a response", reader.notes))
        .collect::<Vec<_>>();
    objects
        .into_iter()
        .filter_map(|object| Some((response(object, reader)?, object.at)))
        .collect()
}

fn response(object: Object<'_>, reader: &mut Reader<'_>) -> Option<FlowResponse> {
    let before = reader.notes.errors();
    let when = condition(object, "if", reader).map(|(_, condition)| condition);
    let output = object.object("output", reader.notes);
    // Null is a value here, not an absent one.
    let value = |key: &str| {
        let entries = output.map_or(&[][..], |output| output.entries());
        let entry = entries.iter().find(|entry| entry.key == key);
        entry
            .or_else(|| {
                entries
                    .iter()
                    .find(|entry| entry.key.eq_ignore_ascii_case(key))
            })
            .map(|entry| &entry.value)
    };
    let code = match value("code") {
        Some(node) => reader.given(node, Owner::Definitions),
        None => None,
    };
    let data = match value("data") {
        Some(Node {
            kind: Kind::Map(entries),
            ..
        }) => Some(Data::Object(assignments(entries, reader))),
        Some(node) => reader.given(node, Owner::Definitions).map(Data::One),
        None => None,
    };
    (before == reader.notes.errors()).then_some(FlowResponse { when, code, data })
}

/// Lowers a handler's `input` or `output`. `None` after an error in an expression.
pub(crate) fn mapping(entries: &[Entry], owner: Owner, reader: &mut Reader<'_>) -> Option<Mapping> {
    let before = reader.notes.errors();
    let mut nodes: Vec<(Arc<str>, MapNode)> = Vec::new();
    for entry in entries.iter().filter(|entry| !is_null(&entry.value)) {
        let node = match &entry.value.kind {
            Kind::Map(inner) => match (branch_keys(inner), entry.value.entry("mapping")) {
                (true, _) => branches(&entry.value, inner, owner, reader),
                (false, Some(mapped)) => map_node(&mapped.value, owner, reader),
                (false, None) => Some(MapNode::Given(Given::Literal(located::value(&entry.value)))),
            },
            _ => reader.given(&entry.value, owner).map(MapNode::Given),
        };
        nodes.extend(node.map(|node| (entry.key.as_str().into(), node)));
    }
    nodes.sort_by(|(one, _), (two, _)| one.cmp(two));
    (before == reader.notes.errors()).then_some(Mapping(nodes))
}

/// Lowers a value below `mapping`, with expressions at any depth.
fn map_node(node: &Node, owner: Owner, reader: &mut Reader<'_>) -> Option<MapNode> {
    match &node.kind {
        Kind::Scalar(_) => reader.given(node, owner).map(MapNode::Given),
        Kind::List(items) => items
            .iter()
            .map(|item| map_node(item, owner, reader))
            .collect::<Option<_>>()
            .map(MapNode::Array),
        Kind::Map(entries) if branch_keys(entries) => branches(node, entries, owner, reader),
        Kind::Map(entries) => match entries.iter().find(|entry| directive(entry) == "@foreach") {
            Some(each) => for_each(node, each, owner, reader),
            None => map_entries(entries, owner, reader).map(MapNode::Object),
        },
    }
}

fn map_entries(
    entries: &[Entry],
    owner: Owner,
    reader: &mut Reader<'_>,
) -> Option<Vec<(Arc<str>, MapNode)>> {
    entries
        .iter()
        .map(|entry| {
            Some((
                Arc::from(entry.key.as_str()),
                map_node(&entry.value, owner, reader)?,
            ))
        })
        .collect()
}

/// The directive at the beginning of a key: `@foreach`, `@if`, `@elseif`, `@else`; empty for other keys.
fn directive(entry: &Entry) -> &str {
    let key = entry.key.trim_start();
    let end = key
        .char_indices()
        .skip(1)
        .find(|(_, c)| !c.is_ascii_alphabetic())
        .map_or(key.len(), |(at, _)| at);
    match &key[..end] {
        word @ ("@foreach" | "@if" | "@elseif" | "@else") => word,
        _ => "",
    }
}

fn branch_keys(entries: &[Entry]) -> bool {
    entries
        .iter()
        .any(|entry| matches!(directive(entry), "@if" | "@elseif" | "@else"))
}

/// The text in the parentheses of a directive, with its offset in the key in bytes.
fn argument(entry: &Entry) -> Option<(usize, &str)> {
    let open = entry.key.find('(')? + 1;
    let close = entry.key.rfind(')').filter(|close| *close >= open)?;
    Some((open, &entry.key[open..close]))
}

fn branches(
    node: &Node,
    entries: &[Entry],
    owner: Owner,
    reader: &mut Reader<'_>,
) -> Option<MapNode> {
    let before = reader.notes.errors();
    let mut branches = Vec::new();
    for (word, conditional) in [("@if", true), ("@elseif", true), ("@else", false)] {
        let of_this = entries.iter().filter(|entry| directive(entry) == word);
        for (index, entry) in of_this.enumerate() {
            if index > 0 && word != "@elseif" {
                let what = format!("duplicate `{word}`");
                reader.notes.error(entry.at, what, "keep one");
                continue;
            }
            let condition = match (conditional, argument(entry)) {
                (false, _) => None,
                (true, Some((open, source))) => key_expression(entry, open, source, owner, reader),
                (true, None) => {
                    let what = format!("{} must have condition expression", &word[1..]);
                    let mend = format!("write it as `{word}(…)`");
                    reader.notes.error(entry.at, what, mend);
                    continue;
                }
            };
            if let Some(value) = map_node(&entry.value, owner, reader) {
                branches.push((condition, value));
            }
        }
    }
    for entry in entries {
        if !matches!(directive(entry), "@if" | "@elseif" | "@else") {
            reader.notes.error(
                entry.at,
                format!("{} beside branches would be ignored", quote(&entry.key)),
                "move it into the branches",
            );
        }
    }
    if !entries.iter().any(|entry| directive(entry) == "@if") {
        reader
            .notes
            .error(node.at, "these branches have no `@if`", "add `@if(…)`");
    }
    (before == reader.notes.errors()).then_some(MapNode::Branches(branches))
}

fn for_each(node: &Node, each: &Entry, owner: Owner, reader: &mut Reader<'_>) -> Option<MapNode> {
    let before = reader.notes.errors();
    let Kind::Map(entries) = &node.kind else {
        return None;
    };
    for other in entries.iter().filter(|other| other.key != each.key) {
        reader.notes.error(
            other.at,
            format!("{} beside a loop would be ignored", quote(&other.key)),
            "move it into the loop, or beside the object that holds it",
        );
    }
    let Some((open, argument)) = argument(each).filter(|(_, text)| !text.trim().is_empty()) else {
        reader.notes.error(
            each.at,
            "a loop has no list",
            "write it as `@foreach($.payload.items, item)`",
        );
        return None;
    };
    let mut parts = argument.splitn(3, ',');
    let source_text = parts.next().unwrap_or_default();
    let name = parts
        .next()
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(Arc::from);
    let filter_text = parts.next().filter(|filter| !filter.trim().is_empty());
    let source = key_expression(each, open, source_text, owner, reader);
    let filter = filter_text.and_then(|filter| {
        let at = open + (argument.len() - filter.len());
        key_expression(each, at, filter, owner, reader)
    });
    let Kind::Map(body) = &each.value.kind else {
        reader.notes.error(
            each.value.at,
            "the body of a loop must be an object",
            "write the new item: `{ \"id\": \"=$loop.id\" }`, or `{ \"=\": \"$loop\" }` for the item itself",
        );
        return None;
    };
    let base = match body.iter().find(|entry| entry.key == "=") {
        None => None,
        Some(entry) if text(&entry.value).is_some_and(|text| text.get() == "$loop") => {
            Some(Base::Item)
        }
        Some(entry) => reader.given(&entry.value, owner).map(Base::Given),
    };
    let fields: Vec<Entry> = body
        .iter()
        .filter(|entry| entry.key != "=")
        .cloned()
        .collect();
    let fields = map_entries(&fields, owner, reader);
    let (source, fields) = (source?, fields?);
    (before == reader.notes.errors()).then(|| {
        MapNode::ForEach(Box::new(ForEach {
            source,
            name,
            filter,
            base,
            fields,
        }))
    })
}

/// Compiles an expression in a key, at byte `at`.
fn key_expression(
    entry: &Entry,
    at: usize,
    source: &str,
    owner: Owner,
    reader: &mut Reader<'_>,
) -> Option<crate::Expression> {
    let scalar = located::quoted(&entry.key);
    let key = Text {
        at: entry.at,
        scalar: &scalar,
    };
    let blanks = source.len() - source.trim_start().len();
    reader.compile(key, at + blanks, source.trim(), owner)
}
