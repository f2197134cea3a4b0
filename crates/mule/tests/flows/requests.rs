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

/// The calls of a flow whose payload chooses the server, or the error of its only request.
async fn chosen(connection: &str, base: &str, payload: Value) -> Result<String, String> {
    let app = format!(
        r##"<http:listener-config name="In"><http:listener-connection host="127.0.0.1" port="0"/></http:listener-config>
<http:request-config name="Out" basePath="{base}"><http:request-connection {connection}/></http:request-config>
<flow name="f"><http:listener config-ref="In" path="/"/><http:request config-ref="Out" path="/pot"/></flow>"##
    );
    let running = Running::new(&app);
    let ended = running.run("f", event(payload)).await;
    ended.map_err(|error| format!("{error:?}"))?;
    let calls = running.world.calls.lock().unwrap();
    let super::Call {
        host, port, target, ..
    } = &calls[0];
    Ok(format!("{host} {port} {target}"))
}

#[tokio::test]
async fn the_server_of_a_configuration_may_be_computed_for_each_request() {
    for (connection, base, payload, sent) in [
        (
            r##"host="#[payload]""##,
            "/",
            "a.example",
            "a.example 80 /pot",
        ),
        (
            r##"host="#[payload]" port="9000" protocol="HTTPS""##,
            "/v1",
            "b",
            "b 9000 /v1/pot",
        ),
        (
            r##"host="c" port="#[payload as Number]""##,
            "/",
            "8082",
            "c 8082 /pot",
        ),
        (
            r##"host="d" port="1""##,
            "#[payload]",
            "/tea",
            "d 1 /tea/pot",
        ),
        (r##"host="#[payload]""##, "/", "::1", "::1 80 /pot"),
    ] {
        let found = chosen(connection, base, payload.into()).await;
        assert_eq!(found.as_deref(), Ok(sent), "{connection}");
    }
    for (connection, payload) in [
        ("", ""),
        (r##"host="#[payload]""##, "a.example/x?"),
        (r##"host="#[payload]""##, ""),
        (r##"host="c" port="#[payload]""##, "65536"),
    ] {
        let found = chosen(connection, "/", payload.into()).await;
        assert!(found.is_err(), "{connection} {payload}: {found:?}");
    }
}
