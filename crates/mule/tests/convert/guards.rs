//! Guards of an upstream are kept, or their loss is an error.

use fusebox_plan::Severity;

use crate::{converted, lossy, native, told};

const GATE: &str = r##"<flow name="tea"><http:listener config-ref="L" path="/cup" allowedMethods="GET"/>
  <choice><when expression="#[attributes.queryParams.age as Number &lt; 18]"><raise-error type="APP:YOUNG"/></when></choice>
  <http:request config-ref="S" path="/cup"/></flow>"##;

#[test]
fn a_gate_that_is_lost_is_an_error_at_its_line_unless_accepted() {
    let conversion = converted(GATE);
    assert_eq!(conversion.yaml, None);
    let errors: Vec<_> = conversion
        .diagnostics
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        errors,
        [
            "src/orders.xml:2:3: error: not carried: the gate of `tea`, which answers some requests with 500 `An error occurred.`: here every request goes to the upstream; guard the upstream in another way, and accept the loss with `--lossy`"
        ]
    );
    let conversion = lossy(GATE);
    native(&conversion);
    assert!(
        conversion
            .diagnostics
            .iter()
            .all(|it| it.severity == Severity::Warning)
    );
    let yaml = conversion.yaml.unwrap_or_default();
    assert!(
        yaml.contains("# - orders.xml:2: the gate of `tea`"),
        "{yaml}"
    );
}

#[test]
fn an_expression_that_fails_by_the_request_is_a_guard() {
    for guard in [
        r##"<set-variable variableName="n" value="#[attributes.queryParams.n as Number]"/>"##,
        r##"<set-variable variableName="n" value="#[attributes.headers.key!]"/>"##,
        r##"<logger message="#[payload.day as Date {format: 'yyyy'}]"/>"##,
        r##"<logger message="#[payload.items map ($.n as Number)]"/>"##,
        r##"<set-variable variableName="n" value="#[payload splitBy ',']"/><logger message="#[vars.n[0] as Number]"/>"##,
        r##"<ee:transform><ee:message><ee:set-payload>output application/json --- {n: payload.n as Number}</ee:set-payload></ee:message></ee:transform>"##,
        r##"<set-variable variableName="n" value="#[attributes.queryParams.n]"/><set-payload value="#[vars.n as Number]"/>"##,
        r##"<choice><when expression="#[attributes.queryParams.n as Number > 1]"><logger/></when></choice>"##,
    ] {
        let text = format!(
            r##"<flow name="tea"><http:listener config-ref="L" path="/cup" allowedMethods="GET"/>
{guard}
  <http:request config-ref="S" path="/cup"/></flow>"##
        );
        let conversion = converted(&text);
        assert_eq!(conversion.yaml, None, "{guard}");
        let said = conversion.diagnostics.iter().map(ToString::to_string);
        let said: Vec<_> = said
            .filter(|line| line.contains("cannot convert"))
            .collect();
        assert_eq!(said.len(), 1, "{guard}: {said:#?}");
        assert!(said[0].starts_with("src/orders.xml:2:"), "{said:#?}");
        assert!(said[0].contains(" error: not carried: "), "{said:#?}");
        native(&lossy(&text));
    }
}

#[test]
fn an_expression_that_no_request_makes_fail_is_no_guard() {
    for fine in [
        r##"<logger message="#[now() as Number]"/>"##,
        r##"<logger message="#[attributes.queryParams.n as String]"/>"##,
        r##"<set-variable variableName="n" value="7"/><logger message="#[vars.n as Number]"/>"##,
        r##"<logger message="#[uuid()]"/>"##,
        r##"<logger message="#[(payload splitBy ',') as Iterator]"/>"##,
        r##"<logger message="#[payload as Object {class: 'com.example.Tea'}]"/>"##,
        r##"<set-variable variableName="n" value="0"/><logger message="#[(2 pow vars.n + randomInt(500)) as Number]"/>"##,
    ] {
        let text = format!(
            r##"<flow name="tea"><http:listener config-ref="L" path="/cup" allowedMethods="GET"/>
{fine}
  <http:request config-ref="S" path="/cup"/><set-payload value="#[payload.n as Number]"/></flow>"##
        );
        let conversion = converted(&text);
        let said = conversion.diagnostics.iter().map(ToString::to_string);
        let said: Vec<_> = said
            .filter(|line| line.contains("cannot convert"))
            .collect();
        assert_eq!(said, [""; 0], "{fine}");
    }
}

