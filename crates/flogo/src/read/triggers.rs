//! Triggers and their handlers: listeners, routes and subscriptions.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use fusebox_plan::dialect::{Node, Place, quote, suggest};
use fusebox_plan::plan::{Http2, Listener, Manner, Route, Step, Upstream};
use http::Method;

use crate::Map;
use crate::flow::{Activity, Choice, Handler, PassKind};
use crate::program::{Channel, Subscription};
use crate::read::actions::{Actions, BuiltAction};
use crate::read::handler_path::{HandlerPath, PathTree};
use crate::read::lint;
use crate::read::mapping;
use crate::read::object::{Object, Text};
use crate::read::passing::{self, PassRoute};
use crate::read::reader::{Owner, Reader};
use crate::read::settings::Settings;
use crate::read::swagger::{self, About, Documented};
use crate::read::trigger_kind::{TriggerKind, kind, tls};

const TRIGGER_KEYS: [&str; 8] = [
    "id",
    "ref",
    "type",
    "name",
    "settings",
    "handlers",
    "description",
    "schemas",
];
const HANDLER_KEYS: [&str; 7] = [
    "settings",
    "action",
    "actions",
    "name",
    "description",
    "schemas",
    "reply",
];
const CHOICE_KEYS: [&str; 10] = [
    "id", "ref", "settings", "data", "if", "input", "output", "type", "metadata", "mappings",
];

/// The methods of a REST handler, and of the REST activity.
pub(crate) const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The actions of a handler, each with its origin in the file.
pub(super) type Choices = Vec<(Choice, ChoicePlaces)>;

/// The results of reading all triggers.
#[derive(Default)]
pub(crate) struct Triggers {
    pub listeners: Vec<Arc<Listener>>,
    pub routes: Vec<RouteDraft>,
    pub subscriptions: Vec<Subscription>,
    /// The place of each subscription's handler.
    subscribed: Vec<Place>,
    /// The place of each trigger's id.
    ids: HashMap<String, Place>,
    /// The trigger that listens on each port.
    ports: HashMap<u16, String>,
    /// The triggers that swagger triggers tell of.
    documented: Vec<Documented>,
    /// The swagger triggers, with their places.
    documents: Vec<(Arc<str>, Place)>,
    /// The routes that pass requests on as they are.
    pub passed: Vec<PassRoute>,
}

/// A route with its origin in the file.
pub(crate) struct RouteDraft {
    pub at: Place,
    pub trigger: Arc<str>,
    pub method: Method,
    /// The path as written in the file.
    pub written: String,
    pub path: HandlerPath,
    pub handler: Arc<Handler>,
    /// The origins of the handler's actions; none for a document.
    pub choices: Vec<ChoicePlaces>,
    /// The document that the route of a swagger trigger answers with.
    pub document: Option<serde_json::Value>,
}

/// The origin of one of a handler's actions.
pub(crate) struct ChoicePlaces {
    pub at: Place,
    pub built: BuiltAction,
}

impl Triggers {
    pub fn read(
        items: &[Node],
        channels: &[Channel],
        about: &About,
        actions: &mut Actions<'_>,
        reader: &mut Reader<'_>,
    ) -> Triggers {
        let mut triggers = Triggers::default();
        for trigger in Object::each(items, "a trigger", reader.notes) {
            triggers.trigger(trigger, channels, actions, reader);
        }
        triggers.document(about, actions);
        triggers.refuse_clashes(reader);
        triggers
    }

