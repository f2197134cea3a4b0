//! The course of a flow around its call: repeats, answers of its own, answers that are kept, a second service, limits.

use std::time::Duration;

use fusebox_plan::plan::{Forward, Plan, Rung, Step};

use crate::{answer, converted, lossy, native, told};

/// A flow on `/a` that takes GET.
fn flow(attributes: &str, inner: &str) -> String {
    format!(
        r##"<flow name="a" {attributes}><http:listener config-ref="L" path="/a" allowedMethods="GET"/>{inner}</flow>"##
    )
}

const CALL: &str = r#"<http:request config-ref="S" path="/a" responseTimeout="2000"/>"#;

#[track_caller]
fn forward(plan: &Plan) -> &Forward {
    match &plan.routes[0].steps[0] {
        Step::Forward(forward) => forward,
        other => panic!("{other:?}"),
    }
}

/// Converts without any loss.
#[track_caller]
fn whole(text: &str) -> Plan {
    let conversion = converted(text);
    let told = told(&conversion);
    assert!(!told.contains("not carried"), "{told}");
    native(&conversion)
}

#[test]
fn until_successful_becomes_a_retry_with_time_for_all_attempts() {
    let plan = whole(&flow(
        "",
        &format!(
            r#"<until-successful maxRetries="3" millisBetweenRetries="500">{CALL}</until-successful>"#
        ),
    ));
    let upstream = &plan.upstreams[0];
    let retry = upstream.retry.clone().expect("a retry");
    assert_eq!(retry.attempts, 4);
    assert_eq!(retry.backoff.base, Duration::from_millis(500));
    assert_eq!(retry.backoff.max, Duration::from_millis(500));
    assert_eq!(format!("{:?}", retry.backoff.jitter), "None");
    assert!(retry.on.connect_error && retry.on.reset && retry.on.timeout);
    let statuses: Vec<u16> = retry.on.statuses.iter().map(|it| it.as_u16()).collect();
    assert!(
        statuses.contains(&503) && statuses.contains(&500),
        "{statuses:?}"
    );
    assert_eq!(upstream.timeout.request, Duration::from_secs(2));
    assert_eq!(
        upstream.timeout.total,
        Some(Duration::from_millis(4 * 2000 + 3 * 500))
    );
}

#[test]
fn only_failures_that_leave_the_scope_are_repeated() {
    let plan = whole(&flow(
        "",
        &format!(
            r#"<until-successful maxRetries="2" millisBetweenRetries="100"><try>{CALL}
              <error-handler><on-error-continue type="HTTP:NOT_FOUND, HTTP:BAD_REQUEST, HTTP:UNAUTHORIZED, HTTP:FORBIDDEN, HTTP:TOO_MANY_REQUESTS, UNKNOWN">
                <set-payload value="none" mimeType="text/plain"/></on-error-continue></error-handler></try></until-successful>"#
        ),
    ));
    let retry = plan.upstreams[0].retry.clone().expect("a retry");
    let statuses: Vec<u16> = retry.on.statuses.iter().map(|it| it.as_u16()).collect();
    assert_eq!(statuses, [409, 500, 502, 503, 504]);
}

#[test]
fn a_post_is_repeated_where_the_flow_does_and_the_file_says_so() {
    let text = r##"<flow name="a"><http:listener config-ref="L" path="/a" allowedMethods="POST"/>
        <until-successful maxRetries="20" millisBetweenRetries="0"><http:request config-ref="S" path="/a" method="POST"/></until-successful></flow>"##;
    let plan = whole(text);
    let retry = plan.upstreams[0].retry.clone().expect("a retry");
    assert_eq!(
        (retry.attempts, retry.methods),
        (10, vec![http::Method::POST])
    );
    let yaml = converted(text).yaml.unwrap_or_default();
    for comment in [
        "differs: the flow tries up to 21 times; here 10 times (orders.xml:2)",
        "kept: POST and PATCH are repeated, though the upstream may have done what was asked (orders.xml:2)",
    ] {
        assert!(yaml.contains(comment), "{comment}\n{yaml}");
    }
}

