//! Circuits whose state is computed within the stored value, and refusals that count as failures.

use std::time::Duration;

use super::{kinds, one, read};
use crate::circuit::{Circuit, Cooldown, FlawKind};

/// A flow whose circuit is an object under one key: the part before the call, the value that a success stores, and the
/// processors of the handler.
fn flow(before: &str, good: &str, bad: &str) -> String {
    format!(
        r##"<os:object-store name="Tea"/><flow name="tea"><http:listener config-ref="L" path="/cup"/>
{READ}
{before}
<try><http:request config-ref="S" path="/pot"/>
  <os:store key="pot" objectStore="Tea"><os:value>{good}</os:value></os:store>
  <error-handler><on-error-propagate type="ANY">
{bad}
  </on-error-propagate></error-handler></try></flow>"##
    )
}

const READ: &str = r##"<os:retrieve key="pot" objectStore="Tea" target="c"><os:default-value>#[{s: 'CLOSED', n: 0, at: 0}]</os:default-value></os:retrieve>"##;
const GATE: &str = r##"<choice><when expression="#[vars.c.s == 'OPEN' and (now() as Number) - vars.c.at &lt; 30]"><raise-error type="APP:OPEN"/></when></choice>"##;
const GOOD: &str = "#[{s: 'CLOSED', n: 0, at: 0}]";

