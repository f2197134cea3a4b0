//! Messages between flows, their replies, and those that fail again and again.

use fusebox_mule::app::Compat;
use fusebox_mule::{Event, Value};

use super::{CONFIGS, Line, Running, errors, event, shown};

fn app(flows: &str) -> String {
    format!(
        "{CONFIGS}<vm:config name='V'><vm:queues><vm:queue queueName='q'/></vm:queues></vm:config>\n{flows}"
    )
}

const ASK: &str = r##"<flow name="ask"><http:listener config-ref="In" path="/"/>
<vm:publish-consume config-ref="V" queueName="q" timeout="2"><vm:content>#[payload ++ '?']</vm:content></vm:publish-consume></flow>"##;

#[tokio::test(start_paused = true)]
async fn a_message_may_have_a_reply() {
    let plain = r##"<flow name="tell"><vm:listener config-ref="V" queueName="q"/><set-payload value="#[payload ++ '!']"/></flow>"##;
    let other = r##"<flow name="tell"><vm:listener config-ref="V" queueName="q"><vm:response><vm:content>#[payload ++ attributes.queueName ++ correlationId]</vm:content></vm:response></vm:listener><logger/></flow>"##;
    for (tell, reply) in [(plain, "tea?!"), (other, "tea?qid")] {
        let running = Running::new(&app(&format!("{ASK}{tell}")));
        let asking = Event {
            correlation_id: "id".into(),
            ..event("tea")
        };
        let (told, ()) = tokio::join!(running.payload("ask", asking), running.take("tell"));
        assert_eq!(told, reply.into());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_may_be_an_error_or_not_come() {
    let tell = r#"<flow name="tell"><vm:listener config-ref="V" queueName="q"/><raise-error type="APP:COLD" description="no tea"/></flow>"#;
    let running = Running::new(&app(&format!("{ASK}{tell}")));
    let (told, ()) = tokio::join!(running.error("ask", event("a")), running.take("tell"));
    let (kind, what) = told;
    assert_eq!(kind, "VM:PUBLISH_CONSUMER_FLOW_ERROR");
    assert_eq!(what, "APP:COLD: no tea");
    let (kind, what) = running.error("ask", event("a")).await;
    assert_eq!(kind, "VM:QUEUE_TIMEOUT");
    assert_eq!(
        what,
        "Published messages to queue 'q' but got no response after timeout of 2 SECONDS"
    );
}

const TAKE: &str = r#"<flow name="put"><http:listener config-ref="In" path="/"/><vm:publish config-ref="V" queueName="q"/></flow>
<flow name="take"><vm:consume config-ref="V" queueName="q" timeout="500" timeoutUnit="MILLISECONDS"/></flow>
<flow name="kept"><vm:consume config-ref="V" queueName="q" target="cup"/><set-payload value="mine"/></flow>"#;

#[tokio::test(start_paused = true)]
async fn a_flow_takes_a_message_or_is_told_that_none_has_come() {
    let running = Running::new(&app(TAKE));
    for cup in ["a", "b"] {
        running.run("put", event(cup)).await.unwrap();
    }
    assert_eq!(running.payload("take", Event::default()).await, "a".into());
    let kept = running.run("kept", Event::default()).await.unwrap();
    assert_eq!(kept.vars["cup"].value, "b".into());
    assert_eq!(kept.payload.value, "mine".into());
    let (kind, what) = running.error("take", Event::default()).await;
    assert_eq!(kind, "VM:QUEUE_TIMEOUT");
    assert_eq!(
        what,
        "Tried to consume messages from VM queue 'q' but it was empty after timeout of 500 MILLISECONDS"
    );
    for kind in ["VM:QUEUE_TIMEOUT", "VM:EMPTY_QUEUE"] {
        let handled = TAKE.replace(
            "timeoutUnit=\"MILLISECONDS\"/>",
            &format!("timeoutUnit=\"MILLISECONDS\"/><error-handler><on-error-continue type=\"{kind}\"><set-payload value=\"none\"/></on-error-continue></error-handler>"),
        );
        let running = Running::new(&app(&handled));
        assert_eq!(
            running.payload("take", Event::default()).await,
            "none".into()
        );
    }
}

#[test]
fn a_queue_has_a_listener_or_is_taken_from() {
    let listening = r#"<flow name="l"><vm:listener config-ref="V" queueName="q"/><logger/></flow>"#;
    let said = "a.xml:5:19: error: `vm:consume` takes from `q`, which has a `vm:listener`; give each a queue of its own";
    let told = errors(&app(&format!("{TAKE}{listening}")), &Line::default());
    assert_eq!(told[0], said);
    assert_eq!(told.len(), 2);
}

fn redelivery(policy: &str, steps: &str) -> String {
    CONFIGS.to_owned()
        + &format!(
            r##"<flow name="f"><http:listener config-ref="In" path="/">{policy}</http:listener>
<http:request config-ref="Out" path="/"/>{steps}<error-handler>
<on-error-continue type="MULE:REDELIVERY_EXHAUSTED"><set-payload value="#[output application/json --- error.childErrors.*errorType.identifier]"/><set-variable variableName="httpStatus" value="429"/></on-error-continue>
<on-error-continue><set-payload value="failed"/></on-error-continue></error-handler></flow>"##
        )
}

const FAIL: &str = r##"<choice><when expression="#[vars.good != true]"><raise-error type="APP:BAD"/></when></choice>"##;

#[tokio::test]
async fn a_message_that_fails_again_and_again_does_not_reach_the_flow() {
    for (policy, deliveries) in [
        (r#"<redelivery-policy maxRedeliveryCount="2"/>"#, 3),
        (
            r##"<redelivery-policy idExpression="#['same']" maxRedeliveryCount="0"/>"##,
            1,
        ),
        (r#"<redelivery-policy/>"#, 6),
    ] {
        let app = redelivery(policy, &FAIL.replace("vars.good", "vars.never"));
        let running = Running::new(&app);
        for _ in 0..deliveries {
            let reply = running.reply("f", event("tea")).await;
            assert_eq!(shown(&reply), (200, "failed"), "{policy}");
        }
        let reply = running.reply("f", event("tea")).await;
        assert_eq!(reply.status, 429);
        let children = shown(&reply).1.matches("BAD").count();
        assert_eq!(children, deliveries);
        // The upstream hears nothing of it, and another message is another.
        let calls = || running.world.calls.lock().unwrap().len();
        assert_eq!(calls(), deliveries);
        let other = running.reply("f", event("coffee")).await;
        let same_id = policy.contains("idExpression");
        assert_eq!(other.status == 429, same_id, "{policy}");
    }
}

#[tokio::test]
async fn a_success_starts_the_count_anew() {
    let policy = r##"<redelivery-policy maxRedeliveryCount="1" idExpression="#[payload.id]"/>"##;
    let app = redelivery(policy, "").replace(
        "<http:request config-ref",
        r##"<choice><when expression="#[payload.bad == true]"><raise-error type="APP:BAD"/></when></choice><http:request config-ref"##,
    );
    let running = Running::new(&app);
    let message = |bad: bool| event(Value::record([("id", "a".into()), ("bad", bad.into())]));
    for (bad, status) in [
        (true, 200),
        (false, 200),
        (true, 200),
        (true, 200),
        (false, 429),
    ] {
        let reply = running.reply("f", message(bad)).await;
        assert_eq!(reply.status, status);
    }
}

#[test]
fn a_policy_must_tell_messages_apart() {
    for (policy, said) in [
        (
            r#"<redelivery-policy useSecureHash="false"/>"#,
            "a.xml:3:56: error: this `redelivery-policy` has no way to tell messages apart; add `idExpression=\"#[…]\"`, or remove `useSecureHash`",
        ),
        (
            r##"<redelivery-policy messageDigestAlgorithm="MD5" idExpression="#[payload]"/>"##,
            "a.xml:3:75: error: `messageDigestAlgorithm` is for messages without an `idExpression`; remove one of the two",
        ),
    ] {
        for compat in [Compat::Intent, Compat::Strict] {
            let line = Line {
                compat,
                ..Line::default()
            };
            assert_eq!(errors(&redelivery(policy, ""), &line), [said]);
        }
    }
}
