//! Circuits that a policy builds around the flows of an application, and `update` in a stored value.

use std::time::Duration;

use super::{one, read};
use crate::circuit::{Cooldown, FlawKind};

/// A policy that keeps its state as JSON, adds a period to a text, and takes some statuses for failures.
const POLICY: &str = r##"<os:object-store name="guards" entryTtl="1" entryTtlUnit="HOURS"/>
<http-policy:proxy name="guard"><http-policy:source>
  <try><os:retrieve key="tea" objectStore="guards" target="c"/>
    <error-handler><on-error-continue type="OS:KEY_NOT_FOUND" logException="false"><logger message="closed"/></on-error-continue></error-handler></try>
  <choice>
    <when expression="#[sizeOf(vars.c default '') == 0 or (vars.c.since default 0) + (&quot;PT$(vars.c.wait default 0)S&quot; as Period) &lt; now() or (vars.c.failures default 0) &lt; 3]">
      <try>
        <http-policy:execute-next/>
        <choice><when expression="#[vars.c != null]"><os:remove key="tea" objectStore="guards"/></when></choice>
        <choice><when expression="#[var codes = (('500, 503' replace ' ' with '') splitBy ',') --- codes contains (attributes.statusCode as String)]">
          STORE
        </when></choice>
        <error-handler><on-error-propagate type="ANY">
          STORE
          <http-transform:add-response-headers><http-transform:headers>#[{state: 'failed'}]</http-transform:headers></http-transform:add-response-headers>
        </on-error-propagate></error-handler>
      </try>
    </when>
    <otherwise><http-transform:set-response statusCode="503"><http-transform:body>wait</http-transform:body></http-transform:set-response></otherwise>
  </choice>
</http-policy:source></http-policy:proxy>"##;

const STORE: &str = r##"<set-variable variableName="c" value="#[output application/json
            var failures = if ((vars.c.since default 0) + |PT60S| &gt; now()) (vars.c.failures default 0) + 1 else if (vars.c.state == 'OPEN') vars.c.failures + 1 else 1
            --- {state: if (failures &lt; 3) 'CLOSED' else 'OPEN', wait: 5, since: now(), failures: failures}]"/>
          <os:store key="tea" objectStore="guards"><os:value>#[vars.c]</os:value></os:store>"##;

/// An application that passes all answers on.
const APP: &str = r##"<flow name="tea"><http:listener config-ref="L" path="/cup"><http:response statusCode="#[attributes.statusCode]"/></http:listener>
  <http:request config-ref="S" path="/pot"><http:response-validator><http:success-status-code-validator values="100..599"/></http:response-validator></http:request></flow>"##;

#[test]
fn a_policy_around_a_flow_is_a_circuit_before_its_call() {
    let text = format!("{}{APP}", POLICY.replace("STORE", STORE));
    let circuit = one(&text);
    assert_eq!(&*circuit.name, "guards/tea.failures");
    let threshold = circuit.count.as_ref().and_then(|count| count.threshold);
    assert_eq!(threshold, Some(3));
    let cooldown = Cooldown::Timeout(Some(Duration::from_secs(5)));
    assert_eq!(circuit.cooldown, cooldown);
    assert_eq!(&*circuit.upstreams[0], "S");
    let counted: Vec<Option<u16>> = circuit.failures.iter().map(|it| it.status).collect();
    assert_eq!(counted, [None, None, Some(500), Some(503)]);
    assert!(
        circuit
            .flaws
            .iter()
            .all(|it| it.kind != FlawKind::NeverCloses)
    );
    assert_eq!(circuit.refusal.body.as_deref(), Some("wait"));
}

#[test]
fn a_state_may_be_an_update_of_the_stored_value() {
    let (found, said) = read(
        r##"<os:object-store name="Tea"/><flow name="tea"><http:listener config-ref="L" path="/cup"/>
        <os:retrieve key="pot" objectStore="Tea" target="c"><os:default-value>#[{s: 'CLOSED', n: 0, at: 0}]</os:default-value></os:retrieve>
        <choice><when expression="#[vars.c.s == 'OPEN' and (now() as Number) - vars.c.at &lt; 30]"><raise-error type="APP:OPEN"/></when></choice>
        <try><http:request config-ref="S" path="/pot"/><os:remove key="pot" objectStore="Tea"/>
          <error-handler><on-error-propagate type="HTTP:CONNECTIVITY, HTTP:TIMEOUT">
            <os:store key="pot" objectStore="Tea"><os:value>#[vars.c update {
              case n at .n -> n + 1
              case .at -> now() as Number
              case s at .s if (vars.c.n >= 2) -> 'OPEN'
            }]</os:value></os:store>
          </on-error-propagate></error-handler></try></flow>"##,
        &[],
    );
    assert_eq!(found.len(), 1, "{said:#?}");
    assert_eq!(&*found[0].name, "Tea/pot.s");
    let threshold = found[0].count.as_ref().and_then(|count| count.threshold);
    assert_eq!(threshold, Some(3));
}
