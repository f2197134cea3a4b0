//! The dashboard in a real browser: each behaviour of the page, driven by `browser/run.mjs`, and how the page is served.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and says what it measured"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use support::{Dial, Gateway, Upstream, orders};

/// The reports of the browser's run by behaviour, or the reason why there was none.
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
        .arg(folder.join("run.mjs"))
        .env("FUSEBOX_PROGRAM", env!("CARGO_BIN_EXE_fusebox"))
        .output()
        .map_err(|error| format!("the browser tests need node: {error}"))?;
    let text = String::from_utf8_lossy(&done.stdout);
    let lines = text.lines().map(serde_json::from_str::<Value>);
    let reports = lines.map(|line| {
        let line = line.map_err(|error| format!("{error} in {text}"))?;
        let name = line["name"].as_str().unwrap_or_default().to_owned();
        println!("{name}: {} ms {}", line["ms"], line["notes"]);
        Ok::<_, String>((name, line))
    });
    let reports: BTreeMap<_, _> = reports.collect::<Result<_, _>>()?;
    if done.status.success() {
        Ok(reports)
    } else {
        Err(String::from_utf8_lossy(&done.stderr).into_owned())
    }
}

/// Declares a test for each behaviour, and one that none is missing here.
macro_rules! behaviours {
    ($($name:ident),* $(,)?) => {
        const ALL: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                let reports = REPORTS.as_ref().unwrap_or_else(|why| panic!("{why}"));
                let report = reports.get(stringify!($name)).expect("the browser's run has this behaviour");
                assert!(report["error"].is_null(), "{}", report["error"].as_str().unwrap_or_default());
            }
        )*
    };
}

behaviours![
    a_trip_is_shown_within_a_second,
    a_row_is_whole_before_it_is_in_sight,
    the_countdown_is_right_to_a_second,
    a_cut_stream_resumes_without_a_hole,
    a_gateway_that_was_started_again_is_joined_anew,
    a_hold_needs_a_reason_and_appears_in_breakers_show,
    what_the_gateway_refuses_keeps_the_dialog_and_is_said,
    names_with_markup_do_nothing,
    axe_finds_nothing_serious_in_either_theme,
    the_keyboard_reaches_all,
    rows_are_patched_and_keep_the_focus,
    a_narrow_page_has_nothing_aside,
    a_closed_page_leaves_no_listener,
    looking_changes_no_generation,
    without_a_script_the_table_is_rendered_once,
    a_wrong_token_is_refused_and_the_right_one_is_taken,
    the_fleet_is_shown_as_breaker_by_node,
    a_thousand_rows_scroll_without_jank,
];

#[test]
fn no_behaviour_of_the_browsers_run_is_missing_here() {
    let reports = REPORTS.as_ref().unwrap_or_else(|why| panic!("{why}"));
    let named: Vec<_> = reports.keys().filter(|it| !ALL.contains(&&***it)).collect();
    assert!(named.is_empty(), "{named:?}");
}

#[test]
fn the_page_needs_no_token_and_holds_no_data_without_it() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let open = orders(&upstream, "{}");
    let shut = format!("{open}admin: {{ token: s3cret }}\n");
    let gateway = Gateway::run(shut);
    let page = gateway.admin().get("/");
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("orders"), "{}", page.text());
    let fields = "Authorization: Bearer s3cret\r\n";
    let page = gateway.admin().request("GET", "/", fields, "");
    assert!(
        page.text().contains("data-breaker=\"orders\""),
        "{}",
        page.text()
    );
    assert_eq!(gateway.admin().get("/api/v1/state").status, 401);
    let asset = gateway.admin().get("/page/main.js");
    assert_eq!(asset.status, 200);
    assert_eq!(gateway.admin().get("/page/other.js").status, 404);
}

#[test]
fn assets_have_a_tag_and_a_policy_without_inline_parts() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let gateway = Gateway::run(orders(&upstream, "{}"));
    for path in ["/", "/page/page.css", "/page/main.js"] {
        let asset = gateway.admin().get(path);
        let field = |name: &str| asset.fields.get(name).unwrap_or_default().to_owned();
        let policy = field("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
            "{policy}"
        );
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        let tag = format!("If-None-Match: {}\r\n", field("etag"));
        assert_eq!(gateway.admin().request("GET", path, &tag, "").status, 304);
        let gzip = gateway
            .admin()
            .request("GET", path, "Accept-Encoding: gzip\r\n", "");
        assert_eq!(gzip.fields.get("content-encoding"), Some("gzip"));
        assert!(gzip.body.len() < asset.body.len());
    }
    let page = gateway.admin().get("/").text();
    assert!(
        !page.contains("<style") && !page.contains("<script>") && !page.contains(" style="),
        "{page}"
    );
}
