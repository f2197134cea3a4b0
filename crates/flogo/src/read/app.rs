//! Reading a whole application: from its tree to the plan.

use std::sync::Arc;

use fusebox_plan::dialect::{Loader, Node, Notes, Place};
use fusebox_plan::plan::{Limits, Plan};

use crate::Functions;
use crate::Names;
use crate::Params;
use crate::Value;
use crate::program::App;
use crate::read::actions::Actions;
use crate::read::cors::cors;
use crate::read::library::Library;
use crate::read::lint;
use crate::read::located;
use crate::read::object::Object;
use crate::read::properties;
use crate::read::reader::{Reader, SourceText};
use crate::read::refs::{ContributionKind, Imports, tail};
use crate::read::secret;
use crate::read::swagger::About;
use crate::read::triggers::Triggers;

const KEYS: [&str; 14] = [
    "name",
    "type",
    "version",
    "description",
    "appModel",
    "imports",
    "properties",
    "channels",
    "triggers",
    "resources",
    "actions",
    "schemas",
    "connections",
    "feVersion",
];

/// An application that has been read.
pub(crate) struct Application {
    /// The plan, valid only if the notes have no error.
    pub plan: Plan,
    pub(crate) triggers: Triggers,
    /// The names of all files that were read; places refer to them by index.
    pub files: Vec<String>,
}

/// True if a document is a Flogo application, by its type or by its triggers and resources.
pub(crate) fn is_application(root: &Node) -> bool {
    let typed = root.entry("type");
    let typed = typed.is_some_and(|entry| entry.value.describe().starts_with("`flogo:"));
    let native = root.entry("upstreams").is_some() || root.entry("routes").is_some();
    let parts = ["triggers", "resources"];
    typed || (!native && parts.iter().any(|key| root.entry(key).is_some()))
}

/// Reads an application. `files` are those that are read with it, its own file first; those that it names are added.
pub(crate) fn read(
    mut root: Node,
    files: &[String],
    text: &str,
    loader: &dyn Loader,
    notes: &mut Notes,
) -> Application {
    let start = root.at;
    located::refuse_duplicates(&root, notes);
    secret::reveal(&mut root, loader, notes);
    let env = loader.environment().into_iter();
    let env: Params = env
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let mut reader = Reader {
        notes,
        loader,
        texts: texts(files, text),
        handler_names: Names::default(),
        definition_names: Names::default(),
        flow_names: Names::default(),
        env: Value::Params(Arc::new(env.clone())),
    };
    let mut plan = Plan {
        listeners: Vec::new(),
        admin: None,
        store: None,
        fleet: None,
        access_log: None,
        limits: Limits::default(),
        upstreams: Vec::new(),
        guards: Vec::new(),
        breakers: Vec::new(),
        routes: Vec::new(),
        app: None,
    };
    let Some(app) = Object::open(&root, "an application", reader.notes) else {
        return Application {
            plan,
            triggers: Triggers::default(),
            files: names(reader.texts),
        };
    };
    app.warn_of_typos(&KEYS, reader.notes);
    for (key, what) in [
        ("name", "no App name provided"),
        ("version", "no App version provided"),
    ] {
        if app.word(key, reader.notes).is_none() && text_or_nothing(&app, key) {
            reader.error(app.at, what, format!("add `\"{key}\"` to the application"));
        }
    }
    let imports = Imports::read(app.list("imports", reader.notes), reader.notes);
    let listed = app.list("properties", reader.notes);
    let properties = properties::properties(listed, loader, start, reader.notes);
    let skip_missing = env
        .get("FLOGO_MAPPING_SKIP_MISSING")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    reader.definition_names = Names {
        env,
        // The original has no properties in a definition.
        properties: Some(properties),
        functions: functions(&imports),
        skip_missing,
        ..Names::default()
    };
    reader.handler_names = Names {
        loops: true,
        ..reader.definition_names.clone()
    };
    reader.flow_names = Names {
        flows: true,
        ..reader.handler_names.clone()
    };
    let channels = properties::channels(app.list("channels", reader.notes), reader.notes);
    let library = Library::read(app.list("resources", reader.notes), &mut reader);
    let mut actions = Actions::new(&imports, library);
    actions.read_shared(app.list("actions", reader.notes), &mut reader);
    let triggers = app.list("triggers", reader.notes);
    let about = about(app, &reader);
    let triggers = Triggers::read(triggers, &channels, &about, &mut actions, &mut reader);
    lint::lint(&triggers, &actions.built, &mut reader);
    actions.name_flows(&mut reader);
    plan.listeners = triggers.listeners.clone();
    plan.routes = triggers.plan_routes();
    plan.upstreams = triggers.upstreams();
    plan.app = Some(Arc::new(App {
        handlers: triggers.handlers(),
        channels,
        subscriptions: triggers.subscriptions.clone(),
        cors: cors(loader),
    }));
    if reader.notes.errors() == 0 {
        actions.warn_of_unused(&mut reader);
        refuse_idle(&plan, start, &mut reader);
    } else {
        actions.look_into_unused(&mut reader);
    }
    Application {
        plan,
        triggers,
        files: names(reader.texts),
    }
}

/// True unless the value is of another kind, which has been reported already.
fn text_or_nothing(app: &Object<'_>, key: &str) -> bool {
    app.get(key)
        .is_none_or(|entry| crate::read::object::text(&entry.value).is_some())
}

/// The application's own words, for documents about it.
fn about(app: Object<'_>, reader: &Reader<'_>) -> About {
    let host = reader.loader.env("HOSTNAME");
    let text = |key: &str| {
        let entry = app.get(key);
        let text = entry.and_then(|entry| crate::read::object::text(&entry.value));
        text.map(|text| text.get().to_owned()).unwrap_or_default()
    };
    About {
        name: text("name"),
        version: text("version"),
        description: text("description"),
        host: host.unwrap_or_else(|| "localhost".to_owned()),
    }
}

/// The texts of the files so far, of which all but the first are no part of the application.
fn texts(files: &[String], text: &str) -> Vec<SourceText> {
    let texts = std::iter::once(text).chain(std::iter::repeat(""));
    let named = files.iter().zip(texts);
    named
        .map(|(name, text)| SourceText::new(name, text))
        .collect()
}

fn names(texts: Vec<SourceText>) -> Vec<String> {
    texts.into_iter().map(|text| text.name).collect()
}

fn functions(imports: &Imports) -> Functions {
    let mut functions = Functions::default();
    for import in &imports.list {
        let is_function = tail(&import.path).0 == ContributionKind::Function
            || import.path.ends_with("/function");
        if is_function {
            let alias = import.renamed.then_some(import.alias.as_str());
            functions.import(&import.path, alias);
        }
    }
    functions
}

fn refuse_idle(plan: &Plan, start: Place, reader: &mut Reader<'_>) {
    if plan.listeners.is_empty() {
        let what = "the application has no REST trigger, so no client can connect";
        reader.error(start, what, "add one to `triggers`");
    } else if plan.routes.is_empty() {
        let what =
            "the application's REST triggers have no handler, so every request is answered 404";
        reader.error(start, what, "add one to a trigger's `handlers`");
    }
}
