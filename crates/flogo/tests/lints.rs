//! Slips that `check` names: each is a warning at its line, and a file without a slip has none.

mod support;

use support::{lines, read_text};

/// A file without a slip; each part that a test replaces is on a line of its own.
const CLEAN: &str = r#"{ "name": "A", "version": "1", "triggers": [ { "id": "r", "ref": "x/trigger/rest", "settings": { "port": 8080 }, "handlers": [ {
"settings": { "method": "GET", "path": "/pets/:id" },
"action": { "ref": "x/microgateway",
"input": { "pathParams": "=$.pathParams", "headers": "=$.headers", "queryParams": "=$.queryParams", "content": "=$.content" },
"settings": { "uri": "microgateway:P" } } } ] } ],
"resources": [ { "id": "microgateway:P", "data": { "name": "P",
"steps": [
{ "service": "J", "input": { "token": "=$.payload.headers.Authorization" } },
{ "service": "CB" },
{ "if": "$.J.outputs.valid == true && $.payload.pathParams.id != \"0\"", "service": "B",
"input": { "pathParams": "=$.payload.pathParams" },
"halt": "$.B.error != nil && !error.isneterror($.B.error)" },
{ "if": "$.B.error != nil", "service": "CB", "input": { "operation": "counter" } },
{ "if": "$.B.error == nil", "service": "CB", "input": { "operation": "reset" } } ],
"responses": [
{ "error": true, "if": "$.CB.outputs.tripped == true", "output": { "code": 503, "data": { "e": "open" } } },
{ "error": false, "output": { "code": 200, "data": { "a": "=$.B.outputs.data", "n": { "s": "= 5 ml" } } } } ],
"services": [
{ "name": "J", "ref": "x/activity/jwt", "settings": {
"signingMethod": "HMAC", "key": "k", "iss": "me", "aud": "you", "sub": "it" } },
{ "name": "CB", "ref": "x/activity/circuitbreaker", "settings": { "mode": "a",
"threshold": 3, "timeout": 10 } },
{ "name": "B", "ref": "x/activity/rest", "settings": { "method": "GET", "timeout": 5,
"uri": "http://127.0.0.1:1/p/:id" } } ] } } ] }"#;

fn of(text: &str) -> String {
    lines(&read_text(text))
}

/// The line in which `part` stands.
fn line_of(text: &str, part: &str) -> usize {
    let at = text
        .find(part)
        .unwrap_or_else(|| panic!("{part} is in the text"));
    text[..at].matches('\n').count() + 1
}

/// Replaces `old` in the clean file. Exactly one warning must be there, in the line of `new`, with all the words.
#[track_caller]
fn slips(old: &str, new: &str, words: &[&str]) {
    assert!(CLEAN.contains(old), "the file has {old}");
    let text = CLEAN.replacen(old, new, 1);
    one_warning(&text, line_of(&text, new), words);
}

#[track_caller]
fn one_warning(text: &str, line: usize, words: &[&str]) {
    let found = of(text);
    assert_eq!(found.lines().count(), 1, "line {line}, {words:?}: {found}");
    assert!(
        found.starts_with(&format!("fb.yaml:{line}:")) && found.contains(": warning: "),
        "line {line}: {found}"
    );
    for word in words {
        assert!(found.contains(word), "{word}: {found}");
    }
}

#[test]
fn a_file_without_a_slip_has_no_warning() {
    assert_eq!(of(CLEAN), "");
}

#[test]
fn a_setting_that_its_activity_does_not_read_is_named_with_the_nearest() {
    slips(
        "\"threshold\": 3,",
        "\"treshold\": 3,",
        &["circuitbreaker", "`treshold`", "did you mean `threshold`?"],
    );
    slips(
        "\"signingMethod\": \"HMAC\", \"key\": \"k\", \"iss\": \"me\"",
        "\"signingMethod\": \"HMAC\", \"key\": \"k\", \"issuer\": \"me\"",
        &["verifies nothing", "did you mean `iss`?"],
    );
    slips("\"aud\"", "\"audience\"", &["did you mean `aud`?"]);
    slips(
        "\"timeout\": 5,",
        "\"timeout\": 5, \"Headers\": {},",
        &["did you mean `headers`?"],
    );
    slips(
        "\"input\": { \"pathParams\": \"=$.payload.pathParams\" },",
        "\"input\": { \"pathParams\": \"=$.payload.pathParams\", \"params\": {} },",
        &["did you mean `pathParams`?"],
    );
}

