//! Mule's well-known recipes over sockets: fallbacks, retries, queues, schedules.

use crate::support::mule::{flow, setup};
use crate::support::{Dial, Gate, Refusing, Setup, Upstream, eventually};

#[test]
fn a_cached_answer_stands_in_while_the_upstream_is_away() {
    let status = Dial::at(200);
    let upstream = Upstream::dialled(&status);
    let app = r##"<os:object-store name="cache" persistent="false" entryTtl="1" entryTtlUnit="HOURS"/>
<flow name="f"><http:listener config-ref="HTTP_Listener" path="/a"/>
<try>
  <http:request config-ref="S" path="/x"/>
  <os:store key="last" objectStore="cache"><os:value>#[payload]</os:value></os:store>
  <error-handler><on-error-continue type="HTTP:TIMEOUT, HTTP:CONNECTIVITY, HTTP:INTERNAL_SERVER_ERROR">
    <try>
      <os:retrieve key="last" objectStore="cache"/>
      <error-handler><on-error-continue type="OS:KEY_NOT_FOUND">
        <set-variable variableName="httpStatus" value="503"/>
        <set-payload value='{"error":"nothing kept"}' mimeType="application/json"/>
      </on-error-continue></error-handler>
    </try>
  </on-error-continue></error-handler>
</try></flow>"##;
    let mut gateway = setup(app, &[("S", &upstream.url())]).start();
    assert_eq!(gateway.get("/a").text(), "from upstream");
    status.set(500);
    let kept = gateway.get("/a");
    assert_eq!((kept.status, kept.text()), (200, "from upstream".into()));
    // What is not persistent is gone with the process.
    gateway.restart();
    let nothing = gateway.get("/a");
    assert_eq!(
        (nothing.status, nothing.text()),
        (503, r##"{"error":"nothing kept"}"##.into())
    );
}

#[test]
fn a_call_is_tried_again_until_it_succeeds_or_for_the_last_time() {
    let calls = Dial::at(0);
    let shared = calls.clone();
    let upstream = Upstream::start(move |call| match shared.next() {
        2 => call.respond(200, "third"),
        _ => call.respond(503, "no"),
    });
    let retrying = r##"<until-successful maxRetries="2" millisBetweenRetries="20"><http:request config-ref="S" path="/x" method="POST"/></until-successful>
<error-handler><on-error-propagate type="MULE:RETRY_EXHAUSTED"><set-variable variableName="httpStatus" value="502"/><set-payload value="#[error.description]"/></on-error-propagate></error-handler>"##;
    let gateway = setup(flow("f", "/a", retrying), &[("S", &upstream.url())]).start();
    let mut client = gateway.client();
    assert_eq!(client.post("/a", "body").text(), "third");
    let exhausted = client.post("/a", "body");
    assert_eq!(exhausted.status, 502);
    assert!(
        exhausted.text().contains("retries exhausted"),
        "{}",
        exhausted.text()
    );
    assert_eq!(upstream.calls(), 6);
}

#[test]
fn another_service_answers_where_the_first_is_away() {
    let refusing = Refusing::new();
    let second = Upstream::start(|call| {
        let target = call.seen.target.clone();
        call.respond(200, &target);
    });
    let routing = r##"<try><http:request config-ref="Primary" path="/p/#[attributes.uriParams.id]"/>
<error-handler><on-error-continue type="HTTP:CONNECTIVITY, HTTP:TIMEOUT"><http:request config-ref="Secondary" path="/s/#[attributes.uriParams.id]"/></on-error-continue></error-handler></try>"##;
    let upstreams = [("Primary", &*refusing.url()), ("Secondary", &*second.url())];
    let gateway = setup(flow("f", "/a/{id}", routing), &upstreams).start();
    assert_eq!(gateway.get("/a/7").text(), "/s/7");
}

fn queues(kind: &str) -> String {
    let leave = r##"<vm:publish config-ref="VM" queueName="q"/><set-payload value="left"/>"##;
    format!(
        r##"<vm:config name="VM"><vm:queues><vm:queue queueName="q" queueType="{kind}"/></vm:queues></vm:config>
{}
<flow name="take"><vm:listener config-ref="VM" queueName="q" numberOfConsumers="2"/><http:request config-ref="S" path="/told" method="POST"/></flow>"##,
        flow("leave", "/a", leave)
    )
}

#[test]
fn a_message_in_a_queue_is_worked_on_beside_the_flow_that_left_it() {
    let gate = Gate::default();
    let shared = gate.clone();
    let upstream = Upstream::start(move |call| {
        shared.pass();
        let body = call.text();
        call.respond(if body == "bad" { 500 } else { 200 }, &body);
    });
    let gateway = setup(queues("TRANSIENT"), &[("S", &upstream.url())]).start();
    let mut client = gateway.client();
    assert_eq!(client.post("/a", "bad").text(), "left");
    assert_eq!(client.post("/a", "good").text(), "left");
    assert_eq!(client.post("/a", "third").text(), "left");
    eventually("two consumers work", || gate.waiting() == 2);
    gate.open();
    // One that fails is logged, and those behind it are worked on.
    eventually("all are", || upstream.calls() == 3);
}

#[test]
fn a_persistent_message_is_delivered_after_a_kill() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let app = queues("PERSISTENT");
    let without = app
        .split("<flow name=\"take\">")
        .next()
        .expect("a part")
        .to_owned();
    let mut gateway = setup(without, &[]).start();
    assert_eq!(gateway.client().post("/a", "kept").text(), "left");
    gateway.kill9();
    gateway.rewrite(&app.replace(
        "config-ref=\"S\" path=\"/told\"",
        &format!("url=\"{}/told\"", upstream.url()),
    ));
    gateway.restart();
    eventually("the message is delivered", || upstream.calls() == 1);
}

