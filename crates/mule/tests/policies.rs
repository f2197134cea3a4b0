//! Policies around the flows of an application, run by the engine in a world without sockets.

#![cfg(feature = "run")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusebox_mule::app::{App, Source as Trigger};
use fusebox_mule::jiff::{Timestamp, tz::TimeZone};
use fusebox_mule::run::{
    Answer, Call, ConnectionInfo, Engine, Parcel, Pending, PublishFault, Reply, Responder,
    SendFault, Stores, World, attributes,
};
use fusebox_mule::{Event, Random, Typed, read};
use fusebox_plan::{Loader, Source};
use fusebox_store::{Limits, MemoryStore, SystemClock};

/// A command line.
#[derive(Default)]
struct Line {
    set: HashMap<&'static str, &'static str>,
    bind: Vec<(&'static str, &'static str)>,
}

impl Loader for Line {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn property(&self, name: &str) -> Option<String> {
        self.set.get(name).map(ToString::to_string)
    }

    fn bindings(&self) -> Vec<(String, String)> {
        let owned = |(name, url): &(&str, &str)| ((*name).to_owned(), (*url).to_owned());
        self.bind.iter().map(owned).collect()
    }
}

/// A world on a clock of its own whose upstream answers with one status; 0 stands for no answer.
struct Town {
    seconds: AtomicI64,
    status: AtomicU16,
    random: Random,
    calls: Mutex<Vec<Call>>,
}

impl World for Town {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + self.seconds.load(Ordering::Relaxed)).unwrap()
    }

    fn zone(&self) -> &TimeZone {
        const { &TimeZone::UTC }
    }

    fn random(&self) -> &Random {
        &self.random
    }

    fn send(&self, call: Call) -> Pending<'_, Result<Answer, SendFault>> {
        self.calls.lock().unwrap().push(call);
        let status = self.status.load(Ordering::Relaxed);
        let mut headers = http::HeaderMap::new();
        headers.insert("content-type", "text/plain".parse().unwrap());
        headers.insert("x-tea", "green".parse().unwrap());
        Box::pin(async move {
            match status {
                0 => Err(SendFault::Connectivity("Connection refused".to_owned())),
                status => Ok(Answer {
                    status,
                    reason: String::new(),
                    headers,
                    body: "leaves".into(),
                }),
            }
        })
    }

    fn publish<'a>(
        &'a self,
        queue: &'a Arc<str>,
        _: Parcel,
        _: Duration,
    ) -> Pending<'a, Result<(), PublishFault>> {
        Box::pin(async { Err(PublishFault::Full(queue.clone())) })
    }

    fn consume<'a>(
        &'a self,
        _: &'a Arc<str>,
        _: Duration,
    ) -> Pending<'a, Result<Option<Parcel>, PublishFault>> {
        Box::pin(async { Ok(None) })
    }

    fn spawn(&self, _: Pending<'static, ()>) {}
}

/// The diagnostics of some files, and the application.
fn reading(files: &[&str], line: &Line) -> (Option<Arc<App>>, Vec<String>) {
    const NAMES: [&str; 2] = ["one.xml", "two.xml"];
    let sources: Vec<Source<'_>> = files
        .iter()
        .zip(NAMES)
        .map(|(text, name)| Source {
            name,
            text: text.as_bytes(),
        })
        .collect();
    let reading = read(&sources, line);
    let told = reading.diagnostics.iter().map(ToString::to_string);
    let app = reading.plan.map(|plan| plan.program::<App>().unwrap());
    (app, told.collect())
}

struct Running {
    engine: Arc<Engine>,
    town: Arc<Town>,
}

impl Running {
    #[track_caller]
    fn of(files: &[&str], line: &Line) -> Running {
        let (app, told) = reading(files, line);
        let Some(app) = app else {
            panic!("{told:#?}");
        };
        let memory = || Arc::new(MemoryStore::new(Limits::default(), Arc::new(SystemClock)));
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let stores = Stores::open(&app, memory(), memory(), start, None).unwrap();
        Running {
            engine: Engine::new(app, stores),
            town: Arc::new(Town {
                seconds: AtomicI64::new(0),
                status: AtomicU16::new(200),
                random: Random::seeded(1),
                calls: Mutex::default(),
            }),
        }
    }

    fn upstream_answers(&self, status: u16) {
        self.town.status.store(status, Ordering::Relaxed);
    }

