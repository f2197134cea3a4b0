//! Flows: tasks with their activities, and the links between them.
//!
//! Flows of the activities log, rest, jsexec, counter, noop, actreply and actreturn are read. Everything else is refused at
//! its line, each activity in one line.

use std::collections::{BTreeSet, HashMap, HashSet};

use fusebox_plan::dialect::{Entry, Kind, Node, Place, quote, suggest};

use crate::flow::{Activity, Attribute, Flow, Link, Mapping, Service, Task};
use crate::read::activities::{counter, instead_of, named};
use crate::read::flow_links::{link, refuse_circles};
use crate::read::flow_names::FlowNames;
use crate::read::object::{Object, Text};
use crate::read::reader::{Owner, Reader, expression_of};
use crate::read::refs::{ContributionKind, Imports, import_mend};
use crate::read::{lint, located, mapping, rest, scripts};
use crate::{Map, Value};

/// The activities of flows, for messages.
const WITH: &str = "log, rest, jsexec, counter, noop, actreply, actreturn";
/// The types of attributes, for messages.
const TYPES: [&str; 11] = [
    "any", "string", "integer", "long", "number", "double", "boolean", "object", "bytes", "params",
    "array",
];

/// The parts of an action that runs a flow.
pub(crate) struct ReadFlow {
    pub flow: Flow,
    /// The services of the tasks, in their order.
    pub services: Vec<Service>,
    /// The place of each service.
    pub places: Vec<Place>,
}

/// Reads flows, and refuses each activity that is not supported in one line.
pub(crate) struct Flows<'i> {
    imports: &'i Imports,
    /// The old keys that have been refused; each has one error.
    refused: HashSet<String>,
    /// True if the flow has an activity that does not run.
    is_partial: bool,
    /// True if a flow has a part that does not run here, which is no mistake of its author.
    pub is_unsupported: bool,
}

impl<'i> Flows<'i> {
    pub fn new(imports: &'i Imports) -> Flows<'i> {
        Flows {
            imports,
            refused: HashSet::new(),
            is_partial: false,
            is_unsupported: false,
        }
    }

    /// Reads a flow; `None` after an error.
    pub fn read(&mut self, name: &str, root: &Node, reader: &mut Reader<'_>) -> Option<ReadFlow> {
        let before = reader.notes.errors();
        self.is_partial = false;
        let definition = Object::open(root, "a flow", reader.notes)?;
        let written = definition.word("name", reader.notes);
        if let Some(model) = definition.word("model", reader.notes)
            && model.get() != "flogo-simple"
        {
            let what = format!("the flow's model {} is not supported", model.shown());
            reader.error(model.at, what, "remove it: the default is `flogo-simple`");
        }
        let metadata = definition.object("metadata", reader.notes);
        let attributes = |key: &str, reader: &mut Reader<'_>| {
            let items = metadata.map_or(&[][..], |it| it.list(key, reader.notes));
            attributes(items, reader)
        };
        let (inputs, outputs) = (attributes("input", reader), attributes("output", reader));
        let mut draft = Draft::default();
        self.part(definition, &mut draft, reader);
        let main = draft.tasks.len();
        if let Some(handler) = definition.object("errorHandler", reader.notes) {
            self.part(handler, &mut draft, reader);
        }
        if main == 0 && !self.is_partial && before == reader.notes.errors() {
            reader.error(definition.at, "the flow has no tasks", "add one to `tasks`");
        }
        if before == reader.notes.errors() && !self.is_partial {
            let outputs = draft.tasks.iter().zip(&draft.services);
            let outputs = outputs.map(|(task, service)| {
                let outputs = lint::known::Known::outputs(&service.activity);
                (task.id.to_string(), outputs)
            });
            let names = FlowNames {
                outputs: outputs.collect(),
                inputs: inputs.iter().map(|it| &*it.name).collect(),
            };
            names.warn(root, reader);
        }
        let flow = Flow {
            name: written.map_or(name, Text::get).into(),
            inputs,
            outputs,
            main,
            tasks: draft.tasks,
            links: draft.links,
        };
        (before == reader.notes.errors() && !self.is_partial).then_some(ReadFlow {
            flow,
            services: draft.services,
            places: draft.places,
        })
    }

