//! The dashboard in a real browser: each behaviour of the page, driven by `browser/run.mjs`, and how the page is served.

use crate::support::{Dial, Gateway, Upstream, orders};

behaviours!["run.mjs":
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
