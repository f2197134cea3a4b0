//! The arrows between the modules of a crate: who uses whom, from the top floor to the ground.
//!
//! Each crate has one list of floors. A file uses its own room and lower floors; an arrow that runs up makes a circle
//! sooner or later, and a circle is one large module under many names. What the code says is read from its tokens:
//! every `use`, and every path that begins with `crate` or `super`; tests are left out.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The rooms of each crate, the top floor first: modules at the crate's root. `lib` and `main` stand above them all.
const FLOORS: [(&str, &str); 12] = [
    (
        "gateway",
        "show host downstream live app request upstream message ground",
    ),
    (
        "plan",
        "read dialect show native tls url path plan program access_log failure interpolate fields yaml words tree schema keys \
         expression diagnostic",
    ),
    (
        "call",
        "attempts endpoints balance health budget adaptive settings grpc",
    ),
    (
        "dataweave",
        "scope detect body stored attribute script symbol event value random limits fault library",
    ),
    (
        "flogo",
        "run dialect convert read program show mapping flow graphql script language",
    ),
    (
        "mule",
        "run dialect convert program show lower circuit written properties xml app cron",
    ),
    (
        "breaker",
        "guide http key_template keyed_layer layer observe ready guards guard undated refusing fleet_led registry \
         advance breaker permit rare_state call_error refused shared last_use token machine inherited rule cooldown window \
         serial snapshot transition recorder classify call state_word settings cause outcome ramp ratio clock time \
         settings_error rule_kind log key_text chance calling",
    ),
    (
        "store",
        "embedded memory valkey testing store shared partition object limits hostile error clock",
    ),
    (
        "fleet",
        "driver breakers node share change command record server_time counters",
    ),
    (
        "admin",
        "openapi rendered breakers calls last_good state events hub frame wishes row event_view upstreams body config access \
         page health list listen fleet view token stream slots reserve socket problem problem_kind clock routes",
    ),
    (
        "sim",
        "suite replay mapping subject scenario assume sweep rerun trace words fleet",
    ),
    (
        "cli",
        "check convert first_file run reload banner init healthcheck man top breakers admin_client state simulate printable log files \
         project fetch eval dialects descriptors demo bounded args",
    ),
];

/// Arrows that run up and are known. This list may only become shorter: one that is mended must leave it.
const KNOWN: [(&str, &str); 6] = [
    ("admin", "view -> fleet"),
    ("breaker", "permit -> breaker"),
    ("dataweave", "value -> script"),
    ("fleet", "record -> change"),
    ("fleet", "share -> node"),
    ("mule", "app -> circuit"),
];

#[test]
fn a_module_uses_its_own_room_and_lower_floors_alone() {
    let mut wrong = Vec::new();
    for (name, floors) in FLOORS {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(name)
            .join("src");
        let floors: Vec<&str> = floors.split_whitespace().collect();
        let known: BTreeSet<&str> = KNOWN
            .iter()
            .filter(|(of, _)| *of == name)
            .map(|it| it.1)
            .collect();
        let files: Vec<(Vec<String>, String)> = files(&source)
            .into_iter()
            .map(|file| {
                (
                    module(&source, &file),
                    std::fs::read_to_string(&file).unwrap(),
                )
            })
            .collect();
        let up = upward(&floors, &files);
        for room in &up.unknown {
            wrong.push(format!(
                "{name}: `{room}` is a new room: say in FLOORS on which floor it is"
            ));
        }
        for (arrow, at) in &up.arrows {
            if !known.contains(arrow.as_str()) {
                wrong.push(format!("{name}: {arrow} runs up, by {at}"));
            }
        }
        for arrow in known
            .iter()
            .filter(|arrow| !up.arrows.contains_key(**arrow))
        {
            wrong.push(format!("{name}: {arrow} is mended: take it out of KNOWN"));
        }
        let rooms: BTreeSet<&str> = files.iter().map(|(module, _)| module[0].as_str()).collect();
        for floor in floors.iter().filter(|floor| !rooms.contains(**floor)) {
            wrong.push(format!("{name}: `{floor}` is gone: take it out of FLOORS"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What was found in one crate.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// Arrows that run up, as `from -> to`, and a file and path by which each does.
    arrows: BTreeMap<String, String>,
    /// Rooms that have no floor.
    unknown: BTreeSet<String>,
}

/// The arrows that run up among the modules of a crate, each with its source.
fn upward(floors: &[&str], files: &[(Vec<String>, String)]) -> Found {
    let floor = |room: &str| floors.iter().position(|floor| *floor == room);
    let mut found = Found::default();
    for (module, source) in files {
        let from = module[0].as_str();
        if matches!(from, "lib" | "main") {
            continue;
        }
        let Some(own) = floor(from) else {
            found.unknown.insert(from.to_owned());
            continue;
        };
        for path in paths(source.parse().unwrap()) {
            let Some(to) = target(module, &path) else {
                continue;
            };
            if floor(&to).is_some_and(|floor| floor < own) {
                let at = format!("{}.rs, `{}`", module.join("/"), path.join("::"));
                found.arrows.entry(format!("{from} -> {to}")).or_insert(at);
            }
        }
    }
    found
}

/// The room that a path in a module leads to, where it leads into the crate.
fn target(module: &[String], path: &[String]) -> Option<String> {
    let mut at = module.to_vec();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => at.clear(),
        "super" => {}
        _ => return None,
    }
    if rest[0] == "crate" {
        rest = &rest[1..];
    }
    while rest.first().is_some_and(|step| step == "super") {
        at.pop()?;
        rest = &rest[1..];
    }
    at.into_iter().chain(rest.iter().cloned()).next()
}

/// All paths of a file's tokens that begin with `crate` or `super`, those of nested `use` lists one by one.
fn paths(tokens: TokenStream) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_of_tests(&tokens[at..]) {
            // The attribute, and the item behind it to its end.
            at += 2;
            while !tokens.get(at).is_none_or(ends_item) {
                at += 1;
            }
        } else if let TokenTree::Group(group) = &tokens[at] {
            found.extend(paths(group.stream()));
        } else if is_root(&tokens[at]) && !follows_path(&tokens[..at]) {
            at += path(&tokens[at..], &[], &mut found);
            continue;
        }
        at += 1;
    }
    found
}

/// Reads one path, or a list of paths in braces, and returns how many tokens it took.
fn path(tokens: &[TokenTree], before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut steps = before.to_vec();
    let mut at = 0;
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(step)) => steps.push(step.to_string()),
            Some(TokenTree::Group(list)) if list.delimiter() == Delimiter::Brace && at > 0 => {
                let inner: Vec<TokenTree> = list.stream().into_iter().collect();
                for part in inner.split(|token| is_punct(token, ',')) {
                    if !part.is_empty() {
                        path(part, &steps, found);
                    }
                }
                return at + 1;
            }
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => steps.push("*".into()),
            _ => break,
        }
        at += 1;
        if !(tokens.get(at).is_some_and(|it| is_punct(it, ':'))
            && tokens.get(at + 1).is_some_and(|it| is_punct(it, ':')))
        {
            break;
        }
        at += 2;
    }
    found.push(steps);
    at.max(1)
}