#[test]
fn a_validation_and_a_lock_are_guards() {
    for (guard, line) in [
        (
            r##"<validation:is-not-blank-string value="#[attributes.queryParams.key]"/>"##,
            2,
        ),
        (
            r##"<validation:is-true expression="#[attributes.queryParams.key == 'x']"/>"##,
            2,
        ),
        (
            r##"<os:store key="lock" objectStore="locks" failIfPresent="true"><os:value>1</os:value></os:store>"##,
            2,
        ),
        (r##"<flow-ref name="inner"/>"##, 4),
        (r##"<idempotent-message-validator/>"##, 2),
        (
            r##"<validation:all><validation:is-email email="#[payload]"/></validation:all>"##,
            2,
        ),
    ] {
        let text = format!(
            "<flow name=\"tea\"><http:listener config-ref=\"L\" path=\"/cup\" allowedMethods=\"GET\"/>\n{guard}\n<http:request config-ref=\"S\" path=\"/cup\"/></flow><sub-flow name=\"inner\">\n\
             <choice><when expression=\"#[attributes.queryParams.key == null]\"><raise-error type=\"APP:NO\"/></when></choice></sub-flow>"
        );
        let conversion = converted(&text);
        assert_eq!(conversion.yaml, None, "{guard}");
        let errors: Vec<u32> = conversion
            .diagnostics
            .iter()
            .filter(|it| it.severity == Severity::Error)
            .map(|it| it.line)
            .collect();
        assert_eq!(errors, [line], "{guard}: {}", told(&conversion));
    }
}

#[test]
fn a_script_that_fails_is_a_guard() {
    let inner = |script: &str| {
        format!(
            "<ee:transform><ee:variables><ee:set-variable variableName=\"key\"><![CDATA[%dw 2.0\n{script}]]></ee:set-variable></ee:variables></ee:transform>"
        )
    };
    let flow = |before: &str| {
        format!(
            "<flow name=\"tea\"><http:listener config-ref=\"L\" path=\"/cup\" allowedMethods=\"GET\"/>\n{before}\n<http:request config-ref=\"S\" path=\"/cup\"/></flow>"
        )
    };
    for before in [
        inner(
            "import fail from dw::Runtime\n---\nattributes.queryParams.key default fail('no key')",
        ),
        inner("import * from dw::Runtime\n---\nattributes.queryParams.key failIf isBlank($)"),
        inner("import dw::Runtime\n---\nif (attributes.queryParams.key == null) Runtime::fail() else 1"),
        r##"<set-variable variableName="key" value="#[attributes.queryParams.key default dw::Runtime::fail('no')]"/>"##.to_owned(),
    ] {
        let text = flow(&before);
        let conversion = converted(&text);
        assert_eq!(conversion.yaml, None, "{before}");
        let told = told(&conversion);
        assert!(
            told.contains("orders.xml:2:")
                && told.contains("error: not carried: the failure that a script raises by `fail`"),
            "{told}"
        );
        let yaml = lossy(&text).yaml.unwrap_or_default();
        assert!(yaml.contains("# - orders.xml:2: the failure that"), "{yaml}");
    }
    let harmless = inner("var fail = 1\n---\nfail");
    assert!(converted(&flow(&harmless)).yaml.is_some(), "{harmless}");
}

#[test]
fn a_validation_that_refuses_for_an_open_circuit_is_the_breaker() {
    let text = r##"<os:object-store name="Tea" entryTtl="60"/><flow name="tea"><http:listener config-ref="L" path="/cup" allowedMethods="GET"/>
  <os:contains key="open" objectStore="Tea" target="open"/>
  <validation:is-false expression="#[vars.open]"/>
  <http:request config-ref="S" path="/cup"/>
  <error-handler><on-error-propagate type="HTTP:CONNECTIVITY">
    <os:store key="open" objectStore="Tea"><os:value>yes</os:value></os:store>
  </on-error-propagate></error-handler></flow>"##;
    native(&converted(text));
    let other = text.replace(
        "vars.open]",
        "vars.open or attributes.queryParams.key == null]",
    );
    let told = told(&converted(&other));
    assert!(
        told.contains("orders.xml:3:3: error: not carried"),
        "{told}"
    );
}

#[test]
fn a_guard_of_a_flow_that_a_router_or_a_queue_starts_is_not_lost_unsaid() {
    let gate = r##"<choice><when expression="#[attributes.headers.key == null]"><raise-error type="APP:NO"/></when></choice>
  <http:request config-ref="S" path="/cup"/>"##;
    let queue =
        r##"<vm:config name="V"><vm:queues><vm:queue queueName="q"/></vm:queues></vm:config>"##;
    let router = r##"<apikit:config name="api" raml="a.raml"/><flow name="main"><http:listener config-ref="L" path="/api/*"/><apikit:router config-ref="api"/></flow>"##;
    for (text, line) in [
        (
            format!("{router}<flow name=\"get:\\cup:api\">\n{gate}</flow>"),
            2,
        ),
        (
            format!(
                "{queue}<flow name=\"tea\"><vm:listener config-ref=\"V\" queueName=\"q\"/>\n{gate}</flow>"
            ),
            2,
        ),
        (
            r##"<flow name="tea"><http:listener config-ref="L" path="/cup"><redelivery-policy maxRedeliveryCount="2" idExpression="#[payload]"/></http:listener>
  <http:request config-ref="S" path="#[payload.path]"/></flow>"##.to_owned(),
            1,
        ),
    ] {
        let conversion = converted(&text);
        let errors = conversion.diagnostics.iter();
        let errors: Vec<u32> = errors
            .filter(|it| it.severity == Severity::Error)
            .map(|it| it.line)
            .collect();
        assert_eq!(errors, [line], "{text}: {}", told(&conversion));
        assert!(lossy(&text).yaml.is_some(), "{text}");
    }
}

#[test]
fn a_choice_that_keeps_nobody_back_is_no_gate() {
    let text = r##"<flow name="tea"><http:listener config-ref="L" path="/cup" allowedMethods="GET"/>
      <choice><when expression="#[attributes.queryParams.age == 'low']"><logger message="young"/></when></choice>
      <http:request config-ref="S" path="/cup"/></flow>"##;
    native(&converted(text));
}

#[test]
fn a_circuit_is_written_though_its_route_is_not() {
    let seed = crate::SEED.replace(
        "<!-- Success: reset failure count -->",
        "<set-payload value=\"#[payload.orders]\"/>",
    );
    let other = r##"<flow name="other"><http:listener config-ref="HTTP_Listener" path="/o" allowedMethods="GET"/><http:request config-ref="Order_Service" path="/o"/></flow>"##;
    let conversion = converted(&format!("{seed}{other}"));
    let plan = native(&conversion);
    assert_eq!(plan.routes.len(), 1);
    let names: Vec<&str> = plan.upstreams.iter().map(|it| &*it.name).collect();
    assert_eq!(
        names,
        ["circuit-breaker-store/circuit-state", "Order_Service"]
    );
    let yaml = conversion.yaml.unwrap_or_default();
    let call = crate::line("<http:request");
    let left = format!(
        "  # not carried: its response is not that of the call (orders.xml:{call})\n  # - name: \"circuit-breaker-flow\"\n"
    );
    assert!(yaml.contains(&left), "{yaml}");
}

#[test]
fn a_circuit_alone_gives_an_upstream_with_its_breaker() {
    let seed = crate::SEED.replace(
        "<!-- Success: reset failure count -->",
        "<set-payload value=\"#[payload.orders]\"/>",
    );
    let conversion = converted(&seed);
    let plan = native(&conversion);
    assert!(plan.routes.is_empty());
    assert_eq!(plan.upstreams[0].breaker.settings.trip.len(), 1);
    let told = told(&conversion);
    assert!(told.contains("warning: not carried: the flow `circuit-breaker-flow`: its response is not that of the call"), "{told}");
}

#[test]
fn a_circuit_that_becomes_no_breaker_is_an_error() {
    // The server that it calls is known at run time alone.
    let text = crate::SEED.replace(
        "config-ref=\"Order_Service\" path=\"/orders\"",
        "url=\"#['http://' ++ attributes.queryParams.host]\"",
    );
    let other = r##"<flow name="other"><http:listener config-ref="HTTP_Listener" path="/o" allowedMethods="GET"/><http:request config-ref="S" path="/o"/></flow>"##;
    let conversion = converted(&format!("{text}{other}"));
    assert_eq!(conversion.yaml, None);
    let told = told(&conversion);
    assert!(
        told.contains("error: not carried: the circuit `circuit-breaker-store/circuit-state`"),
        "{told}"
    );
}

/// The errors of a conversion, each with its line.
fn errors(text: &str) -> Vec<(u32, String)> {
    let conversion = converted(text);
    let errors = conversion.diagnostics.iter();
    let errors = errors.filter(|it| it.severity == Severity::Error);
    errors.map(|it| (it.line, it.what.clone())).collect()
}

/// A flow that changes the upstream's answer, so that no native route says it.
fn changed(before: &str) -> String {
    format!(
        "<flow name=\"tea\"><http:listener config-ref=\"L\" path=\"/cup\"/>\n{before}\n<http:request config-ref=\"S\" path=\"/cup\"/>\n\
         <ee:transform><ee:message><ee:set-payload>output application/json --- {{cup: payload}}</ee:set-payload></ee:message></ee:transform></flow>"
    )
}

#[test]
fn a_flow_without_a_native_route_gives_its_upstreams_and_the_route_as_a_comment() {
    let two = r##"<flow name="two"><http:listener config-ref="L" path="/a"/>
        <http:request config-ref="S" path="/a"/><http:request config-ref="T" path="#[vars.path]"/></flow>
        <flow name="clock"><scheduler><scheduling-strategy><fixed-frequency frequency="1000"/></scheduling-strategy></scheduler>
        <http:request config-ref="S" path="/tick"/></flow>"##;
    for (text, reason, upstreams) in [
        (
            changed(""),
            "its response is not that of the call (orders.xml:3)",
            1,
        ),
        (
            two.to_owned(),
            "it makes several calls, and a native route makes one (orders.xml:1)",
            2,
        ),
    ] {
        let conversion = converted(&text);
        let plan = native(&conversion);
        assert!(plan.routes.is_empty());
        assert_eq!(plan.upstreams.len(), upstreams);
        let yaml = conversion.yaml.unwrap_or_default();
        let comment = format!("  # not carried: {reason}\n  # - name: ");
        assert!(yaml.contains(&comment), "{yaml}");
    }
}

#[test]
fn a_guard_of_a_route_that_is_a_comment_is_not_lost_either() {
    let gate = r##"<choice><when expression="#[attributes.headers.key != 'x']"><raise-error type="APP:NO"/></when></choice>"##;
    let check = r##"<validation:is-true expression="#[attributes.headers.key == 'x']"/>"##;
    for guard in [gate, check] {
        let text = changed(guard);
        let lines: Vec<u32> = errors(&text).iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2], "{guard}");
        let conversion = lossy(&text);
        native(&conversion);
        let yaml = conversion.yaml.unwrap_or_default();
        assert!(yaml.contains("# - orders.xml:2: "), "{yaml}");
    }
}