fn stored(value: &str) -> String {
    format!(r##"<os:store key="pot" objectStore="Tea"><os:value>{value}</os:value></os:store>"##)
}

#[track_caller]
fn is_tea(circuit: &Circuit, of: &str) {
    assert_eq!(&*circuit.name, "Tea/pot.s", "{of}");
    let threshold = circuit.count.as_ref().and_then(|count| count.threshold);
    assert_eq!(threshold, Some(3), "{of}");
    let cooldown = Cooldown::Timeout(Some(Duration::from_secs(30)));
    assert_eq!(circuit.cooldown, cooldown, "{of}");
    assert_eq!(circuit.failures.len(), 12, "{of}");
}

#[test]
fn a_state_may_be_computed_within_the_stored_value() {
    for bad in [
        stored(
            "#[{s: if (vars.c.n >= 2) 'OPEN' else 'CLOSED', n: vars.c.n + 1, at: now() as Number}]",
        ),
        stored(
            "#[vars.c ++ {n: vars.c.n + 1, at: now() as Number, s: if (vars.c.n + 1 > 2) 'OPEN' else vars.c.s}]",
        ),
        stored(
            "#[vars.c ++ {n: vars.c.n + 1} ++ (if (vars.c.n >= 2) {s: 'OPEN', at: now() as Number} else {s: 'CLOSED'})]",
        ),
        stored(
            "#[if (vars.c.n >= 2) {s: 'OPEN', n: vars.c.n + 1, at: now() as Number} else {s: 'CLOSED', n: vars.c.n + 1, at: 0}]",
        ),
        stored(
            "#[var n = vars.c.n + 1 --- {s: if (n >= 3) 'OPEN' else 'CLOSED', n: n, at: now() as Number}]",
        ),
        stored(
            "#[write({s: if (vars.c.n >= 2) 'OPEN' else 'CLOSED', n: vars.c.n + 1, at: now() as Number}, 'application/json')]",
        ),
        stored(
            "#[{(s: 'OPEN') if (vars.c.n >= 2), (s: 'CLOSED') if (vars.c.n &lt; 2), n: vars.c.n + 1, at: now() as Number}]",
        ),
        stored(
            "#[{s: vars.c.n match { case n if n >= 2 -> 'OPEN' else -> 'CLOSED' }, n: vars.c.n + 1, at: now() as Number}]",
        ),
    ] {
        is_tea(&one(&flow(GATE, GOOD, &bad)), &bad);
    }
}

#[test]
fn a_state_may_be_a_condition_itself() {
    let text = flow(
        GATE,
        GOOD,
        &stored("#[{s: vars.c.n >= 2, n: vars.c.n + 1, at: now() as Number}]"),
    )
    .replace("s: 'CLOSED'", "s: false")
    .replace("vars.c.s == 'OPEN'", "vars.c.s");
    is_tea(&one(&text), "a condition");
}

#[test]
fn a_state_may_be_the_end_of_the_cooldown() {
    for (unit, wait) in [("", "30"), (" {unit: 'milliseconds'}", "30000")] {
        let gate = format!(
            r##"<choice><when expression="#[vars.c.until > (now() as Number{unit})]"><raise-error type="APP:OPEN"/></when></choice>"##
        );
        let bad = stored(&format!(
            "#[{{n: vars.c.n + 1, until: if (vars.c.n + 1 >= 3) (now() as Number{unit}) + {wait} else 0}}]"
        ));
        let text = flow(&gate, "#[{n: 0, until: 0}]", &bad)
            .replace("{s: 'CLOSED', n: 0, at: 0}", "{n: 0, until: 0}");
        let circuit = one(&text);
        assert_eq!(&*circuit.name, "Tea/pot.until", "{text}");
        let threshold = circuit.count.as_ref().and_then(|count| count.threshold);
        assert_eq!(threshold, Some(3));
        let cooldown = Cooldown::Timeout(Some(Duration::from_secs(30)));
        assert_eq!(circuit.cooldown, cooldown);
        let held = |text: &str| circuit.state_for(Some(&crate::Typed::literal(text)));
        let open = held(r#"{"n": 3, "until": 1700000000}"#);
        assert_eq!(open, crate::CircuitState::Open);
        let closed = held(r#"{"n": 0, "until": 0}"#);
        assert_eq!(closed, crate::CircuitState::Closed);
    }
}

#[test]
fn a_state_may_be_in_an_object_within() {
    let bad = stored(
        "#[{meta: {s: if (vars.c.n >= 2) 'OPEN' else 'CLOSED'}, n: vars.c.n + 1, at: now() as Number}]",
    );
    let text = flow(GATE, GOOD, &bad)
        .replace("s: 'CLOSED', n: 0", "meta: {s: 'CLOSED'}, n: 0")
        .replace("vars.c.s ==", "vars.c.meta.s ==");
    let circuit = one(&text);
    assert_eq!(&*circuit.name, "Tea/pot.meta.s");
    let held = |state: &str| {
        let text = format!(r#"{{"meta": {{"s": "{state}"}}, "n": 3}}"#);
        circuit.state_for(Some(&crate::Typed::literal(text)))
    };
    assert_eq!(held("OPEN"), crate::CircuitState::Open);
    assert_eq!(held("CLOSED"), crate::CircuitState::Closed);
}

#[test]
fn a_state_may_pass_through_variables_and_sub_flows() {
    let variable = format!(
        r##"<set-variable variableName="n" value="#[vars.c.n + 1]"/>
        <set-variable variableName="s" value="#[if (vars.n >= 3) 'OPEN' else 'CLOSED']"/>
        <set-variable variableName="c" value="#[{{s: vars.s, n: vars.n, at: now() as Number}}]"/>{}"##,
        stored("#[vars.c]")
    );
    let transform = format!(
        r##"<ee:transform><ee:variables><ee:set-variable variableName="c"><![CDATA[%dw 2.0 output application/json
        --- {{s: if (vars.c.n >= 2) "OPEN" else "CLOSED", n: vars.c.n + 1, at: now() as Number}}]]></ee:set-variable></ee:variables></ee:transform>{}"##,
        stored("#[vars.c]")
    );
    for bad in [&variable, &transform] {
        is_tea(&one(&flow(GATE, GOOD, bad)), bad);
        let gate = r##"<set-variable variableName="waits" value="#[(now() as Number) - vars.c.at &lt; 30]"/>
            <set-variable variableName="open" value="#[vars.c.s == 'OPEN' and vars.waits]"/>
            <choice><when expression="#[vars.open]"><raise-error type="APP:OPEN"/></when></choice>"##;
        is_tea(&one(&flow(gate, GOOD, bad)), bad);
        let text = flow(
            r##"<flow-ref name="gate"/>"##,
            GOOD,
            r##"<flow-ref name="bad"/>"##,
        );
        let parts = format!(
            r##"{text}<sub-flow name="gate">{GATE}</sub-flow><sub-flow name="bad">{bad}</sub-flow>"##
        );
        is_tea(&one(&parts), bad);
    }
}

/// A flow with the gate inside the `try`.
fn inside(bad: &str) -> String {
    flow("", GOOD, bad).replace("<try>", &format!("<try>\n{GATE}\n"))
}

const IN_CHOICE: &str = r##"<choice><when expression="#[vars.c.n >= 2]"><os:store key="pot" objectStore="Tea"><os:value>#[{s: 'OPEN', n: vars.c.n + 1, at: now() as Number}]</os:value></os:store></when>
<otherwise><os:store key="pot" objectStore="Tea"><os:value>#[{s: 'CLOSED', n: vars.c.n + 1, at: 0}]</os:value></os:store></otherwise></choice>"##;

#[test]
fn a_refusal_inside_the_try_that_counts_failures_is_a_flaw() {
    let within = stored(
        "#[{s: if (vars.c.n >= 2) 'OPEN' else 'CLOSED', n: vars.c.n + 1, at: now() as Number}]",
    );
    for bad in [&within[..], IN_CHOICE] {
        let text = inside(bad);
        let (found, said) = read(&text, &[]);
        is_tea(&found[0], bad);
        let line = |part: &str| text[..text.find(part).unwrap()].matches('\n').count() + 1;
        let told: Vec<&String> = said
            .iter()
            .filter(|it| it.contains("counts its own refusal"))
            .collect();
        assert_eq!(told.len(), 1, "{said:#?}");
        assert!(
            told[0].starts_with(&format!("app.xml:{}:", line("<raise-error"))),
            "{told:?}"
        );
        let handler = format!("handler in line {} ", line("<on-error-propagate"));
        assert!(told[0].contains(&handler), "{told:?}");
        let outside = one(&flow(GATE, GOOD, bad));
        assert!(!kinds(&outside).contains(&FlawKind::RefusalCounts), "{bad}");
        let of_call = text.replace("type=\"ANY\"", "type=\"HTTP:CONNECTIVITY, HTTP:TIMEOUT\"");
        assert!(!kinds(&one(&of_call)).contains(&FlawKind::RefusalCounts));
    }
}