#[test]
fn a_schedule_starts_its_flow_once_for_the_gateway_and_never_twice_at_once() {
    let gate = Gate::default();
    let shared = gate.clone();
    let upstream = Upstream::start(move |call| {
        shared.pass();
        call.respond(200, "");
    });
    let app = r##"<flow name="tick"><scheduler><scheduling-strategy><fixed-frequency frequency="20"/></scheduling-strategy></scheduler><http:request config-ref="S" path="/tick"/></flow>"##;
    let app = format!("{app}{}", flow("f", "/a", "<set-payload value=\"ok\"/>"));
    let gateway = setup(app.clone(), &[("S", &upstream.url())]).start();
    eventually("it has started", || gate.waiting() == 1);
    // The old plan's run holds the new plan's up.
    gateway.rewrite(&app.replace("frequency=\"20\"", "frequency=\"10\""));
    gateway.sighup();
    gateway.log_line(|line| line["message"] == "reloaded");
    for _ in 0..20 {
        assert_eq!(gateway.get("/a").text(), "ok");
    }
    assert_eq!(upstream.in_flight_most(), 1);
    gate.open();
    eventually("it goes on", || upstream.calls() > 3);
    assert_eq!(upstream.in_flight_most(), 1);
}

#[test]
fn what_goes_on_beside_a_flow_is_waited_for_at_the_end() {
    let gate = Gate::default();
    let shared = gate.clone();
    let upstream = Upstream::start(move |call| {
        shared.pass();
        call.respond(200, "");
    });
    let app = flow(
        "f",
        "/a",
        r##"<async><http:request config-ref="S" path="/beside"/><logger level="INFO" message="it was told"/></async><set-payload value="done"/>"##,
    );
    let gateway = setup(app, &[("S", &upstream.url())]).start();
    assert_eq!(gateway.get("/a").text(), "done");
    eventually("the call is under way", || gate.waiting() == 1);
    gateway.sigterm();
    gateway.log_line(|line| {
        line["message"]
            .as_str()
            .is_some_and(|it| it.starts_with("draining"))
    });
    gate.open();
    gateway.log_line(|line| line["message"] == "it was told");
    assert!(gateway.wait().success());
}

const COUNTING: &str = r##"<sub-flow name="pour"><set-variable variableName="n" value="#[vars.n + 1]"/>
  <choice><when expression="#[vars.n &lt; LAST]"><flow-ref name="again"/></when></choice></sub-flow>
<sub-flow name="again"><try><flow-ref name="pour"/></try></sub-flow>"##;