#[test]
fn a_limit_of_a_route_that_is_a_comment_stands_at_its_upstream() {
    let text = changed("").replace(
        "<flow name=\"tea\"",
        "<flow name=\"tea\" maxConcurrency=\"3\"",
    );
    let conversion = converted(&text);
    let plan = native(&conversion);
    let bulkhead = plan.upstreams[0].bulkhead.as_ref();
    assert!(bulkhead.is_some(), "{:?}", conversion.yaml);
    let answer = r##"<flow name="ok" maxConcurrency="3"><http:listener config-ref="L" path="/ok"/><set-payload value="ok"/></flow>"##;
    let conversion = converted(answer);
    native(&conversion);
    assert!(told(&conversion).contains("the limit of `ok` to 3 concurrent requests"));
}

#[test]
fn a_remedy_promises_what_a_conversion_does() {
    let mends = |text: &str| {
        let conversion = lossy(text);
        let mends = conversion.diagnostics.iter();
        let mends = mends.filter(|it| it.what.contains("half-open"));
        mends.map(|it| it.to_string()).collect::<Vec<_>>()
    };
    let native = "`fusebox convert` writes a native breaker that does not have this flaw";
    assert!(mends(crate::SEED)[0].ends_with(native));
    // The server that it calls is known at run time alone.
    let computed = crate::SEED.replace(
        "config-ref=\"Order_Service\" path=\"/orders\"",
        "url=\"#['http://' ++ attributes.queryParams.host]\"",
    );
    let mend = &mends(&computed)[0];
    assert!(
        mend.ends_with("`fusebox convert` does not write this circuit"),
        "{mend}"
    );
    let gate = r##"<choice><when expression="#[attributes.headers.key != 'x']"><raise-error type="APP:NO"/></when></choice>"##;
    let guarded = crate::SEED.replace("<try>", &format!("{gate}<try>"));
    let mend = &mends(&guarded)[0];
    assert!(mend.contains("`fusebox convert --lossy` writes"), "{mend}");
}

