//! The arrows between the crates: who may use whom, and what stays out of the pure ones.
//!
//! `cargo metadata` is asked, so that no arrow can be drawn by accident and stay unseen.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Our crates, and those of ours that each may use, in tests too. ARCHITECTURE.md draws it.
const MAY_USE: [(&str, &[&str]); 14] = [
    ("fusebox-breaker", &[]),
    ("fusebox-store", &[]),
    ("fusebox-fleet", &["fusebox-breaker", "fusebox-store"]),
    ("fusebox-dataweave", &[]),
    ("fusebox-call", &["fusebox-breaker"]),
    ("fusebox-plan", &["fusebox-call", "fusebox-breaker"]),
    (
        "fusebox-sim",
        &["fusebox-call", "fusebox-breaker", "fusebox-fleet"],
    ),
    (
        "fusebox-gateway",
        &[
            "fusebox-fleet",
            "fusebox-plan",
            "fusebox-call",
            "fusebox-breaker",
            "fusebox-store",
        ],
    ),
    (
        "fusebox-flogo",
        &["fusebox-gateway", "fusebox-plan", "fusebox-breaker"],
    ),
    (
        "fusebox-mule",
        &[
            "fusebox-dataweave",
            "fusebox-gateway",
            "fusebox-plan",
            "fusebox-breaker",
            "fusebox-store",
        ],
    ),
    (
        "fusebox-admin",
        &["fusebox-gateway", "fusebox-plan", "fusebox-breaker"],
    ),
    (
        "fusebox-cli",
        &[
            "fusebox-admin",
            "fusebox-flogo",
            "fusebox-mule",
            "fusebox-dataweave",
            "fusebox-gateway",
            "fusebox-plan",
            "fusebox-breaker",
            "fusebox-sim",
            "fusebox-store",
        ],
    ),
    ("fusebox-bench-breaker", &["fusebox-breaker"]),
    ("fusebox-bench-proxy", &[]),
];

/// Runtimes, sockets, files and what brings them along: nothing for a crate that takes time and
/// bytes as arguments.
const RUNTIME_AND_IO: [&str; 22] = [
    "async-io",
    "async-std",
    "axum",
    "curl",
    "futures-executor",
    "h2",
    "hyper",
    "hyper-util",
    "memmap2",
    "mio",
    "native-tls",
    "polling",
    "quinn",
    "redb",
    "redis",
    "reqwest",
    "rustls",
    "signal-hook",
    "smol",
    "socket2",
    "tokio",
    "tokio-rustls",
];

