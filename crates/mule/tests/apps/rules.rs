//! The departures of `intent` from Mule: each use is a warning, and in `strict` an error as in Mule.

use fusebox_mule::app::{Compat, Does, FlowName, Given, ObjectOperation};

use super::{Read, app, check, first, flow, named, read_all, snippet};

/// Checks the diagnostics of both profiles for a flow `f` with these elements.
#[track_caller]
fn both(inner: &str, intent: &[&str], strict: &[&str]) {
    check(&flow(inner), Compat::Intent, intent);
    check(&flow(inner), Compat::Strict, strict);
}

#[test]
fn a_status_in_a_variable_is_honoured_with_a_warning_at_its_first_place() {
    both(
        r#"<set-variable variableName="httpStatus" value="202"/><set-variable variableName="httpStatus" value="203"/>"#,
        &[
            "1:57: warning: `vars.httpStatus` becomes the status of the response, which Mule does only if the listener of `f` says so; add `http:response` and `http:error-response` to its `http:listener`",
        ],
        &[],
    );
}

#[test]
fn a_status_set_in_a_sub_flow_or_a_transform_is_found_too() {
    let text = format!(
        r##"{}<sub-flow name="g"><ee:transform><ee:variables><ee:set-variable variableName="outboundHeaders">{{a: "b"}}</ee:set-variable></ee:variables></ee:transform></sub-flow>"##,
        flow(r#"<flow-ref name="g"/>"#)
    );
    check(
        &text,
        Compat::Intent,
        &[
            "1:103: warning: `vars.outboundHeaders` becomes the headers of the response, which Mule does only if the listener of `f` says so; add `http:response` and `http:error-response` to its `http:listener`",
        ],
    );
}

#[test]
fn a_status_set_by_the_default_handlers_is_found_too() {
    let text = format!(
        r#"<configuration defaultErrorHandler-ref="h"/><error-handler name="h"><on-error-propagate><set-variable variableName="httpStatus" value="503"/></on-error-propagate></error-handler>{}"#,
        flow("<logger/>")
    );
    let Read { said, .. } = snippet(&text, Compat::Intent);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(
        said[0].starts_with("a.xml:1:89: warning: `vars.httpStatus`"),
        "{said:#?}"
    );
}

#[test]
fn a_status_that_the_listener_reads_needs_no_warning() {
    check(
        r##"<flow name="f"><http:listener config-ref="L" path="/x"><http:response statusCode="#[vars.httpStatus default 200]"/><http:error-response statusCode="500"/></http:listener><set-variable variableName="httpStatus" value="202"/></flow>"##,
        Compat::Intent,
        &[],
    );
}

#[test]
fn a_listener_may_say_method() {
    let text = r#"<flow name="f"><http:listener config-ref="L" path="/x" method="POST"/></flow>"#;
    check(
        text,
        Compat::Intent,
        &[
            "1:56: warning: Mule has no `method`; it is read as `allowedMethods`; write `allowedMethods`",
        ],
    );
    check(
        text,
        Compat::Strict,
        &["1:56: error: Mule has no `method`; write `allowedMethods`"],
    );
    let Read { plan, .. } = snippet(text, Compat::Intent);
    assert_eq!(plan.unwrap().routes[0].methods.as_ref().unwrap()[0], "POST");
}

#[test]
fn a_text_with_expressions_in_it_is_a_template() {
    let inner = r##"<http:request config-ref="S" path="/a/#[vars.id]"/>"##;
    both(
        inner,
        &[
            "1:92: warning: a text with `#[…]` in it is read as a template; Mule reads it as one expression and fails; write one expression: `#[\"…\" ++ …]`",
        ],
        &[
            "1:92: warning: a text with `#[…]` in it is read as one expression, which it is not; write one expression: `#[\"…\" ++ …]`",
        ],
    );
    let Does::Request(request) = first(inner) else {
        panic!();
    };
    assert!(matches!(request.path, Given::Template(_)));
    let Read { plan, .. } = snippet(&flow(inner), Compat::Strict);
    let app = plan.unwrap().program::<fusebox_mule::app::App>().unwrap();
    let Does::Request(request) = &named(&app, "f").chain.0[0].does else {
        panic!();
    };
    assert!(matches!(request.path, Given::Broken(_)));
}

#[test]
fn a_logger_may_mix_text_and_expressions() {
    both(r##"<logger message="a #[vars.id] b"/>"##, &[], &[]);
}

#[test]
fn a_store_that_nothing_declares_is_supplied() {
    let inner = r#"<os:retrieve key="k" objectStore="cache-store" target="v"/>"#;
    both(
        inner,
        &[
            "1:91: warning: nothing declares the object store `cache-store`, so one is added: persistent, without expiry; declare it: `<os:object-store name=\"cache-store\"/>`",
        ],
        &[
            "1:91: error: nothing declares the object store `cache-store`; declare it: `<os:object-store name=\"cache-store\"/>`",
        ],
    );
    let app = app(&flow(inner));
    assert_eq!(
        (&*app.stores[0].name, app.stores[0].persistent),
        ("cache-store", true)
    );
    assert_eq!((app.stores[0].site.line, app.stores[0].site.col), (1, 91));
}

#[test]
fn a_store_that_is_used_often_is_supplied_once() {
    let inner = r#"<os:clear objectStore="s"/><os:clear objectStore="s"/>"#;
    let Read { said, .. } = snippet(&flow(inner), Compat::Intent);
    assert_eq!(said.len(), 1, "{said:#?}");
}

#[test]
fn queues_that_nothing_declares_are_supplied() {
    both(
        r#"<vm:publish config-ref="VM" queueName="q"/>"#,
        &[
            "1:81: warning: nothing defines the queues' configuration `VM`, so `q` is added, in memory; declare it: `<vm:config name=\"VM\"><vm:queues><vm:queue queueName=\"q\"/></vm:queues></vm:config>`",
        ],
        &[
            "1:81: error: nothing defines the queues' configuration `VM`; declare it: `<vm:config name=\"VM\"><vm:queues><vm:queue queueName=\"q\"/></vm:queues></vm:config>`",
        ],
    );
}

#[test]
fn published_names_of_elements_are_known() {
    both(
        r#"<parallel-for-each><logger/></parallel-for-each>"#,
        &[
            "1:57: warning: Mule has no `parallel-for-each`; it is read as `parallel-foreach`; write `parallel-foreach`",
        ],
        &["1:57: error: Mule has no `parallel-for-each`; write `parallel-foreach`"],
    );
    both(
        r#"<ee:transform><ee:set-variable variableName="v">1</ee:set-variable></ee:transform>"#,
        &[
            "1:71: warning: `ee:set-variable` is directly in `ee:transform`, where Mule does not allow it; put it into `<ee:variables>`",
        ],
        &[
            "1:71: error: `ee:set-variable` is directly in `ee:transform`, where Mule does not allow it; put it into `<ee:variables>`",
        ],
    );
    both(
        r#"<validation:is-not-blank value="x"/>"#,
        &[
            "1:57: warning: Mule has no `validation:is-not-blank`; it is read as `validation:is-not-blank-string`; write `validation:is-not-blank-string`",
        ],
        &[
            "1:57: error: Mule has no `validation:is-not-blank`; write `validation:is-not-blank-string`",
        ],
    );
}

#[test]
fn a_cache_may_be_kept_in_a_bare_store() {
    let text = format!(
        r##"<os:object-store name="s"/>{}"##,
        flow(
            r##"<ee:cache cachingStrategy-ref="s" keyExpression="#[payload.id]"><logger/></ee:cache>"##
        )
    );
    let Read { plan, said } = snippet(&text, Compat::Intent);
    assert_eq!(said.len(), 2, "{said:#?}");
    let app = plan.unwrap().program::<fusebox_mule::app::App>().unwrap();
    let Does::Cache(cache) = &named(&app, "f").chain.0[0].does else {
        panic!();
    };
    assert!(cache.key.is_some());
    assert_eq!(&*cache.store.as_ref().unwrap().name, "s");
    let Read { said, .. } = snippet(&text, Compat::Strict);
    assert!(said.iter().all(|line| line.contains("error")), "{said:#?}");
}

#[test]
fn a_strategy_says_key_and_store_of_a_cache() {
    let app = app(&format!(
        r##"<os:object-store name="s"/><ee:object-store-caching-strategy name="c" objectStore="s" keyGenerationExpression="#[payload.id]"/>{}"##,
        flow(r#"<ee:cache cachingStrategy-ref="c"><logger/></ee:cache>"#)
    ));
    let Does::Cache(cache) = &named(&app, "f").chain.0[0].does else {
        panic!();
    };
    assert!(cache.key.is_some() && cache.store.is_some());
}

#[test]
fn a_catch_all_before_others_is_doubtful() {
    both(
        r#"<logger/><error-handler><on-error-continue/><on-error-propagate type="ANY"/></error-handler>"#,
        &[
            "1:101: warning: this handler never runs: the one before it accepts every error; move the one without `type` and `when` to the end",
        ],
        &[
            "1:101: error: this handler never runs: the one before it accepts every error; move the one without `type` and `when` to the end",
        ],
    );
}

#[test]
fn a_type_that_nothing_raises_is_doubtful() {
    both(
        r#"<try><error-handler><on-error-continue type="OS:KEY_NOT_FOUNT"/></error-handler></try>"#,
        &[
            "1:102: warning: nothing raises `OS:KEY_NOT_FOUNT`, so it matches no error here; Mule would not start; did you mean `OS:KEY_NOT_FOUND`?",
        ],
        &["1:102: error: nothing raises `OS:KEY_NOT_FOUNT`; did you mean `OS:KEY_NOT_FOUND`?"],
    );
    both(
        r#"<raise-error type="APP:X"/><error-handler><on-error-continue type="app:x"/></error-handler>"#,
        &[],
        &[],
    );
}

#[test]
fn a_handler_for_errors_without_a_type_takes_none() {
    let expected = &[
        "1:102: warning: `MULE:UNKNOWN` is the type of errors that have none, and matches none of them; write `ANY`, which matches them",
    ];
    both(
        r#"<try><error-handler><on-error-continue type="UNKNOWN"/></error-handler></try>"#,
        expected,
        expected,
    );
}

#[test]
fn a_handler_outside_flows_without_a_name_never_runs() {
    let text = format!(
        r#"<on-error-propagate type="ANY"><logger/></on-error-propagate>{}"#,
        flow("")
    );
    check(
        &text,
        Compat::Intent,
        &[
            "1:1: warning: `on-error-propagate` outside flows has no name, so it never runs; move it into the `error-handler` of a flow, or name it and refer to it",
        ],
    );
}

#[test]
fn a_variable_that_counts_attempts_is_told_to_start_over() {
    let read_first = r##"<until-successful><try><http:request config-ref="S"/><error-handler><on-error-propagate><set-variable variableName="n" value="#[(vars.n default 0) + 1]"/></on-error-propagate></error-handler></try></until-successful>"##;
    let expected = &[
        "1:145: warning: `vars.n` is read and then set in an `until-successful`, where every attempt starts with the variables from before it; use an object store for values that must survive an attempt",
    ];
    both(read_first, expected, expected);
    both(
        r##"<until-successful><set-variable variableName="n" value="1"/><logger message="#[vars.n]"/></until-successful>"##,
        &[],
        &[],
    );
}

#[test]
fn a_sleep_is_known_and_said() {
    let inner = r#"<scripting:execute engine="groovy"><scripting:code>Thread.sleep(vars.x.toLong())</scripting:code></scripting:execute>"#;
    both(
        inner,
        &["1:108: warning: this script is read as a sleep; Groovy is not run; leave it as it is"],
        &[],
    );
}

#[test]
fn a_flow_that_is_not_there_may_be_allowed_to_do_nothing() {
    let text = flow(r#"<flow-ref name="audit"/>"#);
    let bindings = "L=http://127.0.0.1:0 audit=none";
    let Read { plan, said } = read_all(&[("a.xml", &text)], bindings, Compat::Intent);
    assert_eq!(
        said,
        [
            "a.xml:1:73: warning: unknown flow `audit`, so references to it do nothing; add the file that defines it"
        ]
    );
    let app = plan.unwrap().program::<fusebox_mule::app::App>().unwrap();
    let Does::FlowRef { flow, .. } = &named(&app, "f").chain.0[0].does else {
        panic!();
    };
    assert_eq!(*flow, FlowName::Nothing);
}

#[test]
fn what_changes_nothing_is_said() {
    check(
        &format!(
            r#"<os:config name="c"><reconnection><reconnect/></reconnection></os:config>{}"#,
            flow("")
        ),
        Compat::Strict,
        &[
            "1:21: warning: `reconnection` has no effect: connections are reopened when needed; remove it, or ignore this",
        ],
    );
    both(
        r#"<try transactionalAction="ALWAYS_BEGIN"><logger/></try>"#,
        &[
            "1:57: warning: `transactionalAction` has no effect: transactions are not supported; undo changes in an error handler",
        ],
        &[
            "1:57: warning: `transactionalAction` has no effect: transactions are not supported; undo changes in an error handler",
        ],
    );
}

#[test]
fn a_negative_bound_of_entries_is_none() {
    let text = format!(r#"<os:object-store name="s" maxEntries="-1"/>{}"#, flow(""));
    check(
        &text,
        Compat::Strict,
        &[
            "1:1: warning: `maxEntries` is negative, which means no limit; remove it, or write the number of entries to keep",
        ],
    );
}

#[test]
fn texts_are_what_they_are_and_expressions_are_parsed() {
    let Does::Object(call) =
        first(r##"<os:store key="#['cb-' ++ vars.service]"><os:value> 0 </os:value></os:store>"##)
    else {
        panic!();
    };
    let ObjectOperation::Store { key, value, .. } = call.operation else {
        panic!();
    };
    assert!(matches!(key, Given::Expression(_)));
    assert_eq!(value, Some(Given::Literal("0".into())));
}

#[test]
fn what_stands_beside_the_work_of_a_flow_does_nothing_or_logs() {
    let text = format!(
        r##"<api-gateway:autodiscovery apiId="${{api.id}}" flowRef="f"/><json-logger:config name="J"/>
{}"##,
        flow(
            r##"
<json-logger:logger config-ref="J" message="#['a' ++ payload]" priority="WARN" tracePoint="START"/>
<json-logger:logger><json-logger:content>#[vars.x]</json-logger:content></json-logger:logger>
<json-logger:logger-scope><set-payload value="in"/></json-logger:logger-scope>
<tracking:transaction id="1"/>"##
        )
    );
    let Read { said, plan } = snippet(&text, Compat::Strict);
    assert_eq!(
        said,
        [
            "a.xml:1:1: warning: `api-gateway:autodiscovery` does nothing here: APIs are not registered with API Manager; remove it, or ignore this",
            "a.xml:1:59: warning: `json-logger:config` does nothing here: the log has a form of its own; remove it, or ignore this",
            "a.xml:3:1: warning: `json-logger:logger` is read as `logger`: only its message, level and category are heeded; write `logger`, or ignore this",
            "a.xml:4:1: warning: `json-logger:logger` is read as `logger`: only its message, level and category are heeded; write `logger`, or ignore this",
            "a.xml:5:1: warning: `json-logger:logger-scope` is read as its content: it logs nothing; write `logger`, or ignore this",
            "a.xml:6:1: warning: `tracking:transaction` does nothing here: nothing is tracked for Business Events; remove it, or ignore this",
        ]
    );
    let app = plan.unwrap().program::<fusebox_mule::app::App>().unwrap();
    let chain = &named(&app, "f").chain.0;
    assert!(matches!(&chain[0].does, Does::Logger(it) if it.message.is_some()));
    assert!(matches!(&chain[1].does, Does::Logger(it) if it.message.is_some()));
    assert!(matches!(&chain[2].does, Does::Try(it) if it.chain.0.len() == 1));
    assert_eq!(chain.len(), 3);
}

#[test]
fn errors_of_a_module_that_is_refused_are_taken_without_a_word() {
    let handler = |types: &str| {
        flow(&format!(
            r##"<jms:publish/><error-handler><on-error-continue type="{types}"><logger/></on-error-continue></error-handler>"##
        ))
    };
    for compat in [Compat::Intent, Compat::Strict] {
        let Read { said, .. } = snippet(&handler("JMS:CONNECTIVITY, JMS:TIMEOUT"), compat);
        assert_eq!(said.len(), 1, "{said:#?}");
        let Read { said, .. } = snippet(&handler("DB:CONNECTIVITY"), compat);
        assert_eq!(said.len(), 2, "{said:#?}");
    }
}

#[test]
fn a_module_whose_namespace_is_named_is_one_that_the_application_has() {
    let text = r##"<mule xmlns="http://www.mulesoft.org/schema/mule/core" xmlns:http="http://www.mulesoft.org/schema/mule/http" xmlns:db="http://www.mulesoft.org/schema/mule/db" xmlns:apikit="http://www.mulesoft.org/schema/mule/mule-apikit">
<flow name="f"><http:listener config-ref="L" path="/x"/><logger/><error-handler><on-error-continue type="DB:CONNECTIVITY, APIKIT:NOT_FOUND, JMS:TIMEOUT, HTTP:BREWING"><logger/></on-error-continue></error-handler></flow></mule>"##;
    let Read { said, .. } = snippet(text, Compat::Intent);
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(
        said.iter()
            .all(|line| line.contains("JMS:TIMEOUT") || line.contains("HTTP:BREWING"))
    );
}
