//! The page of `simulate --html` in a real browser: each behaviour, driven by `browser/replay.mjs`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// The errors of the browser's run by behaviour, or the reason why there was none.
static REPORTS: LazyLock<Result<BTreeMap<String, Value>, String>> = LazyLock::new(run);

fn run() -> Result<BTreeMap<String, Value>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    if !folder.join("node_modules").exists() {
        return Err(format!(
            "the browser tests need their packages: `npm ci --prefix {}`, and Debian's chromium-headless-shell",
            folder.display()
        ));
    }
    let done = Command::new("node")
        .arg(folder.join("replay.mjs"))
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
        Ok((name, report["error"].clone()))
    });
    reports.collect()
}

/// Declares a test for each behaviour, and one that none is missing here.
macro_rules! behaviours {
    ($($name:ident),* $(,)?) => {
        const ALL: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                let reports = REPORTS.as_ref().unwrap_or_else(|why| panic!("{why}"));
                let error = reports.get(stringify!($name)).expect("the browser's run has this behaviour");
                assert!(error.is_null(), "{}", error.as_str().unwrap_or_default());
            }
        )*
    };
}

behaviours![
    the_page_shows_calls_states_trips_and_settings,
    a_sweep_has_its_plot_its_table_and_the_line_to_paste,
    nothing_is_loaded_from_elsewhere_and_no_script_runs,
    names_with_markup_do_nothing,
    axe_finds_nothing_serious_in_either_theme,
    a_narrow_page_has_nothing_aside,
];

#[test]
fn every_behaviour_of_the_browser_run_has_its_test() {
    let reports = REPORTS.as_ref().unwrap_or_else(|why| panic!("{why}"));
    let names: Vec<_> = reports.keys().map(String::as_str).collect();
    let mut all = ALL.to_vec();
    all.sort_unstable();
    assert_eq!(names, all);
}
