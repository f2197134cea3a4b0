//! The parts of a request that its configuration and its attributes set.

use fusebox_mule::Value;

use super::{Running, event};

fn app(config: &str, parts: &str, request: &str) -> String {
    format!(
        r#"<http:listener-config name="In"><http:listener-connection host="127.0.0.1" port="0"/></http:listener-config>
<http:request-config name="Out" {config}><http:request-connection host="h" port="1"><http:connectivity-test/></http:request-connection>{parts}</http:request-config>
<flow name="f"><http:listener config-ref="In" path="/"><reconnect/></http:listener><http:request config-ref="Out" path="/pot" {request}</flow>"#
    )
}

async fn id_sent(config: &str, request: &str) -> Option<String> {
    let running = Running::new(&app(config, "", &format!("{request}/>")));
    let mut asking = event("own");
    asking.correlation_id = "id".into();
    running.payload("f", asking).await;
    let calls = running.world.calls.lock().unwrap();
    let id = calls[0].headers.get("x-correlation-id");
    id.map(|id| id.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_request_sends_the_id_that_it_is_given_or_none() {
    let (never, always) = (
        r#"sendCorrelationId="NEVER""#,
        r#"sendCorrelationId="ALWAYS""#,
    );
    let own = r##"correlationId="#[payload]""##;
    for (config, request, sent) in [
        ("", "", Some("id")),
        ("", own, Some("own")),
        ("", never, None),
        (never, "", None),
        (never, always, Some("id")),
    ] {
        assert_eq!(
            id_sent(config, request).await.as_deref(),
            sent,
            "{config} {request}"
        );
    }
}

#[tokio::test]
async fn a_configuration_has_query_parameters_of_its_own() {
    let parts = r##"<http:default-query-params><http:default-query-param key="a" value="#['1 ' ++ payload]"/><http:default-query-param key="b" value="2"/></http:default-query-params>"##;
    let request = "><http:query-params>#[{b: 3, c: 4}]</http:query-params></http:request>";
    let running = Running::new(&app("", parts, request));
    running.payload("f", event("x")).await;
    assert_eq!(
        running.world.calls.lock().unwrap()[0].target,
        "/pot?a=1%20x&b=3&c=4"
    );
}

#[tokio::test]
async fn whether_redirects_are_followed_may_be_computed() {
    let running = Running::new(&app("", "", r##"followRedirects="#[payload]"/>"##));
    for follow in [true, false] {
        running.payload("f", event(Value::from(follow))).await;
    }
    let calls = running.world.calls.lock().unwrap();
    let followed: Vec<bool> = calls.iter().map(|call| call.follow_redirects).collect();
    assert_eq!(followed, [true, false]);
}
