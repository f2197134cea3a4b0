//! Conversion to the native form: the text, the list of losses, and reading the result.

mod course;
mod guards;
#[path = "../support/mod.rs"]
mod support;

use std::io;
use std::time::Duration;

use fusebox_breaker::{Over, Rule};
use fusebox_mule::convert;
use fusebox_plan::plan::{Facts, Plan, Rung, Step};
use fusebox_plan::{Conversion, Loader, Source};
use support::{lines, read_text};

const SEED: &str = include_str!(
    "../../../../conformance/recipes/error-handling/retry/circuit-breaker-object-store.xml"
);

/// A machine with bindings for the names in a text.
struct Bound<'a> {
    text: &'a str,
    lossy: bool,
}

impl Loader for Bound<'_> {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &str) -> io::Result<String> {
        match path {
            "server.pem" => {
                Ok("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----".to_owned())
            }
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
        }
    }

    fn bytes(&self, path: &str) -> io::Result<Vec<u8>> {
        match path {
            "server.p12" => Ok(include_bytes!("../fixtures/stores/server.p12").to_vec()),
            "trust.p12" => Ok(include_bytes!("../fixtures/stores/trust.p12").to_vec()),
            _ => self.file(path).map(String::into_bytes),
        }
    }

    fn accepts_losses(&self) -> bool {
        self.lossy
    }

    fn bindings(&self) -> Vec<(String, String)> {
        let names = ["HTTP_Listener", "Order_Service", "L", "S", "T"].iter();
        let named = names
            .enumerate()
            .filter(|(_, name)| self.text.contains(&format!("\"{name}\"")));
        named
            .map(|(at, name)| {
                (
                    (*name).to_owned(),
                    format!("http://127.0.0.1:{}", 8081 + at),
                )
            })
            .collect()
    }
}

fn converted(text: &str) -> Conversion {
    converted_by(text, false)
}

/// The conversion by somebody who accepts the loss of guards.
fn lossy(text: &str) -> Conversion {
    converted_by(text, true)
}

fn converted_by(text: &str, lossy: bool) -> Conversion {
    let source = Source {
        name: "src/orders.xml",
        text: text.as_bytes(),
    };
    convert(&[source], &Bound { text, lossy })
}

fn told(conversion: &Conversion) -> String {
    conversion
        .diagnostics
        .iter()
        .map(|diagnostic| format!("{diagnostic}\n"))
        .collect()
}

/// The plan of the converted text, which has neither errors nor warnings.
#[track_caller]
fn native(conversion: &Conversion) -> Plan {
    let yaml = conversion
        .yaml
        .as_deref()
        .unwrap_or_else(|| panic!("{}", told(conversion)));
    let reading = read_text(yaml);
    // An upstream may be left for a route that is a comment.
    let told = lines(&reading);
    let mut told = told.lines();
    assert!(
        told.all(|it| it.contains("no route leads to the upstream")),
        "{}\n{yaml}",
        lines(&reading)
    );
    reading.plan.expect("no error, so there is a plan")
}

fn line(part: &str) -> usize {
    let at = SEED.find(part).expect("the document has it");
    SEED[..at].matches('\n').count() + 1
}

#[test]
fn the_documents_flow_becomes_a_route_and_its_circuit_a_breaker() {
    let conversion = converted(SEED);
    let plan = native(&conversion);
    assert_eq!(plan.listeners[0].addr.port(), 8081);
    let upstream = &plan.upstreams[0];
    assert_eq!(&*upstream.name, "circuit-breaker-store/circuit-state");
    assert_eq!(upstream.endpoint().url(), "http://127.0.0.1:8082");
    assert_eq!(upstream.timeout.request, Duration::from_secs(10));
    let settings = &upstream.breaker.settings;
    let rule = Rule::ConsecutiveFailures {
        threshold: 5,
        within: None,
    };
    assert_eq!(settings.trip, [rule]);
    assert_eq!(settings.cooldown.base, Duration::from_secs(60));
    assert_eq!(upstream.breaker.failure.source(), "error != \"\"");
    // An answer of 404 or 500 raises an error that the flow neither counts nor takes for a success.
    let ignored = upstream.breaker.ignore.as_ref().map(|it| it.source());
    assert_eq!(ignored, Some("status >= 400"));
    let route = &plan.routes[0];
    assert_eq!(route.path, "/api/orders");
    assert_eq!(route.methods, Some(vec![http::Method::GET]));
    let Step::Forward(forward) = &route.steps[0] else {
        panic!("{route:?}")
    };
    assert!(forward.rewrite.is_some(), "the upstream sees /orders");
}