#[test]
fn the_circuit_of_a_policy_becomes_the_breaker_of_its_route() {
    let policy = r##"<os:object-store name="guards" entryTtl="1" entryTtlUnit="HOURS"/>
      <http-policy:proxy name="guard"><http-policy:source>
      <os:retrieve key="tea" objectStore="guards" target="c"><os:default-value>#[{state: 'CLOSED', n: 0, at: 0}]</os:default-value></os:retrieve>
      <choice><when expression="#[vars.c.state == 'OPEN' and (now() as Number) - vars.c.at &lt; 20]">
        <http-transform:set-response statusCode="503"><http-transform:body>wait</http-transform:body></http-transform:set-response>
      </when><otherwise><try><http-policy:execute-next/>
        <os:store key="tea" objectStore="guards"><os:value>#[{state: 'CLOSED', n: 0, at: 0}]</os:value></os:store>
        <error-handler><on-error-propagate type="HTTP:CONNECTIVITY, HTTP:TIMEOUT">
          <os:store key="tea" objectStore="guards"><os:value>#[{state: if (vars.c.n >= 4) 'OPEN' else 'CLOSED', n: vars.c.n + 1, at: now() as Number}]</os:value></os:store>
        </on-error-propagate></error-handler></try></otherwise></choice>
      </http-policy:source></http-policy:proxy>
      <flow name="tea"><http:listener config-ref="L" path="/cup" allowedMethods="GET"/><http:request config-ref="S" path="/pot"/></flow>"##;
    let plan = native(&converted(policy));
    let breaker = &plan.upstreams[0].breaker;
    let rule = fusebox_breaker::Rule::ConsecutiveFailures {
        threshold: 5,
        within: None,
    };
    assert_eq!(breaker.settings.trip, [rule]);
    assert_eq!(breaker.settings.cooldown.base.as_secs(), 20);
    let fusebox_plan::plan::Step::Forward(forward) = &plan.routes[0].steps[0] else {
        panic!("{:?}", plan.routes[0])
    };
    let answers: Vec<_> = forward.fallback().iter().map(crate::answer).collect();
    assert_eq!(answers.len(), 1);
    assert_eq!(
        (answers[0].0, answers[0].1, &*answers[0].3),
        ("refused", 503, "wait")
    );
}

