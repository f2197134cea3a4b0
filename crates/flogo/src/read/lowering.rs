//! Lowers the parts of a definition: steps, responses, mappings.

use std::collections::BTreeMap;
use std::sync::Arc;

use fusebox_plan::dialect::{Entry, Kind, Node, Place, Scalar, Style, quote, suggest};

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
    let entries = entries.iter().map(|entry| {
        let node = map_node(&entry.value, owner, reader)?;
        Some((Arc::from(entry.key.as_str()), node))
    });
    entries.collect()
}

/// The directive at the beginning of a key: `@foreach`, `@if`, `@elseif`, `@else`; empty for other keys.
fn directive(entry: &Entry) -> &str {
    let key = entry.key.trim_start();
    let mut chars = key.char_indices().skip(1);
    let end = chars.find(|(_, c)| !c.is_ascii_alphabetic());
    match &key[..end.map_or(key.len(), |(at, _)| at)] {
        word @ ("@foreach" | "@if" | "@elseif" | "@else") => word,
        _ => "",
    }
}

fn is_branch(entry: &Entry) -> bool {
    matches!(directive(entry), "@if" | "@elseif" | "@else")
}

fn branch_keys(entries: &[Entry]) -> bool {
    entries.iter().any(is_branch)
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
    for entry in entries.iter().filter(|entry| !is_branch(entry)) {
        let what = format!("{} beside branches would be ignored", quote(&entry.key));
        reader.error(entry.at, what, "move it into the branches");
    }
    if !entries.iter().any(|entry| directive(entry) == "@if") {
        reader.error(node.at, "these branches have no `@if`", "add `@if(…)`");
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
        let mend = "write it as `@foreach($.payload.items, item)`";
        return reader.refuse(each.at, "a loop has no list", mend);
    };
    let mut parts = argument.splitn(3, ',');
    let source_text = parts.next().unwrap_or_default();
    let name = parts.next().map(str::trim).filter(|name| !name.is_empty());
    let filter_text = parts.next().filter(|filter| !filter.trim().is_empty());
    let source = key_expression(each, open, source_text, owner, reader);
    let filter = filter_text.and_then(|filter| {
        let at = open + (argument.len() - filter.len());
        key_expression(each, at, filter, owner, reader)
    });
    let Kind::Map(body) = &each.value.kind else {
        let what = "the body of a loop must be an object";
        let mend = "write the new item: `{ \"id\": \"=$loop.id\" }`, or `{ \"=\": \"$loop\" }` for the item itself";
        return reader.refuse(each.value.at, what, mend);
    };
    let base = match body.iter().find(|entry| entry.key == "=") {
        None => None,
        Some(entry) if text(&entry.value).is_some_and(|text| text.get() == "$loop") => {
            Some(Base::Item)
        }
        Some(entry) => reader.given(&entry.value, owner).map(Base::Given),
    };
    let fields = body.iter().filter(|entry| entry.key != "=");
    let fields: Vec<Entry> = fields.cloned().collect();
    let fields = map_entries(&fields, owner, reader);
    let (source, fields) = (source?, fields?);
    (before == reader.notes.errors()).then(|| {
        MapNode::ForEach(Box::new(ForEach {
            source,
            name: name.map(Arc::from),
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
    let scalar = &Scalar::new(entry.key.clone(), Style::DoubleQuoted);
    let at_key = entry.at;
    let key = Text { at: at_key, scalar };
    let blanks = source.len() - source.trim_start().len();
    reader.compile(key, at + blanks, source.trim(), owner)
}
