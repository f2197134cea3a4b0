//! Mule's HTTP connector over sockets: what a flow hears of requests, what it asks of others.

use crate::support::mule::{flow, setup};
use crate::support::{Dial, Gate, Refusing, Upstream, eventually};

const TELL: &str = r##"<ee:transform><ee:message><ee:set-payload><![CDATA[output application/json indent=false
--- {
  method: attributes.method, path: attributes.requestPath, raw: attributes.rawRequestPath,
  masked: attributes.maskedRequestPath, listener: attributes.listenerPath, relative: attributes.relativePath,
  id: attributes.uriParams.id, q: attributes.queryParams.*q, two: attributes.headers.*'X-Two',
  local: attributes.localAddress, body: payload
}]]></ee:set-payload></ee:message></ee:transform>"##;

#[test]
fn a_flow_hears_all_of_a_request() {
    let app = [
        flow("one", "/api/o/{id}", TELL),
        flow("rest", "/api/files/*", TELL),
    ];
    let gateway = setup(app.concat(), &[]).start();
    let mut client = gateway.client();
    let lines = "X-Two: a\r\nX-Two: b\r\nContent-Type: text/plain\r\n";
    let told = client.request("POST", "/api/o/a%20b/?q=1&q=%C3%A9+x", lines, "hello");
    let wanted = serde_json::json!({
        "method": "POST", "path": "/api/o/a b/", "raw": "/api/o/a%20b/", "masked": null,
        "listener": "/api/o/{id}", "relative": "/api/o/a b/", "id": "a b", "q": ["1", "é x"],
        "two": ["a", "b"], "local": format!("/{}", gateway.addr()), "body": "hello",
    });
    assert_eq!(told.json(), wanted, "{}", told.text());
    assert_eq!(told.fields.get("content-type"), Some("application/json"));
    let told = client.get("/api/files/x/y").json();
    assert_eq!(
        (&told["masked"], &told["listener"]),
        (&"/x/y".into(), &"/api/files/*".into())
    );
}

#[test]
fn who_has_no_listener_is_told_so_as_mule_does() {
    let app = r##"<flow name="f"><http:listener config-ref="HTTP_Listener" path="/a" allowedMethods="POST"/><set-payload value="ok"/></flow>"##;
    let gateway = setup(app, &[]).start();
    let mut client = gateway.client();
    let told = client.get("/b%3Cscript%3E'");
    assert_eq!(told.status, 404);
    assert_eq!(told.text(), "No listener for endpoint: /b%3Cscript%3E&#39;");
    let told = client.get("/a");
    assert_eq!((told.status, told.fields.get("allow")), (405, Some("POST")));
    assert_eq!(told.text(), "Method not allowed for endpoint: /a");
    let told = client.post("/a/", "");
    assert_eq!((told.status, told.text()), (200, "ok".into()));
    assert!(!told.fields.has("content-type"));
}

#[test]
fn a_response_is_what_the_listener_says() {
    let app = r##"<flow name="f"><http:listener config-ref="HTTP_Listener" path="/a">
  <http:response statusCode="#[vars.code]" reasonPhrase="Made"><http:body>#[payload]</http:body><http:headers>#[{'X-A': 'b'}]</http:headers></http:response>
  <http:error-response statusCode="418"><http:headers>#[{'X-Type': error.errorType as String}]</http:headers></http:error-response>
</http:listener>
<set-variable variableName="code" value="201"/><set-payload value="made"/>
<choice><when expression="#[attributes.queryParams.bad != null]"><raise-error type="APP:BAD" description="no good"/></when></choice></flow>"##;
    let gateway = setup(app, &[]).start();
    let made = gateway.get("/a");
    assert_eq!(
        (made.status, made.text(), made.fields.get("x-a")),
        (201, "made".into(), Some("b"))
    );
    let bad = gateway.get("/a?bad=1");
    assert_eq!((bad.status, bad.text()), (418, "no good".into()));
    assert_eq!(bad.fields.get("x-type"), Some("APP:BAD"));
}

