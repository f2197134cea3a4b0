//! Hostile input: any application or script gives a plan or errors, in bounded time and without a panic.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use fusebox_mule::app::Compat;
use fusebox_mule::{Random, eval_mule, jiff};
use fusebox_mule::{convert, read};
use fusebox_plan::{Loader, Severity, Source};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

const BREAKER: &str = include_str!("fixtures/mule/breaker.xml");
const WHOLE: &str = include_str!("fixtures/mule/whole.xml");
const NEARLY: &str = include_str!("fixtures/mule/nearly.xml");

/// A machine that answers every request.
struct Machine(Compat);

impl Loader for Machine {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &str) -> io::Result<String> {
        match path {
            "more.xml" => Ok(NEARLY.to_owned()),
            "more.properties" => Ok("a=${b}\nb=${a}".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn bindings(&self) -> Vec<(String, String)> {
        let bind = |name: &str, port| (name.to_owned(), format!("http://127.0.0.1:{port}"));
        vec![bind("Public", 8081), bind("Stock", 8082)]
    }

    fn is_strict(&self) -> bool {
        self.0 == Compat::Strict
    }
}

/// Reads an application as the program does.
fn survives(text: &[u8]) {
    let source = Source { name: "x", text };
    for compat in [Compat::Intent, Compat::Strict] {
        let machine = Machine(compat);
        let reading = read(&[source], &machine);
        let errors = reading
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error);
        assert_eq!(reading.plan.is_none(), errors.count() > 0);
        for diagnostic in &reading.diagnostics {
            assert!(diagnostic.line >= 1 && diagnostic.col >= 1);
            assert!(!diagnostic.what.is_empty() && !diagnostic.mend.is_empty());
        }
        if let Some(plan) = &reading.plan {
            plan.to_json();
        }
        convert(&[source], &machine);
    }
}

/// Far above the time that any input needs, far below that of quadratic work on 1 MiB. Processor time is measured, so
/// that a busy machine does not fail the test.
fn soon(what: &str, work: impl FnOnce()) {
    let spent = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let start = spent();
    work();
    let took = spent() - start;
    let most = if std::env::var_os("FUSEBOX_PROVE").is_some() {
        20
    } else {
        10
    };
    assert!(took < Duration::from_secs(most), "{what} took {took:?}");
}

/// A part repeated to a quarter of the size limit of a file, or up to the limit if the environment asks for it.
fn many(part: &str) -> String {
    let size = match std::env::var_os("FUSEBOX_PROVE") {
        Some(_) => 1_000_000,
        None => 250_000,
    };
    part.repeat(size / part.len())
}

#[test]
fn a_bomb_is_refused_in_time() {
    let laughs: String = (1..10)
        .map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10)))
        .collect();
    let flow = |inside: &str| format!("<flow name='f'>{inside}</flow>");
    let numbered = |part: &str| -> String {
        (0..12_000)
            .map(|n| part.replace('N', &n.to_string()))
            .collect()
    };
    let cases = [
        ("a billion laughs", format!("<!DOCTYPE x [<!ENTITY l0 \"ha\">{laughs}]><x>&l9;</x>")),
        ("an entity many times", format!("<!DOCTYPE x [<!ENTITY a \"{}\">]><x>{}</x>", "a".repeat(100_000), "&a;".repeat(100_000))),
        ("a file of the machine", "<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><x>&a;</x>".into()),
        ("another machine's file", "<!DOCTYPE x SYSTEM \"http://127.0.0.1/x.dtd\"><x/>".into()),
        ("many attributes", format!("<flow {}/>", numbered("aN='' "))),
        ("the same attribute many times", format!("<flow {}/>", many("a='' "))),
        ("many namespaces", format!("<flow {}/>", numbered("xmlns:aN='x' "))),
        ("deep", many("<try>")),
        ("deep and closed", format!("{}{}", "<try>".repeat(90_000), "</try>".repeat(90_000))),
        ("closed and never opened", many("</try>")),
        ("unknown ends", flow(&many("</x>"))),
        ("many elements", flow(&many("<logger/>"))),
        ("many flows", numbered("<flow name='fN'><flow-ref name='fN'/></flow>")),
        ("many flows of one name", many("<flow name='f'/>")),
        ("many unknown elements", numbered("<x:yN a='1'/>")),
        ("many unknown references", flow(&numbered("<flow-ref name='gN'/>"))),
        ("a long flow from many", format!("<flow name='l'>{}</flow>{}", "<logger/>".repeat(20_000), (0..6_000).map(|n| format!("<flow name='f{n}'><http:listener config-ref='Public' path='/{n}'/><flow-ref name='l'/></flow>")).collect::<String>())),
        ("attempts at a long flow", format!("<sub-flow name='l'>{}</sub-flow><flow name='f'>{}</flow>", "<logger/>".repeat(20_000), "<until-successful><flow-ref name='l'/></until-successful>".repeat(10_000))),
        ("a chain of sub-flows that is attempted", format!("<flow name='f'><until-successful><flow-ref name='f0'/></until-successful></flow>{}<sub-flow name='f9000'/>", (0..9_000).map(|n| format!("<sub-flow name='f{n}'><flow-ref name='f{}'/></sub-flow>", n + 1)).collect::<String>())),
        ("a chain of sub-flows", (0..9_000).map(|n| format!("<sub-flow name='f{n}'><flow-ref name='f{}'/></sub-flow>", n + 1)).collect::<String>() + "<sub-flow name='f9000'/>"),
        ("sub-flows that all refer to all", (0..300).map(|n| format!("<sub-flow name='f{n}'>{}</sub-flow>", (n + 1..300).map(|m| format!("<flow-ref name='f{m}'/>")).collect::<String>())).collect()),
        ("many stores", numbered("<os:object-store name='sN'/>")),
        ("many expressions that nothing closes", flow(&many("<logger message=\"#[vars.x\"/>"))),
        ("one expression that nothing closes", flow(&format!("<logger message=\"#[{}\"/>", "[".repeat(900_000)))),
        ("quotes within expressions", flow(&many("<logger message=\"#[p[\"x\"]]\"/>"))),
        ("many values without quotes", flow(&many("<logger message=#[x /> "))),
        ("a value without an end", format!("<flow name={}", many("a "))),
        ("a value of spaces", format!("<flow name=a{}", many(" "))),
        ("a value of names", format!("<flow name=#[{}", many(" a"))),
        ("many entities", flow(&many("&x;"))),
        ("many bare signs", flow(&many("& < "))),
        ("characters that XML has not", flow(&many("\u{1}"))),
        ("a comment without an end", format!("{}<!--", many("<!---->"))),
        ("many comments", many("<!-- a -- b -->")),
        ("many instructions", many("<?xml version='1.0'?>")),
        ("a long text", flow(&format!("<logger message='{}'/>", many("é")))),
        ("a long line", flow(&many("<logger message='#[1 +]'/>"))),
        ("many lines", flow(&many("\n"))),
        ("many placeholders", flow(&format!("<logger message='{}'/>", many("${x}")))),
        ("placeholders inside one another", flow(&format!("<logger message='{}'/>", many("${")))),
        ("many properties", numbered("<global-property name='aN' value='${aN}'/>")),
        ("properties in a circle", "<configuration-properties file='more.properties'/><flow name='${a}'/>".into()),
        ("many imports", many("<import file='more.xml'/>")),
        ("a long script", flow(&format!("<set-payload value='#[{}1]'/>", many("1+")))),
        ("a deep script", flow(&format!("<set-payload value='#[{}1]'/>", "(".repeat(900_000)))),
        ("many routes", format!("<http:listener-config name='Public'><http:listener-connection host='0.0.0.0' port='1'/></http:listener-config>{}", (0..6_000).map(|n| format!("<flow name='f{n}'><http:listener config-ref='Public' path='/{n}/*'/></flow>")).collect::<String>())),
    ];
    for (what, text) in cases {
        assert!(text.len() <= 1 << 20, "{what}: {}", text.len());
        soon(what, || survives(text.as_bytes()));
    }
}