#[test]
fn a_setting_that_an_expression_reads_is_no_slip() {
    let text = CLEAN
        .replacen("\"timeout\": 5,", "\"timeout\": 5, \"label\": \"x\",", 1)
        .replacen("=$.B.outputs.data", "=$.B.inputs.label", 1);
    assert_eq!(of(&text), "");
}

#[test]
fn an_operation_that_is_neither_counter_nor_reset_only_asks() {
    slips(
        "\"operation\": \"counter\"",
        "\"operation\": \"count\"",
        &["`count`", "only asks", "did you mean `counter`?"],
    );
    slips(
        "\"operation\": \"reset\"",
        "\"operation\": \"Reset\"",
        &["did you mean `reset`?"],
    );
}

#[test]
fn a_breaker_that_is_never_told_a_failure_never_trips() {
    let told = "{ \"if\": \"$.B.error != nil\", \"service\": \"CB\", \"input\": { \"operation\": \"counter\" } },\n";
    let text = CLEAN.replacen(told, "", 1);
    one_warning(
        &text,
        line_of(&text, "{ \"name\": \"CB\""),
        &["`CB`", "never told `counter`", "never trips"],
    );
}

#[test]
fn a_token_with_a_method_other_than_hmac_is_never_valid() {
    for method in ["RSA", "ECDSA", "RS256"] {
        slips(
            "\"signingMethod\": \"HMAC\"",
            &format!("\"signingMethod\": \"{method}\""),
            &[method, "no token is ever valid"],
        );
    }
    let text = CLEAN.replacen("\"HMAC\"", "\"hmac\"", 1);
    assert_eq!(of(&text), "");
}

#[test]
fn a_check_of_tokens_without_a_key_checks_nothing() {
    let text = CLEAN.replacen("\"key\": \"k\", ", "", 1);
    one_warning(&text, line_of(&text, "{ \"name\": \"J\""), &["empty key"]);
}

#[test]
fn a_call_without_its_path_parameters_fails() {
    let text = CLEAN.replacen(
        "\"input\": { \"pathParams\": \"=$.payload.pathParams\" },\n",
        "",
        1,
    );
    one_warning(
        &text,
        line_of(&text, "$.J.outputs.valid"),
        &["`/:id`", "the call fails", "pathParams.id"],
    );
    slips(
        "\"pathParams\": \"=$.payload.pathParams\"",
        "\"pathParams.petId\": \"=$.payload.pathParams.id\"",
        &["`petId` goes nowhere", "`/:petId`", "id"],
    );
    slips(
        "\"pathParams\": \"=$.payload.pathParams\"",
        "\"pathParams\": { \"petId\": \"7\" }",
        &["`petId` goes nowhere"],
    );
    // In whatever order they are.
    let text =
        CLEAN
            .replacen("/pets/:id", "/pets/:id/:sub", 1)
            .replacen("/p/:id", "/p/:sub/:id", 1);
    assert_eq!(of(&text), "");
    // No client's path has it.
    let text = CLEAN.replacen("/p/:id", "/p/:petId", 1);
    one_warning(
        &text,
        line_of(&text, "\"pathParams\": \"=$.payload.pathParams\""),
        &["`/:petId`", "no path that leads here has it"],
    );
}

#[test]
fn a_path_parameter_that_no_path_has_is_empty() {
    slips(
        "$.payload.pathParams.id != \\\"0\\\"",
        "$.payload.pathParams.petId != \\\"0\\\"",
        &["the parameter `petId`", "an empty text", "id"],
    );
    let text = CLEAN.replacen(
        "\"action\": {",
        "\"action\": { \"if\": \"$.pathParams.ids == \\\"1\\\"\",",
        1,
    );
    one_warning(&text, 3, &["the parameter `ids`", "did you mean `id`?"]);
    // A handler's own input may have any name.
    let text = CLEAN
        .replacen(
            "\"pathParams\": \"=$.pathParams\"",
            "\"pathParams\": { \"mapping\": { \"petId\": \"=$.pathParams.id\" } }",
            1,
        )
        .replacen(
            "$.payload.pathParams.id != ",
            "$.payload.pathParams.petId != ",
            1,
        );
    assert_eq!(of(&text), "");
}

