//! APIkit's router: the flows of an API by method, path and media type, which their names say.

use std::sync::Arc;

use http::Method;

use super::FlowId;

/// An API whose requests APIkit routes (`apikit:config`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// The configuration's name; unique.
    pub name: Arc<str>,
    /// The resources that have flows, in the order of the files.
    pub resources: Vec<Resource>,
}

/// A method of one path of an API, with its flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The request's method.
    pub method: Method,
    /// The path below the listener's, of literal segments and `{name}`. It begins with `/`.
    pub path: String,
    /// The flows, each with the media type of the requests that it takes; `None`: of those that no other takes.
    pub flows: Vec<(Option<String>, FlowId)>,
}

impl Resource {
    /// The flow for a request's media type, which is without parameters.
    pub fn flow(&self, media_type: Option<&str>) -> Option<FlowId> {
        let own = |(of, _): &&(Option<String>, FlowId)| match (of, media_type) {
            (Some(of), Some(is)) => of.eq_ignore_ascii_case(is),
            _ => false,
        };
        let any = || self.flows.iter().find(|(of, _)| of.is_none());
        let found = self.flows.iter().find(own).or_else(any);
        found.map(|(_, flow)| *flow)
    }
}
