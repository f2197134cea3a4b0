//! The sources of definitions: the application's resources, files, HTTP, built-in patterns.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use fusebox_plan::dialect::{BYTES_MAX, Kind, Node, Place, nearest, quote, suggest};

use crate::language::patterns::PATTERNS;
use crate::read::located::{self, NotJson};
use crate::read::object::{Object, Text};
use crate::read::reader::{Reader, SourceText};
use crate::read::refs::{ContributionKind, MICROGATEWAY, tail};
use crate::read::schema::{self, Strictness};
use crate::read::secret;

/// A definition as written.
#[derive(Debug)]
pub(crate) struct Definition {
    /// The name on which its breakers' names are based.
    pub name: String,
    /// The root of its tree.
    pub root: Node,
    /// Number of keys and values in it.
    pub parts: usize,
    /// True for a pattern that is part of the microgateway.
    pub is_built_in: bool,
}

impl Definition {
    fn new(name: String, root: Node) -> Rc<Definition> {
        let parts = parts(&root);
        Rc::new(Definition {
            name,
            root,
            parts,
            is_built_in: false,
        })
    }
}

fn parts(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::Scalar(_) => 0,
        Kind::List(items) => items.iter().map(parts).sum(),
        Kind::Map(entries) => entries.iter().map(|entry| parts(&entry.value)).sum(),
    }
}

/// The most flows among which a near name is looked for.
const SUGGESTED_MAX: usize = 256;

/// All definitions that the application contains or has requested.
#[derive(Default)]
pub(crate) struct Library {
    embedded: Vec<Embedded>,
    /// The index of each resource, by its id.
    by_id: HashMap<String, usize>,
    /// The flows, by id.
    flows: BTreeMap<String, FlowResource>,
    /// The requested definitions, by URI; `None` after an error, which has been reported.
    fetched: HashMap<String, Option<Rc<Definition>>>,
}

struct Embedded {
    id: String,
    at: Place,
    /// The definition; `None` if it violates the schema.
    loaded: Option<Rc<Definition>>,
    used: bool,
}

/// A flow among the resources, as written.
struct FlowResource {
    at: Place,
    definition: Option<Rc<Definition>>,
    used: bool,
}

impl Library {
    /// Reads `resources`. All are checked against the schema, even unused ones.
    pub fn read(items: &[Node], reader: &mut Reader<'_>) -> Library {
        let mut library = Library::default();
        for resource in Object::each(items, "a resource", reader.notes) {
            let mend = "add `\"id\": \"microgateway:NAME\"`";
            if let Some(id) = resource.needed("id", "a resource has no id", mend, reader.notes) {
                library.add(id, resource, reader);
            }
        }
        library
    }

    fn add(&mut self, id: Text<'_>, resource: Object<'_>, reader: &mut Reader<'_>) {
        let mend = "write it as `microgateway:NAME`";
        let Some((kind, name)) = id.get().split_once(':') else {
            let what = format!("Invalid resource id: {}", id.get());
            reader.notes.error(id.at, what, mend);
            return;
        };
        if kind == "flow" {
            self.add_flow(id, name, resource, reader);
            return;
        }
        if kind != "microgateway" {
            let (id_shown, kind) = (id.shown(), quote(kind));
            reader.error(
                id.at,
                format!("the resource {id_shown} is of the type {kind}, which is not supported"),
                "keep microgateway resources here, and run the others where they ran",
            );
            return;
        }
        if self.by_id.contains_key(id.get()) {
            let what = format!("two resources have the id {}", id.shown());
            reader.error(id.at, what, "give each an id of its own");
            return;
        }
        let loaded = match resource.get("data") {
            None => {
                let what = format!("the resource {} has no data", id.shown());
                reader.refuse(resource.at, what, "add `\"data\"` with the definition")
            }
            Some(data) => schema::check(&data.value, Strictness::Full, reader.notes)
                .then(|| Definition::new(name.to_owned(), data.value.clone())),
        };
        self.by_id.insert(id.get().to_owned(), self.embedded.len());
        self.embedded.push(Embedded {
            id: id.get().to_owned(),
            at: id.at,
            loaded,
            used: false,
        });
    }

    fn add_flow(
        &mut self,
        id: Text<'_>,
        name: &str,
        resource: Object<'_>,
        reader: &mut Reader<'_>,
    ) {
        if self.flows.contains_key(id.get()) {
            let what = format!("two resources have the id {}", id.shown());
            reader.error(id.at, what, "give each an id of its own");
            return;
        }
        let definition = match resource.get("data") {
            Some(data) if Object::of(&data.value).is_some() => {
                Some(Definition::new(name.to_owned(), data.value.clone()))
            }
            _ => None,
        };
        let flow = FlowResource {
            at: id.at,
            definition,
            used: false,
        };
        self.flows.insert(id.get().to_owned(), flow);
    }