#[test]
fn a_step_input_that_settings_alone_may_say_is_ignored() {
    slips(
        "\"input\": { \"pathParams\": \"=$.payload.pathParams\" },",
        "\"input\": { \"pathParams\": \"=$.payload.pathParams\", \"method\": \"POST\" },",
        &["`method` is ignored", "only the settings of `B`"],
    );
}

#[test]
fn a_text_that_is_compared_with_a_number_is_never_equal() {
    for (comparison, words) in [
        ("$.payload.pathParams.id == 9", "never holds"),
        ("9 == $.payload.queryParams.n", "never holds"),
        ("$.payload.headers['X-A'] != true", "always holds"),
        ("$.payload.pathParams.id < 9", "is an error"),
        (
            "$.payload.pathParams.id == nil",
            "a missing one is an empty text",
        ),
    ] {
        slips(
            "$.J.outputs.valid == true && $.payload.pathParams.id != \\\"0\\\"",
            &format!("$.J.outputs.valid == true && {comparison}"),
            &[words],
        );
    }
    // A number in the content is one.
    let text = CLEAN.replacen(
        "$.payload.pathParams.id != \\\"0\\\"",
        "$.payload.content.id == 9",
        1,
    );
    assert_eq!(of(&text), "");
    // An input of the handler's own may be anything.
    let text = CLEAN
        .replacen(
            "\"pathParams\": \"=$.pathParams\"",
            "\"pathParams\": \"=$.content.params\"",
            1,
        )
        .replacen(
            "$.payload.pathParams.id != \\\"0\\\"",
            "$.payload.pathParams.id == 9",
            1,
        );
    assert_eq!(of(&text), "");
    let text = CLEAN.replacen(
        "\"action\": {",
        "\"action\": { \"if\": \"$.headers.N == 1\",",
        1,
    );
    one_warning(&text, 3, &["`$.headers.N`", "never holds"]);
}

#[test]
fn a_name_that_no_service_has_is_an_error_of_each_request() {
    slips(
        "=$.B.outputs.data",
        "=$.CBB.outputs.data",
        &["no service is called `CBB`", "did you mean `CB`?"],
    );
    slips(
        "$.CB.outputs.tripped",
        "$.Breaker.outputs.tripped",
        &["no service is called `Breaker`"],
    );
    let text = CLEAN.replacen(
        "$.CB.outputs.tripped == true",
        "isdefined($.Nope.outputs.x)",
        1,
    );
    assert_eq!(of(&text), "");
    let text = CLEAN.replacen("\"=$.headers\"", "\"=$.header\"", 1);
    one_warning(&text, 4, &["`header`", "did you mean `headers`?"]);
}

#[test]
fn an_expression_below_the_top_level_stays_text() {
    slips(
        "\"n\": { \"s\": \"= 5 ml\" }",
        "\"n\": { \"s\": \"=$.payload.content\" }",
        &["stays text", "`data`"],
    );
    slips(
        "\"timeout\": 5,",
        "\"timeout\": 5, \"headers\": { \"X\": \"=$.conf.uri\" },",
        &["stays text"],
    );
    slips(
        "\"input\": { \"pathParams\": \"=$.payload.pathParams\" },",
        "\"input\": { \"pathParams\": { \"id\": \"=$.payload.pathParams.id\" } },",
        &["stays text"],
    );
    slips(
        "\"content\": \"=$.content\"",
        "\"content\": { \"x\": \"=$.content\" }",
        &["stays text", "mapping"],
    );
    let text = CLEAN.replacen(
        "\"content\": \"=$.content\"",
        "\"content\": { \"mapping\": { \"x\": \"=$.content\" } }",
        1,
    );
    assert_eq!(of(&text), "");
}

#[test]
fn a_setting_of_a_trigger_is_read_by_its_exact_name() {
    slips(
        "\"port\": 8080",
        "\"port\": 8080, \"enableTls\": true",
        &[
            "nothing reads the setting `enableTls`",
            "did you mean `enableTLS`?",
        ],
    );
}

#[test]
fn a_guarded_call_without_a_timeout_may_hang_for_ever() {
    let text = CLEAN.replacen("\"timeout\": 5,", "", 1);
    one_warning(
        &text,
        line_of(&text, "{ \"name\": \"B\""),
        &["`B` has no `timeout`", "`CB`"],
    );
}