#[test]
fn a_flow_takes_so_many_requests_and_keeps_the_place_of_who_has_left() {
    let gate = Gate::default();
    let shared = gate.clone();
    let upstream = Upstream::start(move |call| {
        shared.pass();
        call.respond(200, "slow");
    });
    let app = r##"<flow name="f" maxConcurrency="1"><http:listener config-ref="HTTP_Listener" path="/a"/><http:request config-ref="S" path="/x"/></flow>"##;
    let gateway = setup(app, &[("S", &upstream.url())]).start();
    let mut first = gateway.client();
    first.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    eventually("the first is at work", || gate.waiting() == 1);
    let refused = gateway.get("/a");
    assert_eq!((refused.status, refused.text()), (503, String::new()));
    first.wire.reset();
    let left = || gateway.metric("http_server_active_requests") == Some(0.0);
    eventually("the first has left", left);
    assert_eq!(gateway.get("/a").status, 503);
    assert_eq!(upstream.calls(), 1);
    gate.open();
    eventually("its run has ended", || gateway.get("/a").status == 200);
}

#[test]
fn a_connection_closed_before_the_answer_is_tried_again_where_that_does_no_harm() {
    let upstream = Upstream::start(crate::support::Call::close);
    let url = upstream.url();
    let app = [
        flow(
            "get",
            "/get",
            r##"<http:request config-ref="S" path="/x"/>"##,
        ),
        flow(
            "post",
            "/post",
            r##"<http:request config-ref="S" path="/x" method="POST"/>"##,
        ),
    ];
    let gateway = setup(app.concat(), &[("S", &url)]).workers(1).start();
    let failed = gateway.get("/get");
    let told = format!("HTTP GET on resource '{url}/x' failed: Remotely closed.");
    assert_eq!((failed.status, failed.text()), (500, told));
    assert_eq!(upstream.calls(), 4);
    assert_eq!(gateway.get("/post").status, 500);
    assert_eq!(upstream.calls(), 5);
}

#[test]
fn an_idle_connection_that_was_closed_costs_nothing() {
    let upstream = Upstream::dialled(&Dial::at(200));
    let app = flow(
        "post",
        "/post",
        r##"<http:request config-ref="S" path="/x" method="POST"/>"##,
    );
    let gateway = setup(app, &[("S", &upstream.url())]).workers(1).start();
    assert_eq!(gateway.get("/post").status, 200);
    assert_eq!(gateway.get("/post").status, 200);
    assert_eq!(upstream.connections(), 1);
    upstream.cut_connections();
    eventually("it is closed", || upstream.open() == 0);
    let idle = format!(
        "fusebox_upstream_idle_connections{{upstream=\"{}\"}}",
        upstream.url()
    );
    eventually("the gateway knows", || gateway.metric(&idle) == Some(0.0));
    assert_eq!(gateway.get("/post").status, 200);
}

#[test]
fn redirects_are_followed_and_cookies_kept() {
    let upstream = Upstream::start(|call| match call.seen.target.as_str() {
        "/login" => call.respond_with(302, "Location: /home\r\nSet-Cookie: s=1; Path=/\r\n", ""),
        _ => {
            let cookie = call.seen.fields.get("cookie").unwrap_or("none").to_owned();
            let method = call.seen.method.clone();
            call.respond_with(
                200,
                "Content-Type: text/plain\r\n",
                &format!("{method} {cookie}"),
            );
        }
    });
    let app = [
        flow(
            "login",
            "/login",
            r##"<http:request config-ref="S" path="/login" method="POST"/>"##,
        ),
        flow(
            "no",
            "/no",
            r##"<http:request config-ref="S" path="/login" followRedirects="false"/><set-payload value="#[attributes.statusCode]"/>"##,
        ),
        flow(
            "home",
            "/home",
            r##"<http:request config-ref="S" path="/home"/>"##,
        ),
    ];
    let gateway = setup(app.concat(), &[("S", &upstream.url())]).start();
    assert_eq!(gateway.get("/home").text(), "GET none");
    assert_eq!(gateway.get("/login").text(), "GET s=1");
    assert_eq!(gateway.get("/home").text(), "GET s=1");
    assert_eq!(gateway.get("/no").text(), "302");
}