    /// The flow at a URI, `res://flow:NAME`.
    pub fn flow(&mut self, uri: Text<'_>, reader: &mut Reader<'_>) -> Option<Rc<Definition>> {
        let id = uri.get().strip_prefix("res://");
        let Some(flow) = id.and_then(|id| self.flows.get_mut(id)) else {
            let known = self.flows.keys().take(SUGGESTED_MAX);
            let known: Vec<String> = known.map(|id| format!("res://{id}")).collect();
            let what = format!("unable to resolve flow: {}", uri.get());
            let mend = suggest(uri.get(), known.iter().map(String::as_str));
            return reader.refuse(uri.at, what, mend);
        };
        flow.used = true;
        match &flow.definition {
            Some(definition) => Some(definition.clone()),
            None => reader.refuse(
                flow.at,
                format!(
                    "the flow {} has no definition that can be read",
                    uri.shown()
                ),
                "write it as an object, `\"data\": { \"tasks\": […] }`, not compressed",
            ),
        }
    }

    /// The place of the first flow, if there is one.
    pub fn first_flow(&self) -> Option<Place> {
        self.flows.values().map(|flow| flow.at).min()
    }

    /// The definition at a URI. `label` is the action's name in messages.
    pub fn get(
        &mut self,
        uri: Text<'_>,
        label: &str,
        reader: &mut Reader<'_>,
    ) -> Option<Rc<Definition>> {
        let scheme = uri.get().split_once("://").map(|(scheme, _)| scheme);
        match scheme {
            Some("http" | "file" | "pattern") => {
                if let Some(known) = self.fetched.get(uri.get()) {
                    return known.clone();
                }
                let loaded = match scheme {
                    Some("http") => over_http(uri, reader),
                    Some("file") => from_file(uri, reader),
                    _ => pattern(uri, &uri.get()["pattern://".len()..], reader),
                };
                self.fetched.insert(uri.get().to_owned(), loaded.clone());
                loaded
            }
            _ => self.embedded(uri, label, reader),
        }
    }

    /// The built-in pattern of that name.
    pub fn pattern(&mut self, name: Text<'_>, reader: &mut Reader<'_>) -> Option<Rc<Definition>> {
        pattern(name, name.get(), reader)
    }

    fn embedded(
        &mut self,
        uri: Text<'_>,
        label: &str,
        reader: &mut Reader<'_>,
    ) -> Option<Rc<Definition>> {
        let Some(index) = self.by_id.get(uri.get()) else {
            let mend = match uri.get().split_once("://") {
                Some(("https", _)) => {
                    "fetch the definition into a file and name that: `file:///PATH`".to_owned()
                }
                Some((_, rest)) => format!(
                    "write `\"uri\": \"{}\"`, or use `file://`, `http://` or `pattern://`",
                    quote(rest).trim_matches('`')
                ),
                None => {
                    let known = self.embedded.iter().map(|known| known.id.as_str());
                    suggest(uri.get(), known)
                }
            };
            let what = format!("no resource has the id {}", uri.shown());
            let what = format!("failed to load microgateway URI data: '{label}': {what}");
            return reader.refuse(uri.at, what, mend);
        };
        let found = &mut self.embedded[*index];
        found.used = true;
        found.loaded.clone()
    }

    /// The definitions among the resources that no action uses.
    pub fn unused(&self) -> impl Iterator<Item = &Rc<Definition>> {
        let unused = self.embedded.iter().filter(|known| !known.used);
        unused.filter_map(|known| known.loaded.as_ref())
    }

    /// Warns about resources that no action uses: only their form has been checked.
    pub fn warn_of_unused(&self, reader: &mut Reader<'_>) {
        let embedded = self.embedded.iter().filter(|known| !known.used);
        let flows = self.flows.iter().filter(|(_, flow)| !flow.used);
        let unused = embedded
            .map(|known| (known.at, &known.id))
            .chain(flows.map(|(id, flow)| (flow.at, id)));
        for (at, id) in unused {
            reader.notes.warn(
                at,
                format!("no action uses the resource {}", quote(id)),
                "name it in an action's `uri`, or remove it",
            );
        }
    }
}

fn over_http(uri: Text<'_>, reader: &mut Reader<'_>) -> Option<Rc<Definition>> {
    match reader.loader.fetch(uri.get()) {
        Ok(text) => parse(uri, text, Strictness::Kinds, reader),
        Err(error) => {
            let shown = uri.shown();
            let mend = "check that the address answers 200 with a definition; it is fetched at every start and reload";
            let what = format!("Error in accessing specified HTTP url {shown}: {error}");
            reader.refuse(uri.at, what, mend)
        }
    }
}