#[test]
fn a_setting_of_a_pattern_is_read_or_named() {
    let pattern = |settings: &str| {
        format!(
            r#"{{ "name": "A", "version": "1", "triggers": [ {{ "id": "r", "ref": "x/trigger/rest", "settings": {{ "port": 8080 }}, "handlers": [
{{ "settings": {{ "method": "GET", "path": "/t" }}, "action": {{ "ref": "x/microgateway", "settings": {{ "uri": "pattern://DefaultHttpPattern", "useRateLimiter": false, "useJWT": false, "useCircuitBreaker": true, "mode": "a", "timeout": 5, "period": 5, "method": "GET", "backendUrl": "http://h:81/b", "rateLimit": "1-S",
{settings} }} }} }} ] }} ] }}"#
        )
    };
    assert_eq!(of(&pattern("\"threshold\": 2")), "");
    one_warning(
        &pattern("\"treshold\": 2"),
        3,
        &[
            "nothing reads the setting `treshold`",
            "did you mean `threshold`?",
        ],
    );
}

#[test]
fn a_method_or_an_operation_that_an_expression_always_gives_is_known() {
    slips(
        "\"signingMethod\": \"HMAC\",",
        "\"signingMethod\": \"=\\\"ECDSA\\\"\",",
        &["`ECDSA` no token is ever valid"],
    );
    let text = CLEAN.replacen("\"HMAC\"", "\"=$.conf.signs\"", 1).replacen(
        "microgateway:P\" }",
        "microgateway:P\", \"signs\": \"RSAPSS\" }",
        1,
    );
    let line = line_of(&text, "=$.conf.signs");
    one_warning(&text, line, &["`RSAPSS` no token is ever valid"]);
    let text = CLEAN.replacen("\"HMAC\"", "\"=$.conf.signs\"", 1).replacen(
        "microgateway:P\" }",
        "microgateway:P\", \"signs\": \"hmac\" }",
        1,
    );
    assert_eq!(of(&text), "");
    slips(
        "\"operation\": \"counter\"",
        "\"operation\": \"=\\\"failed\\\"\"",
        &["only asks"],
    );
}

#[test]
fn a_part_that_a_service_does_not_have_is_named() {
    slips(
        "\"=$.B.outputs.data\"",
        "\"=$.B.output.data\"",
        &[
            "`B` has no part `output`",
            "error of each request",
            "did you mean `outputs`?",
        ],
    );
    slips(
        "\"if\": \"$.B.error == nil\"",
        "\"if\": \"$.B.errors == nil\"",
        &["`B` has no part `errors`", "so this is null"],
    );
}

/// An application of the built-in HTTP pattern; each setting is on a line of its own.
const PATTERN: &str = r#"{ "name": "A", "version": "1", "triggers": [ { "id": "r", "ref": "x/trigger/rest", "settings": { "port": 8080 }, "handlers": [ {
"settings": { "method": "GET", "path": "/pets" },
"action": { "ref": "x/microgateway", "settings": { "uri": "pattern://DefaultHttpPattern",
"useRateLimiter": false, "rateLimit": "5-S", "useCircuitBreaker": false, "mode": "a", "threshold": 3, "timeout": 9, "period": 9,
"useJWT": true,
"jwtSigningMethod": "HMAC",
"jwtKey": "k",
"method": "GET",
"backendUrl": "http://127.0.0.1:1/" } } } ] } ] }"#;

#[test]
fn the_built_in_pattern_that_verifies_nothing_or_never_calls_is_named() {
    assert_eq!(of(PATTERN), "");
    for (old, new, words) in [
        ("\"HMAC\"", "\"RSA\"", "`RSA` no token is ever valid"),
        (
            "\"jwtKey\": \"k\"",
            "\"jwtKey\": \"\"",
            "signed with an empty key",
        ),
        (
            "\"useJWT\": true",
            "\"useJWT\": null",
            "the backend is never called",
        ),
        (
            "\"method\": \"GET\",\n",
            "\"method\": \"DELETE\",\n",
            "method `DELETE` the backend is never called",
        ),
    ] {
        let text = PATTERN.replacen(old, new, 1);
        one_warning(&text, line_of(&text, new), &[words]);
    }
    let unused = PATTERN
        .replacen("true", "false", 1)
        .replacen("HMAC", "RSA", 1);
    assert_eq!(of(&unused), "");
}

