//! Actions: instances of the microgateway, with their settings, definitions and services.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use fusebox_plan::dialect::{Entry, Node, Notes, Place, quote};

use crate::Map;
use crate::Value;
use crate::flow::{Action, Service};
use crate::read::activities;
use crate::read::flow_actions::ActionKind;
use crate::read::flows::Flows;
use crate::read::library::{Definition, Library, is_microgateway};
use crate::read::lint;
use crate::read::located;
use crate::read::lowering;
use crate::read::lowering::IndexMap;
use crate::read::object::{Object, Text};
use crate::read::older::{self, Older};
use crate::read::reader::{Owner, Reader, expression_of};
use crate::read::refs::{ContributionKind, Imports, import_mend};
use crate::read::schemas;

/// The places of an action's parts in their files.
#[derive(Debug, Clone)]
pub(crate) struct ActionPlaces {
    pub services: Vec<Place>,
    pub steps: Vec<Place>,
    pub responses: Vec<Place>,
}

/// An action that has been read, with its places.
#[derive(Debug, Clone)]
pub(crate) struct BuiltAction {
    pub action: Arc<Action>,
    pub places: Rc<ActionPlaces>,
    /// The definition as written.
    pub source: Rc<Definition>,
    /// The names of the action's own settings, with their places.
    pub conf: Rc<[(String, Place)]>,
}

/// Builds actions, and gives each instance a unique name.
pub(crate) struct Actions<'i> {
    pub imports: &'i Imports,
    pub library: Library,
    instances: HashMap<String, u32>,
    pub(super) shared: Vec<Shared>,
    /// The index of each shared action, by its id.
    pub(super) by_id: HashMap<String, usize>,
    /// Every action of the microgateway that was built.
    pub built: Vec<BuiltAction>,
    pub(super) flows: Flows<'i>,
    /// The number of handlers, and of those with an action of the microgateway.
    pub(super) handlers: (usize, usize),
    /// The size of all instances so far, in keys and values of their definitions.
    parts: usize,
}

/// The most keys and values of all definitions, each counted for every instance, so that a small file with a thousand
/// instances of one long definition does not become a large plan.
const PARTS_MAX: usize = 1_000_000;

pub(super) struct Shared {
    id: String,
    at: Place,
    /// The built action; `None` after an error, which has been reported.
    built: Option<BuiltAction>,
    pub kind: Option<ActionKind>,
    used: bool,
}