/// The text of a file that an application names.
///
/// # Errors
/// The error that kept it from being read.
pub(crate) fn local(path: &str, at: Place, reader: &mut Reader<'_>) -> std::io::Result<String> {
    reader.loader.local(path).or_else(|error| {
        // The original is started in a project's `bin`, two folders away from the application.
        let beside = path.trim_start_matches("./").trim_start_matches("../");
        let found = match beside.starts_with('/') || beside.contains("..") {
            true => Err(error),
            false => reader.loader.file(beside).map_err(|_| error),
        };
        if found.is_ok() {
            let what = format!(
                "the file {} is missing here, and the one beside the application is read",
                quote(path)
            );
            let mend = "start the program where the path leads to it, or ignore this";
            reader.notes.warn(at, what, mend);
        }
        found
    })
}

fn from_file(uri: Text<'_>, reader: &mut Reader<'_>) -> Option<Rc<Definition>> {
    let path = &uri.get()["file://".len()..];
    match local(path, uri.at, reader) {
        Ok(text) => parse(uri, text, Strictness::Full, reader),
        Err(error) => reader.refuse(
            uri.at,
            format!("File reading error: {}: {error}", quote(path)),
            "check the path: it is relative to the directory that the program was started in",
        ),
    }
}

fn parse(
    uri: Text<'_>,
    text: String,
    strictness: Strictness,
    reader: &mut Reader<'_>,
) -> Option<Rc<Definition>> {
    if text.len() > BYTES_MAX {
        let (shown, length) = (uri.shown(), text.len());
        let what = format!("{shown} has {length} bytes, more than {BYTES_MAX}");
        return reader.refuse(uri.at, what, "split it");
    }
    let file = reader.texts.len();
    let named = uri.get().strip_prefix("file://").unwrap_or(uri.get());
    reader.texts.push(SourceText::new(named, &text));
    let mut root = match located::parse(text.strip_prefix('\u{feff}').unwrap_or(&text), file) {
        Ok(root) => root,
        Err(NotJson { at, what }) => {
            let begin = "error marshalling microgateway definition resource: invalid JSON";
            return reader.refuse(at, format!("{begin}: {what}"), "correct the definition");
        }
    };
    secret::reveal(&mut root, reader.loader, reader.notes);
    located::refuse_duplicates(&root, reader.notes);
    if !schema::check(&root, strictness, reader.notes) {
        return None;
    }
    if !matches!(root.kind, Kind::Map(_)) {
        let mend = "write `{ \"name\": …, \"steps\": […] }`";
        return reader.refuse(root.at, "a definition must be an object", mend);
    }
    let name = Object::open(&root, "a definition", reader.notes)
        .and_then(|root| root.word("name", reader.notes))
        .map_or_else(|| stem(named), |name| name.get().to_owned());
    Some(Definition::new(name, root))
}

/// The last segment of a path or URL, without its extension.
fn stem(path: &str) -> String {
    let last = path.trim_end_matches('/').rsplit('/').next();
    let last = last.unwrap_or(path);
    last.split('.').next().unwrap_or(last).to_owned()
}

/// The built-in pattern of that name; `text` is its place.
pub(crate) fn pattern(
    text: Text<'_>,
    name: &str,
    reader: &mut Reader<'_>,
) -> Option<Rc<Definition>> {
    let Some((_, definition)) = PATTERNS.iter().find(|(known, _)| *known == name) else {
        let what = "unexpected end of JSON input: unknown pattern";
        let known = PATTERNS.map(|(name, _)| name);
        let mend = match nearest(name, known) {
            Some(near) => format!("did you mean {}?", quote(near)),
            None => "a pattern that Go code registers is JSON: write it into a file and name that, `\"uri\": \"file://PATTERN.json\"`".to_owned(),
        };
        return reader.refuse(text.at, format!("{what} {}", quote(name)), mend);
    };
    let mut root = located::parse(definition, 0).expect("the built-in patterns are JSON");
    // Faults in a pattern's values are reported at the action that uses it.
    place_all(&mut root, text.at);
    let parts = parts(&root);
    Some(Rc::new(Definition {
        name: name.to_owned(),
        root,
        parts,
        is_built_in: true,
    }))
}

fn place_all(node: &mut Node, at: Place) {
    node.at = at;
    if let Kind::Map(entries) = &mut node.kind {
        entries.iter_mut().for_each(|entry| entry.at = at);
    }
    node.each_child(|child| place_all(child, at));
}

/// True if a reference names the action that runs flows.
pub(crate) fn is_flow(path: &str) -> bool {
    tail(path) == (ContributionKind::Action, "flow")
}

/// True if a reference names the microgateway.
pub(crate) fn is_microgateway(path: &str) -> bool {
    tail(path) == (ContributionKind::Action, MICROGATEWAY)
}
