//! A policy's breaker before a real upstream: it trips, refuses, is shown in the admin API, and recovers.

use crate::support::{Setup, Upstream, eventually};
use serde_json::json;

/// A policy in the manner of published ones: a template, a state that is JSON with `now()` in it, and errors that count.
const POLICY: &str = r##"<mule xmlns="http://www.mulesoft.org/schema/mule/core" xmlns:os="http://www.mulesoft.org/schema/mule/os"
 xmlns:http-policy="http://www.mulesoft.org/schema/mule/http-policy" xmlns:http-transform="http://www.mulesoft.org/schema/mule/http-policy-transform">
<os:object-store name="tea" persistent="true" entryTtl="1" entryTtlUnit="HOURS"/>
<http-policy:proxy name="{{{policyId}}}-tea"><http-policy:source>
  <try><os:retrieve key="${apiId}" objectStore="tea" target="c"/>
    <error-handler><on-error-continue type="OS:KEY_NOT_FOUND" logException="false"><logger message="closed" level="DEBUG"/></on-error-continue></error-handler></try>
  <choice><when expression="#[vars.c == null or vars.c.since + (&quot;PT$(vars.c.wait)S&quot; as Period) &lt; now() or vars.c.failures &lt; {{{threshold}}}]">
    <try>
      <http-policy:execute-next/>
      <choice><when expression="#[vars.c != null]"><os:remove key="${apiId}" objectStore="tea"/></when></choice>
      {{#if countErrors}}
      <error-handler><on-error-propagate type="ANY">
        <set-variable variableName="c" value='#[output application/json --- {wait: {{wait}}, since: now(), failures: (vars.c.failures default 0) + 1}]'/>
        <os:store key="${apiId}" objectStore="tea"><os:value>#[vars.c]</os:value></os:store>
        <http-transform:set-response statusCode="502"><http-transform:body>#[output application/json --- {failures: vars.c.failures}]</http-transform:body></http-transform:set-response>
      </on-error-propagate></error-handler>
      {{/if}}
    </try>
  </when><otherwise>
    <http-transform:set-response statusCode="503"><http-transform:body>wait</http-transform:body></http-transform:set-response>
  </otherwise></choice>
</http-policy:source></http-policy:proxy></mule>"##;

const NAME: &str = "tea/api.failures";

#[test]
fn a_policys_breaker_trips_is_shown_and_recovers() {
    let upstream = Upstream::start(|call| call.respond_with(200, "", "green"));
    let (addr, url) = (upstream.addr(), upstream.url());
    let mut setup = Setup::new(POLICY)
        .bind("http-policy:source", "http://127.0.0.1:0")
        .bind("http-policy:execute-next", &url);
    for set in ["threshold=3", "countErrors=true", "wait=2"] {
        setup = setup.arg("--set").arg(set);
    }
    let gateway = setup.start();
    assert_eq!(gateway.get("/cup?of=tea").text(), "green");
    assert_eq!(gateway.breaker(NAME)["state"], "closed");
    upstream.stop();
    drop(upstream);
    for failures in 1..=3 {
        let response = gateway.get("/cup?of=tea");
        assert_eq!(response.status, 502);
        assert!(
            response
                .text()
                .contains(&format!("\"failures\": {failures}"))
        );
    }
    let open = gateway.breaker(NAME);
    assert_eq!(
        (&open["kind"], &open["state"]),
        (&json!("flow"), &json!("open"))
    );
    assert_eq!(open["upstream"], "http-policy:execute-next");
    assert_eq!(open["flow"]["threshold"], 3);
    // The policy's own wait, and not the hour of its entry.
    assert!(open["retry_after"].as_u64().unwrap() <= 2, "{open}");
    let refused = gateway.get("/cup?of=tea");
    assert_eq!((refused.status, refused.text()), (503, "wait".to_owned()));

    let upstream = Upstream::at(addr, None, |call| call.respond_with(200, "", "green"));
    eventually("the policy lets a request through", || {
        gateway.get("/cup?of=tea").status == 200
    });
    assert_eq!(&*upstream.last().target, "/cup?of=tea");
    assert_eq!(gateway.breaker(NAME)["state"], "closed");
}
