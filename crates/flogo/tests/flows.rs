//! Flows: what is read, and what is refused at its line.

mod support;

use fusebox_flogo::{App, LinkKind};
use support::{lines, read_text};

/// An application of one flow with these tasks and links.
fn app(tasks: &str, more: &str) -> String {
    format!(
        r##"{{ "name": "A", "version": "1", "imports": [ "github.com/project-flogo/flow", "x/activity/log", "x/activity/kafka" ],
"triggers": [ {{ "id": "r", "ref": "x/trigger/rest", "settings": {{ "port": 8080 }}, "handlers": [
{{ "settings": {{ "method": "GET", "path": "/a" }}, "action": {{ "ref": "#flow", "settings": {{ "flowURI": "res://flow:f" }}, "input": {{ "in": "=$.method" }}, "output": {{ "data": "=$.out" }} }} }} ] }} ],
"resources": [ {{ "id": "flow:f", "data": {{ "name": "F", "tasks": [
{tasks} ]
{more} }} }} ] }}"##
    )
}

fn log(id: &str) -> String {
    format!(
        r##"{{ "id": "{id}", "activity": {{ "ref": "#log", "input": {{ "message": "=$flow.in" }} }} }}"##
    )
}

/// The errors, with a sentence about the application where a part is not supported.
#[track_caller]
fn refused(text: &str, expected: &str) {
    let sentence = "4:24: error: this is a flow application; 0 of 1 handler is a microgateway";
    told(text, &[expected, sentence]);
}

#[track_caller]
fn told(text: &str, expected: &[&str]) {
    let report = lines(&read_text(text)).replace("fb.yaml:", "");
    assert_eq!(report.lines().count(), expected.len(), "{report}");
    for line in expected {
        assert!(report.contains(line), "{line}:\n{report}");
    }
}

#[test]
fn tasks_are_services_and_links_have_kinds() {
    let tasks = ["a", "b", "c", "d", "e", "f"].map(log).join(",\n");
    let links = r#", "links": [ { "from": "a", "to": "b" }, { "from": "a", "to": "c", "type": "expression", "value": "$activity[a].x == 1" }, { "from": "a", "to": "d", "type": "exprOtherwise" },
{ "from": "a", "to": "e", "type": "error" }, { "from": "a", "to": "f", "type": "2" } ]"#;
    let reading = read_text(&app(&tasks, links));
    assert_eq!(lines(&reading), "");
    let plan = reading.plan.expect("a plan");
    let program = plan.program::<App>().expect("an application");
    let action = &program.handlers[0].choices[0].action;
    assert_eq!(&*action.name, "f");
    let flow = action.flow.as_ref().expect("a flow");
    assert_eq!(
        (&*flow.name, flow.tasks.len(), action.services.len()),
        ("F", 6, 6)
    );
    let kinds: Vec<_> = flow.links.iter().map(|link| &link.kind).collect();
    assert!(matches!(
        kinds[..],
        [
            LinkKind::Always,
            LinkKind::When(_),
            LinkKind::Otherwise,
            LinkKind::Error,
            LinkKind::Label
        ]
    ));
}

#[test]
fn a_part_that_does_not_run_is_refused_at_its_line() {
    let with = |part: &str| app(&log("a").replacen("{", &format!("{{ {part},\n"), 1), "");
    for (part, what) in [
        (
            r#""settings": { "retryOnError": { "count": 3 } }"#,
            "5:17: error: `retryOnError` does not run here",
        ),
        (
            r#""settings": { "circuitBreaker": {} }"#,
            "error: `circuitBreaker` of a task does not run here; put a breaker before the call in a native file",
        ),
        (
            r#""settings": { "iterate": "=$flow.in" }"#,
            "error: iterations do not run here",
        ),
        (
            r#""type": "iterator""#,
            "5:11: error: tasks of the type `iterator` do not run here",
        ),
        (
            r#""attributes": []"#,
            "error: `attributes` is of a flow before Flogo 0.9",
        ),
    ] {
        refused(&with(part), what);
    }
}

