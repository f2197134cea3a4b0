//! Valid elements, and the model made of them.

use std::time::Duration;

use fusebox_mule::app::*;
use fusebox_plan::plan::{Manner, Step};

use super::{Read, app, check, first, flow, named, read_all, snippet};

const SEED: &str = include_str!(
    "../../../../conformance/recipes/error-handling/retry/circuit-breaker-object-store.xml"
);

fn literal(given: &Given) -> &str {
    given.literal().unwrap()
}

#[test]
fn the_documents_flow_is_read_as_it_stands() {
    let bindings = "HTTP_Listener=http://127.0.0.1:8081 Order_Service=http://127.0.0.1:8082";
    for compat in [Compat::Intent, Compat::Strict] {
        let Read { plan, said } = read_all(&[("orders.xml", SEED)], bindings, compat);
        let plan = plan.unwrap();
        // The warnings on the circuit are tested in `mule/circuit`.
        let (of_circuit, said): (Vec<String>, Vec<String>) = said
            .into_iter()
            .partition(|line| line.contains("the circuit circuit-breaker-store/circuit-state "));
        assert_eq!(of_circuit.len(), 6, "{of_circuit:#?}");
        let warnings: &[&str] = match compat {
            Compat::Intent => &[
                "orders.xml:21:13: warning: `vars.httpStatus` becomes the status of the response, which Mule does only if the listener of `circuit-breaker-flow` says so; add `http:response` and `http:error-response` to its `http:listener`",
            ],
            Compat::Strict => &[],
        };
        assert_eq!(said, warnings);

        let [listener] = &plan.listeners[..] else {
            panic!("{:?}", plan.listeners);
        };
        assert_eq!(listener.addr.to_string(), "127.0.0.1:8081");
        assert_eq!(listener.manner, Manner::App);
        let [route] = &plan.routes[..] else {
            panic!("{:?}", plan.routes);
        };
        assert_eq!(
            (&*route.name, &*route.path),
            ("circuit-breaker-flow", "/api/orders")
        );
        assert_eq!(route.steps, [Step::App(0)]);
        assert_eq!(
            route.listeners.as_deref().unwrap(),
            [std::sync::Arc::from("HTTP_Listener")]
        );

        let app = plan.program::<fusebox_mule::app::App>().unwrap();
        assert_eq!((&*app.name, app.compat), ("orders", compat));
        let [store] = &app.stores[..] else {
            panic!("{:?}", app.stores);
        };
        assert_eq!(&*store.name, "circuit-breaker-store");
        assert_eq!(store.ttl, Some(Duration::from_secs(60)));
        assert_eq!(store.sweep_every, Some(Duration::from_secs(10)));
        assert!(store.persistent);
        let flow = named(&app, "circuit-breaker-flow");
        assert_eq!(flow.chain.0.len(), 2);
        let mut requests = Vec::new();
        flow.walk(&mut |processor| {
            if let Does::Request(request) = &processor.does {
                requests.push((processor.site.line, literal(&request.path).to_owned()));
            }
        });
        assert_eq!(requests, [(27, "/orders".to_owned())]);
    }
}

