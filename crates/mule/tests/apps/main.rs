//! Mule applications: accepted elements, errors with positions, and departures from Mule.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod facts;
mod recipes;
mod refusals;
mod rules;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use fusebox_mule::app::{App, Compat, Does, Flow, Processor};
use fusebox_mule::read;
use fusebox_plan::{Loader, Plan, Source};

/// The bindings of the command line.
struct Line {
    bindings: Vec<(String, String)>,
    compat: Compat,
    files: HashMap<&'static str, &'static str>,
}

impl Loader for Line {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &str) -> io::Result<String> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        self.files
            .get(path)
            .map(ToString::to_string)
            .ok_or_else(missing)
    }

    fn bindings(&self) -> Vec<(String, String)> {
        self.bindings.clone()
    }

    fn is_strict(&self) -> bool {
        self.compat == Compat::Strict
    }
}

/// The result of reading an application.
struct Read {
    plan: Option<Plan>,
    said: Vec<String>,
}

/// Reads files in a profile, with bindings (`NAME=URL`, separated by spaces).
fn read_all(files: &[(&str, &str)], bindings: &str, compat: Compat) -> Read {
    let bindings = bindings.split_whitespace().map(|bind| {
        let (name, url) = bind.split_once('=').unwrap();
        (name.to_owned(), url.to_owned())
    });
    let line = Line {
        bindings: bindings.collect(),
        compat,
        files: HashMap::new(),
    };
    let sources: Vec<Source<'_>> = files
        .iter()
        .map(|(name, text)| Source {
            name,
            text: text.as_bytes(),
        })
        .collect();
    let reading = read(&sources, &line);
    Read {
        plan: reading.plan,
        said: reading
            .diagnostics
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}

/// Reads a snippet; binds `L` for listeners and `S` for requests if the snippet has them.
fn snippet(text: &str, compat: Compat) -> Read {
    let mut bindings = String::new();
    if text.contains("\"L\"") && !text.contains("http:listener-config") {
        bindings.push_str("L=http://127.0.0.1:0 ");
    }
    if text.contains("\"S\"") && !text.contains("http:request-config") {
        bindings.push_str("S=http://127.0.0.1:9901");
    }
    read_all(&[("a.xml", text)], &bindings, compat)
}

/// A flow `f` at `/x` with these elements, which begin at 1:57.
fn flow(inner: &str) -> String {
    format!(r#"<flow name="f"><http:listener config-ref="L" path="/x"/>{inner}</flow>"#)
}

/// The application of a snippet without errors.
fn app(text: &str) -> Arc<App> {
    let Read { plan, said } = snippet(text, Compat::Intent);
    let Some(plan) = plan else {
        panic!("{said:#?}");
    };
    plan.program::<fusebox_mule::app::App>().unwrap()
}

/// Finds a flow by name.
fn named<'a>(app: &'a App, name: &str) -> &'a Flow {
    app.flow(app.find(name).unwrap())
}

/// The first processor of the flow `f` with these elements.
fn first(inner: &str) -> Does {
    let app = app(&flow(inner));
    let Processor { does, .. } = named(&app, "f").chain.0[0].clone();
    does
}

/// Checks all diagnostics of a snippet, without the file's name.
#[track_caller]
fn check(text: &str, compat: Compat, expected: &[&str]) {
    let Read { said, .. } = snippet(text, compat);
    let said: Vec<&str> = said
        .iter()
        .map(|line| line.strip_prefix("a.xml:").unwrap())
        .collect();
    assert_eq!(said, expected, "{text}");
}