#[test]
fn the_answer_to_a_failed_call_is_a_rung_without_any_circuit() {
    let plan = whole(&flow(
        "",
        &format!(
            r#"<try>{CALL}<error-handler><on-error-continue type="HTTP:CONNECTIVITY, HTTP:TIMEOUT">
            <set-variable variableName="httpStatus" value="504"/>
            <set-variable variableName="outboundHeaders" value="{{'X-Why': 'away'}}"/>
            <set-payload value="no answer" mimeType="text/plain"/></on-error-continue></error-handler></try>"#
        )
        .replace("\"{'X-Why': 'away'}\"", "\"#[{'X-Why': 'away'}]\""),
    ));
    let answers: Vec<_> = forward(&plan).fallback().iter().map(answer).collect();
    assert_eq!(
        answers,
        [("all", 504, "text/plain".into(), "no answer".into())]
    );
    // Other answers pass, as in the flow.
    let breaker = &plan.upstreams[0].breaker;
    assert_eq!(breaker.failure.source(), "error != \"\"");
    assert_eq!(breaker.settings.mode, fusebox_breaker::Mode::Disabled);
}

#[test]
fn answers_that_differ_by_the_error_are_told_but_for_the_first() {
    let text = flow(
        "",
        &format!(
            r#"<try>{CALL}<error-handler>
            <on-error-continue type="HTTP:CONNECTIVITY"><set-payload value="away"/></on-error-continue>
            <on-error-continue type="HTTP:TIMEOUT"><set-payload value="late"/></on-error-continue>
            </error-handler></try>"#
        ),
    );
    let conversion = converted(&text);
    let plan = native(&conversion);
    let answers: Vec<_> = forward(&plan).fallback().iter().map(answer).collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].3, "away");
    let told = told(&conversion);
    assert!(
        told.contains("3:13: warning: not carried: the answer to HTTP:TIMEOUT, 200 `late`: here it is 502 or 504"),
        "{told}"
    );
}