    fn trigger(
        &mut self,
        trigger: Object<'_>,
        channels: &[Channel],
        actions: &mut Actions<'_>,
        reader: &mut Reader<'_>,
    ) {
        trigger.warn_of_typos(&TRIGGER_KEYS, reader.notes);
        let id = self.id(trigger, reader);
        let kind = kind(trigger, actions, reader);
        let settings = settings_of(trigger, reader);
        let items = trigger.list("handlers", reader.notes);
        let (Some(id), Some(kind), Some(settings)) = (id, kind, settings) else {
            // The handlers of a trigger that cannot be read are looked into all the same.
            for handler in Object::each(items, "a handler", reader.notes) {
                choices("", handler, kind, actions, reader);
            }
            return;
        };
        lint::handlers::settings(settings.entries, kind.settings(), reader);
        if kind != TriggerKind::Channel {
            self.listener(&id, kind, &settings, reader);
        }
        if kind == TriggerKind::Swagger {
            self.documents.push((id.clone(), trigger.at));
        }
        for handler in Object::each(items, "a handler", reader.notes) {
            handler.warn_of_typos(&HANDLER_KEYS, reader.notes);
            let choices = choices(&id, handler, Some(kind), actions, reader);
            let Some(settings) = settings_of(handler, reader) else {
                continue;
            };
            lint::handlers::settings(settings.entries, kind.handler_settings(), reader);
            match kind {
                TriggerKind::Rest => self.rest_handler(&id, handler, &settings, choices, reader),
                TriggerKind::Sockets => self.socket(&id, handler, &settings, choices, reader),
                TriggerKind::Grpc => self.call(&id, handler, &settings, choices, reader),
                TriggerKind::Swagger => self.documented_handler(&id, handler, &settings, reader),
                TriggerKind::Channel => {
                    let read = subscription(&id, &settings, choices, channels, reader);
                    self.subscribed.extend(read.iter().map(|_| handler.at));
                    self.subscriptions.extend(read);
                }
            }
        }
    }

    fn id(&mut self, trigger: Object<'_>, reader: &mut Reader<'_>) -> Option<Arc<str>> {
        let mend = "add `\"id\"`";
        let id = trigger.needed("id", "a trigger has no id", mend, reader.notes)?;
        if let Some(other) = self.ids.get(id.get()) {
            let (id_text, line) = (id.get(), other.line);
            let what = format!("a trigger with id '{id_text}' already exists (line {line})");
            return reader.refuse(id.at, what, "give each trigger an id of its own");
        }
        self.ids.insert(id.get().to_owned(), id.at);
        Some(id.get().into())
    }

    fn listener(
        &mut self,
        id: &Arc<str>,
        kind: TriggerKind,
        settings: &Settings<'_>,
        reader: &mut Reader<'_>,
    ) {
        let before = reader.notes.errors();
        settings.required("port", reader.notes);
        let port = settings.whole("port", reader.notes).and_then(|port| {
            let mend = "give a port from 1 to 65535";
            let invalid = |_| settings.not_valid("port", mend, reader.notes);
            u16::try_from(port).map_err(invalid).ok()
        });
        let tls = tls(kind, settings, reader);
        if before != reader.notes.errors() {
            return;
        }
        let Some(port) = port else { return };
        if port != 0
            && let Some(other) = self.ports.get(&port)
        {
            let what = format!("the trigger {} also listens on port {port}", quote(other));
            let mend = "give each REST trigger a port of its own";
            reader.error(settings.place("port"), what, mend);
            return;
        }
        self.ports.insert(port, id.to_string());
        self.documented.push(Documented {
            id: id.clone(),
            port,
            description: settings.text("description").unwrap_or_default(),
            endpoints: Vec::new(),
        });
        self.listeners.push(Arc::new(Listener {
            name: id.clone(),
            addr: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
            trusted_proxies: Vec::new(),
            encoded_slash_allowed: false,
            double_slash_allowed: false,
            manner: match kind {
                TriggerKind::Sockets | TriggerKind::Grpc => Manner::Native,
                _ => Manner::App,
            },
            http2: (kind == TriggerKind::Grpc && tls.is_none()).then_some(Http2::Cleartext),
            tls,
        }));
    }