    /// Reads the tasks and links of a flow, or of its error handler.
    fn part(&mut self, part: Object<'_>, draft: &mut Draft, reader: &mut Reader<'_>) {
        let first = draft.tasks.len();
        let items = part.list("tasks", reader.notes);
        let mut names: HashMap<&str, Option<usize>> = HashMap::new();
        for object in Object::each(items, "a task", reader.notes) {
            let what = "a task has no id";
            let Some(id) = object.needed("id", what, "add `\"id\"`", reader.notes) else {
                continue;
            };
            if !draft.ids.insert(id.get().to_owned()) {
                let what = format!("two tasks have the id {}", id.shown());
                reader.error(id.at, what, "give each an id of its own");
                continue;
            }
            let task = self.task(object, id, reader);
            names.insert(id.get(), task.as_ref().map(|_| draft.tasks.len()));
            if let Some((task, service)) = task {
                draft.tasks.push(task);
                draft.services.push(service);
                draft.places.push(object.at);
            }
        }
        let items = part.list("links", reader.notes);
        let from = draft.links.len();
        for object in Object::each(items, "a link", reader.notes) {
            let Some(link) = link(object, &names, reader) else {
                continue;
            };
            let index = draft.links.len();
            draft.tasks[link.from].outgoing.push(index);
            draft.tasks[link.to].incoming.push(index);
            draft.links.push(link);
        }
        refuse_circles(
            &draft.links[from..],
            first,
            draft.tasks.len(),
            items,
            reader,
        );
    }

    fn task(
        &mut self,
        object: Object<'_>,
        id: Text<'_>,
        reader: &mut Reader<'_>,
    ) -> Option<(Task, Service)> {
        let before = reader.notes.errors();
        if let Some(kind) = object.get("type") {
            let is_basic = crate::read::object::text(&kind.value)
                .is_some_and(|kind| matches!(kind.get(), "" | "basic"));
            if !is_basic {
                let what = format!(
                    "tasks of the type {} do not run here",
                    kind.value.describe()
                );
                let mend = "split the work over requests, or run this flow where it ran";
                reader.error(kind.value.at, what, mend);
                self.is_unsupported = true;
            }
        }
        if let Some(settings) = object.object("settings", reader.notes) {
            for entry in settings.entries() {
                self.is_unsupported |= refuse_setting(entry, reader);
            }
        }
        for key in [
            "attributes",
            "inputMappings",
            "outputMappings",
            "activityType",
        ] {
            if let Some(entry) = object.get(key) {
                self.refuse_old(entry, "write its activity as in Flogo 1.0", reader);
            }
        }
        let what = format!("the task {} has no activity", id.shown());
        let Some(activity) = object.object("activity", reader.notes) else {
            return reader.refuse(object.at, what, "add `\"activity\": { \"ref\": … }`");
        };
        if let Some(entry) = activity.get("mappings") {
            self.refuse_old(entry, "write `input` instead", reader);
        }
        let (kind, settings) = self.activity(activity, reader)?;
        lint::tasks::lint(activity, &kind, id.get(), id.at, reader);
        let input = match activity.object("input", reader.notes) {
            Some(input) => mapping::mapping(input.entries(), Owner::Flows, reader),
            None => Some(Mapping(Vec::new())),
        };
        let name = object.word("name", reader.notes).unwrap_or(id);
        (before == reader.notes.errors()).then_some((
            Task {
                id: id.get().into(),
                name: name.get().into(),
                input: input?,
                incoming: Vec::new(),
                outgoing: Vec::new(),
            },
            Service {
                name: id.get().into(),
                settings: Value::from(settings),
                activity: kind,
            },
        ))
    }

    /// Refuses a key of older flows, once in an application.
    pub fn refuse_old(&mut self, entry: &Entry, mend: &str, reader: &mut Reader<'_>) {
        self.is_partial = true;
        self.is_unsupported = true;
        if self.refused.insert(entry.key.clone()) {
            let what = format!("{} is of a flow before Flogo 0.9", quote(&entry.key));
            reader.error(entry.at, what, mend);
        }
    }

    /// The activity of a task, with its settings.
    fn activity(&mut self, object: Object<'_>, reader: &mut Reader<'_>) -> Option<(Activity, Map)> {
        let sort = ContributionKind::Activity;
        let (text, reference) = match object.word("ref", reader.notes) {
            Some(text) => (text, text.get().to_owned()),
            None => match object.word("type", reader.notes) {
                Some(text) => (text, format!("#{}", text.get())),
                None => {
                    let mend = "add `\"ref\": \"github.com/project-flogo/contrib/activity/log\"`";
                    return reader.refuse(object.at, "an activity has no ref", mend);
                }
            },
        };
        let path = match self.imports.resolve(&reference, sort) {
            Ok(path) => path.to_owned(),
            Err(what) => return reader.refuse(text.at, what, import_mend(&reference, sort)),
        };
        let (kind, last) = named(&path);
        let entries = object.object("settings", reader.notes);
        let entries = entries.map_or(&[][..], |settings| settings.entries());
        let at = object.get("settings").map_or(object.at, |it| it.value.at);
        match (kind, last) {
            (ContributionKind::Activity, "actreturn" | "actreply") => {
                let mapping = mappings(entries, reader)?;
                let activity = match last {
                    "actreturn" => Activity::Return(mapping),
                    _ => Activity::Reply(mapping),
                };
                Some((activity, Map::new()))
            }
            (ContributionKind::Activity, "noop") => Some((Activity::Nothing, Map::new())),
            (ContributionKind::Activity, "log" | "rest" | "counter") => {
                let settings = reader.settings(at, entries, &Map::new(), Owner::Handlers)?;
                let activity = match last {
                    "log" => Activity::Log,
                    "rest" => Activity::Rest(Box::new(rest::lower(&settings, reader)?)),
                    _ => Activity::Counter(counter(&settings, reader.notes)?),
                };
                Some((activity, settings.values))
            }
            (ContributionKind::Activity, "jsexec") if cfg!(feature = "script") => {
                let settings = reader.settings(at, entries, &Map::new(), Owner::Handlers)?;
                let script = scripts::script(&settings, reader.notes);
                Some((Activity::Script(script), settings.values))
            }
            _ => {
                self.is_partial = true;
                self.is_unsupported = true;
                let what = format!("unable to find activity with ref [{path}]");
                let mend = match instead_of(last).filter(|_| kind == sort) {
                    Some(instead) => {
                        format!("the `{last}` activity is not supported in a flow: {instead}")
                    }
                    None => format!("flows of these activities run: {WITH}"),
                };
                reader.notes.refuse_alike(text.at, what, mend)
            }
        }
    }
}