#[test]
fn an_activity_that_does_not_run_is_one_line() {
    let tasks = [
        log("a"),
        log("b").replace("#log", "#kafka"),
        log("c").replace("#log", "#kafka"),
    ]
    .join(",\n");
    refused(
        &app(&tasks, ""),
        "6:35: error: unable to find activity with ref [x/activity/kafka]; the `kafka` activity is not supported in a flow: publish through an HTTP bridge with the `rest` activity; 1 more: 7:35",
    );
}

#[test]
fn links_lead_from_task_to_task_and_never_back() {
    let tasks = ["a", "b"].map(log).join(",\n");
    told(
        &app(&tasks, r#", "links": [ { "from": "a", "to": "bb" } ]"#),
        &["error: the link leads to no task: 'bb' not found; did you mean `b`?"],
    );
    told(
        &app(
            &tasks,
            r#", "links": [ { "from": "a", "to": "b" }, { "from": "b", "to": "a" } ]"#,
        ),
        &["error: the links lead back"],
    );
    told(
        &app(
            &tasks,
            r#", "links": [ { "from": "a", "to": "b", "type": "expression", "value": "$flow.in ==" } ]"#,
        ),
        &["error: unable to compile expression"],
    );
}

#[test]
fn a_flow_is_named_by_its_resource() {
    let text = app(&log("a"), "").replace("res://flow:f", "res://flow:g");
    told(
        &text,
        &["error: unable to resolve flow: res://flow:g; did you mean `res://flow:f`?"],
    );
    let text = app(&log("a"), "").replace(
        r#""data": { "name": "F""#,
        r#""compressed": true, "data": "H4sI", "x": { "name": "F""#,
    );
    told(
        &text,
        &["error: the flow `res://flow:f` has no definition that can be read"],
    );
}

#[test]
fn an_application_says_in_one_sentence_that_its_flows_do_not_run() {
    let handler = r#"{ "settings": { "method": "GET", "path": "/b" }, "action": { "ref": "x/microgateway", "settings": { "uri": "microgateway:m" } } }, "#;
    let resource = r#"{ "id": "microgateway:m", "data": { "name": "m", "steps": [ { "service": "l" } ], "services": [ { "name": "l", "ref": "x/activity/log" } ] } }, "#;
    let text = app(&log("a").replace("#log", "#kafka"), "")
        .replacen(
            "{ \"settings\": { \"method\": \"GET\", \"path\": \"/a\"",
            &format!("{handler}{{ \"settings\": {{ \"method\": \"GET\", \"path\": \"/a\""),
            1,
        )
        .replacen(
            "{ \"id\": \"flow:f\"",
            &format!("{resource}{{ \"id\": \"flow:f\""),
            1,
        );
    let report = lines(&read_text(&text));
    assert!(
        report.contains("error: this is a flow application; 1 of 2 handlers is a microgateway"),
        "{report}"
    );
    assert_eq!(report.lines().count(), 2, "{report}");
}

#[test]
fn flows_have_resolvers_of_their_own() {
    for expression in [
        "$flow.in.x",
        "$activity[a].data.x",
        "$activity[a]",
        "$error.message",
        "$error[a].message",
        "$property[p]",
    ] {
        let text = app(&log("a").replace("$flow.in", expression), "")
            .replacen("\"version\": \"1\",", "\"version\": \"1\", \"properties\": [ { \"name\": \"p\", \"type\": \"string\", \"value\": \"v\" } ],", 1);
        assert_eq!(lines(&read_text(&text)), "", "{expression}");
    }
    let handler = app(&log("a"), "").replace("=$.method", "=$flow.in");
    let report = lines(&read_text(&handler));
    assert!(
        report.contains("unable to find a 'flow' resolver"),
        "{report}"
    );
}

#[test]
fn the_output_of_a_task_that_is_not_there_is_a_warning() {
    let text = app(
        &log("task_1").replace("$flow.in", "$activity[task_2].x"),
        "",
    );
    let report = lines(&read_text(&text));
    assert_eq!(report.lines().count(), 1, "{report}");
    assert!(
        report.contains(
            "warning: no task has the id `task_2`, so this is an error; did you mean `task_1`?"
        ),
        "{report}"
    );
}