#[test]
fn each_flaw_that_is_mended_is_named_with_its_line() {
    let conversion = converted(SEED);
    let yaml = conversion.yaml.as_deref().expect("a flow that can be said");
    let counted = line("<!-- Trip circuit") - 3;
    for mended in [
        format!("some of several concurrent failures are lost (orders.xml:{counted})"),
        format!("has no half-open state: when its entry expires, all requests go to the upstream at once, and it opens again only after as many failures as before (orders.xml:{})", line("<os:retrieve key=\"circuit-state\"")),
        format!("of a call that was made before it opened (orders.xml:{})", line("<os:value>CLOSED</os:value>") - 1),
        "stays open for 60s to 70s: an entry expires at the first sweep after its time to live, not exactly then (orders.xml:1)".to_owned(),
    ] {
        let found = yaml.lines().any(|line| line.contains("# mends: ") && line.contains(&mended));
        assert!(found, "{mended}\n{yaml}");
    }
    assert!(
        yaml.contains("# kept: does not count answers of status 500, 502, 503, 504"),
        "{yaml}"
    );
    assert!(
        yaml.contains("# differs: the flow forgets failures 60s to 70s after the last one"),
        "{yaml}"
    );
}

#[test]
fn of_the_documents_flow_the_log_line_alone_is_not_carried() {
    let conversion = converted(SEED);
    let yaml = conversion.yaml.clone().unwrap_or_default();
    let told = told(&conversion);
    let lost: Vec<&str> = told
        .lines()
        .filter(|it| it.contains("not carried"))
        .collect();
    let log = line("<logger");
    assert_eq!(
        lost,
        [format!(
            "src/orders.xml:{log}:33: warning: not carried: the log line: the gateway logs and counts by itself; port this by hand or drop it"
        )]
    );
    let listed: Vec<&str> = yaml.lines().filter(|it| it.starts_with("# - ")).collect();
    let log = format!("# - orders.xml:{log}: the log line: the gateway logs and counts by itself");
    assert_eq!(listed, [log]);
    assert!(
        yaml.contains(
            "# differs: `circuit-breaker-flow` calls with GET whatever the client's method"
        ),
        "{yaml}"
    );
}

#[test]
fn the_documents_answers_become_rungs() {
    let plan = native(&converted(SEED));
    let Step::Forward(forward) = &plan.routes[0].steps[0] else {
        panic!("{:?}", plan.routes[0])
    };
    let answers: Vec<_> = forward.fallback().iter().map(answer).collect();
    let json = "application/json";
    assert_eq!(
        answers,
        [
            (
                "refused",
                503,
                json.into(),
                r#"{"error":"Circuit open — service unavailable"}"#.into()
            ),
            (
                "failed",
                503,
                json.into(),
                r#"{"error":"Service temporarily unavailable"}"#.into()
            ),
        ]
    );
}

/// The calls that a fixed answer is for, its status, media type and body.
fn answer(rung: &Rung) -> (&'static str, u16, String, String) {
    let Rung::Respond(answer) = rung else {
        panic!("{rung:?}")
    };
    let on = match (answer.on.refused, answer.on.failed) {
        (true, true) => "all",
        (true, false) => "refused",
        _ => "failed",
    };
    let (fields, body) = answer.fill(&Facts {
        reason: "",
        retry_after: None,
        breaker: "",
    });
    let media_type = fields.get("content-type");
    let media_type = media_type.map_or("", |it| it.to_str().expect("a field of ASCII"));
    (
        on,
        answer.status.as_u16(),
        media_type.to_owned(),
        String::from_utf8(body.to_vec()).expect("a body of UTF-8"),
    )
}

