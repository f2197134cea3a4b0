//! Slips with which an application runs, though it then does not do what it says: each is a warning at its line.
//!
//! - `patterns`: the settings of the built-in HTTP pattern
//! - `known`: the settings and inputs that each activity reads; `services`: what a service and its steps leave out or
//!   say in vain; `calls`: the path parameters and the time limits of calls
//! - `tasks`: the tasks of flows
//! - `texts`: expressions that name nothing, compare in vain, or stay text
//! - `handlers`: the same in a handler's condition and mappings

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use fusebox_plan::dialect::{Kind, Node, Place, nearest, quote, suggest};

use crate::flow::{Activity, Given, Mapping};
use crate::read::actions::BuiltAction;
use crate::read::library::Definition;
use crate::read::object::{Object, text};
use crate::read::reader::Reader;
use crate::read::triggers::Triggers;

mod calls;
pub(crate) mod handlers;
pub(crate) mod known;
mod patterns;
mod services;
pub(crate) mod tasks;
mod texts;

pub(crate) use texts::all_reads as reads;

/// One way to an action: from a handler of a trigger.
#[derive(Clone)]
struct User<'a> {
    /// The parameters of its path; `None` for messages of a channel.
    params: Option<Vec<&'a str>>,
    /// The mapping that replaces the payload.
    input: Option<&'a Mapping>,
}

/// A definition with everything that is known of it.
struct Subject<'a> {
    /// An action with the definition.
    built: &'a BuiltAction,
    definition: Object<'a>,
    /// The ways to all actions with the definition.
    users: Vec<User<'a>>,
    /// The names and paths that its expressions read.
    reads: Vec<(String, String)>,
}

/// Warns of the slips in all definitions that were read without an error.
pub(crate) fn lint(triggers: &Triggers, built: &[BuiltAction], reader: &mut Reader<'_>) {
    let mut users: HashMap<&str, Vec<User<'_>>> = HashMap::new();
    for route in &triggers.routes {
        for choice in &route.handler.choices {
            users.entry(&choice.action.name).or_default().push(User {
                params: Some(route.path.params()),
                input: choice.input.as_ref(),
            });
        }
    }
    for subscription in &triggers.subscriptions {
        for choice in &subscription.handler.choices {
            users.entry(&choice.action.name).or_default().push(User {
                params: None,
                input: choice.input.as_ref(),
            });
        }
    }
    // A definition is looked at once, however many actions have it.
    let mut subjects: Vec<(Subject<'_>, Vec<&BuiltAction>)> = Vec::new();
    let mut known: HashMap<*const Definition, usize> = HashMap::new();
    for one in built {
        let of_this = users.remove(&*one.action.name).unwrap_or_default();
        if let Some(index) = known.get(&Rc::as_ptr(&one.source)) {
            let (subject, actions) = &mut subjects[*index];
            subject.users.extend(of_this);
            actions.push(one);
        } else if let Some(definition) = Object::of(&one.source.root) {
            known.insert(Rc::as_ptr(&one.source), subjects.len());
            let subject = Subject {
                built: one,
                definition,
                users: of_this,
                reads: texts::all_reads(definition, reader),
            };
            subjects.push((subject, vec![one]));
        }
    }
    for (subject, actions) in &subjects {
        subject.settings(actions, reader);
        if subject.built.source.name == "DefaultHttpPattern" && subject.built.source.is_built_in {
            for action in actions {
                patterns::http(action, reader);
            }
        }
        if !subject.built.source.is_built_in {
            subject.services(reader);
            subject.calls(reader);
            subject.texts(reader);
        }
    }
}

impl<'a> Subject<'a> {
    /// The steps as written, each with its service.
    fn steps(&self) -> Vec<(Object<'a>, usize)> {
        let items = self.list("steps").iter().filter_map(Object::of);
        let steps = items.zip(&self.built.action.steps);
        steps.map(|(object, step)| (object, step.service)).collect()
    }

    /// The services as written, in the order of the action's.
    fn written_services(&self) -> Vec<Object<'a>> {
        self.list("services")
            .iter()
            .filter_map(Object::of)
            .collect()
    }

    fn list(&self, key: &str) -> &'a [Node] {
        match self.definition.get(key).map(|entry| &entry.value.kind) {
            Some(Kind::List(items)) => items,
            _ => &[],
        }
    }

    fn activity(&self, service: usize) -> Option<&'a Activity> {
        let service = self.built.action.services.get(service)?;
        Some(&service.activity)
    }

    fn name(&self, service: usize) -> String {
        let service = self.built.action.services.get(service);
        service.map_or_else(String::new, |service| quote(&service.name))
    }

    /// True if a part of the payload is what the REST trigger made it: `pathParams`, `queryParams` or `headers`.
    fn is_of_trigger(&self, part: &str) -> bool {
        self.users.iter().all(|user| {
            let kept = user.input.is_none_or(|input| {
                input.0.iter().any(|(name, node)| {
                    let crate::flow::MapNode::Given(Given::Expression(it)) = node else {
                        return false;
                    };
                    &**name == part && it.source().strip_prefix("$.") == Some(part)
                })
            });
            user.params.is_some() && kept
        })
    }

    /// The settings of its actions: those that neither the microgateway nor the definition reads, but nearly.
    fn settings(&self, actions: &[&BuiltAction], reader: &mut Reader<'_>) {
        let mut known: BTreeSet<&str> = ["uri", "async", "pattern"].into();
        for (name, path) in &self.reads {
            if name != "conf" {
                continue;
            }
            let Some(key) = path.strip_prefix('.') else {
                // All settings are read as one object.
                return;
            };
            known.extend(key.split(['.', '[']).next());
        }
        for (key, at) in actions.iter().flat_map(|action| action.conf.iter()) {
            if known.contains(key.as_str()) {
                continue;
            }
            let mend = match nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean {}?", quote(near)),
                // What a definition of one's own reads is its own affair.
                None if !self.built.source.is_built_in => continue,
                None => suggest(key, known.iter().copied()),
            };
            let what = format!("nothing reads the setting {}", quote(key));
            reader.notes.warn(*at, what, mend);
        }
    }
}

/// The text of a literal; none for other kinds and for expressions.
fn literal(node: &Node) -> Option<&str> {
    let text = text(node)?.get();
    (!text.starts_with('=')).then_some(text)
}

/// The place of a part of a text in the file.
fn part_at(node: &Node, part: &str, reader: &Reader<'_>) -> Place {
    match text(node) {
        Some(text) => reader.place_in(text, text.get().find(part).unwrap_or(0)),
        None => node.at,
    }
}
