//! The routes of the API, remembered beside the router, which does not list them.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{any, get, post};
use http::Method;

/// A router, with the method and the path of each route.
pub struct Routes<S> {
    /// The router that knows them.
    pub router: Router<S>,
    /// The methods and paths, in the order in which they were added.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "a test compares them with the description")
    )]
    pub known: Vec<(Method, &'static str)>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// Routes to which others are added.
    pub fn new() -> Routes<S> {
        Routes {
            router: Router::new(),
            known: Vec::new(),
        }
    }

    /// The same with a handler for `GET`.
    pub fn get<T: 'static>(mut self, path: &'static str, handler: impl Handler<T, S>) -> Self {
        self.known.push((Method::GET, path));
        self.router = self.router.route(path, get(handler));
        self
    }

    /// The same with a handler for `POST`.
    pub fn post<T: 'static>(mut self, path: &'static str, handler: impl Handler<T, S>) -> Self {
        self.known.push((Method::POST, path));
        self.router = self.router.route(path, post(handler));
        self
    }

    /// The same with a handler for the methods that have none, which the description leaves out.
    pub fn others<T: 'static>(mut self, path: &'static str, handler: impl Handler<T, S>) -> Self {
        self.router = self.router.route(path, any(handler));
        self
    }
}
