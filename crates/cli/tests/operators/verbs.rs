//! The verbs that read, check and print: what they say, and their exit codes.

use crate::support::{Finished, Program};

const GOOD: &str = "listen: 127.0.0.1:8080
upstreams: { orders: { url: http://127.0.0.1:8081, breaker: {} } }
routes: [{ path: /api/orders, upstream: orders }]
";

#[track_caller]
fn run(args: &[&str]) -> Finished {
    Program::new().run(args)
}

/// Line, column, severity, what and mend of a diagnostic of `file`.
fn diagnostic<'a>(file: &str, line: &'a str) -> Option<(u32, u32, &'a str, &'a str, &'a str)> {
    let (row, rest) = line
        .strip_prefix(file)?
        .strip_prefix(':')?
        .split_once(':')?;
    let (column, rest) = rest.split_once(": ")?;
    let (severity, rest) = rest.split_once(": ")?;
    let (what, mend) = rest.split_once("; ")?;
    Some((
        row.parse().ok()?,
        column.parse().ok()?,
        severity,
        what,
        mend,
    ))
}

#[test]
fn check_says_all_that_is_wrong_at_once_each_with_place_and_mend() {
    let file = "listen: 127.0.0.1:8080
upstreams:
  orders:
    url: http://127.0.0.1:8081
    breaker: { trip: { consecutve_failures: 5 }, cooldown: 60x }
    timeout: { request: 5s, conect: 1s }
  spare: { url: http://127.0.0.1:8082, breaker: {} }
routes:
  - path: /api/orders
    upstream: order
";
    let checked = Program::new()
        .file("orders.yaml", file)
        .run(["check", "orders.yaml"]);
    assert_eq!(checked.code, Some(1));
    let found: Vec<_> = checked
        .stdout
        .lines()
        .map(|line| diagnostic("orders.yaml", line).unwrap_or_else(|| panic!("{line}")))
        .collect();
    let places: Vec<_> = found
        .iter()
        .filter(|one| one.2 == "error")
        .map(|one| (one.0, one.1))
        .collect();
    assert_eq!(places, [(5, 24), (5, 60), (6, 29), (10, 15)], "{found:#?}");
    assert!(
        found
            .iter()
            .all(|one| ["error", "warning"].contains(&one.2))
    );
    assert!(found.iter().any(|one| one.2 == "warning" && one.0 == 7));
    assert!(
        found
            .iter()
            .all(|one| !one.3.is_empty() && !one.4.is_empty())
    );
    let suggested = |word: &str| found.iter().any(|one| one.4.contains(word));
    assert!(suggested("`consecutive_failures`") && suggested("`connect`") && suggested("`orders`"));
}

#[test]
fn check_names_each_of_several_files() {
    let checked = Program::new()
        .file("a.yaml", GOOD)
        .file("b.yaml", "listen: nowhere\n")
        .run(["check", "a.yaml", "b.yaml"]);
    assert_eq!(checked.code, Some(1));
    assert!(checked.stdout.contains("b.yaml:"), "{}", checked.stdout);
}

#[test]
fn check_of_a_good_file_is_brief_and_exits_0() {
    let checked = Program::new()
        .file("orders.yaml", GOOD)
        .run(["check", "orders.yaml"]);
    assert_eq!(checked.code, Some(0));
    assert_eq!(checked.stdout, "ok: 1 listener, 1 route, 1 upstream\n");
    assert_eq!(checked.stderr, "");
}

#[test]
fn warnings_alone_do_not_fail_a_check() {
    let file = GOOD.replace(
        "upstreams: {",
        "upstreams: { spare: { url: http://127.0.0.1:8082 },",
    );
    let checked = Program::new()
        .file("orders.yaml", &file)
        .run(["check", "orders.yaml"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.stdout.contains(": warning: "));
    assert!(
        checked
            .stdout
            .ends_with("ok: 1 listener, 1 route, 2 upstreams\n")
    );
}

#[test]
fn check_knows_what_can_never_trip_or_never_ends() {
    for (breaker, severity) in [
        (
            "{ trip: { failure_rate: 50%, over: 10 calls, min_calls: 20 } }",
            "error",
        ),
        ("{ half_open: { probe_timeout: 90s } }", "error"),
        ("{ key: \"{header.x-tenant}\" }", "warning"),
    ] {
        let file = GOOD.replace("breaker: {}", &format!("breaker: {breaker}"));
        let checked = Program::new()
            .file("orders.yaml", &file)
            .run(["check", "orders.yaml"]);
        let said = checked.stdout.lines().next().unwrap_or_default();
        let found = diagnostic("orders.yaml", said).unwrap_or_else(|| panic!("{said}"));
        assert_eq!((found.0, found.2), (2, severity), "{said}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    for verb in ["check", "run"] {
        let ended = run(&[verb, "nowhere.yaml"]);
        assert_eq!(ended.code, Some(1));
        assert!(
            ended.stderr.contains("cannot read nowhere.yaml"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn a_directory_or_too_large_a_file_is_no_configuration() {
    let program = Program::new().file("large.yaml", &"# filler\n".repeat(200_000));
    let directory = program.run(["check", "."]);
    assert_eq!(directory.code, Some(1));
    assert!(directory.stderr.contains("cannot read ."), "{directory:?}");
    let large = program.run(["check", "large.yaml"]);
    assert_eq!(large.code, Some(1));
    assert!(
        large.stderr.contains("more than the 1048576 bytes allowed"),
        "{large:?}"
    );
}

#[test]
fn a_file_without_an_end_is_no_configuration() {
    let program = Program::new().file(
        "orders.yaml",
        "listen: 127.0.0.1:0\nroutes: [{ path: /, respond: { text: \"${file:/dev/zero}\" } }]\n",
    );
    let pipe = program.dir().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let zero = "cannot read /dev/zero: it has more than the 1048576 bytes allowed";
    let silent = "cannot read pipe: it is not a regular file, and did not end";
    for (verb, file, said) in [
        ("check", "/dev/zero", zero),
        ("run", "/dev/zero", zero),
        ("check", "pipe", silent),
    ] {
        let ended = program.run([verb, file]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
    let ended = program.run(["check", "orders.yaml"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("it has more than the"), "{ended:?}");
}

#[test]
fn wrong_usage_exits_2_and_prints_to_standard_error() {
    for args in [
        &[][..],
        &["check"],
        &["run"],
        &["eval"],
        &["fly"],
        &["check", "--fast", "a.yaml"],
        &["eval", "--dialect", "latin", "1"],
        &["completions", "tcsh2"],
        &["run", "a.yaml", "--admin", "somewhere"],
        &["run", "a.yaml", "--workers", "0"],
        &["run", "a.yaml", "--set", "novalue"],
    ] {
        let ended = run(args);
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{args:?}");
        assert!(
            ended.stderr.contains("Usage") || ended.stderr.contains("--help"),
            "{args:?}"
        );
    }
}

#[test]
fn eval_prints_the_value_as_json() {
    for (expression, value) in [
        ("1 + 1", "2"),
        ("'a' + 'b'", "\"ab\""),
        ("[1, 2].size() == 2", "true"),
        ("{'a': [1, null]}", r#"{"a":[1,null]}"#),
        ("-1", "-1"),
    ] {
        let ended = run(&["eval", "--dialect", "native", expression]);
        assert_eq!(ended.stdout.trim_end(), value, "{expression}: {ended:?}");
        assert_eq!(ended.code, Some(0), "{expression}");
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn eval_sees_the_scope_from_a_file_or_from_standard_input() {
    let scope = r#"{"status": 503, "headers": {"x-reason": "late"}}"#;
    let expression = "status >= 500 && headers['x-reason'] == 'late'";
    let from_file =
        Program::new()
            .file("scope.json", scope)
            .run(["eval", "--scope", "scope.json", expression]);
    assert_eq!(
        (from_file.code, from_file.stdout.as_str()),
        (Some(0), "true\n")
    );
    let from_stdin = Program::new()
        .stdin(scope)
        .run(["eval", "--scope", "-", expression]);
    assert_eq!(
        (from_stdin.code, from_stdin.stdout.as_str()),
        (Some(0), "true\n")
    );
}

#[test]
fn eval_knows_the_expressions_of_mule() {
    let program = Program::new().file("scope.json", r#"{"vars": {"failCount": "10"}}"#);
    for (expression, value) in [
        ("vars.failCount >= 5", "false"),
        ("#[(vars.failCount as Number) + 1]", "11"),
        ("after #[vars.failCount] failures", "\"after 10 failures\""),
        (
            "output application/json --- {n: vars.failCount}",
            r#""{\n  \"n\": \"10\"\n}""#,
        ),
        ("now() > |2020-01-01T00:00:00Z|", "true"),
        ("{a: [1, null]}", r#"{"a":[1,null]}"#),
    ] {
        let args = [
            "eval",
            "--dialect",
            "mule",
            "--scope",
            "scope.json",
            expression,
        ];
        let ended = program.run(args);
        assert_eq!(ended.stdout.trim_end(), value, "{expression}: {ended:?}");
        assert_eq!(ended.code, Some(0));
    }
    for (expression, said) in [
        (
            "vars.none > 1",
            "MULE:EXPRESSION: Null and Number (1) have no order",
        ),
        ("uper('a')", "did you mean `upper`?\n  uper('a')\n  ^"),
        (
            "{\n  a: foo()\n}",
            "line 2, column 6: unknown function `foo`",
        ),
    ] {
        let ended = run(&["eval", "--dialect", "mule", expression]);
        assert_eq!(ended.code, Some(1), "{expression}: {ended:?}");
        assert_eq!(ended.stdout, "");
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}

#[test]
fn an_expression_that_fails_says_why_to_standard_error_and_exits_1() {
    for (expression, said) in [
        ("1 +", ""),
        ("nobody + 1", "nobody"),
        ("1 / 0", ""),
        ("'a'.fly()", "fly"),
    ] {
        let ended = run(&["eval", "--dialect", "native", expression]);
        assert_eq!(ended.code, Some(1), "{expression}: {ended:?}");
        assert_eq!(ended.stdout, "", "{expression}");
        assert!(ended.stderr.starts_with("fusebox: "), "{}", ended.stderr);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}

#[test]
fn no_expression_can_bring_the_program_down() {
    let long = vec!["1"; 5_000].join("+");
    let deep = format!("{}1{}", "(".repeat(2_000), ")".repeat(2_000));
    let bangs = format!("{}true", "!(".repeat(1_000));
    let costly = "[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, a+b+c+d+e > 0)))))";
    for expression in [&long, &deep, &bangs, costly] {
        let ended = run(&["eval", expression]);
        assert_eq!(ended.code, Some(1), "no signal: {ended:?}");
    }
}

#[test]
fn a_scope_that_cannot_be_used_is_named() {
    let program = Program::new()
        .file("list.json", "[1]")
        .file("text.json", "not json");
    for (scope, said) in [
        ("list.json", "list.json: expected a JSON object"),
        ("text.json", "text.json: invalid JSON"),
        ("nowhere.json", "cannot read nowhere.json"),
    ] {
        let ended = program.run(["eval", "--scope", scope, "1"]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}

#[test]
fn schema_is_a_json_schema_of_2020_12() {
    let ended = run(&["schema"]);
    assert_eq!(ended.code, Some(0));
    let schema: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    for key in [
        "listen",
        "listeners",
        "admin",
        "store",
        "limits",
        "upstreams",
        "routes",
    ] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn version_and_help_are_printed() {
    let version = run(&["version"]);
    assert_eq!(
        version.stdout,
        concat!("fusebox ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert_eq!(run(&["--version"]).stdout, version.stdout);
    let help = run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for verb in [
        "run",
        "check",
        "eval",
        "breakers",
        "demo",
        "schema",
        "completions",
        "version",
    ] {
        assert!(
            help.stdout.contains(&format!("\n  {verb} ")),
            "{verb} in {}",
            help.stdout
        );
    }
}

#[test]
fn completions_are_written_for_every_common_shell() {
    for (shell, sign) in [
        ("bash", "complete -F _fusebox"),
        ("zsh", "#compdef fusebox"),
        ("fish", "complete -c fusebox"),
    ] {
        let ended = run(&["completions", shell]);
        assert_eq!(ended.code, Some(0));
        assert!(ended.stdout.contains(sign), "{shell}");
        assert!(ended.stdout.contains("breakers"), "{shell}");
    }
}

#[test]
fn an_address_for_a_mule_application_is_refused_where_there_is_none() {
    let program = Program::new().file("orders.yaml", GOOD);
    for verb in ["check", "run"] {
        let ended = program.run([verb, "orders.yaml", "--bind", "A=http://127.0.0.1:1"]);
        assert_eq!(ended.code, Some(1));
        let told = ended.stdout + &ended.stderr;
        assert!(
            told.contains(
                "`--bind A` sets an address of a Mule application, and this is another form"
            ),
            "{told}"
        );
    }
}

#[test]
fn keys_that_are_still_to_come_are_refused_with_their_line() {
    let file = "listen: 127.0.0.1:8080
on_transition: { webhook: x }
upstreams:
  orders:
    url: http://127.0.0.1:8081
    bulkhead: { concurrent: 8 }
    breaker: {}
routes: [{ path: /, upstream: orders }]
";
    let checked = Program::new()
        .file("orders.yaml", file)
        .run(["check", "orders.yaml"]);
    assert_eq!(checked.code, Some(1));
    let rows: Vec<_> = checked
        .stdout
        .lines()
        .filter(|line| line.contains("not supported yet"))
        .filter_map(|line| diagnostic("orders.yaml", line))
        .map(|one| one.0)
        .collect();
    assert_eq!(rows, [2], "{}", checked.stdout);
}

#[test]
fn a_mule_file_is_known_by_its_content() {
    let mule =
        "<?xml version=\"1.0\"?>\n<mule xmlns=\"http://www.mulesoft.org/schema/mule/core\"/>\n";
    let ended = Program::new()
        .file("mule.yaml", mule)
        .run(["check", "mule.yaml"]);
    assert_eq!(ended.code, Some(0));
    let first = ended.stdout.lines().next().unwrap_or_default();
    assert!(
        first.starts_with("mule.yaml:1:1: warning: nothing starts"),
        "{ended:?}"
    );
}

#[test]
fn run_refuses_a_wrong_file_with_its_diagnostics() {
    let ended = Program::new()
        .file(
            "orders.yaml",
            &GOOD.replace("upstream: orders", "upstream: order"),
        )
        .run(["run", "orders.yaml", "--log", "json"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("orders.yaml:3:41: error: unknown upstream `order`; "),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_fusebox"))
        .arg("schema")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Nobody reads: the pipe is broken before the program can fill it.
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