    fn rest_handler(
        &mut self,
        id: &Arc<str>,
        handler: Object<'_>,
        settings: &Settings<'_>,
        choices: Option<Choices>,
        reader: &mut Reader<'_>,
    ) {
        let method = settings.word("method", &METHODS, None, reader.notes);
        let written = settings.required("path", reader.notes);
        let path = written
            .as_deref()
            .and_then(|written| path_of(settings, written, reader));
        let (Some(method), Some(written), Some(path), Some(choices)) =
            (method, written, path, choices)
        else {
            return;
        };
        refuse_passing(&choices, reader);
        let method =
            Method::from_bytes(method.as_bytes()).expect("the methods of the table are methods");
        self.routes.push(RouteDraft {
            at: handler.at,
            trigger: id.clone(),
            handler: Arc::new(Handler {
                name: format!("{id} {method} {written}").into(),
                choices: choices.iter().map(|(choice, _)| choice.clone()).collect(),
            }),
            choices: choices.into_iter().map(|(_, places)| places).collect(),
            method,
            written,
            path,
            document: None,
        });
    }

    /// A handler of a websocket trigger, whose action passes the connection on.
    fn socket(
        &mut self,
        id: &Arc<str>,
        handler: Object<'_>,
        settings: &Settings<'_>,
        choices: Option<Choices>,
        reader: &mut Reader<'_>,
    ) {
        let whole = passing::takes_whole(settings, reader);
        let method = settings.word("method", &METHODS, None, reader.notes);
        let written = settings.required("path", reader.notes);
        // A path has its parameters in braces, or as in a REST trigger.
        let written = written.map(|path| path.replace('{', ":").replace('}', ""));
        let path = written
            .as_deref()
            .and_then(|written| path_of(settings, written, reader));
        let (Some(()), Some(method), Some(written), Some(path), Some(choices)) =
            (whole, method, written, path, choices)
        else {
            return;
        };
        let method = Method::from_bytes(method.as_bytes()).expect("the table has methods");
        let from = (handler.at, id, method, written, path);
        self.passed
            .extend(passing::route(from, PassKind::Socket, &choices, reader));
    }

    /// A handler of a gRPC trigger, whose action passes the call on.
    fn call(
        &mut self,
        id: &Arc<str>,
        handler: Object<'_>,
        settings: &Settings<'_>,
        choices: Option<Choices>,
        reader: &mut Reader<'_>,
    ) {
        let written = match settings.text("methodName") {
            None => "/:service/:method".to_owned(),
            Some(method) => format!("/:service/{method}"),
        };
        let path = path_of(settings, &written, reader);
        let (Some(path), Some(choices)) = (path, choices) else {
            return;
        };
        let from = (handler.at, id, Method::POST, written, path);
        self.passed
            .extend(passing::route(from, PassKind::Grpc, &choices, reader));
    }

    /// A handler of a swagger trigger, which stands in its document and is never called.
    fn documented_handler(
        &mut self,
        id: &Arc<str>,
        handler: Object<'_>,
        settings: &Settings<'_>,
        reader: &mut Reader<'_>,
    ) {
        let method = settings.word("method", &METHODS, None, reader.notes);
        let path = settings.required("path", reader.notes);
        let (Some(method), Some(path)) = (method, path) else {
            return;
        };
        let what = "the action of a swagger trigger's handler never runs: the trigger answers with documents at `/swagger`";
        let mend = "give it to a handler of a REST trigger, or ignore this";
        reader.notes.warn(handler.at, what, mend);
        let method = Method::from_bytes(method.as_bytes()).expect("the table has methods");
        if let Some(own) = self.documented.iter_mut().find(|it| it.id == *id) {
            own.endpoints.push((method, path));
        }
    }

    /// Adds the documents of the swagger triggers.
    fn document(&mut self, about: &About, actions: &mut Actions<'_>) {
        for route in &self.routes {
            let mut documented = self.documented.iter_mut();
            if let Some(own) = documented.find(|it| it.id == route.trigger) {
                let path = swagger::braced(&route.written);
                own.endpoints.push((route.method.clone(), path));
            }
        }
        for (trigger, at) in &self.documents {
            let routes = swagger::routes(trigger, *at, about, &self.documented, |name| {
                actions.name(name)
            });
            self.routes.extend(routes);
        }
    }