#[test]
fn the_clients_own_path_goes_on() {
    let text = r##"<flow name="a"><http:listener config-ref="L" path="/a/*"/><http:request config-ref="S" method="#[attributes.method]" path="#[attributes.maskedRequestPath]"/></flow>
      <flow name="b"><http:listener config-ref="L" path="/b/*"/><http:request config-ref="S" method="#[attributes.method]" path="#[attributes.requestPath]"/></flow>"##;
    let conversion = converted(text);
    assert_eq!(native(&conversion).routes.len(), 2);
    let yaml = conversion.yaml.unwrap_or_default();
    assert!(yaml.contains("rewrite: \"/{rest}\""), "{yaml}");
    assert_eq!(yaml.matches("rewrite").count(), 1, "{yaml}");
}

#[test]
fn a_limit_of_redeliveries_is_a_guard() {
    let limited = r##"<flow name="tea"><http:listener config-ref="L" path="/cup" allowedMethods="GET"><redelivery-policy/></http:listener>
  <http:request config-ref="S" path="/cup"/></flow>"##;
    assert_eq!(converted(limited).yaml, None);
    let conversion = lossy(limited);
    native(&conversion);
    let yaml = conversion.yaml.unwrap_or_default();
    let said = "# - orders.xml:1: the limit of a message's redeliveries";
    assert!(yaml.contains(said), "{yaml}");
}