#[test]
fn an_activity_that_is_not_supported_is_one_line_however_often_it_stands_there() {
    let text = CLEAN
        .replacen("x/activity/jwt", "x/activity/anomaly", 1)
        .replacen("x/activity/circuitbreaker", "x/activity/anomaly", 1);
    let found = of(&text);
    assert_eq!(found.matches("; 1 more: 21:").count(), 1, "{found}");
    assert_eq!(found.lines().count(), 1, "{found}");
}

/// An application with a flow; each part that a test replaces is on a line of its own.
const FLOW: &str = r#"{ "name": "A", "version": "1", "imports": [ "x/contrib/activity/log" ], "triggers": [ { "id": "r", "ref": "x/trigger/rest", "settings": { "port": 8080 }, "handlers": [ {
"settings": { "method": "GET", "path": "/pets/:id" },
"action": { "ref": "github.com/project-flogo/flow", "settings": { "flowURI": "res://flow:F" }, "input": { "id": "=$.pathParams.id" } } } ] } ],
"resources": [ { "id": "flow:F", "data": { "name": "F", "metadata": { "input": [ { "name": "id", "type": "string" } ] }, "tasks": [
{ "id": "call",
"activity": { "ref": "x/activity/rest", "settings": { "method": "GET", "timeout": 3,
"uri": "http://127.0.0.1:1/p/:id" }, "input": {
"pathParams": { "mapping": { "id": "=$flow.id" } } } } },
{ "id": "end", "activity": { "ref": "x/activity/actreturn", "settings": { "mappings": {
"code": 200, "data": { "mapping": { "a": "=$flow.id" } } } } } } ],
"links": [ { "id": 1, "from": "call", "to": "end" } ] } } ] }"#;

#[test]
fn slips_in_the_tasks_of_a_flow_are_named() {
    assert_eq!(of(FLOW), "");
    for (old, new, words) in [
        ("\"timeout\"", "\"timout\"", "did you mean `timeout`?"),
        (
            "\"pathParams\": {",
            "\"method\": \"PUT\", \"pathParams\": {",
            "the input `method` is ignored",
        ),
        (
            "\"pathParams\": {",
            "\"header\": {}, \"pathParams\": {",
            "did you mean `headers`?",
        ),
        (
            "\"pathParams\": { \"mapping\": { \"id\"",
            "\"pathParams\": { \"mapping\": { \"petId\"",
            "no such path parameter",
        ),
        (
            "{ \"mapping\": { \"a\": \"=$flow.id\" } }",
            "{ \"a\": \"=$flow.id\" }",
            "stays text",
        ),
    ] {
        let text = FLOW.replacen(old, new, 1);
        let line = match words {
            "no such path parameter" => line_of(&text, "\"id\": \"call\""),
            _ => line_of(&text, new),
        };
        one_warning(&text, line, &[words]);
    }
    let open = FLOW.replacen(
        "{ \"mapping\": { \"id\": \"=$flow.id\" } }",
        "\"=$flow.id\"",
        1,
    );
    assert_eq!(of(&open), "");
    let alias = FLOW.replacen("\"ref\": \"x/activity/rest\"", "\"ref\": \"#rest\"", 1);
    let found = of(&alias);
    assert!(
        found.contains("as in `github.com/project-flogo/contrib/activity/rest`"),
        "{found}"
    );
}

