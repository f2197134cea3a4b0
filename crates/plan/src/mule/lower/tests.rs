//! Snippets in, an application or its diagnostics out.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use super::{Setting, lower};
use crate::diagnostic::Notes;
use crate::mule::app::Compat;
use crate::mule::xml;
use crate::plan::Plan;

pub(super) const BINDINGS: &[(&str, &str)] =
    &[("L", "http://127.0.0.1:0"), ("S", "http://127.0.0.1:9901")];

/// Reads files, with what is bound.
pub(super) fn read_files(
    files: &[(&str, &str)],
    bindings: &[(&str, &str)],
    compat: Compat,
) -> (Plan, Vec<String>) {
    let mut notes = Notes::default();
    let mut elements = Vec::new();
    for (file, (_, text)) in files.iter().enumerate() {
        elements.extend(xml::parse(text, file, compat, &mut notes).unwrap_or_default());
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    let bindings: Vec<(String, String)> = bindings
        .iter()
        .map(|(name, url)| ((*name).to_owned(), (*url).to_owned()))
        .collect();
    let setting = Setting {
        files: &names,
        properties: Default::default(),
        bindings: &bindings,
        compat,
    };
    let plan = lower(elements, setting, &mut notes);
    let said = notes
        .finish(&names)
        .iter()
        .map(ToString::to_string)
        .collect();
    (plan, said)
}

const SEED: &str = include_str!(
    "../../../../../conformance/recipes/error-handling/retry/circuit-breaker-object-store.xml"
);

#[test]
fn try_it() {
    for compat in [Compat::Intent, Compat::Strict] {
        let (plan, said) = read_files(
            &[("orders.xml", SEED)],
            &[
                ("HTTP_Listener", "http://127.0.0.1:0"),
                ("Order_Service", "http://127.0.0.1:8082"),
            ],
            compat,
        );
        println!("{said:#?}\n{plan:#?}");
    }
}
