//! The links between the tasks of a flow.

use std::collections::HashMap;

use fusebox_plan::dialect::{Node, suggest};

use crate::flow::{Link, LinkKind};
use crate::read::object::{Object, Text};
use crate::read::reader::{Owner, Reader};

/// Reads a link between the tasks of these names; `None` after an error.
pub(super) fn link(
    object: Object<'_>,
    names: &HashMap<&str, Option<usize>>,
    reader: &mut Reader<'_>,
) -> Option<Link> {
    let mut end = |key: &str| {
        let what = format!("a link has no `{key}`");
        let id = object.needed(key, &what, "name a task by its id", reader.notes)?;
        match names.get(id.get()) {
            // A task that cannot be read has its own error.
            Some(task) => *task,
            None => {
                let what = format!("the link leads to no task: '{}' not found", id.get());
                reader.refuse(id.at, what, suggest(id.get(), names.keys().copied()))
            }
        }
    };
    let (from, to) = (end("from"), end("to"));
    let kind = match object.word("type", reader.notes) {
        None => LinkKind::Always,
        Some(kind) => match kind.get() {
            "default" | "dependency" | "0" => LinkKind::Always,
            "label" | "2" => LinkKind::Label,
            "error" | "3" => LinkKind::Error,
            "exprOtherwise" | "4" => LinkKind::Otherwise,
            "expression" | "1" => {
                let what = "expression value not set on link";
                let value = object.needed("value", what, "add `\"value\"`", reader.notes)?;
                LinkKind::When(condition(value, reader)?)
            }
            _ => {
                let what = format!(
                    "unknown link type {}, which is followed as a default link",
                    kind.shown()
                );
                let known = ["default", "expression", "label", "error", "exprOtherwise"];
                reader.notes.warn(kind.at, what, suggest(kind.get(), known));
                LinkKind::Always
            }
        },
    };
    Some(Link {
        from: from?,
        to: to?,
        kind,
    })
}

/// The expression of a link, which may begin with the mark of expressions.
fn condition(value: Text<'_>, reader: &mut Reader<'_>) -> Option<crate::Expression> {
    let source = value.get().strip_prefix('=').unwrap_or(value.get());
    let skip = value.get().len() - source.len();
    reader.compile(value, skip, source, Owner::Flows)
}

/// Refuses links that lead back: none of their tasks would ever run.
pub(super) fn refuse_circles(
    links: &[Link],
    first: usize,
    end: usize,
    items: &[Node],
    reader: &mut Reader<'_>,
) {
    let mut incoming = vec![0usize; end - first];
    let mut outgoing: Vec<Vec<usize>> = vec![Vec::new(); end - first];
    for link in links {
        incoming[link.to - first] += 1;
        outgoing[link.from - first].push(link.to - first);
    }
    let mut ready: Vec<usize> = (0..incoming.len())
        .filter(|task| incoming[*task] == 0)
        .collect();
    let mut seen = 0;
    while let Some(task) = ready.pop() {
        seen += 1;
        for next in &outgoing[task] {
            incoming[*next] -= 1;
            if incoming[*next] == 0 {
                ready.push(*next);
            }
        }
    }
    let at = items.first().map(|node| node.at);
    if let (true, Some(at)) = (seen < incoming.len(), at) {
        let what = "the links lead back, so that none of the tasks between them ever runs";
        reader.error(at, what, "remove the link that leads back");
    }
}
