//! Runs a script of `browser`, which drives a real browser by node and reports each behaviour in a line of JSON: `name`,
//! `error` (null: it is there), `ms` and `notes`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// The reports of a script by behaviour, or the reason why there are none.
pub type Reports = Result<BTreeMap<String, Value>, String>;

/// Runs a script to its end. One runs at a time, since some measure how soon a page shows something.
pub fn run(script: &str) -> Reports {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    if !folder.join("node_modules").exists() {
        return Err(format!(
            "the browser tests need their packages: `npm ci --prefix {}`, and Debian's chromium-headless-shell",
            folder.display()
        ));
    }
    let done = Command::new("node")
        .arg(folder.join(script))
        .env("FUSEBOX_PROGRAM", env!("CARGO_BIN_EXE_fusebox"))
        .output()
        .map_err(|error| format!("the browser tests need node: {error}"))?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    let text = String::from_utf8_lossy(&done.stdout);
    let reports = text.lines().map(|line| {
        let report: Value =
            serde_json::from_str(line).map_err(|error| format!("{error} in {text}"))?;
        let name = report["name"].as_str().unwrap_or_default().to_owned();
        println!("{name}: {} ms {}", report["ms"], report["notes"]);
        Ok((name, report))
    });
    reports.collect()
}

/// Declares a test for each behaviour of a script, and one that none is missing here.
macro_rules! behaviours {
    ($script:literal: $($name:ident),* $(,)?) => {
        static REPORTS: std::sync::LazyLock<$crate::driver::Reports> =
            std::sync::LazyLock::new(|| $crate::driver::run($script));

        fn reports() -> &'static std::collections::BTreeMap<String, serde_json::Value> {
            REPORTS.as_ref().unwrap_or_else(|why| panic!("{why}"))
        }

        $(
            #[test]
            fn $name() {
                let report = reports().get(stringify!($name)).expect("the browser's run has this behaviour");
                assert!(report["error"].is_null(), "{}", report["error"].as_str().unwrap_or_default());
            }
        )*

        #[test]
        fn no_behaviour_of_the_browsers_run_is_missing_here() {
            let all = [$(stringify!($name)),*];
            let missing: Vec<_> = reports().keys().filter(|it| !all.contains(&it.as_str())).collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
    };
}