    fn refuse_clashes(&self, reader: &mut Reader<'_>) {
        let routes = self
            .routes
            .iter()
            .map(|it| (&it.trigger, &it.method, &it.path, &it.written, it.at));
        let passed = self
            .passed
            .iter()
            .map(|it| (&it.trigger, &it.method, &it.path, &it.written, it.at));
        let all: Vec<_> = routes.chain(passed).collect();
        let mut trees: HashMap<(&str, &Method), PathTree> = HashMap::new();
        for (index, (trigger, method, path, written, at)) in all.iter().enumerate() {
            let tree = trees.entry((trigger, method)).or_default();
            if let Err(other) = tree.add(path, index) {
                let (_, _, _, other, line) = all[other];
                let (path, known, line) = (quote(written), quote(other), line.line);
                let what = format!("the path {path} conflicts with {known} in line {line}");
                let mend = "change one of the paths, or the method; one place has one parameter";
                reader.error(*at, what, mend);
            }
        }
    }

    /// The subscriptions, with their places.
    pub fn subscriptions_by_place(&self) -> impl Iterator<Item = (Place, &Subscription)> {
        self.subscribed.iter().copied().zip(&self.subscriptions)
    }

    /// The handlers of the plan's routes, in the order of the routes.
    pub fn handlers(&self) -> Vec<Arc<Handler>> {
        self.routes.iter().map(|it| it.handler.clone()).collect()
    }

    /// The upstreams of routes that pass requests on, each once.
    pub fn upstreams(&self) -> Vec<Arc<Upstream>> {
        let mut upstreams: Vec<Arc<Upstream>> = Vec::new();
        for route in &self.passed {
            if upstreams.iter().all(|it| it.name != route.upstream.name) {
                upstreams.push(route.upstream.clone());
            }
        }
        upstreams
    }

    /// The plan's routes. Their names include the trigger if two share method and path.
    pub fn plan_routes(&self) -> Vec<Arc<Route>> {
        let short = |route: &RouteDraft| format!("{} {}", route.method, route.written);
        let mut twins: HashMap<String, usize> = HashMap::new();
        for route in &self.routes {
            *twins.entry(short(route)).or_default() += 1;
        }
        let routes = self.routes.iter().enumerate().map(|(step, route)| {
            let short = short(route);
            let name = match twins[&short] {
                1 => short,
                _ => format!("{} {short}", route.trigger),
            };
            Arc::new(Route {
                name: name.into(),
                path: route.path.template(),
                methods: Some(vec![route.method.clone()]),
                listeners: Some(vec![route.trigger.clone()]),
                steps: vec![Step::App(step)],
                ..Route::default()
            })
        });
        let passed = self.passed.iter().map(|it| Arc::new(it.plan_route()));
        routes.chain(passed).collect()
    }
}

/// The path of a handler; `None` after an error.
fn path_of(settings: &Settings<'_>, written: &str, reader: &mut Reader<'_>) -> Option<HandlerPath> {
    let read = HandlerPath::read(written);
    if let Err(fault) = &read {
        let at = match entry_text(settings, "path") {
            // An evaluated path has no place in the file.
            Some(text) if text.get() == written => {
                let byte = written.char_indices().nth(fault.offset);
                reader.place_in(text, byte.map_or(written.len(), |(byte, _)| byte))
            }
            _ => settings.place("path"),
        };
        reader.notes.error(at, fault.what.clone(), fault.mend);
    }
    read.ok()
}

