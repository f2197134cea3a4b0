//! Flogo applications on the command line: `check`, `convert`, and what they ask of the machine.

use crate::support::{Program, Upstream};

const EXAMPLE: &str = include_str!("../../../../examples/flogo/app.json");

/// An application whose only action has this `uri`.
fn app(uri: &str) -> String {
    format!(
        r##"{{ "name": "A", "version": "1", "imports": [ "github.com/project-flogo/microgateway" ], "properties": [ {{ "name": "port", "type": "int", "value": 8080 }} ],
"triggers": [ {{ "id": "r", "ref": "github.com/project-flogo/contrib/trigger/rest", "settings": {{ "port": "=$property[port]" }}, "handlers": [
{{ "settings": {{ "method": "GET", "path": "/" }}, "action": {{ "ref": "#microgateway", "settings": {{ "uri": "{uri}" }} }} }} ] }} ] }}"##
    )
}

const DEFINITION: &str = r#"{ "name": "Away", "steps": [ { "service": "L" } ],
"services": [ { "name": "L", "ref": "github.com/project-flogo/contrib/activity/log", "settings": { "message": "=$env[WHO]" } } ] }"#;

#[test]
fn the_example_is_in_order_and_is_converted() {
    let program = Program::new().file("app.json", EXAMPLE);
    let checked = program.run(["check", "app.json"]);
    assert_eq!(
        checked.stdout,
        "ok: 1 listener, 1 route, 1 breaker, 1 call\n"
    );
    assert_eq!(checked.code, Some(0));
    let converted = program.run(["convert", "app.json"]);
    assert_eq!(converted.code, Some(0));
    assert_eq!(converted.stderr, "");
    let native = Program::new().file("fb.yaml", &converted.stdout);
    let checked = native.run(["check", "fb.yaml"]);
    assert_eq!(checked.code, Some(0), "{}", checked.stdout);
    assert!(
        checked
            .stdout
            .ends_with("ok: 1 listener, 1 route, 1 upstream\n")
    );
}

#[test]
fn a_definition_file_is_looked_for_where_the_program_was_started() {
    let program = Program::new()
        .file("app.json", &app("file://./away.json"))
        .file("away.json", DEFINITION)
        .env("WHO", "me");
    assert_eq!(program.run(["check", "app.json"]).code, Some(0));
    // The application may lie elsewhere.
    let elsewhere = Program::new().file("app.json", &app("file://./away.json"));
    let path = elsewhere.dir().join("app.json");
    let path = path.to_str().expect("a path in UTF-8");
    assert_eq!(program.run(["check", path]).code, Some(0));
    let missing = elsewhere.run(["check", "app.json"]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.stdout.contains("File reading error: `./away.json`"),
        "{}",
        missing.stdout
    );
}

#[test]
fn a_definition_is_fetched_over_http() {
    let server = Upstream::start(|call| match call.seen.target.clone().as_str() {
        "/away.json" => call.respond(200, DEFINITION),
        "/moved" => call.respond_with(302, "location: /away.json\r\n", ""),
        "/long" => call.respond(200, &"x".repeat((1 << 20) + 1)),
        _ => call.respond(404, "no"),
    });
    let check = |path: &str, who: Option<&str>| {
        let uri = format!("{}{path}", server.url());
        let program = Program::new().file("app.json", &app(&uri));
        let program = match who {
            Some(who) => program.env("WHO", who),
            None => program,
        };
        let ended = program.run(["check", "app.json"]);
        (ended.code, ended.stdout)
    };
    assert_eq!(check("/away.json", Some("me")).0, Some(0));
    let (code, told) = check("/away.json", None);
    assert_eq!(code, Some(1));
    let place = format!("{}/away.json:2:", server.url());
    assert!(told.starts_with(&place), "{told}");
    assert!(
        told.contains("failed to resolve Environment Variable: 'WHO'"),
        "{told}"
    );
    for (path, why) in [
        ("/nowhere", "it answered 404 Not Found"),
        (
            "/moved",
            "it answered 302 Found with a redirect to /away.json",
        ),
        ("/long", "length limit exceeded"),
    ] {
        let (code, told) = check(path, Some("me"));
        assert_eq!(code, Some(1));
        assert!(
            told.contains("Error in accessing specified HTTP url"),
            "{told}"
        );
        assert!(told.contains(why), "{told}");
    }
    server.stop();
}

#[test]
fn a_property_is_set_on_the_command_line() {
    let program = Program::new()
        .file("app.json", &app("file://./away.json"))
        .file("away.json", DEFINITION)
        .env("WHO", "me");
    let ended = program.run(["check", "app.json", "--set", "port=many"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        ended.stdout,
        "app.json:1:146: error: property `port`: invalid int from --set: strconv.Atoi: parsing \"many\": invalid syntax; correct the value, or the type\n"
    );
    let ended = program.run(["check", "app.json", "--set", "port=8090"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
}

#[test]
fn what_cannot_be_converted_gives_no_yaml() {
    let program = Program::new()
        .file("app.json", &app("file://./away.json"))
        .file("away.json", DEFINITION)
        .env("WHO", "me");
    let ended = program.run(["convert", "app.json"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(
        ended
            .stderr
            .contains("error: no part of this application has a native form"),
        "{}",
        ended.stderr
    );
}