    fn wait(&self, seconds: i64) {
        self.town.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    fn calls(&self) -> usize {
        self.town.calls.lock().unwrap().len()
    }

    /// The response to a request with a header field and a body.
    async fn asks(&self, path: &str) -> Reply {
        let app = self.engine.app();
        let flow = app
            .flows
            .iter()
            .find(|flow| matches!(flow.source, Some(Trigger::Http(_))))
            .unwrap();
        let Some(Trigger::Http(source)) = &flow.source else {
            unreachable!("it has one");
        };
        let request = http::Request::builder().method("POST").uri(path);
        let request = request.header("host", "here").header("x-sugar", "two");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let here = SocketAddr::from(([127, 0, 0, 1], 1));
        let connection = ConnectionInfo {
            local: here,
            remote: here,
            scheme: "http",
            certificate: None,
        };
        let event = Event {
            payload: Typed::received("milk".into(), Some("text/plain")),
            attributes: attributes(source, &parts, &[], connection),
            ..Event::default()
        };
        let world: Arc<dyn World> = self.town.clone();
        let ended = self
            .engine
            .run(&world, app.find(&flow.name).unwrap(), event);
        let responder = Responder {
            app,
            flow: &flow.name,
            source,
            world: &*world,
        };
        responder.reply(ended.await)
    }

    async fn status(&self) -> u16 {
        self.asks("/cup").await.status.as_u16()
    }
}

/// The text of a reply's header field.
fn field<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    reply.headers.get(name)?.to_str().ok()
}

const APP: &str = r##"<http:listener-config name="In"><http:listener-connection host="127.0.0.1" port="0"/></http:listener-config>
<http:request-config name="Out"><http:request-connection host="127.0.0.1" port="9901"/></http:request-config>
<flow name="tea"><http:listener config-ref="In" path="/cup"><http:response statusCode="#[attributes.statusCode]"><http:headers>#[{'x-tea': attributes.headers.'x-tea'}]</http:headers></http:response></http:listener>
  <set-variable variableName="secret" value="flow"/>
  <http:request config-ref="Out" path="/pot" method="POST">
    <http:headers>#[{'x-sugar': attributes.headers.'x-sugar'}]</http:headers></http:request></flow>"##;

fn policy(steps: &str) -> String {
    format!(
        r##"<mule xmlns="http://www.mulesoft.org/schema/mule/core" xmlns:http-policy="http://www.mulesoft.org/schema/mule/http-policy"
 xmlns:http-transform="http://www.mulesoft.org/schema/mule/http-policy-transform" xmlns:os="http://www.mulesoft.org/schema/mule/os">
<http-policy:proxy name="{{{{{{policyId}}}}}}-tea"><http-policy:source>{steps}</http-policy:source></http-policy:proxy></mule>"##
    )
}

#[tokio::test]
async fn execute_next_runs_the_flow_and_gives_its_response_as_a_message() {
    let policy = policy(
        r##"<set-variable variableName="before" value="kept"/>
        <http-policy:execute-next/>
        <http-transform:add-response-headers><http-transform:headers>#[{'x-seen': "$(attributes.statusCode) $(attributes.headers.'x-tea') $(vars.before) $(vars.secret default 'none')"}]</http-transform:headers></http-transform:add-response-headers>"##,
    );
    let running = Running::of(&[&policy, APP], &Line::default());
    let reply = running.asks("/cup").await;
    assert_eq!(reply.status, 200);
    assert_eq!(&reply.body[..], b"leaves");
    // Variables of the policy are not the flow's, nor the other way.
    assert_eq!(field(&reply, "x-seen"), Some("200 green kept none"));
    assert_eq!(field(&reply, "content-type"), Some("text/plain"));
}

#[tokio::test]
async fn changes_before_execute_next_go_on_only_where_the_policy_says_so() {
    let steps = r##"<set-payload value="water"/>
        <http-transform:add-request-headers-list><http-transform:new-headers><http-transform:header headerName="X-Sugar" headerValue="#['th' ++ 'ree']"/></http-transform:new-headers></http-transform:add-request-headers-list>
        <http-policy:execute-next/>"##;
    let sent = |running: &Running| {
        let calls = running.town.calls.lock().unwrap();
        let sugar = calls[0].headers["x-sugar"].to_str().unwrap().to_owned();
        (String::from_utf8(calls[0].body.to_vec()).unwrap(), sugar)
    };
    let alone = policy(steps);
    let running = Running::of(&[APP, &alone], &Line::default());
    running.asks("/cup").await;
    assert_eq!(sent(&running), ("milk".to_owned(), "two".to_owned()));
    let going_on = alone.replace(
        "<http-policy:source>",
        "<http-policy:source propagateMessageTransformations=\"true\">",
    );
    let running = Running::of(&[APP, &going_on], &Line::default());
    running.asks("/cup").await;
    assert_eq!(sent(&running), ("water".to_owned(), "three".to_owned()));
}