/// Refuses actions that pass on a connection which their trigger does not have.
fn refuse_passing(choices: &Choices, reader: &mut Reader<'_>) {
    for (choice, places) in choices {
        let services = choice.action.services.iter();
        for (service, at) in services.zip(&places.built.places.services) {
            if matches!(service.activity, Activity::Pass(_)) {
                let name = quote(&service.name);
                let what = format!(
                    "{name} passes on the connection of a websocket trigger, which this is not"
                );
                reader.error(
                    *at,
                    what,
                    "give the action to a handler of `…/trigger/wsserver`",
                );
            }
        }
    }
}

/// The subscription that a handler of a channel trigger describes.
fn subscription(
    id: &str,
    settings: &Settings<'_>,
    choices: Option<Choices>,
    channels: &[Channel],
    reader: &mut Reader<'_>,
) -> Option<Subscription> {
    let name = settings.required("channel", reader.notes)?;
    let Some(channel) = channels.iter().find(|channel| *channel.name == *name) else {
        let what = format!("unknown engine channel '{name}'");
        let mend = match channels {
            [] => format!("add it to the application: `\"channels\": [\"{name}\"]`"),
            _ => suggest(&name, channels.iter().map(|channel| &*channel.name)),
        };
        return reader.refuse(settings.place("channel"), what, mend);
    };
    Some(Subscription {
        channel: channel.name.clone(),
        handler: Arc::new(Handler {
            name: format!("{id} {name}").into(),
            choices: choices?.into_iter().map(|(choice, _)| choice).collect(),
        }),
    })
}

/// The settings of a trigger or of a handler.
fn settings_of<'n>(object: Object<'n>, reader: &mut Reader<'_>) -> Option<Settings<'n>> {
    let settings = object.object("settings", reader.notes);
    let entries = settings.map_or(&[][..], |settings| settings.entries());
    let written = object.get("settings");
    let at = written.map_or(object.at, |entry| entry.value.at);
    reader.settings(at, entries, &Map::new(), Owner::Handlers)
}

fn entry_text<'n>(settings: &Settings<'n>, key: &str) -> Option<Text<'n>> {
    let entry = settings.entries.iter().find(|entry| entry.key == key)?;
    crate::read::object::text(&entry.value)
}

/// A handler's actions; `None` after an error.
fn choices(
    id: &str,
    handler: Object<'_>,
    kind: Option<TriggerKind>,
    actions: &mut Actions<'_>,
    reader: &mut Reader<'_>,
) -> Option<Choices> {
    let before = reader.notes.errors();
    let items = match handler.get("action") {
        Some(one) => std::slice::from_ref(&one.value),
        None => handler.list("actions", reader.notes),
    };
    actions.count_handler(items);
    let mut choices = Vec::new();
    for entry in Object::each(items, "an action", reader.notes) {
        entry.warn_of_typos(&CHOICE_KEYS, reader.notes);
        if let Some(kind) = kind {
            let is_flow = actions.is_flow(entry);
            lint::handlers::lint(
                entry,
                handler,
                kind != TriggerKind::Channel,
                is_flow,
                reader,
            );
        }
        let built = actions.of_handler(entry, reader);
        let when = entry.word("if", reader.notes);
        let when = when
            .and_then(|text| reader.condition(text, "condition parsing error", Owner::Handlers));
        let mut mapping = |key: &str| {
            let mapped = entry.object(key, reader.notes)?;
            mapping::mapping(mapped.entries(), Owner::Handlers, reader)
                .filter(|mapping| !mapping.0.is_empty())
        };
        let (input, output) = (mapping("input"), mapping("output"));
        let Some(built) = built else { continue };
        let choice = Choice {
            when,
            action: built.action.clone(),
            input,
            output,
        };
        let at = entry.at;
        choices.push((choice, ChoicePlaces { at, built }));
    }
    if items.is_empty() && before == reader.notes.errors() {
        let what = format!("trigger '{id}' has a handler with no action");
        let mend = "add `\"action\"`, or `\"actions\"` with one at least";
        reader.error(handler.at, what, mend);
    }
    (before == reader.notes.errors()).then_some(choices)
}
