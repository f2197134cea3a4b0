//! The published crates' surfaces: each has its list beside its manifest, and a change of one is seen in review.
//!
//! The sources are read, not the compiler's output, so it needs no tool and no second build. What the sources do not say
//! is not in the lists: auto traits, what a derive of another crate makes, and blocks inside of functions.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic and speak"
)]

mod attributes;
mod conditions;
mod impls;
mod lines;
mod macros;
mod paths;
mod seen;
mod signatures;
mod tokens;
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Set to anything, it has the lists written anew.
const ACCEPT: &str = "FUSEBOX_ACCEPT";

#[test]
fn breaker_has_the_surface_of_its_list() {
    compare("breaker");
}

#[test]
fn store_has_the_surface_of_its_list() {
    compare("store");
}

#[test]
fn fleet_has_the_surface_of_its_list() {
    compare("fleet");
}

fn compare(name: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(name);
    let list = folder.join("public-api.txt");
    let sources = folder.join("src");
    let surface = lines::surface(&|path| fs::read_to_string(sources.join(path)).ok());
    if std::env::var_os(ACCEPT).is_some() {
        fs::write(&list, surface.join("\n") + "\n").unwrap();
        return;
    }
    let listed = fs::read_to_string(&list).unwrap_or_default();
    let listed: Vec<_> = listed.lines().map(str::to_owned).collect();
    let changes = changes(&listed, &surface);
    assert!(
        changes.is_empty() && listed == surface,
        "the surface of fusebox-{name} is not that of crates/{name}/public-api.txt:\n\n{}\n\n\
         where that is meant, accept it, and look at the change of the list:\n\
         {ACCEPT}=1 cargo test -p fusebox-cli --all-features --test surface\n",
        changes.join("\n")
    );
}

/// The difference of two lists in the order of their paths: `-` before lines that are gone, `+` before new ones.
fn changes(before: &[String], after: &[String]) -> Vec<String> {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), after.iter().collect());
    let mut changes = Vec::new();
    let mut coming = after.iter().peekable();
    for line in before {
        if !new.contains(line) {
            changes.push(format!("- {line}"));
            continue;
        }
        while let Some(next) = coming.next_if(|next| !old.contains(next)) {
            changes.push(format!("+ {next}"));
        }
        coming.next_if(|next| *next == line);
    }
    let rest = coming.filter(|next| !old.contains(next));
    changes.extend(rest.map(|next| format!("+ {next}")));
    changes
}