#[test]
fn parameters_of_the_path_go_on_and_rest_is_the_rest() {
    let conversion = converted(
        r##"<flow name="one"><http:listener config-ref="L" path="/a/{id}" allowedMethods="GET, DELETE"/>
          <http:request config-ref="S" method="DELETE" path="#['/items/' ++ attributes.uriParams.id]"/></flow>
        <flow name="two"><http:listener config-ref="L" path="/b/{id}/*" allowedMethods="POST"/>
          <http:request url="http://127.0.0.1:9000/x/{it}?full=yes" method="POST" responseTimeout="250">
            <http:uri-params>#[{it: attributes.uriParams.id}]</http:uri-params></http:request></flow>"##,
    );
    let plan = native(&conversion);
    assert_eq!(plan.routes[0].methods, Some(vec![http::Method::DELETE]));
    let yaml = conversion.yaml.clone().unwrap_or_default();
    assert!(yaml.contains("rewrite: \"/items/{id}\""), "{yaml}");
    assert!(yaml.contains("path: \"/b/{id}/{*rest}\""), "{yaml}");
    assert!(yaml.contains("rewrite: \"/x/{id}\""), "{yaml}");
    let two = plan
        .upstreams
        .iter()
        .find(|upstream| upstream.endpoint().port == 9000);
    assert_eq!(
        two.map(|two| two.timeout.request),
        Some(Duration::from_millis(250))
    );
    let told = told(&conversion);
    assert!(told.contains("the query `full=yes`"), "{told}");
}

#[test]
fn a_fixed_answer_is_a_fixed_answer() {
    let conversion = converted(
        r##"<flow name="health"><http:listener config-ref="L" path="/health"/>
          <set-variable variableName="httpStatus" value="202"/>
          <set-payload value='{"up": true}' mimeType="application/json"/></flow>"##,
    );
    let plan = native(&conversion);
    let Step::Respond(respond) = &plan.routes[0].steps[0] else {
        panic!("{:?}", plan.routes)
    };
    assert_eq!(respond.status, 202);
    assert_eq!(&respond.body[..], br#"{"up": true}"#);
    assert_eq!(respond.headers["content-type"], "application/json");
}

#[test]
fn a_circuit_that_a_success_does_not_reset_counts_within_a_time() {
    let text = SEED.replace("<os:store key=\"failure-count\" objectStore=\"circuit-breaker-store\">\n                    <os:value>0</os:value>\n                </os:store>", "");
    assert_ne!(text, SEED);
    let text = text.replace("HTTP:CONNECTIVITY, HTTP:TIMEOUT", "ANY");
    let plan = native(&converted(&text));
    let breaker = &plan.upstreams[0].breaker;
    let rule = Rule::Failures {
        threshold: 5,
        over: Over::Time(Duration::from_secs(60)),
        full: false,
    };
    assert_eq!(breaker.settings.trip, [rule]);
    assert_eq!(breaker.failure.source(), "status >= 400 || error != \"\"");
}

#[test]
fn flows_that_cannot_be_said_are_named_and_nothing_sayable_is_an_error() {
    let text = r##"<flow name="two"><http:listener config-ref="L" path="/a"/>
          <set-payload value="#[attributes.queryParams.a]"/></flow>
        <flow name="clock"><scheduler><scheduling-strategy><fixed-frequency frequency="1000"/></scheduling-strategy></scheduler>
          <logger message="tick"/></flow>"##;
    let conversion = converted(text);
    assert_eq!(conversion.yaml, None);
    let said = told(&conversion);
    assert_eq!(
        said,
        "src/orders.xml:1:1: error: nothing to write for the flow `two`: its response depends on the request; keep running it as it is; `--lossy` writes a route that answers 501\n\
         src/orders.xml:3:9: error: nothing to write for the flow `clock`: the native form has no schedules; keep running it as it is\n"
    );
    let conversion = lossy(text);
    let plan = native(&conversion);
    let Step::Respond(respond) = &plan.routes[0].steps[0] else {
        panic!("{:?}", plan.routes)
    };
    assert_eq!((plan.routes.len(), respond.status.as_u16()), (1, 501));
    let yaml = conversion.yaml.unwrap_or_default();
    let comment = "  # not carried: its response depends on the request; here it answers 501 (orders.xml:1)\n";
    assert!(yaml.contains(comment), "{yaml}");
    assert!(
        yaml.contains("# - orders.xml:3: the flow `clock`"),
        "{yaml}"
    );
    let clock = lossy(
        r##"<flow name="clock"><scheduler><scheduling-strategy><fixed-frequency frequency="1000"/></scheduling-strategy></scheduler><logger message="tick"/></flow>"##,
    );
    assert_eq!(clock.yaml, None);
    assert!(told(&clock).contains(":1:1: error: nothing to write for the flow `clock`"));
}
