//! The section `access_log`: what it says, and what is wrong with it.

use crate::support::{check, plan_of, read_text};
use fusebox_plan::access_log::LogTarget;

/// A file with that access log.
fn with(log: &str) -> String {
    format!("listen: 127.0.0.1:8080\nroutes: [{{ path: /, respond: {{}} }}]\naccess_log: {log}\n")
}

#[test]
fn there_is_none_unless_the_file_asks_for_one() {
    let to = |log: &str| plan_of(&with(log)).access_log.map(|log| log.to);
    assert_eq!(to("{}"), Some(LogTarget::Stdout));
    assert_eq!(to("{ to: stderr }"), Some(LogTarget::Stderr));
    assert_eq!(to("{ to: logs/a }"), Some(LogTarget::File("logs/a".into())));
    assert_eq!(to("{ to: off, sample: 1% }"), None);
    let none = "listen: 127.0.0.1:8080\nroutes: [{ path: /, respond: {} }]\n";
    assert_eq!(plan_of(none).access_log, None);
}

#[test]
fn it_is_written_out_as_it_was_read() {
    let log = "{ to: a.log, when: 'status >= 500 || \"DC\" in flags', sample: 0.5%, query: true, headers: [User-Agent] }";
    let plan = plan_of(&with(log));
    let again = read_text(&plan.to_json().to_string());
    assert_eq!(again.plan.as_ref(), Some(&plan));
    let log = plan.access_log.unwrap();
    assert_eq!((log.sample, log.query), (Some(0.005), true));
    assert_eq!(log.headers, ["user-agent"]);
}

#[test]
fn mistakes_are_told_at_their_place() {
    check(
        &with("{ when: 'statsu >= 500', file: x }"),
        "3:22: error: in the when expression: unknown variable `statsu`; did you mean `status`?
3:38: error: unknown key `file` in `access_log`; expected one of to, when, sample, query, headers",
    );
    check(
        &with("{ when: status, sample: 2 }"),
        "3:21: error: in the when expression: expected a bool, found an int; compare it with something, as in `status >= 500`
3:37: error: `sample` must be a ratio in percent, found `2`; write `2%`",
    );
}

#[test]
fn credentials_are_not_logged() {
    check(
        &with("{ headers: [cookie, Authorization, a b], to: \"\" }"),
        "3:25: error: the field `cookie` holds a credential, which no log may keep; remove it from the list
3:33: error: the field `authorization` holds a credential, which no log may keep; remove it from the list
3:48: error: `a b` is not a field's name; use letters, digits and `-`
3:58: error: the access log's `to` is empty; write `stdout`, `stderr`, `off` or a file, such as `/var/log/fusebox/access.log`",
    );
}

#[test]
fn the_page_about_it_is_read_without_diagnostics() {
    let page = include_str!("../../../../docs/access-log.md");
    let blocks = page.split("```yaml\n").skip(1);
    for block in blocks.filter_map(|rest| rest.split("```").next()) {
        assert!(plan_of(block).access_log.is_some());
    }
}