#[test]
fn an_upstream_hears_whose_event_it_is() {
    let upstream = Upstream::start(|call| {
        let id = call
            .seen
            .fields
            .get("x-correlation-id")
            .unwrap_or_default()
            .to_owned();
        let body = call.text();
        call.respond_with(200, "Content-Type: text/plain\r\n", &format!("{id} {body}"));
    });
    let app = flow(
        "f",
        "/a",
        r##"<http:request config-ref="S" path="/x" method="PUT"/>"##,
    );
    let gateway = setup(app, &[("S", &upstream.url())]).start();
    let mut client = gateway.client();
    let told = client.request("PUT", "/a", "X-Correlation-ID: abc\r\n", "body");
    assert_eq!(told.text(), "abc body");
    assert_eq!(upstream.last().fields.get("content-length"), Some("4"));
}

#[test]
fn nobody_answers_in_the_words_that_flows_wait_for() {
    let refusing = Refusing::new();
    let app = [
        flow(
            "refused",
            "/refused",
            r##"<http:request config-ref="S" path="/x"/>"##,
        ),
        flow(
            "unknown",
            "/unknown",
            r##"<http:request url="http://nobody.invalid/x"/>"##,
        ),
        flow(
            "portless",
            "/portless",
            r##"<http:request url="http://127.0.0.1:99999/x"/>
            <error-handler><on-error-continue type="HTTP:CONNECTIVITY"><set-payload value="#[error.description]"/></on-error-continue></error-handler>"##,
        ),
    ];
    let gateway = setup(app.concat(), &[("S", &refusing.url())]).start();
    let told = gateway.get("/refused");
    assert_eq!(told.status, 500);
    assert!(
        told.text().ends_with("failed: Connection refused."),
        "{}",
        told.text()
    );
    let told = gateway.get("/unknown").text();
    assert!(
        told.starts_with("HTTP GET on resource 'http://nobody.invalid:80/x' failed: "),
        "{told}"
    );
    assert_eq!(
        gateway.get("/portless").text(),
        "the port of 'http://127.0.0.1:99999/x' is not from 1 to 65535"
    );
}

#[test]
fn a_listener_answers_the_scripts_of_the_origins_that_it_lets_in() {
    let app = r##"<http:listener-config name="HTTP_Listener"><http:listener-connection host="127.0.0.1" port="0"/>
<http:listener-interceptors><http:cors-interceptor allowCredentials="true"><http:origins>
<http:origin url="http://tea.example" accessControlMaxAge="9"><http:allowed-methods><http:method methodName="PUT"/></http:allowed-methods></http:origin>
</http:origins></http:cors-interceptor></http:listener-interceptors></http:listener-config>
<flow name="f"><http:listener config-ref="HTTP_Listener" path="/cup" allowedMethods="PUT"/><raise-error type="APP:BAD" description="no"/></flow>"##;
    let gateway = setup(app, &[]).start();
    let mut client = gateway.client();
    let tea = "Origin: http://tea.example\r\n";
    let asking = format!("{tea}Access-Control-Request-Method: PUT\r\n");
    let told = client.request("OPTIONS", "/cup", &asking, "");
    assert_eq!((told.status, told.text()), (200, String::new()));
    assert_eq!(told.fields.get("access-control-max-age"), Some("9"));
    for (method, path, status) in [
        ("PUT", "/cup", 500),
        ("GET", "/cup", 405),
        ("GET", "/no", 404),
    ] {
        let told = client.request(method, path, tea, "");
        assert_eq!(told.status, status);
        let origin = told.fields.get("access-control-allow-origin");
        assert_eq!(origin, Some("http://tea.example"), "{method} {path}");
        let told = client.request(method, path, "Origin: http://else.example\r\n", "");
        assert!(!told.fields.has("access-control-allow-origin"));
    }
}