#[test]
fn our_crates_use_one_another_only_along_the_arrows() {
    let house = House::ask();
    let may_use: BTreeMap<_, _> = MAY_USE.into_iter().collect();
    let mut wrong = Vec::new();
    for name in &house.ours {
        let Some(allowed) = may_use.get(name.as_str()) else {
            wrong.push(format!(
                "{name} is a new crate: say in MAY_USE what it may use"
            ));
            continue;
        };
        // A crate's tests may ask for a feature of the crate itself.
        let used = house.direct(name, |_| true);
        for other in used.intersection(&house.ours).filter(|o| *o != name) {
            if !allowed.contains(&other.as_str()) {
                wrong.push(format!("{name} must not use {other}"));
            }
        }
    }
    for name in may_use.keys().filter(|name| !house.ours.contains(**name)) {
        wrong.push(format!("{name} is gone: take it out of MAY_USE"));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn breaker_call_dataweave_plan_and_sim_bring_no_runtime_and_no_io_along() {
    let house = House::ask();
    for name in [
        "fusebox-breaker",
        "fusebox-call",
        "fusebox-dataweave",
        "fusebox-plan",
        "fusebox-sim",
    ] {
        let reached = house.reached(name);
        assert!(reached.contains(name), "{name} was looked at");
        let wrong: Vec<_> = RUNTIME_AND_IO
            .iter()
            .filter(|banned| reached.contains(**banned))
            .collect();
        assert!(
            wrong.is_empty(),
            "{name} reaches {wrong:?}; `cargo tree -p {name} -i NAME` says how"
        );
    }
    // What stands before every call is read before it is used: itself and a handful of others, four of which are rustix and
    // what it uses, for the kernel's coarse clock on Linux.
    let breaker = house.reached("fusebox-breaker");
    assert!(breaker.len() <= 13, "{breaker:?}");
}

#[test]
fn a_dialect_that_only_reads_brings_no_runtime_and_no_io_along() {
    for name in ["fusebox-flogo", "fusebox-mule"] {
        let output = Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["tree", "--offline", "--locked", "--package", name])
            .args(["--no-default-features", "--edges", "normal"])
            .args(["--prefix", "none", "--format", "{lib}"])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let reached = String::from_utf8(output.stdout).unwrap();
        let reached: BTreeSet<String> = reached.lines().map(|it| it.replace('_', "-")).collect();
        assert!(reached.contains("fusebox-plan"), "{name} was looked at");
        assert!(!reached.contains("fusebox-gateway"), "{name} runs nothing");
        let wrong: Vec<_> = RUNTIME_AND_IO
            .iter()
            .filter(|banned| reached.contains(**banned))
            .collect();
        assert!(wrong.is_empty(), "{name} reaches {wrong:?}");
    }
}

#[test]
fn the_gateway_knows_no_file_format_and_no_admin_api() {
    let direct = House::ask().direct("fusebox-gateway", |kind| kind != "dev");
    for banned in ["axum", "clap", "saphyr-parser", "serde-saphyr", "toml"] {
        assert!(!direct.contains(banned), "fusebox-gateway uses {banned}");
    }
}

/// What cargo says of the workspace.
struct House {
    /// The workspace's crates.
    ours: BTreeSet<String>,
    /// Every package's name, by its id.
    names: BTreeMap<String, String>,
    /// What each package uses, by id, with the kinds of use: `normal`, `build`, `dev`.
    uses: BTreeMap<String, Vec<(String, Vec<String>)>>,
}

impl House {
    fn ask() -> House {
        // Only this machine's crates: those of other systems need not have been downloaded.
        let rustc = Command::new("rustc").arg("-vV").output().unwrap();
        let rustc = String::from_utf8(rustc.stdout).unwrap();
        let host = rustc
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .unwrap();
        let output = Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(["--offline", "--filter-platform", host])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let names: BTreeMap<_, _> = list(&metadata["packages"])
            .map(|package| (text(&package["id"]), text(&package["name"])))
            .collect();
        let ours = list(&metadata["workspace_members"])
            .map(|id| names[id.as_str().unwrap()].clone())
            .collect();
        let kinds = |dep: &Value| {
            list(&dep["dep_kinds"])
                .map(|kind| kind["kind"].as_str().unwrap_or("normal").to_owned())
                .collect()
        };
        let uses = list(&metadata["resolve"]["nodes"])
            .map(|node| {
                let deps = list(&node["deps"]).map(|dep| (text(&dep["pkg"]), kinds(dep)));
                (text(&node["id"]), deps.collect())
            })
            .collect();
        House { ours, names, uses }
    }

    fn id(&self, name: &str) -> &str {
        let found = self.names.iter().find(|(_, other)| *other == name);
        found.expect("the crate exists").0
    }

    /// The names of what a crate itself uses, in one of the kinds that are asked for.
    fn direct(&self, name: &str, kind: impl Fn(&str) -> bool) -> BTreeSet<String> {
        self.uses[self.id(name)]
            .iter()
            .filter(|(_, kinds)| kinds.iter().any(|one| kind(one)))
            .map(|(id, _)| self.names[id].clone())
            .collect()
    }

    /// The names of all that ends up in a program that uses a crate.
    fn reached(&self, name: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut left = vec![self.id(name)];
        while let Some(id) = left.pop() {
            if seen.insert(id) {
                let used = self.uses[id].iter();
                let normal = used.filter(|(_, kinds)| kinds.iter().any(|kind| kind == "normal"));
                left.extend(normal.map(|(id, _)| id.as_str()));
            }
        }
        seen.into_iter().map(|id| self.names[id].clone()).collect()
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}