impl<'i> Actions<'i> {
    pub fn new(imports: &'i Imports, library: Library) -> Actions<'i> {
        Actions {
            imports,
            library,
            instances: HashMap::new(),
            shared: Vec::new(),
            by_id: HashMap::new(),
            built: Vec::new(),
            flows: Flows::new(imports),
            handlers: (0, 0),
            parts: 0,
        }
    }

    /// Reads the application's `actions`, which handlers refer to by their ids.
    pub fn read_shared(&mut self, items: &[Node], reader: &mut Reader<'_>) {
        for object in Object::each(items, "an action", reader.notes) {
            let what = "a shared action has no id, so no handler can use it";
            let Some(id) = object.needed("id", what, "add `\"id\"`", reader.notes) else {
                continue;
            };
            if self.by_id.contains_key(id.get()) {
                let what = format!("two actions have the id {}", id.shown());
                reader.error(id.at, what, "give each an id of its own");
                continue;
            }
            let built = self.build(object, id.get(), reader);
            let kind = self.kind_of(object);
            self.by_id.insert(id.get().to_owned(), self.shared.len());
            self.shared.push(Shared {
                id: id.get().to_owned(),
                at: id.at,
                built,
                kind,
                used: false,
            });
        }
    }

    /// The action that a handler's entry refers to or describes.
    pub fn of_handler(
        &mut self,
        entry: Object<'_>,
        reader: &mut Reader<'_>,
    ) -> Option<BuiltAction> {
        let Some(id) = entry.word("id", reader.notes) else {
            return self.build(entry, "", reader);
        };
        match self.by_id.get(id.get()) {
            Some(index) => {
                let shared = &mut self.shared[*index];
                shared.used = true;
                shared.built.clone()
            }
            None => {
                let known = self.shared.iter().map(|shared| shared.id.as_str());
                let mend = fusebox_plan::dialect::suggest(id.get(), known);
                let what = format!("shared action '{}' does not exists", id.get());
                reader.refuse(id.at, what, mend)
            }
        }
    }

    /// Warns about shared actions and resources that are never used.
    pub fn warn_of_unused(&self, reader: &mut Reader<'_>) {
        for shared in self.shared.iter().filter(|shared| !shared.used) {
            reader.notes.warn(
                shared.at,
                format!("no handler uses the action {}", quote(&shared.id)),
                "use it in a handler, or remove it",
            );
        }
        self.library.warn_of_unused(reader);
    }

    /// Reports the errors of resources that no readable action uses, so that mending the others shows no new ones.
    pub fn look_into_unused(&self, reader: &mut Reader<'_>) {
        for loaded in self.library.unused() {
            let Some(definition) = Object::of(&loaded.root) else {
                continue;
            };
            // Without an action's settings nothing is known of what they say.
            let reads = lint::reads(definition, reader);
            if reads.iter().any(|(name, _)| name == "conf") {
                continue;
            }
            let settings = ActionSettings {
                source: DefinitionSource::None,
                asynchronous: false,
                conf: Value::from(Map::new()),
                names: Rc::new([]),
            };
            self.lower(&loaded.name.as_str().into(), &settings, loaded, reader);
        }
    }

    fn build(
        &mut self,
        object: Object<'_>,
        id: &str,
        reader: &mut Reader<'_>,
    ) -> Option<BuiltAction> {
        if self.kind_of(object) == Some(ActionKind::Flow) {
            return self.flow(object, reader);
        }
        let reference = self.reference(object, reader);
        if reference.is_none() && !has_definition(object) {
            return None;
        }
        let settings = object.object("settings", reader.notes);
        // An older spelling of `settings`.
        let data = object.object("data", reader.notes);
        let entries: Vec<Entry> = settings
            .into_iter()
            .chain(data)
            .flat_map(|object| object.entries().iter().cloned())
            .collect();
        let settings = ActionSettings::read(&entries, object.at, reader)?;
        let label = match reference {
            Some(reference) if id.is_empty() => reference,
            _ => id,
        };
        let loaded = match settings.source {
            DefinitionSource::None => return None,
            DefinitionSource::Uri(uri) => self.library.get(uri, label, reader)?,
            DefinitionSource::Pattern(name) => self.library.pattern(name, reader)?,
        };
        self.add_parts(loaded.parts, object.at, reader)?;
        let name = self.name(&loaded.name);
        let built = self.lower(&name, &settings, &loaded, reader);
        // The definition of an action that cannot be read is looked into all the same.
        let built = built.filter(|_| reference.is_some())?;
        self.built.push(built.clone());
        Some(built)
    }

    /// The action's `ref`, which must be the microgateway's.
    fn reference<'n>(&self, object: Object<'n>, reader: &mut Reader<'_>) -> Option<&'n str> {
        let what = "an action has neither an id nor a ref";
        let mend = "add `\"ref\": \"github.com/project-flogo/microgateway\"`, or the id of a shared action";
        let reference = object.needed("ref", what, mend, reader.notes)?;
        let kind = ContributionKind::Action;
        match self.imports.resolve(reference.get(), kind) {
            Ok(path) if is_microgateway(path) => Some(reference.get()),
            Ok(path) => reader.refuse(
                reference.at,
                format!("action factory '{path}' not registered"),
                "the microgateway and flows are run: `github.com/project-flogo/microgateway`, `github.com/project-flogo/flow`",
            ),
            Err(what) => reader.refuse(reference.at, what, import_mend(reference.get(), kind)),
        }
    }

    /// Counts the parts of a further instance; `None` past the most.
    pub(super) fn add_parts(
        &mut self,
        parts: usize,
        at: Place,
        reader: &mut Reader<'_>,
    ) -> Option<()> {
        self.parts = self.parts.saturating_add(parts);
        if self.parts > PARTS_MAX {
            return reader.refuse(
                at,
                format!("the application's actions have more than {PARTS_MAX} parts in all"),
                "let handlers share actions by their ids, or split the application",
            );
        }
        Some(())
    }

    /// A unique name for an instance: the resource's, with a number from the second on.
    pub(super) fn name(&mut self, resource: &str) -> Arc<str> {
        let count = self.instances.entry(resource.to_owned()).or_default();
        *count += 1;
        match count {
            1 => resource.into(),
            number => format!("{resource}#{number}").into(),
        }
    }

    fn lower(
        &self,
        name: &Arc<str>,
        settings: &ActionSettings<'_>,
        loaded: &Rc<Definition>,
        reader: &mut Reader<'_>,
    ) -> Option<BuiltAction> {
        let before = reader.notes.errors();
        let (settings, loaded) = &settings.modern(loaded, reader)?;
        let definition = Object::open(&loaded.root, "a definition", reader.notes)?;
        let scope: Map = [
            ("async".into(), Value::Bool(settings.asynchronous)),
            ("env".into(), reader.env.clone()),
            ("conf".into(), settings.conf.clone()),
        ]
        .into();
        let drafts = services(definition, reader);
        let mut built = Vec::new();
        let mut places = Vec::new();
        for draft in &drafts {
            let at = draft.settings.map_or(draft.at, |settings| settings.at);
            let entries = draft.settings.map_or(&[][..], |it| it.entries());
            let Some(settings) = reader.settings(at, entries, &scope, Owner::Definitions) else {
                continue;
            };
            let breaker = format!("{name}/{}", draft.name.get()).into();
            let activity = activities::activity(draft.reference, &settings, breaker, reader);
            built.extend(activity.map(|activity| Service {
                name: draft.name.get().into(),
                settings: Value::from(settings.values),
                activity,
            }));
            places.push(draft.at);
        }
        // The names of faulty services are included: a step that uses one is valid.
        let names: IndexMap<'_> = drafts
            .iter()
            .enumerate()
            .map(|(index, draft)| (draft.name.get(), index))
            .collect();
        let items = definition.list("steps", reader.notes);
        let (steps, step_places) = lowering::steps(items, &names, reader).into_iter().unzip();
        if before == reader.notes.errors() {
            schemas::read(&mut built, items, &scope, reader);
        }
        let items = definition.list("responses", reader.notes);
        let (responses, response_places) = lowering::responses(items, reader).into_iter().unzip();
        (before == reader.notes.errors()).then(|| BuiltAction {
            action: Arc::new(Action {
                name: name.clone(),
                resource: loaded.name.as_str().into(),
                conf: settings.conf.clone(),
                env: reader.env.clone(),
                asynchronous: settings.asynchronous,
                services: built,
                flow: None,
                steps,
                responses,
            }),
            places: Rc::new(ActionPlaces {
                services: places,
                steps: step_places,
                responses: response_places,
            }),
            source: loaded.clone(),
            conf: settings.names.clone(),
        })
    }
}

/// True if an action's settings name a definition of the microgateway.
fn has_definition(object: Object<'_>) -> bool {
    let settings = ["settings", "data"]
        .iter()
        .filter_map(|key| object.get(key));
    let mut uris = settings.filter_map(|settings| settings.value.entry("uri"));
    uris.any(|uri| {
        let text = crate::read::object::text(&uri.value);
        text.is_some_and(|text| text.get().starts_with("microgateway:"))
    })
}

/// The setting that identifies an action's definition.
#[derive(Clone)]
enum DefinitionSource<'n> {
    Uri(Text<'n>),
    /// None: an action that the application does not have.
    None,
    /// A setting `pattern`, an older spelling of `pattern://NAME`.
    Pattern(Text<'n>),
}

/// An action's own settings, all of which are in `$.conf`.
#[derive(Clone)]
struct ActionSettings<'n> {
    source: DefinitionSource<'n>,
    asynchronous: bool,
    conf: Value,
    names: Rc<[(String, Place)]>,
}

impl<'n> ActionSettings<'n> {
    /// The settings and the definition with what the microgateway's first weeks had elsewhere.
    fn modern(
        &self,
        loaded: &Rc<Definition>,
        reader: &mut Reader<'_>,
    ) -> Option<(ActionSettings<'n>, Rc<Definition>)> {
        let definition = Object::open(&loaded.root, "a definition", reader.notes)?;
        let older = Older::read(definition, reader.notes);
        let mut settings = self.clone();
        settings.asynchronous |= older.asynchronous;
        settings.conf = older.complete(&settings.conf);
        if older.pattern.is_some() || matches!(self.source, DefinitionSource::Pattern(_)) {
            settings.conf = older::pattern_settings(&settings.conf);
        }
        let loaded = match older.pattern {
            None => loaded.clone(),
            Some(name) => crate::read::library::pattern(name, name.get(), reader)?,
        };
        Some((settings, loaded))
    }