#[test]
fn defaults_are_those_of_mule() {
    let until = first(r#"<until-successful><logger/></until-successful>"#);
    let Does::UntilSuccessful(until) = until else {
        panic!("{until:?}");
    };
    assert_eq!(
        (literal(&until.retries), literal(&until.between)),
        ("5", "60000")
    );

    let Does::Foreach(each) = first("<foreach><logger/></foreach>") else {
        panic!();
    };
    assert_eq!(
        (&*each.counter, &*each.root, literal(&each.batch)),
        ("counter", "rootMessage", "1")
    );
    assert_eq!(each.collection, None);

    let Does::Request(request) = first(r#"<http:request config-ref="S"/>"#) else {
        panic!();
    };
    assert_eq!(
        (literal(&request.method), literal(&request.path)),
        ("GET", "/")
    );
    let requester = request.config.unwrap();
    assert_eq!(
        (&*requester.host, requester.port, requester.tls),
        ("127.0.0.1", 9901, false)
    );
    assert_eq!(requester.connect_timeout, Duration::from_secs(30));
    assert!(requester.cookies && requester.follow_redirects && requester.persistent);

    let Does::Object(call) = first(r#"<os:store key="k"/>"#) else {
        panic!();
    };
    assert_eq!(call.store, None);
    let ObjectOperation::Store {
        value,
        fail_if_present,
        fail_on_null,
        ..
    } = call.operation
    else {
        panic!();
    };
    assert_eq!(
        (value, literal(&fail_if_present), literal(&fail_on_null)),
        (None, "false", "true")
    );

    let Does::Logger(logger) = first("<logger/>") else {
        panic!();
    };
    assert_eq!((logger.message, logger.level), (None, LogLevel::Info));
}

#[test]
fn a_store_has_its_expiry_by_units() {
    let app = app(&format!(
        r#"<os:object-store name="a"/>
        <os:object-store name="b" persistent="false" entryTtl="2" entryTtlUnit="HOURS" expirationInterval="500" expirationIntervalUnit="MILLISECONDS" maxEntries="10"/>
        <os:object-store name="c" entryTtl="0" maxEntries="0" expirationInterval="0"/>
        <os:object-store name="d" entryTtl="5" expirationInterval="-1"/>{}"#,
        flow("")
    ));
    let [a, b, c, d] = &app.stores[..] else {
        panic!("{:?}", app.stores);
    };
    assert_eq!((a.persistent, a.ttl, a.entries_max), (true, None, None));
    assert_eq!(a.sweep_every, Some(Duration::from_secs(60)));
    assert_eq!(
        (b.persistent, b.ttl, b.entries_max),
        (false, Some(Duration::from_secs(7200)), Some(10))
    );
    assert_eq!(b.sweep_every, Some(Duration::from_millis(500)));
    assert_eq!((c.ttl, c.entries_max, c.sweep_every), (None, None, None));
    assert_eq!((d.ttl, d.sweep_every), (Some(Duration::from_secs(5)), None));
}

#[test]
fn configurations_of_the_file_hold_and_a_bind_gives_them_another_address() {
    let text = r##"
        <http:listener-config name="L" basePath="/api/">
            <http:listener-connection host="localhost" port="8085" connectionIdleTimeout="1000"/>
        </http:listener-config>
        <http:request-config name="S" basePath="v1" responseTimeout="2500" followRedirects="false" sendBodyMode="ALWAYS" enableCookies="false">
            <http:request-connection host="Orders.example" protocol="HTTPS" maxConnections="4" usePersistentConnections="false">
                <http:client-socket-properties><sockets:tcp-client-socket-properties connectionTimeout="1500"/></http:client-socket-properties>
            </http:request-connection>
            <http:default-headers><http:default-header key="X-A" value="#[vars.a]"/></http:default-headers>
            <http:response-validator><http:success-status-code-validator values="200..299, 404"/></http:response-validator>
        </http:request-config>
        <flow name="f"><http:listener config-ref="L" path="/x/{id}" allowedMethods="get, POST"/><http:request config-ref="S" path="/p"/></flow>"##;
    let Read { plan, said } = read_all(&[("a.xml", text)], "", Compat::Strict);
    assert_eq!(said, [""; 0]);
    let plan = plan.unwrap();
    assert_eq!(plan.listeners[0].addr.to_string(), "127.0.0.1:8085");
    assert_eq!(plan.routes[0].path, "/api/x/{id}");
    assert_eq!(plan.routes[0].methods.as_ref().unwrap().len(), 2);
    let app = plan.program::<fusebox_mule::app::App>().unwrap();
    let requester = &app.requesters[0];
    assert_eq!(
        (&*requester.host, requester.port, requester.tls),
        ("orders.example", 443, true)
    );
    assert_eq!(
        (&*requester.base_path, requester.connections_max),
        ("/v1", Some(4))
    );
    assert_eq!(
        requester.response_timeout,
        Some(Duration::from_millis(2500))
    );
    assert_eq!(requester.connect_timeout, Duration::from_millis(1500));
    assert_eq!(requester.send_body, SendBody::Always);
    assert!(!requester.cookies && !requester.follow_redirects && !requester.persistent);
    assert_eq!(requester.default_headers.len(), 1);
    let validator = requester.validator.as_ref().unwrap();
    assert!(validator.accepts(404) && validator.accepts(250) && !validator.accepts(301));

    let bindings = "L=http://0.0.0.0:0/base S=http://[::1]:9000/v2";
    let Read { plan, .. } = read_all(&[("a.xml", text)], bindings, Compat::Strict);
    let plan = plan.unwrap();
    assert_eq!(plan.listeners[0].addr.to_string(), "0.0.0.0:0");
    assert_eq!(plan.routes[0].path, "/base/x/{id}");
    let app = plan.program::<fusebox_mule::app::App>().unwrap();
    let requester = &app.requesters[0];
    assert_eq!(
        (&*requester.host, requester.port, requester.tls),
        ("::1", 9000, false)
    );
    assert_eq!(&*requester.base_path, "/v2");
    assert_eq!(
        requester.response_timeout,
        Some(Duration::from_millis(2500))
    );
}

#[test]
fn handlers_have_types_conditions_and_names() {
    let app = app(
        r#"<configuration defaultErrorHandler-ref="all" defaultResponseTimeout="1234"/>
        <error-handler name="all"><on-error ref="one"/><on-error-propagate logException="false"/></error-handler>
        <on-error-continue name="one" type="http:timeout, *:CONNECTIVITY, OS:*" when="error.description != null"><set-payload value="x"/></on-error-continue>
        <flow name="f"><http:listener config-ref="L" path="/x"/><logger/><error-handler ref="all"/></flow>"#,
    );
    let handlers = app.default_handlers.clone().unwrap();
    assert_eq!(named(&app, "f").handlers, Some(handlers.clone()));
    assert_eq!(app.response_timeout, Duration::from_millis(1234));
    let [one, rest] = &handlers.0[..] else {
        panic!("{handlers:?}");
    };
    assert!(one.continues && one.logs && one.when.is_some());
    assert_eq!(one.types.len(), 3);
    assert!(one.types[0].matches(&ErrorType::parse("HTTP:TIMEOUT")));
    assert!(!rest.continues && !rest.logs && rest.types.is_empty());
}

#[test]
fn a_mapping_means_its_operations_own_type_first() {
    let app = app(&flow(
        r#"<http:request config-ref="S"><error-mapping sourceType="CONNECTIVITY, ANY" targetType="APP:DOWN"/></http:request>"#,
    ));
    let mappings = &named(&app, "f").chain.0[0].mappings;
    assert_eq!(
        mappings[0].source,
        ErrorMatch::Type(ErrorType::parse("HTTP:CONNECTIVITY"))
    );
    assert_eq!(
        mappings[1].source,
        ErrorMatch::Type(ErrorType::parse("MULE:ANY"))
    );
    assert_eq!(mappings[1].target, ErrorType::parse("APP:DOWN"));
}

#[test]
fn flows_are_started_by_time_and_by_queues() {
    let app = app(
        r#"<vm:config name="V"><vm:queues><vm:queue queueName="q" queueType="PERSISTENT" maxOutstandingMessages="7"/></vm:queues></vm:config>
        <vm:config name="W"><vm:queues><vm:queue queueName="q"/></vm:queues></vm:config>
        <flow name="t"><scheduler><scheduling-strategy><fixed-frequency frequency="2" startDelay="1" timeUnit="SECONDS"/></scheduling-strategy></scheduler>
            <vm:publish config-ref="V" queueName="q"><vm:content>#[payload.id]</vm:content></vm:publish></flow>
        <flow name="v"><vm:listener config-ref="V" queueName="q" numberOfConsumers="2"/><logger/></flow>
        <flow name="w"><vm:listener config-ref="W" queueName="q"/><logger/></flow>"#,
    );
    let every = Duration::from_secs(2);
    let delay = Duration::from_secs(1);
    assert_eq!(
        named(&app, "t").source,
        Some(Source::Scheduler(Schedule {
            when: When::Every { every, delay },
            overlaps: false,
        }))
    );
    let queue = |flow: &str| match &named(&app, flow).source {
        Some(Source::Queue {
            queue, consumers, ..
        }) => (queue.to_string(), *consumers),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (queue("v"), queue("w")),
        (("q".to_owned(), 2), ("W/q".to_owned(), 4))
    );
    assert_eq!(app.queues.len(), 2);
    assert_eq!(
        (app.queues[0].persistent, app.queues[0].max),
        (true, Some(7))
    );
}

#[test]
fn a_private_store_is_its_users_alone() {
    let app = app(&flow(
        r#"<os:store key="k"><os:value>1</os:value><os:private-object-store alias="p" persistent="false"/></os:store>
        <os:store key="k"><os:value>1</os:value><os:private-object-store alias="p"/></os:store>"#,
    ));
    let names: Vec<&str> = app.stores.iter().map(|store| &*store.name).collect();
    assert_eq!(names, ["p", "p#2"]);
}

#[test]
fn several_files_are_one_application() {
    let Read { plan, said } = read_all(
        &[
            (
                "dir/shop.xml",
                r#"<mule><flow name="f"><http:listener config-ref="L" path="/x"/><flow-ref name="g" target="t"/></flow></mule>"#,
            ),
            (
                "more.xml",
                r#"<sub-flow name="g"><set-payload value="1"/></sub-flow>"#,
            ),
        ],
        "L=http://127.0.0.1:0",
        Compat::Strict,
    );
    assert_eq!(said, [""; 0]);
    let app = plan.unwrap().program::<fusebox_mule::app::App>().unwrap();
    assert_eq!(&*app.name, "shop");
    assert_eq!(&*named(&app, "g").site.file, "more.xml");
    let Does::FlowRef { flow, target } = &named(&app, "f").chain.0[0].does else {
        panic!();
    };
    assert_eq!(*flow, FlowName::Known(FlowId(1)));
    assert_eq!(&*target.as_ref().unwrap().variable, "t");
}

#[test]
fn a_plan_shows_its_flows_in_brief() {
    let Read { plan, .. } = snippet(
        &format!(
            r#"<os:object-store name="s"/><sub-flow name="g"><os:clear objectStore="s"/></sub-flow>{}"#,
            flow(
                r#"<flow-ref name="g"/><http:request config-ref="S"/><http:request config-ref="S"/>"#
            )
        ),
        Compat::Intent,
    );
    let shown = plan.unwrap().to_json();
    assert_eq!(shown["routes"][0]["flow"], "f");
    assert_eq!(
        shown["flows"],
        serde_json::json!([
            { "name": "g", "at": "a.xml:1", "calls": ["store s"] },
            { "name": "f", "at": "a.xml:1", "source": { "listener": "L", "path": "/x" }, "calls": ["flow g", "http S"] },
        ])
    );
}

#[test]
fn a_name_that_means_nothing_is_told_with_its_mend() {
    for (expression, said) in [
        (
            "attributes.headers.x-client-id",
            "1:97: warning: unknown name `client`: the hyphen in `x-client-id` is a subtraction, so the expression fails; write the key in quotes: `attributes.headers.'x-client-id'`",
        ),
        (
            "payload.total - count",
            "1:92: warning: unknown name `count`, so the expression fails; write `vars.count` for a variable of the flow, or quote a text: `\"count\"`",
        ),
    ] {
        let text = flow(&format!(r##"<logger message="#[{expression}]"/>"##));
        check(&text, Compat::Intent, &[said]);
    }
}

#[test]
fn names_that_a_script_declares_are_known() {
    for expression in [
        "payload map (item, at) -> item.name ++ at",
        "vars.f reduce (one, sum = 0) -> one + sum",
        "do { var a = 1 fun b(c) = c --- b(a) }",
        "payload match { case n is Number -> n case m matches /a/ -> m[0] else other -> other }",
        "payload update { case n at .a -> n + 1 }",
        "using (x = 1) x + sizeOf(payload)",
        "[upper, Number, flow.name, app.name, server.dateTime, mule.version, correlationId]",
        "payload map $.a ++ $$",
    ] {
        let text = flow(&format!("<logger message=\"#[{expression}]\"/>"));
        let text = text.replace("->", "-&gt;");
        check(&text, Compat::Intent, &[]);
    }
}