#[test]
fn a_quota_of_calls_has_a_mode_and_a_limit() {
    let of_settings = |settings: &str| {
        let own = r#"{ "name": "J", "ref": "x/activity/jwt", "settings": {
"signingMethod": "HMAC", "key": "k", "iss": "me", "aud": "you", "sub": "it" } },"#;
        assert!(CLEAN.contains(own));
        let quota =
            format!(r#"{{ "name": "J", "ref": "x/activity/graphql", "settings": {settings} }},"#);
        of(&CLEAN.replacen(own, &quota, 1).replacen(
            "$.J.outputs.valid == true",
            "$.J.outputs.error == false",
            1,
        ))
    };
    assert_eq!(
        of_settings(r#"{ "mode": "b", "limit": "2000-200-1000" }"#),
        ""
    );
    for (settings, words) in [
        (
            r#"{ "mode": "c" }"#,
            "value 'c' is not valid for 'mode'; use one of a, b",
        ),
        (r#"{ "limit": "1-1-1" }"#, "field 'mode' is required"),
        (
            r#"{ "mode": "b", "limit": "2000-200" }"#,
            "value '2000-200' is not valid for 'limit'",
        ),
        (
            r#"{ "mode": "b", "limit": "2000-200-0" }"#,
            "write it as in `2000-200-1000`",
        ),
        (
            r#"{ "mode": "b", "limit": "9-9-9", "limits": 3 }"#,
            "did you mean `limit`?",
        ),
    ] {
        let found = of_settings(settings);
        assert!(
            found.contains(words) && found.lines().count() == 1,
            "{found}"
        );
    }
}

#[test]
fn directives_that_are_data_are_named() {
    slips(
        "\"n\": { \"s\": \"= 5 ml\" }",
        "\"n\": { \"@foreach($.B.outputs.data, x)\": { \"s\": \"=$loop.y\" } }",
        &["is data here: `data` has no directives"],
    );
    let mapped = |value: &str| {
        let whole = format!("\"content\": {{ \"mapping\": {value} }}");
        CLEAN.replacen("\"content\": \"=$.content\"", &whole, 1)
    };
    for (value, words) in [
        (
            r#"{ "@forEach($.content.a)": { "b": 1 } }"#,
            "did you mean `@foreach`?",
        ),
        (r#"{ "@condtional": [] }"#, "did you mean `@conditional`?"),
        (
            r#"{ "@foreach($.content.a, c)": { "b": "=$loop[d].e" } }"#,
            "no loop around this is called `d`",
        ),
    ] {
        let text = mapped(value);
        one_warning(&text, line_of(&text, "mapping"), &[words]);
    }
    let nested = r#"{ "@foreach($.content.a, c)": { "b": { "@foreach($loop.x, d)": { "y": "=$loop[c].e", "z": "=$loop[d].e" } }, "@type": 1 } }"#;
    assert_eq!(of(&mapped(nested)), "");
}

#[test]
fn what_follows_from_a_misspelt_name_is_not_named_again() {
    slips(
        "\"timeout\": 5,",
        "\"timout\": 5,",
        &["did you mean `timeout`?"],
    );
    slips(
        "\"operation\": \"counter\"",
        "\"operaton\": \"counter\"",
        &["did you mean `operation`?"],
    );
    slips(
        "\"input\": { \"pathParams\": \"=$.payload.pathParams\" },",
        "\"input\": { \"pathParam\": \"=$.payload.pathParams\" },",
        &["did you mean `pathParams`?"],
    );
}

#[test]
fn an_output_that_no_activity_has_is_named() {
    for (output, words) in [
        (
            "dat",
            "`B` has no output `dat`, so this is null; did you mean `data`?",
        ),
        (
            "result.name",
            "`B` has no output `result`, so this is an error of each request; expected one of status, data, headers, cookies",
        ),
    ] {
        let found = of(&CLEAN.replacen("=$.B.outputs.data", &format!("=$.B.outputs.{output}"), 1));
        assert!(
            found.contains(words) && found.lines().count() == 1,
            "{found}"
        );
    }
    let kept = of(&CLEAN.replacen("=$.B.outputs.data", "=$.B.outputs.headers.Age", 1));
    assert_eq!(kept, "");
}

#[test]
fn an_attribute_or_an_output_that_a_flow_does_not_have_is_named() {
    let found = of(&FLOW.replacen("\"a\": \"=$flow.id\"", "\"a\": \"=$flow.idd\"", 1));
    assert!(
        found.contains("the flow declares no input `idd`; did you mean `id`?")
            && found.lines().count() == 1,
        "{found}"
    );
    // A handler may give others.
    let found = of(&FLOW.replacen("\"a\": \"=$flow.id\"", "\"a\": \"=$flow.elsewhere\"", 1));
    assert_eq!(found, "");
    let read = |output: &str| {
        of(&FLOW.replacen(
            "\"a\": \"=$flow.id\"",
            &format!("\"a\": \"=$activity[call].{output}\""),
            1,
        ))
    };
    assert_eq!(read("data"), "");
    let found = read("dat");
    assert!(
        found.contains(
            "the task `call` has no output `dat`, so this is an error; did you mean `data`?"
        ),
        "{found}"
    );
}