#[tokio::test]
async fn a_policy_may_answer_itself_and_an_error_is_answered_as_by_the_flow() {
    let refusal = policy(
        r##"<http-transform:add-headers outputType="response"><http-transform:headers>#[{'x-why': 'closed'}]</http-transform:headers></http-transform:add-headers>
        <http-transform:set-response statusCode="429" reasonPhrase="Later"><http-transform:body>#[output application/json --- {a: 1}]</http-transform:body>
          <http-transform:headers>#[{'x-more': 'yes'}]</http-transform:headers></http-transform:set-response>"##,
    );
    let running = Running::of(&[&refusal, APP], &Line::default());
    let reply = running.asks("/cup").await;
    assert_eq!(
        (reply.status.as_u16(), reply.reason.as_deref()),
        (429, Some("Later"))
    );
    assert_eq!(field(&reply, "content-type"), Some("application/json"));
    assert_eq!(field(&reply, "x-why"), Some("closed"));
    assert_eq!(field(&reply, "x-more"), Some("yes"));
    assert_eq!(running.calls(), 0);

    let watching = policy(
        r##"<try><http-policy:execute-next/><error-handler><on-error-propagate type="HTTP:CONNECTIVITY">
          <http-transform:add-response-headers><http-transform:headers>#[{'x-error': error.errorType.identifier}]</http-transform:headers></http-transform:add-response-headers>
        </on-error-propagate></error-handler></try>"##,
    );
    let running = Running::of(&[&watching, APP], &Line::default());
    running.upstream_answers(0);
    let reply = running.asks("/cup").await;
    assert_eq!(reply.status, 500);
    assert!(String::from_utf8_lossy(&reply.body).contains("Connection refused"));
    assert_eq!(field(&reply, "x-error"), Some("CONNECTIVITY"));

    let raising = policy(r##"<raise-error type="APP:NO" description="not today"/>"##);
    let running = Running::of(&[&raising, APP], &Line::default());
    let reply = running.asks("/cup").await;
    assert_eq!(
        (reply.status.as_u16(), &reply.body[..]),
        (500, &b"not today"[..])
    );
}

#[tokio::test]
async fn policies_run_from_outside_in_and_their_steps_may_be_in_sub_flows() {
    let two = r##"<http-policy:proxy name="outer"><http-policy:source>
          <flow-ref name="on"/>
          <http-transform:add-response-headers><http-transform:headers>#[{'x-order': attributes.headers.'x-order' ++ ' outer'}]</http-transform:headers></http-transform:add-response-headers>
        </http-policy:source></http-policy:proxy>
        <sub-flow name="on"><http-policy:execute-next/></sub-flow>
        <http-policy:proxy name="inner"><http-policy:source>
          <http-policy:execute-next/>
          <http-transform:remove-headers><http-transform:header-names>#[['X-Tea']]</http-transform:header-names></http-transform:remove-headers>
          <http-transform:add-response-headers><http-transform:headers>#[{'x-order': 'inner'}]</http-transform:headers></http-transform:add-response-headers>
        </http-policy:source></http-policy:proxy>"##;
    let running = Running::of(&[APP, two], &Line::default());
    let reply = running.asks("/cup").await;
    assert_eq!(field(&reply, "x-order"), Some("inner outer"));
    assert_eq!(field(&reply, "x-tea"), None);
}

/// A circuit breaker in the manner of published ones: its state is JSON, `now()` is a text when it is read back, and
/// statuses count.
const BREAKER: &str = r##"<try><os:retrieve key="${apiId}" objectStore="tea" target="c"/>
    <error-handler><on-error-continue type="OS:KEY_NOT_FOUND" logException="false"><logger message="closed" level="DEBUG"/></on-error-continue></error-handler></try>
  <choice><when expression="#[sizeOf(vars.c default '') == 0 or vars.c.since + (&quot;PT$(vars.c.wait)S&quot; as Period) &lt; now() or vars.c.failures &lt; {{{threshold}}}]">
    <http-policy:execute-next/>
    {{#if statuses}}
    <choice><when expression="#[(({{{codes}}} replace ' ' with '') splitBy ',') contains (attributes.statusCode as String)]">
      <set-variable variableName="c" value='#[output application/json
        var failures = if ((vars.c.since default 0) + |PT60S| &gt; now()) vars.c.failures + 1 else 1
        --- {wait: {{wait}}, since: now(), failures: failures}]'/>
      <os:store key="${apiId}" objectStore="tea"><os:value>#[vars.c]</os:value></os:store>
    </when><otherwise><choice><when expression="#[vars.c != null]"><os:remove key="${apiId}" objectStore="tea"/></when></choice></otherwise></choice>
    {{/if}}
  </when><otherwise>
    <http-transform:set-response statusCode="503"><http-transform:body>#[output application/json --- "circuit": vars.c ++ "until": vars.c.since + ("PT$(vars.c.wait)S" as Period)]</http-transform:body></http-transform:set-response>
  </otherwise></choice>"##;

fn breaker() -> String {
    policy(BREAKER).replace(
        "<http-policy:proxy",
        "<os:object-store name=\"tea\" persistent=\"false\"/><http-policy:proxy",
    )
}

const TEMPLATE: [(&str, &str); 4] = [
    ("threshold", "3"),
    ("statuses", "true"),
    ("codes", "\"500, 503\""),
    ("wait", "5"),
];

#[tokio::test]
async fn a_policys_breaker_trips_refuses_and_recovers() {
    let line = Line {
        set: TEMPLATE.into(),
        bind: vec![
            ("http-policy:source", "http://127.0.0.1:0"),
            ("http-policy:execute-next", "http://127.0.0.1:9901"),
        ],
    };
    let running = Running::of(&[&breaker()], &line);
    assert_eq!(running.status().await, 200);
    running.upstream_answers(503);
    for _ in 0..3 {
        assert_eq!(running.status().await, 503);
    }
    assert_eq!(running.calls(), 4);
    let reply = running.asks("/cup").await;
    assert_eq!((running.calls(), reply.status.as_u16()), (4, 503));
    let body = String::from_utf8_lossy(&reply.body);
    assert!(
        body.contains(r#""until": "2023-11-14T22:13:25Z""#),
        "{body}"
    );
    running.upstream_answers(200);
    running.wait(4);
    assert_eq!(running.status().await, 503);
    running.wait(2);
    assert_eq!(running.status().await, 200);
    assert_eq!(running.calls(), 5);
    let circuits = &running.engine.app().circuits;
    assert_eq!(circuits.len(), 1);
    assert_eq!(&*circuits[0].name, "tea/api.failures");
}

#[tokio::test]
async fn a_policy_that_stands_alone_passes_requests_on() {
    let line = Line {
        set: HashMap::new(),
        bind: vec![
            ("http-policy:source", "http://127.0.0.1:0"),
            ("http-policy:execute-next", "http://127.0.0.1:9901"),
        ],
    };
    let alone = policy("<http-policy:execute-next/>");
    let running = Running::of(&[&alone], &line);
    running.upstream_answers(404);
    let reply = running.asks("/a/b%20c?x=1&y=%26").await;
    assert_eq!(reply.status, 404);
    assert_eq!(field(&reply, "x-tea"), Some("green"));
    let calls = running.town.calls.lock().unwrap();
    assert_eq!(calls[0].target, "/a/b%20c?x=1&y=%26");
    assert_eq!(calls[0].method, "POST");
    assert_eq!(&calls[0].body[..], b"milk");
    assert_eq!(calls[0].headers["x-sugar"], "two");
    assert!(!calls[0].headers.contains_key("host"));
}

#[tokio::test]
async fn a_policy_around_a_request_changes_what_is_sent_and_what_comes_back() {
    let policy = r##"<http-policy:proxy name="out"><http-policy:operation>
        <http-transform:add-request-headers><http-transform:headers>#[{'x-sugar': 'none', 'x-path': attributes.requestPath}]</http-transform:headers></http-transform:add-request-headers>
        <http-policy:execute-next/>
        <set-payload value="#[payload ++ ' and stems']"/>
      </http-policy:operation></http-policy:proxy>"##;
    let running = Running::of(&[policy, APP], &Line::default());
    let reply = running.asks("/cup").await;
    // What comes back is not changed unless the policy says so.
    assert_eq!(&reply.body[..], b"leaves");
    {
        let calls = running.town.calls.lock().unwrap();
        assert_eq!(calls[0].headers["x-sugar"], "none");
        assert_eq!(calls[0].headers["x-path"], "/pot");
        assert_eq!(
            (&*calls[0].target, &calls[0].body[..]),
            ("/pot", &b"milk"[..])
        );
    }
    let told = policy.replace(
        "<http-policy:operation>",
        "<http-policy:operation propagateMessageTransformations=\"true\">",
    );
    let running = Running::of(&[&told, APP], &Line::default());
    assert_eq!(&running.asks("/cup").await.body[..], b"leaves and stems");

    let whole = r##"<http-policy:proxy name="out"><http-policy:operation>
        <http-transform:set-requester-request requestPath="/other/{n}"><http-transform:body>coffee</http-transform:body>
          <http-transform:uri-params>#[{n: 'a b'}]</http-transform:uri-params><http-transform:query-params>#[{q: 1}]</http-transform:query-params></http-transform:set-requester-request>
        <http-policy:execute-next/>
      </http-policy:operation></http-policy:proxy>"##;
    let running = Running::of(&[whole, APP], &Line::default());
    running.upstream_answers(500);
    let reply = running.asks("/cup").await;
    assert_eq!(reply.status, 500);
    assert!(String::from_utf8_lossy(&reply.body).contains("internal server error (500)"));
    let calls = running.town.calls.lock().unwrap();
    assert_eq!(
        (&*calls[0].target, &calls[0].body[..]),
        ("/other/a%20b?q=1", &b"coffee"[..])
    );
}

#[test]
fn a_breaker_around_requests_is_a_circuit() {
    let policy = r##"<os:object-store name="Tea"/><http-policy:proxy name="out"><http-policy:operation>
        <os:retrieve key="pot" objectStore="Tea" target="c"><os:default-value>#[{s: 'CLOSED', n: 0, at: 0}]</os:default-value></os:retrieve>
        <choice><when expression="#[vars.c.s == 'OPEN' and (now() as Number) - vars.c.at &lt; 30]"><raise-error type="APP:OPEN"/></when></choice>
        <try><http-policy:execute-next/><os:remove key="pot" objectStore="Tea"/>
          <error-handler><on-error-propagate type="HTTP:CONNECTIVITY, HTTP:TIMEOUT">
            <os:store key="pot" objectStore="Tea"><os:value>#[{s: if (vars.c.n >= 2) 'OPEN' else 'CLOSED', n: vars.c.n + 1, at: now() as Number}]</os:value></os:store>
          </on-error-propagate></error-handler></try>
      </http-policy:operation></http-policy:proxy>"##;
    let (app, told) = reading(&[policy, APP], &Line::default());
    let app = app.unwrap_or_else(|| panic!("{told:#?}"));
    let names: Vec<&str> = app.circuits.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["Tea/pot.s"]);
}

#[test]
fn what_is_missing_of_a_policy_is_told() {
    let told = |files: &[&str], line: &Line| reading(files, line).1.join("\n");
    let alone = told(&[&policy("<http-policy:execute-next/>")], &Line::default());
    for name in ["http-policy:source", "http-policy:execute-next"] {
        assert!(alone.contains(&format!("--bind {name}=http://")), "{alone}");
    }
    let template = told(&[&breaker(), APP], &Line::default());
    assert!(
        template.contains("give it one: `--set threshold=…`"),
        "{template}"
    );
    let empty = ["is empty", "expected a value", "is not a"];
    assert!(
        !empty.iter().any(|what| template.contains(what)),
        "{template}"
    );
    let stray = told(
        &[&APP.replace("<set-variable", "<http-policy:execute-next/><set-variable")],
        &Line::default(),
    );
    assert!(
        stray.contains("nothing is next: the application has no policy"),
        "{stray}"
    );
    let wrong = r##"<http-policy:proxy><http-policy:source/></http-policy:proxy>
        <http-policy:proxy name="a" when="b"><http:request/></http-policy:proxy><http-policy:proxy name="c"/>"##;
    let wrong = told(&[wrong, APP], &Line::default());
    for part in [
        "has no `name`",
        "has no attribute `when`",
        "does not belong into",
        "has neither",
    ] {
        assert!(wrong.contains(part), "{part}: {wrong}");
    }
}
