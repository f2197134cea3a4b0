//! Published patterns, rewritten: every one of them loads, with the expected warnings.

use std::fs;
use std::path::Path;

use fusebox_mule::app::Compat;

use super::{Read, read_all};

/// A recipe: its file, the names to bind, and a part of each warning with its count.
type Recipe = (&'static str, &'static str, &'static [(&'static str, usize)]);

/// The recipes, with their use of each rule of `intent`.
#[rustfmt::skip]
const RECIPES: &[Recipe] = &[
    ("backoff-with-jitter", "HTTP_Listener Inventory", &[("no `method`", 1), ("read as a sleep", 1), ("vars.httpStatus", 1), ("vars.attempt", 1)]),
    ("bulkhead", "HTTP_Listener Payments Reports Notices", &[("no `method`", 2)]),
    ("cache-aside", "HTTP_Listener Reference", &[("no `method`", 2), ("vars.httpStatus", 1)]),
    ("cached-fallback", "HTTP_Listener Catalogue", &[("no `method`", 1), ("vars.httpStatus", 1), ("vars.outboundHeaders", 1)]),
    ("chat-notice", "HTTP_Listener Backend Chat", &[("no `method`", 1), ("vars.httpStatus", 1)]),
    ("default-handler", "Backend", &[]),
    ("gather", "HTTP_Listener A B", &[("no `method`", 3), ("vars.httpStatus", 2), ("no `parallel-for-each`", 1), ("no `validation:is-not-blank`", 1)]),
    ("mapped-errors", "HTTP_Listener Backend", &[("no `method`", 1), ("vars.httpStatus", 1)]),
    ("retry-a-post", "HTTP_Listener Billing", &[("no `method`", 1), ("vars.httpStatus", 1)]),
    ("saga", "HTTP_Listener Stock Payments Shipping", &[("no `method`", 1), ("vars.httpStatus", 1)]),
    ("second-service", "HTTP_Listener Primary Secondary", &[("no `method`", 1), ("vars.httpStatus", 1), ("a text with `#[…]`", 2)]),
    ("state-in-json", "HTTP_Listener Backend", &[("a quote within", 9), ("the circuit breakers/breaker-backend.state ", 6)]),
    ("statuses", "HTTP_Listener Backend", &[("vars.httpStatus", 1)]),
    ("timeout-fallback", "HTTP_Listener Rates", &[("nothing declares the object store", 1)]),
    ("too-many-requests", "HTTP_Listener Partner", &[("read as a sleep", 1), ("vars.attempt", 1)]),
];

#[test]
fn every_recipe_loads_with_the_warnings_it_earns() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/recipes/own");
    for (name, bound, rules) in RECIPES {
        let text = fs::read_to_string(folder.join(format!("{name}.xml"))).unwrap();
        let bindings: Vec<String> = bound
            .split(' ')
            .enumerate()
            .map(|(index, name)| format!("{name}=http://127.0.0.1:{}", 9900 + index))
            .collect();
        let Read { plan, said } = read_all(&[(name, &text)], &bindings.join(" "), Compat::Intent);
        assert!(plan.is_some(), "{name}: {said:#?}");
        for (rule, times) in *rules {
            let found = said.iter().filter(|line| line.contains(rule)).count();
            assert_eq!(found, *times, "{name}: {rule}: {said:#?}");
        }
        let all: usize = rules.iter().map(|(_, times)| times).sum();
        assert_eq!(said.len(), all, "{name}: {said:#?}");
    }
}

#[test]
fn every_recipe_is_looked_at() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/recipes/own");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let known: Vec<String> = RECIPES
        .iter()
        .map(|(name, ..)| format!("{name}.xml"))
        .collect();
    assert_eq!(files, known);
}
