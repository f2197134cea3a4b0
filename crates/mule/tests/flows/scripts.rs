//! Scripts in files of their own, and media types that the application sets.

use fusebox_mule::Event;

use super::{CONFIGS, Line, Running, answer, event, reading};

fn app(inner: &str) -> String {
    format!("{CONFIGS}<flow name='f'><http:listener config-ref='In' path='/'/>\n{inner}</flow>")
}

fn transform(payload: &str) -> String {
    app(&format!(
        "<ee:transform><ee:message>{payload}</ee:message></ee:transform>"
    ))
}

/// The file as it is found from `src/main/mule/a.xml`, the first file.
const HOME: &str = "../resources/dwl/cup.dwl";

fn line(files: &[(&'static str, &'static str)]) -> Line {
    Line {
        files: files.iter().copied().collect(),
        ..Line::default()
    }
}

const CUP: &str = "%dw 2.0\r\noutput application/json\r\n---\r\n{cup: \"${tea}\" ++ payload}\r\n";

#[tokio::test]
async fn a_script_may_be_in_a_file() {
    let all = app(
        r#"<ee:transform><ee:message><ee:set-payload resource="dwl/cup.dwl"/><ee:set-attributes resource="/dwl/n.dwl"/></ee:message>
<ee:variables><ee:set-variable variableName="v" resource="classpath:dwl/cup.dwl"/></ee:variables></ee:transform>"#,
    );
    let files = [(HOME, CUP), ("../resources/dwl/n.dwl", "{n: 1}")];
    let running = Running::with(&all, &line(&files), |_| answer(200, ""));
    let ended = running.run("f", event("green")).await.unwrap();
    assert_eq!(ended.payload.media_type.as_str(), "application/json");
    let cup = ended.payload.read().unwrap();
    assert_eq!(
        cup.shown().unwrap().replace([' ', '\n'], ""),
        "{\"cup\":\"${tea}green\"}"
    );
    assert_eq!(ended.vars["v"].read().unwrap(), cup);
    assert_eq!(
        ended.attributes.shown().unwrap().replace([' ', '\n'], ""),
        "{\"n\":1}"
    );
}

