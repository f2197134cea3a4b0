//! Lowers mappings, a handler's `input` and `output`: objects of expressions, with conditions and loops.
//!
//! The rules are those of the object mapper in Flogo's core 1.6. A directive is the beginning of a key, `@conditional`
//! or `@foreach`; what stands beside it in its object is ignored.

use std::sync::Arc;

use fusebox_plan::dialect::{Entry, Kind, Node, Scalar, Style, nearest, quote, suggest};

use crate::Expression;
use crate::flow::{Base, ForEach, Given, MapNode, Mapping};
use crate::read::located;
use crate::read::object::{Text, is_null, text};
use crate::read::reader::{Owner, Reader};

const CONDITIONAL: &str = "@conditional";
const OTHERWISE: &str = "@otherwise";
const FOR_EACH: &str = "@foreach";

/// Directives of a branch of core that was never released: data in every release.
const UNRELEASED: [&str; 3] = ["@if", "@elseif", "@else"];

/// Lowers a handler's `input` or `output`. `None` after an error in an expression.
pub(crate) fn mapping(entries: &[Entry], owner: Owner, reader: &mut Reader<'_>) -> Option<Mapping> {
    let before = reader.notes.errors();
    let mut lowering = Lowering {
        owner,
        loops: Vec::new(),
        reader,
    };
    let mut nodes: Vec<(Arc<str>, MapNode)> = Vec::new();
    for entry in entries.iter().filter(|entry| !is_null(&entry.value)) {
        let node = match (&entry.value.kind, entry.value.entry("mapping")) {
            (Kind::Map(inner), _) if has(inner, CONDITIONAL) => {
                lowering.conditional(&entry.value, inner)
            }
            (Kind::Map(_), Some(mapped)) => lowering.node(&mapped.value),
            (Kind::Map(_), None) => {
                lowering.warn_of_data(&entry.value);
                Some(MapNode::Given(Given::Literal(located::value(&entry.value))))
            }
            _ => lowering.given(&entry.value).map(MapNode::Given),
        };
        nodes.extend(node.map(|node| (entry.key.as_str().into(), node)));
    }
    nodes.sort_by(|(one, _), (two, _)| one.cmp(two));
    (before == reader.notes.errors()).then_some(Mapping(nodes))
}

fn has(entries: &[Entry], directive: &str) -> bool {
    entries.iter().any(|entry| entry.key.starts_with(directive))
}

struct Lowering<'l, 'r> {
    owner: Owner,
    /// The names of the loops around a value.
    loops: Vec<String>,
    reader: &'l mut Reader<'r>,
}

impl Lowering<'_, '_> {
    fn given(&mut self, node: &Node) -> Option<Given> {
        let given = self.reader.given(node, self.owner);
        if let (Some(Given::Expression(expression)), Some(text)) = (&given, text(node)) {
            for read in expression.reads() {
                let part = format!("$loop[{}]", read.name);
                let is_known = self.loops.iter().any(|name| name == read.name);
                if let (false, Some(at)) = (is_known, text.get().find(&part)) {
                    let name = quote(read.name);
                    let what = format!(
                        "no loop around this is called {name}, so this is an error of each request"
                    );
                    let mend = suggest(read.name, self.loops.iter().map(String::as_str));
                    let at = self.reader.place_in(text, at);
                    self.reader.notes.warn(at, what, mend);
                }
            }
        }
        given
    }

    /// Lowers a value below `mapping` or a condition, with expressions at any depth.
    fn node(&mut self, node: &Node) -> Option<MapNode> {
        match &node.kind {
            Kind::Scalar(_) => self.given(node).map(MapNode::Given),
            Kind::List(items) => {
                let items = items.iter().map(|item| self.node(item));
                items.collect::<Option<_>>().map(MapNode::Array)
            }
            Kind::Map(entries) if has(entries, CONDITIONAL) => self.conditional(node, entries),
            Kind::Map(entries) if has(entries, FOR_EACH) => self.for_each(entries),
            Kind::Map(entries) => {
                self.warn_of_unreleased(entries);
                self.members(entries.iter()).map(MapNode::Object)
            }
        }
    }