/// The number of mutated inputs: enough to find shallow errors, or as many as the environment asks for.
fn mutations() -> usize {
    if std::env::var_os("FUSEBOX_PROVE").is_some() {
        20_000
    } else {
        1_500
    }
}

/// The tokens that mutations insert, taken from all grammars.
const TOKENS: [&str; 40] = [
    "#[",
    "]",
    "${",
    "}",
    "\\",
    "\"",
    "'",
    "`",
    "<",
    ">",
    "/>",
    "</",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?",
    "<!DOCTYPE x>",
    "&",
    "&amp;",
    "&#0;",
    "&#x10FFFF;",
    "=",
    "-1",
    "0",
    "99999999999999999999",
    "1e400",
    "é",
    "\u{0}",
    "\u{feff}",
    "\r\n",
    "%dw 2.0",
    "output application/json",
    "---",
    "payload",
    "(",
    "++ ",
    "ANY",
    "<try>",
    "<flow name='f'>",
];

/// A text with some of its bytes changed, cut, doubled, exchanged or nested.
fn mutated(seed: &str, other: &str, rng: &mut Rng) -> Vec<u8> {
    let mut text = seed.as_bytes().to_vec();
    for _ in 0..rng.usize(1..=4) {
        if text.is_empty() {
            text.push(rng.u8(..));
        }
        let at = rng.usize(..text.len());
        let end = (at + rng.usize(..60)).min(text.len());
        match rng.u8(..9) {
            0 => text[at] ^= 1 << rng.u8(..8),
            1 => text[at] = rng.u8(..),
            2 => drop(text.drain(at..end)),
            3 => {
                let part = text[at..end].to_vec();
                text.splice(at..at, part);
            }
            4 => {
                let token = TOKENS[rng.usize(..TOKENS.len())];
                text.splice(at..at, token.bytes());
            }
            5 => {
                let token = TOKENS[rng.usize(..TOKENS.len())];
                text.splice(at..end, token.bytes());
            }
            6 => exchange(&mut text, rng),
            7 => {
                let (open, close) = [
                    ("<try>", "</try>"),
                    ("(", ")"),
                    ("[", "]"),
                    ("{a:", "}"),
                    ("#[", "]"),
                ][rng.usize(..5)];
                let times = [1, 3, 70, 3_000][rng.usize(..4)];
                text.splice(end..end, close.repeat(times).bytes());
                text.splice(at..at, open.repeat(times).bytes());
            }
            _ => {
                let from = rng.usize(..=other.len());
                let part = &other.as_bytes()[from..(from + 80).min(other.len())];
                text.splice(at..at, part.iter().copied());
            }
        }
    }
    text
}