#[test]
fn a_script_is_searched_in_the_project_and_beside_the_file() {
    let app = transform(r#"<ee:set-payload resource="cup.dwl"/>"#);
    for place in ["../resources/cup.dwl", "cup.dwl"] {
        let (_, told) = reading(&app, &line(&[(place, "1")]));
        assert!(told.is_empty(), "{place}: {told:#?}");
    }
    // The resources win over the file's own folder.
    let both = line(&[("../resources/cup.dwl", "1"), ("cup.dwl", "1 +")]);
    let (_, told) = reading(&app, &both);
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn a_script_that_is_not_there_is_one_error() {
    for element in ["ee:set-payload", "ee:set-attributes"] {
        let app = transform(&format!(r#"<{element} resource="dwl/cup.dwl"/>"#));
        let (_, told) = reading(&app, &Line::default());
        let col = 29 + element.len();
        let said = format!(
            "src/main/mule/a.xml:4:{}: error: there is no file `dwl/cup.dwl`; put it beside the file that names it, or into `src/main/resources`; searched: `src/main/resources/dwl/cup.dwl`, `src/main/mule/dwl/cup.dwl`, `src/main/mule/src/main/resources/dwl/cup.dwl`",
            col + 10,
        );
        assert_eq!(told, [said]);
    }
    let both = transform(r#"<ee:set-payload resource="dwl/cup.dwl">1</ee:set-payload>"#);
    let (_, told) = reading(&both, &line(&[(HOME, "1")]));
    let said = "src/main/mule/a.xml:4:43: error: `ee:set-payload` has a script, and a file with one; keep one of the two";
    assert_eq!(told, [said]);
}

#[test]
fn a_fault_in_a_script_s_file_is_told_there() {
    let app = transform(r#"<ee:set-payload resource="dwl/cup.dwl"/>"#);
    let (_, told) = reading(&app, &line(&[(HOME, "%dw 2.0\n---\n{cup: 1 +}")]));
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].starts_with("src/main/resources/dwl/cup.dwl:3:10: error"),
        "{told:#?}"
    );
}

#[tokio::test]
async fn an_answer_has_the_media_type_that_the_request_sets() {
    let app = app(r#"<http:request config-ref="Out" path="/" outputMimeType="application/json"/>"#);
    let running = Running::with(&app, &Line::default(), |_| answer(200, "{\"a\": [1]}"));
    let ended = running.run("f", Event::default()).await.unwrap();
    assert_eq!(ended.payload.media_type.as_str(), "application/json");
    assert_eq!(ended.payload.read().unwrap().kind().to_string(), "Object");
}

const TEAS: &str = "%dw 2.0\nimport * from modules::words\nvar best = \"oolong\"\nfun cup(of = best) = named(\"cup\", of)\nfun both(a: Number) = a + 1\nfun both(a: String) = a ++ best\n";
const WORDS: &str = "fun named(what, of) = \"$what of $of\"\nvar best = \"none\"\n---\nnull";

/// The payload that a flow's expression gives, among the files of a project.
async fn given(files: &[(&'static str, &'static str)], expression: &str) -> String {
    let app = app(&format!("<set-payload value=\"#[{expression}]\"/>"));
    let running = Running::with(&app, &line(files), |_| answer(200, ""));
    let ended = running.run("f", event("green")).await.unwrap();
    let value = ended.payload.read().unwrap();
    value.shown().unwrap().replace([' ', '\n'], "")
}

#[tokio::test]
async fn modules_of_the_project_are_imported_whole_by_name_or_by_their_own_name() {
    let files = [
        ("../resources/modules/teas.dwl", TEAS),
        ("../resources/modules/words.dwl", WORDS),
        ("../resources/words.dwl", WORDS),
    ];
    for (expression, expected) in [
        ("import * from modules::teas --- cup()", "cupofoolong"),
        ("import * from modules::teas --- cup(payload)", "cupofgreen"),
        (
            "modules::teas::cup() ++ modules::teas::cup('x') ++ modules::teas::best",
            "cupofoolongcupofxoolong",
        ),
        (
            "fun own() = modules::teas::both('a') --- ['b'] map modules::teas::both(own())",
            r#"["aoolongoolong"]"#,
        ),
        // The names of a module mean its own declarations, and those of the script come first.
        (
            "import * from modules::teas var best = 'x' --- cup() ++ best",
            "cupofoolongx",
        ),
        (
            "import cup as pot, best from modules::teas --- pot(best)",
            "cupofoolong",
        ),
        (
            "import modules::teas --- teas::cup() ++ teas::best",
            "cupofoolongoolong",
        ),
        (
            "import modules::teas as t --- [1, 'a'] map t::both($)",
            "[2,\"aoolong\"]",
        ),
        ("import words as w --- w::named('a', 'b')", "aofb"),
        (
            "import * from modules::teas --- ['a'] map cup",
            "[\"cupofa\"]",
        ),
    ] {
        assert_eq!(given(&files, expression).await, expected, "{expression}");
    }
    let elsewhere = [("../resources/dwl/modules/words.dwl", WORDS)];
    let named = "import * from modules::words --- named('a', 'b')";
    assert_eq!(given(&elsewhere, named).await, "aofb");
}

#[tokio::test]
async fn data_of_the_project_is_read_by_its_address() {
    let files = [
        ("../resources/data/teas.json", "{\"teas\": [\"green\"]}"),
        ("../resources/plain.txt", "[1]"),
        ("../resources/own.dwl", "{a: 1}"),
    ];
    for (expression, expected) in [
        ("readUrl('classpath://data/teas.json').teas[0]", "green"),
        (
            "readUrl('classpath://plain.txt', 'application/json')",
            "[1]",
        ),
        ("readUrl('classpath://own.dwl').a", "1"),
        ("sizeOf(readUrl('classpath://plain.txt'))", "3"),
    ] {
        assert_eq!(given(&files, expression).await, expected, "{expression}");
    }
}

#[test]
fn a_fault_of_a_module_is_told_where_it_is_imported() {
    let files = [
        ("../resources/modules/bad.dwl", "fun a() =\n  1 +"),
        (
            "../resources/modules/one.dwl",
            "import * from modules::two\nvar a = 1",
        ),
        ("../resources/modules/two.dwl", "import * from modules::one"),
        ("../resources/modules/teas.dwl", "fun cup() = 1"),
    ];
    for (expression, said) in [
        (
            "import * from modules::bad --- a()",
            "line 2 of the module `modules::bad`: expected a value, found the end",
        ),
        (
            "import b from modules::one --- b()",
            "the module `modules::one` imports itself, if through others",
        ),
        (
            "modules::teas::brew()",
            "the module `modules::teas` has no function `brew`",
        ),
        (
            "import * from modules::none --- b()",
            "the module `modules::none` is not supported",
        ),
        (
            "readUrl('classpath://none.json')",
            "the file `none.json` is nowhere in the project; put it into `src/main/resources`",
        ),
    ] {
        let app = app(&format!("<set-payload value=\"#[{expression}]\"/>"));
        let (_, told) = reading(&app, &line(&files));
        assert_eq!(told.len(), 1, "{expression}: {told:#?}");
        assert!(told[0].starts_with("src/main/mule/a.xml:4:"), "{told:#?}");
        assert!(told[0].contains(said), "{expression}: {told:#?}");
    }
}

#[tokio::test]
async fn a_template_becomes_the_payload_or_a_variable() {
    let page = "<h1>#[upper(payload)]</h1>\n";
    let inner = r##"<parse-template location="page.html" target="page"/><parse-template><content>a #[payload] tea</content></parse-template>"##;
    let files = [("../resources/page.html", page)];
    let running = Running::with(&app(inner), &line(&files), |_| answer(200, ""));
    let ended = running.run("f", event("green")).await.unwrap();
    let shown = |typed: &fusebox_mule::Typed| typed.read().unwrap().shown().unwrap();
    assert_eq!(shown(&ended.vars["page"]), "<h1>GREEN</h1>\n");
    assert_eq!(ended.vars["page"].media_type.as_str(), "text/html");
    assert_eq!(shown(&ended.payload), "a green tea");
    let (_, told) = reading(&app("<parse-template/>"), &Line::default());
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].contains("`parse-template` has no template"),
        "{told:#?}"
    );
}
