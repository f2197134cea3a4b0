//! Shared by the tests of this crate: a machine made of maps, and functions from sources to text.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::collections::HashMap;
use std::io;

use fusebox_plan::{Loader, Plan, Reading, Source, read, read_ahead};

/// An environment and files that exist in the test alone.
#[derive(Default)]
pub struct Machine {
    pub env: HashMap<&'static str, &'static str>,
    pub files: HashMap<&'static str, &'static str>,
}

impl Loader for Machine {
    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).map(ToString::to_string)
    }

    fn file(&self, path: &str) -> io::Result<String> {
        match self.files.get(path) {
            Some(text) => Ok(text.to_string()),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
        }
    }
}

pub fn read_text(text: &str) -> Reading {
    read_with(text, &Machine::default())
}

pub fn read_with(text: &str, loader: &dyn Loader) -> Reading {
    let reading = read(
        &[Source {
            name: "fb.yaml",
            text: text.as_bytes(),
        }],
        loader,
    );
    let errors = reading
        .diagnostics
        .iter()
        .any(|d| d.severity == fusebox_plan::Severity::Error);
    assert_eq!(
        reading.plan.is_none(),
        errors,
        "a plan exactly if there is no error"
    );
    reading
}

/// The diagnostics, a line each.
pub fn lines(reading: &Reading) -> String {
    reading
        .diagnostics
        .iter()
        .map(|diagnostic| format!("{diagnostic}\n"))
        .collect()
}

/// Reads a text and compares its diagnostics.
#[track_caller]
pub fn check(text: &str, expected: &str) {
    let found = lines(&read_text(text)).replace("fb.yaml:", "");
    assert_eq!(
        found.trim(),
        expected.trim(),
        "\n--- the text:\n{text}\n--- was told:\n{found}"
    );
}

/// Reads a text that has no diagnostics.
#[track_caller]
pub fn plan_of(text: &str) -> Plan {
    let reading = read_text(text);
    assert_eq!(lines(&reading), "", "\n--- the text:\n{text}");
    reading.plan.expect("no diagnostics, so there is a plan")
}

/// Like [`check`], with the keys that have no effect yet.
#[track_caller]
pub fn check_ahead(text: &str, expected: &str) {
    let found = lines(&ahead(text)).replace("fb.yaml:", "");
    assert_eq!(
        found.trim(),
        expected.trim(),
        "\n--- the text:\n{text}\n--- was told:\n{found}"
    );
}

/// Like [`plan_of`], with the keys that have no effect yet.
#[track_caller]
pub fn plan_ahead(text: &str) -> Plan {
    let reading = ahead(text);
    assert_eq!(lines(&reading), "", "\n--- the text:\n{text}");
    reading.plan.expect("no diagnostics, so there is a plan")
}

/// Reads a text, with the keys that have no effect yet.
pub fn ahead(text: &str) -> Reading {
    let source = Source {
        name: "fb.yaml",
        text: text.as_bytes(),
    };
    read_ahead(&[], &[source], &Machine::default())
}