fn is_root(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Ident(word) if word == "crate" || word == "super")
}

/// A `super` behind `::` was read with its path; `crate` in `pub(crate)` is none.
fn follows_path(before: &[TokenTree]) -> bool {
    before.last().is_some_and(|it| is_punct(it, ':'))
}

fn is_punct(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

fn ends_item(token: &TokenTree) -> bool {
    is_punct(token, ';')
        || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

/// Whether an attribute begins here that leaves the next item to tests.
fn is_of_tests(tokens: &[TokenTree]) -> bool {
    let [first, TokenTree::Group(attribute), ..] = tokens else {
        return false;
    };
    let text = attribute.stream().to_string().replace(' ', "");
    is_punct(first, '#') && (text == "cfg(test)" || text.starts_with("cfg(all(test,"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A file's module path within its crate.
fn module(source: &Path, file: &Path) -> Vec<String> {
    let inside = file.strip_prefix(source).unwrap().with_extension("");
    inside
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect()
}

fn found(floors: &[&str], files: &[(&str, &str)]) -> Found {
    let files: Vec<(Vec<String>, String)> = files
        .iter()
        .map(|(module, source)| {
            (
                module.split('/').map(str::to_owned).collect(),
                (*source).to_owned(),
            )
        })
        .collect();
    upward(floors, &files)
}

#[test]
fn an_arrow_up_is_seen_in_every_form() {
    for source in [
        "use crate::top::Thing;",
        "use crate::{ground::Clock, top::{self, Thing}};",
        "use super::super::top::Thing;",
        "fn f() { let _ = crate::top::thing(); }",
        "fn f() { log!(\"{}\", crate::top::thing()); }",
        "pub use crate::top as other;",
        "#[derive(Debug)] struct Of(crate::top::Thing);",
    ] {
        let seen = found(&["top", "middle", "ground"], &[("middle/file", source)]);
        assert!(
            seen.arrows.contains_key("middle -> top"),
            "{source}: {seen:?}"
        );
        assert_eq!(seen.arrows.len(), 1, "{source}");
    }
}

#[test]
fn arrows_down_within_a_room_and_of_tests_are_none() {
    for source in [
        "use crate::ground::Clock;",
        "use super::other::Thing;",
        "use crate::middle::other::Thing;",
        "pub(crate) fn f() {} pub(super) fn g() {}",
        "// crate::top::Thing\n/// See [`crate::top::Thing`].\nfn f() {}",
        "#[cfg(test)] mod tests { use crate::top::Thing; }",
        "#[cfg(test)] use crate::top::Thing;",
        "fn f() { let text = \"crate::top::Thing\"; }",
    ] {
        let seen = found(&["top", "middle", "ground"], &[("middle/file", source)]);
        assert_eq!(seen, Found::default(), "{source}");
    }
}

#[test]
fn a_room_without_a_floor_is_named() {
    let seen = found(&["top"], &[("cellar", ""), ("lib", "use crate::cellar;")]);
    assert_eq!(seen.unknown, BTreeSet::from(["cellar".to_owned()]));
}