#[test]
fn a_listener_keeps_its_certificate_and_the_check_of_its_callers() {
    let stores = r#"<tls:trust-store path="server.pem"/><tls:key-store path="server.pem"/>"#;
    let text = format!(
        r#"<http:listener-config name="In"><http:listener-connection host="127.0.0.1" port="8443" protocol="HTTPS"><tls:context>{stores}</tls:context></http:listener-connection></http:listener-config>
<flow name="tea"><http:listener config-ref="In" path="/cup" allowedMethods="GET"/>
  <http:request config-ref="S" path="/cup"/></flow>"#
    );
    let yaml = converted(&text).yaml.unwrap_or_default();
    for said in [
        "# - orders.xml:2: the directory of `src/server.pem`: the program's there, the configuration file's here",
        r#"tls: { cert: "src/server.pem", key: "src/server.pem", client_ca: "src/server.pem", client_auth: required }"#,
    ] {
        assert!(yaml.contains(said), "{yaml}");
    }
}

#[test]
fn a_store_of_java_becomes_a_file_that_the_user_is_told_to_make() {
    let store = r#"<tls:trust-store path="trust.p12" password="changeit"/><tls:key-store path="server.p12" alias="server" password="changeit"/>"#;
    let text = format!(
        r#"<http:listener-config name="In"><http:listener-connection host="127.0.0.1" port="8443" protocol="HTTPS"><tls:context>{store}</tls:context></http:listener-connection></http:listener-config>
<flow name="tea"><http:listener config-ref="In" path="/cup" allowedMethods="GET"/>
  <http:request config-ref="S" path="/cup"/></flow>"#
    );
    let yaml = converted(&text).yaml.unwrap_or_default();
    for said in [
        "# - orders.xml:2: the store `src/server.p12`: make PEM of it, `openssl pkcs12 -in src/server.p12 -nodes -out src/server.pem`",
        "# - orders.xml:2: the store `src/trust.p12`: make PEM of it, `openssl pkcs12 -in src/trust.p12 -nokeys -out src/trust.pem`",
        r#"tls: { cert: "src/server.pem", key: "src/server.pem", client_ca: "src/trust.pem", client_auth: required }"#,
    ] {
        assert!(yaml.contains(said), "{yaml}");
    }
}