#[test]
fn an_answer_kept_for_bad_times_becomes_last_good_with_what_follows_it() {
    let plan = whole(
        r##"<os:object-store name="kept" entryTtl="3600" entryTtlUnit="SECONDS"/>
        <flow name="a"><http:listener config-ref="L" path="/a/{id}" allowedMethods="GET"/>
        <try><http:request config-ref="S" path="#['/a/' ++ attributes.uriParams.id]"/>
          <os:store key="#['a-' ++ attributes.uriParams.id]" objectStore="kept"><os:value>#[payload]</os:value></os:store>
          <error-handler><on-error-continue type="ANY"><try>
            <os:retrieve key="#['a-' ++ attributes.uriParams.id]" objectStore="kept"/>
            <error-handler><on-error-continue type="OS:KEY_NOT_FOUND">
              <set-variable variableName="httpStatus" value="503"/><set-payload value='{"kept":false}' mimeType="application/json"/>
            </on-error-continue></error-handler></try></on-error-continue></error-handler></try></flow>"##,
    );
    let ladder = forward(&plan).fallback();
    assert_eq!(ladder[0], Rung::LastGood(Duration::from_secs(3600)));
    assert_eq!(answer(&ladder[1]).3, r#"{"kept":false}"#);
    assert_eq!(
        plan.upstreams[0].breaker.failure.source(),
        "status >= 400 || error != \"\""
    );
}

#[test]
fn an_answer_kept_by_a_field_is_kept_by_it_here_and_by_anything_else_not() {
    let text = |key: &str| {
        flow(
            "",
            &format!(
                r##"<set-variable variableName="id" value="#[payload.id]"/><try>{CALL}<os:store key="{key}" objectStore="kept"/>
                <error-handler><on-error-continue type="ANY"><os:retrieve key="{key}" objectStore="kept"/></on-error-continue></error-handler></try>"##
            ),
        )
    };
    let conversion = converted(&text("#[attributes.headers.'x-tenant']"));
    let plan = native(&conversion);
    assert_eq!(plan.upstreams[0].last_good.key, ["x-tenant"]);
    let conversion = converted(&text("#[vars.id]"));
    assert!(forward(&native(&conversion)).fallback().is_empty());
    let told = told(&conversion);
    assert!(
        told.contains(
            "not carried: the answer that was kept: its key depends on more than the address"
        ),
        "{told}"
    );
}

#[test]
fn a_cache_around_the_call_gives_the_last_good_answer_and_is_told() {
    let text = flow("", &format!("<ee:cache>{CALL}</ee:cache>"));
    let conversion = converted(&text);
    let plan = native(&conversion);
    assert_eq!(
        forward(&plan).fallback(),
        [Rung::LastGood(Duration::from_secs(600))]
    );
    assert!(
        told(&conversion)
            .contains("not carried: the cache: here every request goes to the upstream")
    );
}

#[test]
fn a_second_service_becomes_a_rung_before_the_last_answer() {
    let text = r##"<flow name="a"><http:listener config-ref="L" path="/a/{id}" allowedMethods="GET"/>
        <try><http:request config-ref="S" path="/a/#[attributes.uriParams.id]"/>
          <error-handler><on-error-continue type="HTTP:TIMEOUT, HTTP:CONNECTIVITY"><try>
            <http:request config-ref="T" path="/v2/a/#[attributes.uriParams.id]"/>
            <error-handler><on-error-continue type="ANY">
              <set-variable variableName="httpStatus" value="503"/>
              <set-payload value="#[output application/json --- {error: 'both are away'}]"/>
            </on-error-continue></error-handler></try></on-error-continue></error-handler></try></flow>"##;
    let plan = whole(text);
    let ladder = forward(&plan).fallback();
    assert_eq!(ladder[0], Rung::Upstream("T".into()));
    assert_eq!(answer(&ladder[1]).3, r#"{"error":"both are away"}"#);
    let second = plan
        .upstreams
        .iter()
        .find(|it| &*it.name == "T")
        .expect("the second one");
    assert_eq!(second.endpoint().base_path, "/v2");
    let elsewhere = converted(&text.replace("/v2/a/", "/b/"));
    let told = told(&elsewhere);
    assert!(
        told.contains("the path of its second call does not end with that of the first"),
        "{told}"
    );
}

#[test]
fn the_limit_of_a_flow_becomes_a_bulkhead() {
    let plan = whole(&flow("maxConcurrency=\"5\"", CALL));
    let bulkhead = forward(&plan).bulkhead.clone().expect("a bulkhead");
    assert_eq!(format!("{:?}", bulkhead.concurrent), "Fixed(5)");
    // The upstream's own limit is for all its routes, so the flow's is the route's.
    let plan = whole(
        &(r#"<http:request-config name="S"><http:request-connection host="h" port="81" maxConnections="20"/></http:request-config>"#.to_owned()
            + &flow("maxConcurrency=\"5\"", CALL)),
    );
    let bulkhead = plan.upstreams[0].bulkhead.clone().expect("a bulkhead");
    assert_eq!(format!("{:?}", bulkhead.concurrent), "Fixed(20)");
    assert_eq!(plan.routes[0].concurrency_max, Some(5));
}

#[test]
fn the_clients_method_query_and_an_upstreams_own_error_pass() {
    let plan = whole(
        r##"<flow name="a"><http:listener config-ref="L" path="/a" allowedMethods="GET, POST"/>
        <http:request config-ref="S" path="/a" method="#[attributes.method]"><http:query-params>#[attributes.queryParams]</http:query-params></http:request>
        <error-handler>
          <on-error-propagate type="HTTP:CONNECTIVITY, HTTP:TIMEOUT"><set-variable variableName="httpStatus" value="504"/><set-payload value='{"error":"no answer"}' mimeType="application/json"/></on-error-propagate>
          <on-error-propagate when="#[error.errorMessage.attributes.statusCode != null]">
            <set-variable variableName="httpStatus" value="#[error.errorMessage.attributes.statusCode]"/>
            <set-payload value="#[error.errorMessage.payload]"/></on-error-propagate>
        </error-handler></flow>"##,
    );
    assert_eq!(
        plan.routes[0].methods,
        Some(vec![http::Method::GET, http::Method::POST])
    );
    let answers: Vec<_> = forward(&plan).fallback().iter().map(answer).collect();
    assert_eq!(answers[0].1, 504);
}

#[test]
fn in_strict_mode_the_variable_for_the_status_is_nothing() {
    // The loader of these tests is that of the default; `intent` answers 503 there.
    let text = flow(
        "",
        &format!(
            r#"<try>{CALL}<error-handler><on-error-continue type="HTTP:CONNECTIVITY, HTTP:TIMEOUT">
            <set-variable variableName="httpStatus" value="503"/><set-payload value="x"/></on-error-continue></error-handler></try>"#
        ),
    );
    let plan = native(&lossy(&text));
    assert_eq!(answer(&forward(&plan).fallback()[0]).1, 503);
}