#[test]
fn sub_flows_refer_to_one_another_until_they_have_done_and_without_an_end_it_is_an_error() {
    for strict in [false, true] {
        let run = |last: &str| {
            let begin = r##"<set-variable variableName="n" value="#[0]"/><flow-ref name="pour"/><set-payload value="#[vars.n]"/>"##;
            let app = flow("f", "/a", begin) + &COUNTING.replace("LAST", last);
            let setup = setup(app, &[]);
            let setup = match strict {
                true => setup.arg("--compat").arg("strict"),
                false => setup,
            };
            let answer = setup.start().get("/a");
            (answer.status, answer.text())
        };
        assert_eq!(run("20"), (200, "20".into()));
        let (status, text) = run("1000000");
        assert_eq!(status, 500);
        assert!(text.contains("nested child contexts"), "{text}");
    }
}

#[test]
fn a_flow_that_is_stopped_does_not_run() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let app = format!(
        r##"<flow name="off" initialState="stopped"><http:listener config-ref="HTTP_Listener" path="/off"/><set-payload value="ran"/></flow>
<flow name="job" initialState="stopped"><scheduler><scheduling-strategy><fixed-frequency frequency="1"/></scheduling-strategy></scheduler><http:request config-ref="S" path="/job"/></flow>
{}{}"##,
        flow("on", "/on", r##"<set-payload value="on"/>"##),
        flow("calls", "/calls", r##"<flow-ref name="off"/>"##),
    );
    let gateway = setup(app, &[("S", &upstream.url())]).start();
    assert_eq!(gateway.get("/off").status, 404);
    assert_eq!(gateway.get("/on").text(), "on");
    let called = gateway.get("/calls");
    assert_eq!(
        (called.status, called.text()),
        (500, "the flow 'off' is stopped".into())
    );
    assert_eq!(upstream.calls(), 0);
}

#[test]
fn an_application_without_a_listener_becomes_ready() {
    let app = r##"<flow name="tick"><scheduler><scheduling-strategy><fixed-frequency frequency="20"/></scheduling-strategy></scheduler><logger message="tick"/></flow>"##;
    let gateway = Setup::new(app).start();
    assert_eq!(gateway.admin_get("/readyz").status, 200);
    let parts = gateway.admin_get("/readyz?verbose").text();
    assert!(parts.contains("listeners: ok: none"), "{parts}");
}

#[test]
fn a_cron_schedule_runs_by_the_clock() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let app = r##"<flow name="tick"><scheduler disallowConcurrentExecution="true"><scheduling-strategy><cron expression="* * * * * ?" timeZone="Asia/Tokyo"/></scheduling-strategy></scheduler><http:request config-ref="S" path="/tick"/></flow>"##;
    let _gateway = Setup::new(app).bind("S", &upstream.url()).start();
    eventually("it has run twice", || upstream.calls() >= 2);
}

#[test]
fn sub_flows_that_multiply_without_an_end_are_bounded() {
    for twice in [
        r##"<scatter-gather><route><flow-ref name="more"/></route><route><flow-ref name="more"/></route></scatter-gather>"##,
        r##"<async><flow-ref name="more"/></async><async><flow-ref name="more"/></async>"##,
        r##"<try><flow-ref name="more"/><error-handler><on-error-continue logException="false"><logger level="DEBUG"/></on-error-continue></error-handler></try><flow-ref name="more"/>"##,
    ] {
        let app = format!(
            r##"{}{}<sub-flow name="more">{twice}</sub-flow>"##,
            flow("f", "/a", r##"<flow-ref name="more"/>"##),
            flow("g", "/b", r##"<set-payload value="well"/>"##)
        );
        let gateway = setup(app, &[]).start();
        assert!([200, 500].contains(&gateway.get("/a").status));
        assert_eq!(gateway.get("/b").text(), "well");
    }
}

#[test]
fn a_request_has_the_id_that_it_names_and_a_listener_may_reconnect() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let app = r##"<flow name="f"><http:listener config-ref="HTTP_Listener" path="/a"><reconnect-forever frequency="1000"/></http:listener><http:request config-ref="S" path="/x" correlationId="#['tea-' ++ 7]"/></flow>"##;
    let gateway = setup(app, &[("S", &upstream.url())]).start();
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(
        upstream.last().fields.get("x-correlation-id"),
        Some("tea-7")
    );
}