    fn read(
        entries: &'n [Entry],
        at: Place,
        reader: &mut Reader<'_>,
    ) -> Option<ActionSettings<'n>> {
        let value = |key: &str| entries.iter().find(|entry| entry.key == key);
        let mend = "name the definition: `\"uri\": \"microgateway:NAME\"`";
        let text = |key: &str| {
            let text = value(key).and_then(|entry| crate::read::object::text(&entry.value));
            text.filter(|text| !text.get().is_empty())
        };
        let source = match (value("uri"), text("uri"), text("pattern")) {
            (_, Some(uri), _) => DefinitionSource::Uri(uri),
            (None, None, Some(pattern)) => DefinitionSource::Pattern(pattern),
            (None, None, None) => return reader.refuse(at, "field 'uri' is required", mend),
            (Some(entry), None, _) => {
                let shown = match located::value(&entry.value) {
                    Value::Null => "<nil>".to_owned(),
                    value => value.to_text(),
                };
                let what = format!("value '{shown}' is not valid for 'uri'");
                return reader.refuse(entry.value.at, what, mend);
            }
        };
        let asynchronous = match value("async").map(|entry| &entry.value) {
            None => false,
            Some(node) => match located::value(node).to_bool() {
                Ok(flag) => flag,
                Err(_) => {
                    let what = format!("`async` must be true or false, found {}", node.describe());
                    return reader.refuse(node.at, what, "write true or false");
                }
            },
        };
        let conf = entries.iter().map(|entry| {
            let value = property(entry, reader)?;
            Some((entry.key.as_str().into(), value))
        });
        let conf: Map = conf.collect::<Option<_>>()?;
        Some(ActionSettings {
            source,
            asynchronous,
            conf: Value::from(conf),
            names: entries.iter().map(|it| (it.key.clone(), it.at)).collect(),
        })
    }
}

