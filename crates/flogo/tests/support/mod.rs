//! Shared by the tests of this crate: a machine made of maps, and functions from sources to text.

#![allow(dead_code, reason = "each test file uses a part of this")]

use std::collections::HashMap;
use std::io;

use fusebox_flogo::Dialect;
use fusebox_plan::{Conversion, Loader, Reading, Source};

/// An environment and files that exist in the test alone.
#[derive(Default)]
pub struct Machine {
    pub env: HashMap<&'static str, &'static str>,
    pub files: HashMap<&'static str, &'static str>,
    /// True if guards may be lost.
    pub lossy: bool,
}

impl Loader for Machine {
    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).map(ToString::to_string)
    }

    fn accepts_losses(&self) -> bool {
        self.lossy
    }

    fn file(&self, path: &str) -> io::Result<String> {
        match self.files.get(path) {
            Some(text) => Ok(text.to_string()),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
        }
    }
}

pub fn read(sources: &[Source<'_>], loader: &dyn Loader) -> Reading {
    fusebox_plan::read_as(&[&Dialect], sources, loader)
}

pub fn convert(sources: &[Source<'_>], loader: &dyn Loader) -> Conversion {
    fusebox_plan::convert(&[&Dialect], sources, loader)
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
