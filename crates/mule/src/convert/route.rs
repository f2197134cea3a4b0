//! The listener, path and methods of a flow's route.

use std::fmt::Write as _;

use fusebox_dataweave::Value;
use fusebox_dataweave::symbol::Symbol;
use fusebox_plan::dialect::{quote, yaml};
use serde_json::{Map as JsonMap, Value as Json, json};

use super::{at, plain, target};
use crate::app::{Flow, HttpSource};
use crate::circuit::SentRequest;

/// A route of the native form.
pub(super) struct Route {
    pub comments: Vec<String>,
    pub entries: JsonMap<String, Json>,
    /// The rungs of its ladder.
    pub rungs: Vec<Json>,
    /// The reason why it is written as a comment; `None`: it is a route.
    pub left: Option<String>,
}

impl Route {
    /// The route of a flow; with the request of a call its methods are that call's. The error says why there is none.
    pub fn of(
        flow: &Flow,
        source: &HttpSource,
        sent: Option<&SentRequest>,
    ) -> Result<Route, String> {
        let path = target::listener_path(&source.path)?;
        let mut comments = Vec::new();
        let at = at(&flow.site);
        let taken = source.methods.as_ref();
        let taken: Option<Vec<String>> =
            taken.map(|methods| methods.iter().map(ToString::to_string).collect());
        let methods = match (sent.map(method_of).transpose()?.flatten(), taken) {
            (None, taken) => taken,
            (Some(method), None) => {
                comments.push(format!(
                    "differs: {} calls with {method} whatever the client's method; here other methods are answered 405 {at}",
                    quote(&flow.name)
                ));
                Some(vec![method])
            }
            (Some(method), Some(taken)) if taken.contains(&method) => {
                if taken.len() > 1 {
                    comments.push(format!(
                        "differs: {} accepts {} and calls with {method}; here other methods are answered 405 {at}",
                        quote(&flow.name),
                        taken.join(", ")
                    ));
                }
                Some(vec![method])
            }
            (Some(method), Some(_)) => {
                return Err(format!(
                    "it calls with {method}, which its listener does not allow; a native route keeps the client's method"
                ));
            }
        };
        if path != "/" && !path.ends_with("{*rest}") {
            comments.push(format!(
                "differs: the flow also answers {}, with a slash at its end; here that is 404 {at}",
                quote(&format!("{}/", source.path))
            ));
        }
        let mut entries = JsonMap::new();
        entries.insert("name".into(), json!(&*flow.name));
        entries.insert("path".into(), json!(path));
        if let Some(methods) = methods {
            entries.insert("methods".into(), json!(methods));
        }
        entries.insert("listeners".into(), json!([&*source.config.name]));
        Ok(Route {
            comments,
            entries,
            rungs: Vec::new(),
            left: None,
        })
    }

    /// The route of a flow that the native form does not say, for a comment.
    pub fn left(flow: &Flow, source: &HttpSource, why: String) -> Route {
        let mut entries = JsonMap::new();
        entries.insert("name".into(), json!(&*flow.name));
        entries.insert("path".into(), json!(source.path));
        entries.insert("listeners".into(), json!([&*source.config.name]));
        Route {
            comments: Vec::new(),
            entries,
            rungs: Vec::new(),
            left: Some(why),
        }
    }

    pub fn write(&self, out: &mut String) {
        let mut text = String::new();
        yaml::entries(&mut text, 4, &self.entries);
        let text = text.replacen("    ", "  - ", 1);
        if let Some(why) = &self.left {
            let _ = writeln!(out, "  # not carried: {}", plain(why));
            for line in text.lines() {
                let _ = writeln!(out, "  # {}", &line[2..]);
            }
            return;
        }
        for comment in &self.comments {
            let _ = writeln!(out, "  # {}", plain(comment));
        }
        out.push_str(&text);
        if !self.rungs.is_empty() {
            out.push_str("    fallback:\n");
            for rung in &self.rungs {
                let _ = writeln!(out, "      - {}", yaml::inline(rung));
            }
        }
    }

    /// Gives the route the limit of its flow; `has_own`: its upstream has a limit. True if its calls are limited.
    pub fn limit(&mut self, flow: &Flow, has_own: bool) -> bool {
        match flow.max_concurrency {
            // The upstream has a bulkhead, for all its routes.
            Some(max) if has_own => self.entries.insert("max_concurrency".into(), json!(max)),
            Some(max) => {
                let places = json!({ "concurrent": max });
                self.entries.insert("bulkhead".into(), places)
            }
            None => None,
        };
        has_own || flow.max_concurrency.is_some()
    }

    /// True if its path has what a rewritten path takes of a final `*`.
    pub fn has_parts_of(&self, rewrite: &str) -> bool {
        let path = self.entries["path"].as_str().unwrap_or_default();
        !rewrite.contains("{rest}") || path.ends_with("{*rest}")
    }

    /// The methods that it takes; `None`: all.
    pub fn methods(&self) -> Option<Vec<String>> {
        let methods = self.entries.get("methods")?.as_array()?.iter();
        Some(
            methods
                .filter_map(|it| Some(it.as_str()?.to_owned()))
                .collect(),
        )
    }
}

/// The method of a call; `None`: the client's own.
fn method_of(sent: &SentRequest) -> Result<Option<String>, String> {
    match &sent.method {
        Symbol::Known(Value::String(method)) => Ok(Some(method.to_ascii_uppercase())),
        method if method.bare() == Symbol::input("attributes").field("method") => Ok(None),
        _ => Err("its method is computed".to_owned()),
    }
}