/// The value of an action's setting: a property where it is `=$property[NAME]`, otherwise as written. `None` after an
/// error.
///
/// The original takes settings as written, so that the address of a pattern's backend cannot come from outside there.
fn property(entry: &Entry, reader: &mut Reader<'_>) -> Option<Value> {
    let refers = expression_of(&entry.value).filter(|(_, text)| text.starts_with("$property["));
    if refers.is_none() {
        return Some(located::value(&entry.value));
    }
    let given = reader.given(&entry.value, Owner::Definitions)?;
    match given.eval(&Map::new()) {
        Ok(value) => Some(value),
        Err(error) => {
            let mend =
                "a setting is evaluated at the start: it sees `$property[NAME]` and no request";
            reader.refuse(entry.value.at, error.message, mend)
        }
    }
}

/// A service as written, before its settings are evaluated.
struct ServiceDraft<'n> {
    at: Place,
    name: Text<'n>,
    reference: Text<'n>,
    settings: Option<Object<'n>>,
}

fn services<'n>(definition: Object<'n>, reader: &mut Reader<'_>) -> Vec<ServiceDraft<'n>> {
    let mut drafts: Vec<ServiceDraft<'n>> = Vec::new();
    let mut lines: HashMap<&str, u32> = HashMap::new();
    let items = definition.list("services", reader.notes);
    for object in Object::each(items, "a service", reader.notes) {
        let name = needed(object, "name", reader.notes);
        let reference = needed(object, "ref", reader.notes);
        let (Some(name), Some(reference)) = (name, reference) else {
            continue;
        };
        if let Some(line) = lines.insert(name.get(), name.at.line) {
            let what = format!("duplicate service name: {}", name.get());
            let mend = format!("give each service a name of its own; line {line} has it too");
            reader.error(name.at, what, mend);
            continue;
        }
        drafts.push(ServiceDraft {
            at: object.at,
            name,
            reference,
            settings: object.object("settings", reader.notes),
        });
    }
    drafts
}

/// A required text, which is missing only in a definition without a schema.
fn needed<'n>(object: Object<'n>, key: &str, notes: &mut Notes) -> Option<Text<'n>> {
    let text = object.text(key, notes);
    if text.is_none() && object.get(key).is_none() {
        let what = format!("a service has no {key}");
        notes.error(object.at, what, format!("add `\"{key}\"`"));
    }
    text
}
