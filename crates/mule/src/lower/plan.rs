//! The application as a plan: its listeners, and a route for each flow with an HTTP listener.

use std::collections::BTreeMap;
use std::sync::Arc;

use fusebox_plan::dialect::{Notes, Place, quote};
use fusebox_plan::plan::{Limits, Listener, Manner, Plan, Route, Step};

use super::names::name_of;
use crate::app::{App, ListenerConfig, Source};
use crate::xml::{Element, start_of};

/// Makes the plan of an application.
pub(super) fn of(app: App, elements: &[Element], notes: &mut Notes) -> Plan {
    let mut listeners: BTreeMap<Arc<str>, Arc<ListenerConfig>> = BTreeMap::new();
    let mut routes = Vec::new();
    for (index, flow) in app.flows.iter().enumerate() {
        let Some(Source::Http(source)) = &flow.source else {
            continue;
        };
        let config = &source.config;
        listeners.insert(config.name.clone(), config.clone());
        if flow.is_stopped {
            continue;
        }
        routes.push(Arc::new(Route {
            name: flow.name.clone(),
            path: source.path.clone(),
            methods: source.methods.clone(),
            listeners: Some(vec![config.name.clone()]),
            steps: vec![Step::App(index)],
            ..Route::default()
        }));
    }
    refuse_shared_addresses(&listeners, elements, notes);
    Plan {
        listeners: listeners
            .values()
            .map(|config| Arc::new(listener(config)))
            .collect(),
        admin: None,
        store: None,
        fleet: None,
        access_log: None,
        limits: Limits::default(),
        upstreams: Vec::new(),
        guards: Vec::new(),
        breakers: Vec::new(),
        routes,
        app: Some(Arc::new(app)),
    }
}

fn listener(config: &ListenerConfig) -> Listener {
    Listener {
        name: config.name.clone(),
        addr: config.addr,
        trusted_proxies: Vec::new(),
        encoded_slash_allowed: false,
        double_slash_allowed: false,
        manner: Manner::App,
        tls: config.tls.clone(),
        http2: None,
    }
}

/// Refuses two listeners on the same address.
fn refuse_shared_addresses(
    listeners: &BTreeMap<Arc<str>, Arc<ListenerConfig>>,
    elements: &[Element],
    notes: &mut Notes,
) {
    let named = elements
        .iter()
        .filter_map(|element| Some((name_of(element)?.value.as_str(), element.at)));
    let places: BTreeMap<&str, Place> = named.collect();
    let mut taken: BTreeMap<std::net::SocketAddr, &str> = BTreeMap::new();
    for config in listeners.values().filter(|config| config.addr.port() != 0) {
        let Some(first) = taken.insert(config.addr, &config.name) else {
            continue;
        };
        let at = places.get(&*config.name).copied();
        let (name, first) = (quote(&config.name), quote(first));
        let what = format!("{name} listens on {}, and so does {first}", config.addr);
        let mend = "give each its own address, or let the flows share one";
        notes.error(at.unwrap_or_else(|| start_of(0)), what, mend);
    }
}
