//! A handler's condition and mappings: names that the trigger does not give, comparisons in vain, expressions that
//! stay text.

use fusebox_plan::dialect::{Entry, Kind, Node, nearest, quote, suggest};

use super::part_at;
use super::texts::{nested, warn_of_param, warn_of_texts};
use crate::language::expression::Expression;
use crate::read::object::{Object, text};
use crate::read::reader::{Reader, expression_of};

/// The mend for an expression below the top level of a handler's mapping.
pub(super) const MAPPED: &str = "put the value into a mapping: `{ \"mapping\": … }`";

/// The outputs of the REST trigger.
const OF_REST: [&str; 5] = ["pathParams", "queryParams", "headers", "content", "method"];
/// The outputs of the channel trigger.
const OF_CHANNEL: [&str; 1] = ["data"];
/// The results of an action.
const RESULTS: [&str; 2] = ["code", "data"];

/// Warns of settings of a trigger or a handler that resemble a known one and are not read: their names are exact.
pub(crate) fn settings(entries: &[Entry], known: &[&str], reader: &mut Reader<'_>) {
    for entry in entries
        .iter()
        .filter(|entry| !known.contains(&entry.key.as_str()))
    {
        if let Some(near) = nearest(&entry.key, known.iter().copied()) {
            let what = format!("nothing reads the setting {}", quote(&entry.key));
            let mend = format!("did you mean {}?", quote(near));
            reader.notes.warn(entry.at, what, mend);
        }
    }
}

/// The names that the expressions of a handler can read.
#[derive(Clone, Copy)]
struct Known<'a> {
    names: &'a [&'a str],
    /// The parameters of the handler's path, as far as they are known.
    params: Option<&'a [&'a str]>,
}

/// Warns of the slips in the entry of a handler's action.
pub(crate) fn lint(
    entry: Object<'_>,
    handler: Object<'_>,
    is_rest: bool,
    is_flow: bool,
    reader: &mut Reader<'_>,
) {
    let path = handler
        .get("settings")
        .and_then(|it| it.value.entry("path"));
    let path = path.and_then(|path| super::literal(&path.value));
    let params: Option<Vec<&str>> = path.map(|path| {
        let segments = path.split('/');
        segments
            .filter_map(|it| it.strip_prefix([':', '*']))
            .collect()
    });
    let outputs = Known {
        names: match is_rest {
            true => &OF_REST[..],
            false => &OF_CHANNEL,
        },
        params: params.as_deref().filter(|_| is_rest),
    };
    let results = Known {
        names: &RESULTS,
        params: None,
    };
    if let Some(when) = entry.get("if")
        && let Some(source) = text(&when.value)
    {
        expression(&when.value, source.get(), outputs, reader);
    }
    for (key, known) in [("input", outputs), ("output", results)] {
        // The results of a flow have names of its own.
        if key == "output" && is_flow {
            continue;
        }
        let Some(mapped) = entry.get(key).and_then(|entry| Object::of(&entry.value)) else {
            continue;
        };
        for entry in mapped.entries() {
            value(entry, key, known, reader);
        }
    }
}

fn value(entry: &Entry, of: &str, known: Known<'_>, reader: &mut Reader<'_>) {
    match &entry.value.kind {
        Kind::Map(inner) if inner.iter().any(|it| it.key.trim_start().starts_with('@')) => {}
        Kind::Map(inner) => match inner.iter().find(|it| it.key == "mapping") {
            Some(mapping) => below(&mapping.value, known, reader),
            None => {
                let of = quote(of);
                nested(
                    &entry.value,
                    &format!("{of} without a `mapping`"),
                    MAPPED,
                    true,
                    reader,
                );
            }
        },
        Kind::List(_) => nested(&entry.value, &quote(of), MAPPED, true, reader),
        Kind::Scalar(_) => below(&entry.value, known, reader),
    }
}

/// The expressions at any depth, but those within directives, which have names of their own.
fn below(node: &Node, known: Known<'_>, reader: &mut Reader<'_>) {
    match &node.kind {
        Kind::Map(entries) => {
            let mut keys = entries.iter().map(|it| it.key.trim_start());
            if !keys.any(|key| key.starts_with('@')) {
                entries
                    .iter()
                    .for_each(|it| below(&it.value, known, reader));
            }
        }
        Kind::List(items) => items.iter().for_each(|it| below(it, known, reader)),
        Kind::Scalar(_) => {
            if let Some((_, source)) = expression_of(node) {
                expression(node, source, known, reader);
            }
        }
    }
}

fn expression(node: &Node, source: &str, known: Known<'_>, reader: &mut Reader<'_>) {
    let Ok(expression) = Expression::compile(source, &reader.handler_names) else {
        return;
    };
    for read in expression.reads() {
        if !read.may_miss && !known.names.contains(&read.name) && read.name != "_loop" {
            let name = quote(read.name);
            let what =
                format!("nothing here is called {name}, so this is an error of each request");
            let mend = suggest(read.name, known.names.iter().copied());
            let at = part_at(node, &format!("$.{}", read.name), reader);
            reader.notes.warn(at, what, mend);
        }
    }
    for read in expression
        .reads()
        .iter()
        .filter(|it| it.name == "pathParams")
    {
        let mut parts = read.path.split(['.', '[', ']', '"', '\'']);
        let param = parts.find(|part| !part.is_empty());
        if let (Some(param), Some(params)) = (param, known.params)
            && !params.contains(&param)
        {
            warn_of_param(node, param, params, reader);
        }
    }
    for comparison in expression.comparisons() {
        let is_text = ["pathParams", "queryParams", "headers"].contains(&comparison.read.name);
        if is_text
            && known.names.contains(&comparison.read.name)
            && !comparison.read.path.is_empty()
        {
            warn_of_texts(node, &comparison, reader);
        }
    }
}