#[derive(Default)]
struct Draft {
    /// The ids of all tasks, even of those that cannot be read.
    ids: BTreeSet<String>,
    tasks: Vec<Task>,
    services: Vec<Service>,
    places: Vec<Place>,
    links: Vec<Link>,
}

fn attributes(items: &[Node], reader: &mut Reader<'_>) -> Vec<Attribute> {
    let mut attributes = Vec::new();
    for object in Object::each(items, "an attribute", reader.notes) {
        let what = "an attribute of the flow has no name";
        let Some(name) = object.needed("name", what, "add `\"name\"`", reader.notes) else {
            continue;
        };
        let kind = object.word("type", reader.notes);
        let known = match kind.map(|kind| kind.get().to_ascii_lowercase()).as_deref() {
            None => Some("any"),
            Some("number") => Some("double"),
            Some("int") => Some("integer"),
            Some("int32") => Some("int32"),
            Some("int64") => Some("long"),
            Some("float" | "float32" | "float64") => Some("double"),
            Some("bool") => Some("boolean"),
            Some("map" | "complex_object") => Some("object"),
            Some(other) => TYPES.into_iter().find(|known| *known == other),
        };
        let Some(known) = known else {
            if let Some(kind) = kind {
                let what = format!("unknown type {}", kind.shown());
                reader.error(kind.at, what, suggest(kind.get(), TYPES));
            }
            continue;
        };
        let value = object
            .get("value")
            .map(|entry| located::value(&entry.value));
        attributes.push(Attribute {
            name: name.get().into(),
            kind: known.into(),
            value: value.unwrap_or_default(),
        });
    }
    attributes
}

/// Refuses a setting of a task that has no effect here. True if it did.
fn refuse_setting(entry: &Entry, reader: &mut Reader<'_>) -> bool {
    let (what, mend) = match entry.key.as_str() {
        "retryOnError" => (
            "`retryOnError` does not run here",
            "let a native file beside the application repeat the call: `retry` of an upstream with `applies_to`",
        ),
        "circuitBreaker" => (
            "`circuitBreaker` of a task does not run here",
            "put a breaker before the call in a native file beside the application: an upstream with `applies_to`",
        ),
        "iterate" | "accumulate" | "doWhile" | "condition" | "delay" => (
            "iterations do not run here",
            "split the work over requests, or run this flow where it ran",
        ),
        _ => return false,
    };
    reader.error(entry.at, what, mend);
    true
}

/// The setting `mappings` of an activity that returns or replies.
fn mappings(entries: &[Entry], reader: &mut Reader<'_>) -> Option<Mapping> {
    match entries.iter().find(|entry| entry.key == "mappings") {
        None => Some(Mapping(Vec::new())),
        Some(entry) => match &entry.value.kind {
            Kind::Map(entries) => mapping::mapping(entries, Owner::Flows, reader),
            _ => {
                let what = format!(
                    "`mappings` must be an object, found {}",
                    entry.value.describe()
                );
                reader.refuse(entry.value.at, what, "give an object of mappings")
            }
        },
    }
}

/// The id of a flow resource that an action's settings name.
pub(crate) fn uri_of<'n>(object: Object<'n>, reader: &mut Reader<'_>) -> Option<Text<'n>> {
    let settings = ["settings", "data"];
    let mut found = settings
        .iter()
        .filter_map(|key| object.object(key, reader.notes)?.get("flowURI"));
    let Some(entry) = found.next() else {
        let mend = "name the flow: `\"flowURI\": \"res://flow:NAME\"`";
        return reader.refuse(object.at, "field 'flowURI' is required", mend);
    };
    match crate::read::object::text(&entry.value) {
        Some(text) if expression_of(&entry.value).is_none() => Some(text),
        _ => {
            let mend = "name the flow: `\"flowURI\": \"res://flow:NAME\"`";
            reader.refuse(entry.value.at, "`flowURI` must be a text", mend)
        }
    }
}