    fn members<'e>(
        &mut self,
        entries: impl Iterator<Item = &'e Entry>,
    ) -> Option<Vec<(Arc<str>, MapNode)>> {
        let members = entries.map(|entry| {
            let node = self.node(&entry.value)?;
            Some((Arc::from(entry.key.as_str()), node))
        });
        members.collect()
    }

    /// Lowers `@conditional: [{CONDITION: VALUE}, …, {"@otherwise": VALUE}]`; with `@conditional(START)` each condition
    /// is the end of one.
    fn conditional(&mut self, node: &Node, entries: &[Entry]) -> Option<MapNode> {
        let before = self.reader.notes.errors();
        let mut branches = Vec::new();
        let mut otherwise = None;
        let is_directive = |entry: &&Entry| entry.key.starts_with(CONDITIONAL);
        for (number, entry) in entries.iter().filter(is_directive).enumerate() {
            if number > 0 {
                let what = format!(
                    "{} is a second `{CONDITIONAL}` of this object",
                    quote(&entry.key)
                );
                self.reader
                    .error(entry.at, what, "write all conditions in one");
                continue;
            }
            let start = argument(entry).map_or("", |(_, start)| start);
            for item in self.conditions(entry)? {
                self.condition(start, item, &mut branches, &mut otherwise);
            }
        }
        for other in entries.iter().filter(|entry| !is_directive(entry)) {
            self.warn_beside(other, CONDITIONAL);
        }
        if branches.is_empty() && before == self.reader.notes.errors() {
            let what = format!("`{CONDITIONAL}` has no condition");
            let mend = "write `{ \"CONDITION\": VALUE }` in its list";
            return self.reader.refuse(node.at, what, mend);
        }
        branches.extend(otherwise.map(|node| (None, node)));
        (before == self.reader.notes.errors()).then_some(MapNode::Branches(branches))
    }

    /// The list of conditions; a single one may stand alone.
    fn conditions<'n>(&mut self, entry: &'n Entry) -> Option<&'n [Node]> {
        match &entry.value.kind {
            Kind::List(items) => Some(items),
            Kind::Map(_) => Some(std::slice::from_ref(&entry.value)),
            _ => {
                let found = entry.value.describe();
                let what = format!("`{CONDITIONAL}` must be a list of conditions, found {found}");
                let mend = "write `[{ \"CONDITION\": VALUE }, { \"@otherwise\": VALUE }]`";
                self.reader.refuse(entry.value.at, what, mend)
            }
        }
    }

    fn condition(
        &mut self,
        start: &str,
        item: &Node,
        branches: &mut Vec<(Option<Expression>, MapNode)>,
        otherwise: &mut Option<MapNode>,
    ) {
        let entry = match &item.kind {
            Kind::Map(entries) => match &entries[..] {
                [] => return,
                [entry] => entry,
                [_, second, ..] => {
                    let what = "conditional mapper element must be single key-value pair";
                    let mend = "write each condition in braces of its own";
                    self.reader.error(second.at, what, mend);
                    return;
                }
            },
            _ if is_null(item) => return,
            _ => {
                let found = item.describe();
                let what =
                    format!("conditional mapper element must be key-value pair, found {found}");
                self.reader
                    .error(item.at, what, "write `{ \"CONDITION\": VALUE }`");
                return;
            }
        };
        let node = self.node(&entry.value);
        if entry.key == OTHERWISE {
            if otherwise.is_some() {
                let what = format!("a second `{OTHERWISE}` takes the first one's place");
                self.reader.notes.warn(entry.at, what, "keep one");
            }
            *otherwise = node;
            return;
        }
        if entry.key.is_empty() {
            let what = "no condition expression set for this value";
            let mend = format!("write a condition, or `{OTHERWISE}`");
            self.reader.error(entry.at, what, mend);
            return;
        }
        let condition = with_key(entry, |key| match start {
            "" => self.reader.compile(key, 0, &entry.key, self.owner),
            start => self.reader.compile_after(key, start, self.owner),
        });
        if let (Some(condition), Some(node)) = (condition, node) {
            branches.push((Some(condition), node));
        }
    }

    fn for_each(&mut self, entries: &[Entry]) -> Option<MapNode> {
        let before = self.reader.notes.errors();
        let mut loops = entries
            .iter()
            .filter(|entry| entry.key.starts_with(FOR_EACH));
        let each = loops.next()?;
        if let Some(second) = loops.next() {
            let what = format!("{} is a second loop of this object", quote(&second.key));
            let mend = "make each loop the value of a key of its own";
            self.reader.error(second.at, what, mend);
        }
        for other in entries
            .iter()
            .filter(|entry| !entry.key.starts_with(FOR_EACH))
        {
            self.warn_beside(other, FOR_EACH);
        }
        let Some((open, argument)) = argument(each).filter(|(_, text)| !text.trim().is_empty())
        else {
            let mend = "write it as `@foreach($.payload.items, item)`";
            return self.reader.refuse(each.at, "a loop has no list", mend);
        };
        let [source, name, filter] = loop_parts(argument);
        let mut compile = |at: usize, source: &str| {
            let blanks = source.len() - source.trim_start().len();
            let at = open + at + blanks;
            with_key(each, |key| {
                self.reader.compile(key, at, source.trim(), self.owner)
            })
        };
        let filter = Some(filter).filter(|filter| !filter.trim().is_empty());
        let filter = filter.and_then(|filter| compile(argument.len() - filter.len(), filter));
        let source = compile(0, source);
        let Kind::Map(body) = &each.value.kind else {
            let what = "the body of a loop must be an object";
            let mend = "write the new item: `{ \"id\": \"=$loop.id\" }`, or `{ \"=\": \"$loop\" }` for the item itself";
            return self.reader.refuse(each.value.at, what, mend);
        };
        self.loops.push(name.trim().to_owned());
        let base = match body.iter().find(|entry| entry.key == "=") {
            None => None,
            Some(entry) if text(&entry.value).is_some_and(|text| text.get() == "$loop") => {
                Some(Base::Item)
            }
            Some(entry) => self.given(&entry.value).map(Base::Given),
        };
        let fields = self.members(body.iter().filter(|entry| entry.key != "="));
        self.loops.pop();
        let (source, fields) = (source?, fields?);
        let name = Some(name.trim()).filter(|name| !name.is_empty());
        (before == self.reader.notes.errors()).then(|| {
            MapNode::ForEach(Box::new(ForEach {
                source,
                name: name.map(Arc::from),
                filter,
                base,
                fields,
            }))
        })
    }

    fn warn_beside(&mut self, entry: &Entry, directive: &str) {
        let what = format!("{} beside `{directive}` is ignored", quote(&entry.key));
        let mend = format!("remove it, or make the `{directive}` the value of a key of its own");
        self.reader.notes.warn(entry.at, what, mend);
    }

    /// Warns about directives that are data in every release.
    fn warn_of_unreleased(&mut self, entries: &[Entry]) {
        let is_unreleased = |entry: &&Entry| {
            let word = entry.key.split('(').next().unwrap_or_default().trim();
            UNRELEASED.contains(&word)
        };
        if let Some(entry) = entries.iter().find(is_unreleased) {
            let what = format!(
                "{} is data here as in every released Flogo core",
                quote(&entry.key)
            );
            let mend =
                "write `\"@conditional\": [{ \"CONDITION\": VALUE }, { \"@otherwise\": VALUE }]`";
            self.reader.notes.warn(entry.at, what, mend);
        }
        for entry in entries {
            if let Some(meant) = misspelt(&entry.key) {
                let what = format!("{} is data here, not a directive", quote(&entry.key));
                let mend = format!("did you mean {}?", quote(meant));
                self.reader.notes.warn(entry.at, what, mend);
            }
        }
    }

    /// Warns about directives in an object that is not evaluated.
    fn warn_of_data(&mut self, node: &Node) {
        match &node.kind {
            Kind::Map(entries) => {
                self.warn_of_unreleased(entries);
                for entry in entries {
                    if [CONDITIONAL, FOR_EACH]
                        .iter()
                        .any(|word| entry.key.starts_with(word))
                    {
                        let what = format!(
                            "{} is data here: only an object in `mapping` is evaluated below its top",
                            quote(&entry.key)
                        );
                        let mend = "put the object into `\"mapping\"`";
                        self.reader.notes.warn(entry.at, what, mend);
                    }
                    self.warn_of_data(&entry.value);
                }
            }
            Kind::List(items) => items.iter().for_each(|item| self.warn_of_data(item)),
            Kind::Scalar(_) => {}
        }
    }
}