/// Exchanges two words of a text.
fn exchange(text: &mut Vec<u8>, rng: &mut Rng) {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'.');
    let mut words = Vec::new();
    let mut start = None;
    for (at, byte) in text.iter().chain(b" ").enumerate() {
        match (start, is_word(byte)) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                words.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    if words.len() < 2 {
        return;
    }
    let mut pair = [rng.usize(..words.len()), rng.usize(..words.len())];
    pair.sort_unstable();
    let [first, second] = pair.map(|index| words[index].clone());
    let (former, latter) = (text[first.clone()].to_vec(), text[second.clone()].to_vec());
    if first.end <= second.start {
        text.splice(second, former);
        text.splice(first, latter);
    }
}

/// All XML files in a directory of the project, if it exists.
fn applications(below: &Path, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(below) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            applications(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "xml") {
            found.push(fs::read_to_string(&path).unwrap());
        }
    }
}

fn project() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn a_mutated_application_is_read_or_refused() {
    let mut seeds: Vec<String> = [BREAKER, WHOLE, NEARLY].map(str::to_owned).into();
    applications(&project().join("conformance/recipes"), &mut seeds);
    applications(&project().join("examples/mule"), &mut seeds);
    let mut rng = Rng::with_seed(1);
    for _ in 0..mutations() {
        let seed = &seeds[rng.usize(..seeds.len())];
        let other = &seeds[rng.usize(..seeds.len())];
        let text = mutated(seed, other, &mut rng);
        soon(&String::from_utf8_lossy(&text), || survives(&text));
    }
}

#[test]
fn a_mutated_script_has_a_value_or_a_fault() {
    let cases = fs::read_to_string(project().join("conformance/mule_expr.json")).unwrap();
    let cases: Value = serde_json::from_str(&cases).unwrap();
    let seeds: Vec<(&str, &Value)> = cases["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| (case["expr"].as_str().unwrap(), &case["context"]))
        .collect();
    let empty = json!({});
    let mut rng = Rng::with_seed(2);
    let mut values = 0;
    for _ in 0..mutations() {
        let (seed, context) = seeds[rng.usize(..seeds.len())];
        let (other, _) = seeds[rng.usize(..seeds.len())];
        let text = String::from_utf8_lossy(&mutated(seed, other, &mut rng)).into_owned();
        let scope = if context.is_object() { context } else { &empty };
        soon(&text, || {
            let now = jiff::Timestamp::UNIX_EPOCH;
            let zone = jiff::tz::TimeZone::UTC;
            values += usize::from(eval_mule(&text, scope, now, zone, &Random::default()).is_ok());
        });
    }
    // Some mutations must stay valid, or the test would prove little.
    assert!(
        values > mutations() / 20,
        "{values} of {} have a value",
        mutations()
    );
}
