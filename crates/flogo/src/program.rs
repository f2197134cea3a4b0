//! The program of a Flogo application: its handlers, its channels, and its CORS answers.

use std::sync::Arc;

use fusebox_plan::dialect::{OwnTimeout, Program, Target, quote};
use serde_json::{Map, Value};

use crate::flow::{Action, Activity, Handler, Service};
use crate::show::show_handler;

/// The checked parts of a Flogo application beside the plan's listeners and routes.
///
/// The plan's listeners are its REST triggers. Each method has its own tree of paths, so that routes of different
/// methods may name the parameters of a path differently. Methods are compared letter by letter, paths after decoding;
/// a rest parameter includes its leading slash. A path that differs only in its last slash or in case is redirected.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    /// The handlers of REST triggers; a route's step refers to one by its index.
    pub handlers: Vec<Arc<Handler>>,
    /// The channels through which handlers send messages to one another; names are unique.
    pub channels: Vec<Channel>,
    /// The handlers of the channels' messages, in the order of the file.
    pub subscriptions: Vec<Subscription>,
    /// The answer to a preflight request of any trigger.
    pub cors: Cors,
}

/// A queue of messages between handlers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The channel's name, unique in the application.
    pub name: Arc<str>,
    /// The most messages waiting in the channel before publishers block; 0: each message is handed over directly.
    pub capacity: usize,
}

/// A handler of the messages of a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// The name of one of the application's channels.
    pub channel: Arc<str>,
    /// The handler, with `{"data": MESSAGE}` as the trigger's output; its results are discarded.
    pub handler: Arc<Handler>,
}

/// The answer to a preflight request (`OPTIONS`), field by field, from the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// `REST_TRIGGERCORS_ALLOW_ORIGIN`. Default `*`.
    pub allow_origin: String,
    /// `REST_TRIGGERCORS_ALLOW_METHODS`. Default: all methods of handlers, and OPTIONS.
    pub allow_methods: String,
    /// `REST_TRIGGERCORS_ALLOW_HEADERS`: the request fields that a page may send.
    pub allow_headers: String,
    /// `REST_TRIGGERCORS_EXPOSE_HEADERS`. Default empty.
    pub expose_headers: String,
    /// `REST_TRIGGERCORS_ALLOW_CREDENTIALS`. Default false.
    pub allow_credentials: bool,
    /// `REST_TRIGGERCORS_MAX_AGE`. Default empty, which omits the field.
    pub max_age: String,
}

impl App {
    /// All handlers, of REST triggers and of channels.
    pub fn all_handlers(&self) -> impl Iterator<Item = &Arc<Handler>> {
        let subscribed = self.subscriptions.iter().map(|it| &it.handler);
        self.handlers.iter().chain(subscribed)
    }

    /// The actions of its handlers, each once.
    pub fn actions(&self) -> Vec<&Arc<Action>> {
        let mut actions: Vec<&Arc<Action>> = Vec::new();
        for handler in self.all_handlers() {
            for choice in &handler.choices {
                if !actions.iter().any(|known| known.name == choice.action.name) {
                    actions.push(&choice.action);
                }
            }
        }
        actions
    }

    /// The services of its actions, each with its action.
    pub(crate) fn services(&self) -> impl Iterator<Item = (&Arc<Action>, &Service)> {
        let actions = self.actions().into_iter();
        actions.flat_map(|action| action.services.iter().map(move |service| (action, service)))
    }
}

/// The name of a service that calls others: its action's, `/` and its own.
pub(crate) fn target_name(action: &Action, service: &Service) -> Arc<str> {
    format!("{}/{}", action.name, service.name).into()
}

impl Program for App {
    fn dialect(&self) -> &'static str {
        "flogo"
    }

    fn equals(&self, other: &dyn Program) -> bool {
        other.of::<App>() == Some(self)
    }

    fn same_step(&self, step: usize, other: &dyn Program, other_step: usize) -> bool {
        let other = other.of::<App>().map(|other| &other.handlers[other_step]);
        other == Some(&self.handlers[step])
    }

    fn changed_parts(&self, before: Option<&dyn Program>) -> Vec<&'static str> {
        let before = before.and_then(|before| before.of::<App>());
        let channels = before.map_or(&[][..], |before| &before.channels);
        let subscriptions = before.map_or(&[][..], |before| &before.subscriptions);
        let mut changed = Vec::new();
        if self.channels != channels {
            changed.push("channels");
        }
        if self.subscriptions != subscriptions {
            changed.push("subscriptions");
        }
        changed
    }

    fn targets(&self) -> Vec<Target> {
        let targets = self.services().filter_map(|(action, service)| {
            let Activity::Rest(rest) = &service.activity else {
                return None;
            };
            Some(Target {
                name: target_name(action, service),
                service: format!("{}/{}", action.resource, service.name).into(),
                short_name: Some(service.name.clone()),
                address: rest.endpoint.url(),
                request_timeout: rest.timeout.map(|time| OwnTimeout {
                    time,
                    setting: format!("the `timeout` of {}", quote(&service.name)),
                }),
            })
        });
        targets.collect()
    }

    fn breakers(&self) -> Vec<Arc<str>> {
        let names = self
            .services()
            .filter_map(|(_, service)| match &service.activity {
                Activity::Breaker(breaker) => Some(breaker.name.clone()),
                _ => None,
            });
        names.collect()
    }

    fn counts(&self) -> Vec<(usize, &'static str)> {
        vec![
            (self.breakers().len(), "breaker"),
            (self.targets().len(), "call"),
        ]
    }

    fn show_step(&self, step: usize) -> Map<String, Value> {
        Map::from_iter([("run".to_owned(), show_handler(&self.handlers[step]))])
    }

    fn show(&self) -> Map<String, Value> {
        Map::new()
    }
}