/// True if a key is a directive of mappings.
pub(crate) fn is_directive(key: &str) -> bool {
    [CONDITIONAL, FOR_EACH]
        .iter()
        .any(|directive| key.starts_with(directive))
}

/// The directive that a key nearly is.
fn misspelt(key: &str) -> Option<&'static str> {
    let word = key.split('(').next().unwrap_or_default().trim();
    let is_open = word.starts_with('@') && !is_directive(key) && !UNRELEASED.contains(&word);
    is_open
        .then(|| nearest(word, [CONDITIONAL, FOR_EACH]))
        .flatten()
}

/// Calls with an entry's key as a text in the file.
fn with_key<T>(entry: &Entry, work: impl FnOnce(Text<'_>) -> T) -> T {
    let scalar = &Scalar::new(entry.key.clone(), Style::DoubleQuoted);
    let at = entry.at;
    work(Text { at, scalar })
}

/// The text in the parentheses of a directive, with its offset in the key in bytes.
fn argument(entry: &Entry) -> Option<(usize, &str)> {
    let open = entry.key.find('(')? + 1;
    let close = entry.key.rfind(')').filter(|close| *close >= open)?;
    Some((open, &entry.key[open..close]))
}

/// The list, the name and the filter of a loop, empty where they are missing. A comma within parentheses, brackets or
/// quotes separates nothing.
fn loop_parts(argument: &str) -> [&str; 3] {
    let mut commas = [argument.len(); 2];
    let mut found = 0;
    let mut depth = 0_usize;
    let mut quote = None;
    let mut is_escaped = false;
    for (at, char) in argument.char_indices() {
        match (quote, char) {
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some('"' | '\''), '\\') => is_escaped = true,
            (Some(end), char) if char == end => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(char),
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                commas[found] = at;
                found += 1;
                if found == commas.len() {
                    break;
                }
            }
            (None, _) => {}
        }
    }
    let after = |comma: usize| (comma + 1).min(argument.len());
    let [first, second] = commas;
    [
        &argument[..first],
        &argument[after(first).min(second)..second],
        &argument[after(second)..],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_parentheses_or_quotes_separates_nothing() {
        for (argument, parts) in [
            ("$.a", ["$.a", "", ""]),
            ("$.a, c", ["$.a", " c", ""]),
            (
                "$.a, c, $loop.t == \"x,y\"",
                ["$.a", " c", " $loop.t == \"x,y\""],
            ),
            ("$.a,, f(1, 2), 3", ["$.a", "", " f(1, 2), 3"]),
            ("f($.a, \")\"), w", ["f($.a, \")\")", " w", ""]),
            ("f($.a, 'it\\'s,'), w", ["f($.a, 'it\\'s,')", " w", ""]),
            ("$.a[\"x,y\"], w", ["$.a[\"x,y\"]", " w", ""]),
            ("g(f(1, 2), `a,`),w,", ["g(f(1, 2), `a,`)", "w", ""]),
            ("", ["", "", ""]),
        ] {
            assert_eq!(loop_parts(argument), parts, "{argument}");
        }
    }
}
