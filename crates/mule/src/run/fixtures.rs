//! Applications and listeners for unit tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::app::{App, Compat, HttpSource, ListenerConfig, Queue};

/// An application that has nothing but queues.
pub fn app(compat: Compat, queues: Vec<Queue>) -> App {
    App {
        name: "a".into(),
        compat,
        properties: Default::default(),
        stores: Vec::new(),
        listeners: Vec::new(),
        requesters: Vec::new(),
        apis: Vec::new(),
        queues,
        flows: Vec::new(),
        default_handlers: None,
        response_timeout: Duration::from_secs(10),
        policies: Default::default(),
        circuits: Vec::new(),
    }
}

/// A listener with a path below a base path.
pub fn source(base_path: &str, path: &str) -> HttpSource {
    let config = ListenerConfig {
        name: "L".into(),
        addr: SocketAddr::from(([127, 0, 0, 1], 8081)),
        base_path: base_path.into(),
        idle_timeout: Duration::from_secs(40),
        cors: None,
        tls: None,
    };
    HttpSource {
        config: Arc::new(config),
        path: path.into(),
        methods: None,
        media_type: None,
        response: None,
        error_response: None,
    }
}