#[test]
fn what_a_request_brings_along_is_not_carried_in_silence() {
    let text = calling(
        r#"<http:authentication><http:basic-authentication username="a" password="b"/></http:authentication>"#,
    );
    let conversion = converted(&text);
    native(&conversion);
    let yaml = conversion.yaml.unwrap_or_default();
    let said = "# - orders.xml:3: the user and password of the request";
    assert!(yaml.contains(said), "{yaml}");
}

/// A flow whose request's connection has those elements.
fn calling(inner: &str) -> String {
    format!(
        r#"<http:request-config name="Out"><http:request-connection host="a" protocol="HTTPS">{inner}</http:request-connection></http:request-config>
<flow name="tea"><http:listener config-ref="L" path="/cup" allowedMethods="GET"/>
  <http:request config-ref="Out" path="/cup"/></flow>"#
    )
}

#[test]
fn an_upstream_keeps_its_authorities_and_the_certificate_that_it_is_shown() {
    for (stores, said) in [
        (
            r#"<tls:trust-store path="server.pem"/>"#,
            &[
                r#"tls: { ca: "src/server.pem" }"#,
                "# - orders.xml:3: the directory of `src/server.pem`: the program's there, the configuration file's here",
            ][..],
        ),
        (
            r#"<tls:key-store path="server.pem"/>"#,
            &[r#"tls: { cert: "src/server.pem", key: "src/server.pem" }"#],
        ),
        (
            r#"<tls:trust-store path="trust.p12" password="changeit"/><tls:key-store path="server.p12" alias="server" password="changeit"/>"#,
            &[
                r#"tls: { ca: "src/trust.pem", cert: "src/server.pem", key: "src/server.pem" }"#,
                "# - orders.xml:3: the store `src/trust.p12`: make PEM of it, `openssl pkcs12 -in src/trust.p12 -nokeys -out src/trust.pem`",
                "# - orders.xml:3: the store `src/server.p12`: make PEM of it, `openssl pkcs12 -in src/server.p12 -nodes -out src/server.pem`",
            ],
        ),
        (
            r#"<tls:trust-store insecure="true"/>"#,
            &["# - orders.xml:3: `insecure`: here the server's certificate is checked"],
        ),
    ] {
        let text = calling(&format!("<tls:context>{stores}</tls:context>"));
        let yaml = converted(&text).yaml.unwrap_or_default();
        for said in said {
            assert!(yaml.contains(said), "{said}: {yaml}");
        }
        assert_eq!(
            yaml.contains("tls:"),
            !stores.contains("insecure"),
            "{yaml}"
        );
    }
}

#[test]
fn the_circuit_of_a_flow_that_does_not_listen_becomes_a_breaker() {
    let source = "<http:listener config-ref=\"HTTP_Listener\" path=\"/api/orders\"/>";
    assert!(crate::SEED.contains(source));
    let clock = "<scheduler><scheduling-strategy><fixed-frequency frequency=\"1000\"/></scheduling-strategy></scheduler>";
    for (source_instead, why) in [
        (clock, "the native form has no schedules"),
        ("", "nothing starts it"),
        ("", "only a `flow-ref` whose name is computed may start it"),
    ] {
        let seed = crate::SEED.replace(source, source_instead);
        let starter = "<flow name=\"starter\"><flow-ref name=\"#[payload]\"/></flow>";
        let seed = match why.contains("computed") {
            true => seed + starter,
            false => seed,
        };
        let conversion = converted(&seed);
        let plan = native(&conversion);
        assert!(plan.routes.is_empty());
        assert_eq!(plan.upstreams[0].breaker.settings.trip.len(), 1);
        let yaml = conversion.yaml.unwrap_or_default();
        assert!(
            yaml.contains(why) && yaml.contains("# No flow listens"),
            "{yaml}"
        );
    }
}
