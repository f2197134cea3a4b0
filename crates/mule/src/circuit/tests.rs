//! From flows to circuits, and flows that resemble circuits without being one.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::sync::Arc;
use std::time::Duration;

use fusebox_dataweave::{Typed, Value};
use fusebox_plan::dialect::{Loader, Notes};

mod policies;
mod stored;

use super::{Circuit, CircuitState, Cooldown, FlawKind, OpenWhen, Outlook};
use crate::app::Compat;
use crate::lower::{LowerInput, lower};
use crate::xml;

const SEED: &str = include_str!(
    "../../../../conformance/recipes/error-handling/retry/circuit-breaker-object-store.xml"
);

/// A machine without files.
struct NoFiles;

impl Loader for NoFiles {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

fn read(text: &str, properties: &[(&str, &str)]) -> (Vec<Circuit>, Vec<String>) {
    let mut notes = Notes::default();
    let elements = xml::parse(text, 0, Compat::Intent, &mut notes).unwrap();
    let bindings = ["HTTP_Listener", "Order_Service", "L", "S", "T"].into_iter();
    let bindings = bindings.filter(|name| text.contains(&format!("\"{name}\"")));
    let url =
        |(at, name): (usize, &str)| (name.to_owned(), format!("http://127.0.0.1:{}", 8081 + at));
    let bindings: Vec<(String, String)> = bindings.enumerate().map(url).collect();
    let properties = properties.iter();
    let properties = properties.map(|(key, value)| (Arc::from(*key), Arc::from(*value)));
    let setting = LowerInput {
        name: "app".into(),
        files: &["app.xml"],
        properties: properties.collect(),
        bindings: &bindings,
        compat: Compat::Intent,
        is_partial: false,
        loader: &NoFiles,
        outlook: |_, _| Outlook {
            breakers: Default::default(),
            is_lossy: false,
        },
        modules: &Default::default(),
    };
    let plan = lower(elements, setting, &mut notes);
    assert_eq!(notes.errors(), 0, "{:#?}", notes.finish(&["app.xml"]));
    let said = notes.finish(&["app.xml"]);
    let said = said.iter().map(ToString::to_string).collect();
    let app = plan.program::<crate::app::App>().unwrap();
    (app.circuits.clone(), said)
}

fn circuits(text: &str) -> Vec<Circuit> {
    read(text, &[]).0
}

fn one(text: &str) -> Circuit {
    let mut found = circuits(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

fn kinds(circuit: &Circuit) -> Vec<FlawKind> {
    circuit.flaws.iter().map(|flaw| flaw.kind).collect()
}

fn failures(circuit: &Circuit) -> Vec<String> {
    let failures = circuit.failures.iter();
    failures.map(|failure| failure.kind.to_string()).collect()
}

#[track_caller]
fn check_flaws(circuit: &Circuit, with: &[FlawKind], without: &[FlawKind]) {
    let kinds = kinds(circuit);
    for kind in with {
        assert!(kinds.contains(kind), "{kind:?} in {kinds:?}");
    }
    for kind in without {
        assert!(!kinds.contains(kind), "{kind:?} in {kinds:?}");
    }
}

#[track_caller]
fn check_failures(circuit: &Circuit, with: &[&str], without: &[&str]) {
    let failures = failures(circuit);
    let has = |name: &&str| failures.iter().any(|failure| failure == name);
    assert!(with.iter().all(has), "{failures:?}");
    assert!(!without.iter().any(has), "{failures:?}");
}

fn threshold(circuit: &Circuit) -> Option<u64> {
    circuit.count.as_ref().and_then(|count| count.threshold)
}

fn line(text: &str, part: &str) -> u32 {
    let at = text.find(part).unwrap();
    u32::try_from(text[..at].matches('\n').count() + 1).unwrap()
}

fn expiry(ttl: u64, sweep: u64) -> Cooldown {
    Cooldown::Expiry {
        ttl: seconds(ttl),
        sweep: seconds(sweep),
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The beginning of the element in `SEED` that reads the state.
const READ: &str = "<os:retrieve key=\"circuit-state\"";

#[test]
fn the_documents_flow_is_a_circuit() {
    let (found, said) = read(SEED, &[]);
    let [circuit] = &found[..] else {
        panic!("{found:#?}")
    };
    assert_eq!(&*circuit.name, "circuit-breaker-store/circuit-state");
    assert_eq!(circuit.open_when, OpenWhen::Is(Value::text("OPEN")));
    let count = circuit.count.as_ref().unwrap().entry.to_string();
    assert_eq!(count, "circuit-breaker-store/failure-count");
    assert_eq!(threshold(circuit), Some(5));
    assert_eq!(failures(circuit), ["HTTP:CONNECTIVITY", "HTTP:TIMEOUT"]);
    assert_eq!(circuit.upstreams, [Arc::from("Order_Service")]);
    assert_eq!(circuit.cooldown, expiry(60, 10));
    assert_eq!(circuit.half_open, None);
    assert_eq!(circuit.closes, Some(Value::text("CLOSED")));
    assert!(circuit.success_resets);
    assert_eq!(circuit.refusal.status, Some(503));
    let body = circuit.refusal.body.as_ref().unwrap();
    assert!(body.contains("Circuit open"));
    assert_eq!(circuit.site.line, line(SEED, READ));
    assert_eq!(said.len(), 7, "{said:#?}");
}

#[test]
fn each_flaw_of_the_documents_flow_has_its_own_line() {
    let circuit = one(SEED);
    let lines = circuit.flaws.iter();
    let lines: Vec<_> = lines.map(|flaw| (flaw.kind, flaw.site.line)).collect();
    let counted = line(SEED, "<!-- Trip circuit") - 3;
    let closed = line(SEED, "<os:value>CLOSED</os:value>") - 1;
    let handled = line(SEED, "<on-error-propagate type=\"HTTP:CONN");
    assert_eq!(
        lines,
        [
            (FlawKind::LostIncrements, counted),
            (FlawKind::NoHalfOpen, line(SEED, READ)),
            (FlawKind::LateSuccess, closed),
            (FlawKind::ServerErrorsIgnored, handled),
            (FlawKind::CooldownAtSweep, 1),
            (FlawKind::CountRenewed, counted),
        ]
    );
}

#[test]
fn an_entry_says_what_its_circuit_does() {
    let circuit = one(SEED);
    let typed = |text: &str| Typed::literal(Arc::from(text));
    let state = |text| circuit.state_for(Some(&typed(text)));
    assert_eq!(circuit.state_for(None), CircuitState::Closed);
    assert_eq!(state("OPEN"), CircuitState::Open);
    assert_eq!(state("CLOSED"), CircuitState::Closed);
    assert_eq!(circuit.count_in(None), Some(0));
    assert_eq!(circuit.count_in(Some(&typed("3"))), Some(3));
    assert_eq!(circuit.count_in(Some(&typed("many"))), None);
}

/// The same circuit in other words: other names, the comparison with swapped sides, errors that end here, a variable
/// made of the state, a default value.
const OTHER_WORDS: &str = r##"<os:object-store name="memory" persistent="false" entryTtl="2" entryTtlUnit="MINUTES"/>
<flow name="go">
  <http:listener config-ref="L" path="/x"/>
  <os:retrieve key="door" objectStore="memory" target="door"><os:default-value>up</os:default-value></os:retrieve>
  <set-variable variableName="allowed" value="#[if ('down' == vars.door) false else true]"/>
  <choice>
    <when expression="#[vars.allowed]">
      <try>
        <http:request config-ref="S" path="/a"/>
        <error-handler>
          <on-error-continue type="HTTP:TIMEOUT"><logger message="slow"/></on-error-continue>
          <on-error-continue>
            <os:retrieve key="bad" objectStore="memory" target="n"><os:default-value>0</os:default-value></os:retrieve>
            <os:store key="bad" objectStore="memory"><os:value>#[1 + (vars.n as Number)]</os:value></os:store>
            <choice><when expression="#[not (3 > (vars.n as Number) + 1)]">
              <os:store key="door" objectStore="memory"><os:value>down</os:value></os:store>
            </when></choice>
          </on-error-continue>
        </error-handler>
      </try>
    </when>
    <otherwise><raise-error type="APP:DOWN"/></otherwise>
  </choice>
</flow>"##;

#[test]
fn other_names_other_directions_and_a_default_value_are_the_same() {
    let circuit = one(OTHER_WORDS);
    assert_eq!(&*circuit.name, "memory/door");
    assert_eq!(circuit.open_when, OpenWhen::Is(Value::text("down")));
    assert_eq!(threshold(&circuit), Some(3));
    check_failures(&circuit, &["HTTP:BAD_GATEWAY"], &["HTTP:TIMEOUT"]);
    assert_eq!(circuit.cooldown, expiry(120, 60));
    assert!(!circuit.success_resets);
    assert_eq!(circuit.refusal.error.as_deref(), Some("APP:DOWN"));
    let without = [FlawKind::LateSuccess, FlawKind::ServerErrorsIgnored];
    check_flaws(&circuit, &[], &without);
}

#[test]
fn a_threshold_may_be_a_property() {
    let text = OTHER_WORDS.replace("(3 > ", "((p('cb.limit') as Number) > ");
    let (found, _) = read(&text, &[("cb.limit", "7")]);
    assert_eq!(threshold(&found[0]), Some(7));
}

#[test]
fn one_more_than_a_count_that_is_exceeded_opens() {
    for (condition, opens) in [
        ("vars.failCount > 5", 6),
        ("vars.failCount == 4", 4),
        ("(vars.failCount as Number) + 1 >= 5", 4),
        ("vars.failCount - 1 >= 5", 6),
        ("vars.failCount &gt;= '9'", 9),
        ("5.5 &lt; vars.failCount", 6),
    ] {
        let text = SEED.replace("vars.failCount >= 5", condition);
        assert_eq!(threshold(&one(&text)), Some(opens), "{condition}");
    }
}

/// One object as text under its own key, with a half-open state; divided into sub-flows.
const IN_ONE_OBJECT: &str = r##"<os:object-store name="Guard" entryTtl="1" entryTtlUnit="DAYS"/>
<sub-flow name="ask">
  <try>
    <os:retrieve key="#['guard-' ++ vars.who]" objectStore="Guard"/>
    <set-variable variableName="g" value="#[read(payload, 'application/json')]"/>
    <error-handler><on-error-continue type="OS:KEY_NOT_FOUND">
      <set-variable variableName="g" value="#[output application/java --- {mode: 'CLOSED', bad: 0, since: null, wait: 30, limit: 4, span: 60}]"/>
    </on-error-continue></error-handler>
  </try>
  <choice>
    <when expression="#[vars.g.mode == 'OPEN']">
      <choice>
        <when expression="#[(now() as Number {unit: 'seconds'}) - (vars.g.since as DateTime as Number {unit: 'seconds'}) > vars.g.wait]">
          <set-variable variableName="g" value="#[vars.g ++ {mode: 'HALF_OPEN'}]"/>
          <flow-ref name="keep"/>
        </when>
        <otherwise><raise-error type="APP:OPEN" description="#['no: ' ++ vars.who]"/></otherwise>
      </choice>
    </when>
    <otherwise><logger message="go"/></otherwise>
  </choice>
</sub-flow>
<sub-flow name="good">
  <set-variable variableName="g" value="#[{mode: 'CLOSED', bad: 0, since: null, wait: vars.g.wait, limit: vars.g.limit, span: vars.g.span}]"/>
  <flow-ref name="keep"/>
</sub-flow>
<sub-flow name="bad">
  <set-variable variableName="n" value="#[vars.g.bad + 1]"/>
  <choice>
    <when expression="#[vars.n >= vars.g.limit or vars.g.mode == 'HALF_OPEN']">
      <set-variable variableName="g" value="#[vars.g ++ {mode: 'OPEN', bad: vars.n, since: now() as String {format: &quot;yyyy-MM-dd'T'HH:mm:ss'Z'&quot;}}]"/>
    </when>
    <otherwise><set-variable variableName="g" value="#[vars.g ++ {bad: vars.n}]"/></otherwise>
  </choice>
  <flow-ref name="keep"/>
</sub-flow>
<sub-flow name="keep">
  <os:store key="#['guard-' ++ vars.who]" objectStore="Guard"><os:value>#[write(vars.g, 'application/json')]</os:value></os:store>
</sub-flow>
<flow name="pay">
  <http:listener config-ref="L" path="/pay"/>
  <set-variable variableName="who" value="bank"/>
  <flow-ref name="ask"/>
  <try>
    <http:request config-ref="S" path="/charge" method="POST" responseTimeout="5000"/>
    <flow-ref name="good"/>
    <error-handler>
      <on-error-propagate type="HTTP:CONNECTIVITY, HTTP:TIMEOUT"><flow-ref name="bad"/><raise-error type="APP:AWAY"/></on-error-propagate>
      <on-error-propagate type="HTTP:BAD_REQUEST"/>
    </error-handler>
  </try>
</flow>"##;

#[test]
fn a_state_machine_in_one_object_is_a_circuit() {
    let circuit = one(IN_ONE_OBJECT);
    assert_eq!(&*circuit.name, "Guard/guard-bank.mode");
    assert_eq!(circuit.open_when, OpenWhen::Is(Value::text("OPEN")));
    assert_eq!(circuit.half_open, Some(Value::text("HALF_OPEN")));
    assert_eq!(threshold(&circuit), Some(4));
    let count = &circuit.count.as_ref().unwrap().entry;
    assert_eq!(count.field.as_deref(), Some("bad"));
    assert_eq!(circuit.cooldown, Cooldown::Timeout(Some(seconds(30))));
    assert_eq!(failures(&circuit), ["HTTP:CONNECTIVITY", "HTTP:TIMEOUT"]);
    let with = [
        FlawKind::LostIncrements,
        FlawKind::HalfOpenTakesAll,
        FlawKind::LateSuccess,
        FlawKind::ServerErrorsIgnored,
        FlawKind::LocalTimeAsUtc,
        FlawKind::MessageLost,
        FlawKind::Unused,
    ];
    check_flaws(
        &circuit,
        &with,
        &[FlawKind::NoHalfOpen, FlawKind::UnitsMixed],
    );
    let mut flaws = circuit.flaws.iter();
    let unused = flaws.find(|flaw| flaw.kind == FlawKind::Unused);
    assert!(unused.unwrap().what.contains("`span`, always 60"));
    let open = Typed::literal(Arc::from(r##"{"mode": "OPEN", "bad": 4}"##));
    assert_eq!(circuit.state_for(Some(&open)), CircuitState::Open);
    assert_eq!(circuit.count_in(Some(&open)), Some(4));
}

#[test]
fn a_key_that_the_request_chooses_is_shown_as_such() {
    let text = IN_ONE_OBJECT.replace("value=\"bank\"", "value=\"#[attributes.uriParams.who]\"");
    let circuit = one(&text);
    assert_eq!(&*circuit.name, "Guard/guard-{…}.mode");
    assert!(circuit.state.key.matches("guard-bank"));
    assert!(!circuit.state.key.matches("bank"));
}

/// Separate entries for state, time and count; an interval in milliseconds compared with seconds.
const WITH_TIME: &str = r##"<os:object-store name="cb" entryTtl="1" entryTtlUnit="HOURS"/>
<flow name="f">
  <http:listener config-ref="L" path="/x"/>
  <os:retrieve key="state" objectStore="cb" target="state"><os:default-value>CLOSED</os:default-value></os:retrieve>
  <choice>
    <when expression="#[vars.state == 'OPEN']">
      <os:retrieve key="opened-at" objectStore="cb" target="at"><os:default-value>0</os:default-value></os:retrieve>
      <choice>
        <when expression="#[(now() as Number) - (vars.at as Number) > 30000]">
          <os:store key="state" objectStore="cb"><os:value>HALF_OPEN</os:value></os:store>
          <flow-ref name="call"/>
        </when>
        <otherwise><set-variable variableName="httpStatus" value="503"/></otherwise>
      </choice>
    </when>
    <otherwise><flow-ref name="call"/></otherwise>
  </choice>
</flow>
<flow name="call">
  <http:request config-ref="S" path="/a"/>
  <os:store key="state" objectStore="cb"><os:value>CLOSED</os:value></os:store>
  <error-handler>
    <on-error-propagate>
      <os:retrieve key="count" objectStore="cb" target="c"><os:default-value>0</os:default-value></os:retrieve>
      <os:store key="count" objectStore="cb"><os:value>#[(vars.c as Number) + 1]</os:value></os:store>
      <choice><when expression="#[(vars.c as Number) + 1 >= 5 or vars.state == 'HALF_OPEN']">
        <os:store key="state" objectStore="cb"><os:value>OPEN</os:value></os:store>
        <os:store key="opened-at" objectStore="cb"><os:value>#[now() as Number as String]</os:value></os:store>
      </when></choice>
    </on-error-propagate>
  </error-handler>
</flow>"##;

#[test]
fn a_time_in_an_entry_of_its_own_is_the_cooldown() {
    let circuit = one(WITH_TIME);
    assert_eq!(&*circuit.name, "cb/state");
    assert_eq!(circuit.half_open, Some(Value::text("HALF_OPEN")));
    assert_eq!(circuit.cooldown, Cooldown::Timeout(Some(seconds(30_000))));
    assert_eq!(threshold(&circuit), Some(5));
    let with = [
        FlawKind::UnitsMixed,
        FlawKind::ExpiresFirst,
        FlawKind::HalfOpenTakesAll,
    ];
    check_flaws(&circuit, &with, &[]);
    let circuit = one(&WITH_TIME.replace("30000", "30"));
    check_flaws(&circuit, &[], &[FlawKind::UnitsMixed]);
    assert_eq!(circuit.cooldown, Cooldown::Timeout(Some(seconds(30))));
    let in_millis = "now() as Number {unit: 'milliseconds'})";
    let millis = WITH_TIME.replace("now() as Number)", in_millis);
    // Seconds are stored.
    check_flaws(&one(&millis), &[FlawKind::UnitsMixed], &[]);
}

/// The state is a count alone, the existence of an entry, or a moment until which the circuit is open.
const FRAME: &str = r##"<flow name="f">
  <http:listener config-ref="L" path="/x"/>
  ASK
  <choice>
    <when expression="#[WHEN]"><set-variable variableName="httpStatus" value="503"/></when>
    <otherwise>
      <try>
        <http:request config-ref="S" path="/a"/>
        GOOD
        <error-handler><on-error-propagate type="ANY">BAD</on-error-propagate></error-handler>
      </try>
    </otherwise>
  </choice>
</flow>"##;

fn framed(ask: &str, when: &str, good: &str, bad: &str) -> String {
    FRAME
        .replace("ASK", ask)
        .replace("WHEN", when)
        .replace("GOOD", good)
        .replace("BAD", bad)
}

const COUNT: &str =
    r##"<os:retrieve key="bad" target="n"><os:default-value>0</os:default-value></os:retrieve>"##;
const MORE: &str =
    r##"<os:store key="bad"><os:value>#[(vars.n as Number) + 1]</os:value></os:store>"##;

#[test]
fn a_count_may_be_the_state() {
    let bad = format!("{COUNT}{MORE}");
    let circuit = one(&framed(COUNT, "(vars.n as Number) >= 3", "", &bad));
    assert_eq!(&*circuit.name, "_defaultPersistentObjectStore/bad");
    assert_eq!(circuit.open_when, OpenWhen::AtLeast(Some(3)));
    assert_eq!(threshold(&circuit), Some(3));
    assert_eq!(circuit.cooldown, Cooldown::Never);
    check_flaws(&circuit, &[FlawKind::NeverCloses], &[]);
}

#[test]
fn an_entry_may_say_so_by_being_there() {
    let ask = r##"<os:contains key="down" target="down"/>"##;
    let bad = r##"<os:store key="down"><os:value>yes</os:value></os:store>"##;
    let circuit = one(&framed(ask, "vars.down", "", bad));
    assert_eq!(circuit.open_when, OpenWhen::Present);
    assert_eq!(circuit.count, None);
    let counted = format!(
        r##"{COUNT}{MORE}<choice><when expression="#[(vars.n as Number) + 1 >= 2]">{bad}</when></choice>"##
    );
    let circuit = one(&framed(ask, "vars.down == true", "", &counted));
    assert_eq!(threshold(&circuit), Some(2));
}

#[test]
fn an_entry_may_say_until_when() {
    let ask = r##"<os:retrieve key="until" target="until"><os:default-value>0</os:default-value></os:retrieve>"##;
    let bad = format!(
        r##"{COUNT}{MORE}<choice><when expression="#[(vars.n as Number) + 1 >= 4]">
        <os:store key="until"><os:value>#[(now() as Number {{unit: 'milliseconds'}}) + 20000]</os:value></os:store></when></choice>"##
    );
    let when = "(now() as Number {unit: 'milliseconds'}) &lt; vars.until";
    let circuit = one(&framed(ask, when, "", &bad));
    assert_eq!(&*circuit.name, "_defaultPersistentObjectStore/until");
    assert_eq!(threshold(&circuit), Some(4));
    assert_eq!(circuit.cooldown, Cooldown::Timeout(Some(seconds(20))));
}

#[test]
fn answers_that_the_validator_lets_pass_may_count() {
    let text = SEED
        .replace(
            "<http:request config-ref=\"Order_Service\" path=\"/orders\" method=\"GET\"/>",
            "<http:request config-ref=\"Order_Service\" path=\"/orders\"><http:response-validator><http:success-status-code-validator values=\"100..599\"/></http:response-validator></http:request>
             <choice><when expression=\"#[attributes.statusCode >= 500]\"><raise-error type=\"APP:SICK\"/></when></choice>",
        )
        .replace("HTTP:CONNECTIVITY, HTTP:TIMEOUT", "APP:SICK, HTTP:TIMEOUT");
    let with = ["HTTP:BAD_GATEWAY", "HTTP:TIMEOUT"];
    let without = ["HTTP:CONNECTIVITY", "HTTP:NOT_FOUND"];
    check_failures(&one(&text), &with, &without);
}

#[test]
fn two_circuits_of_one_file_are_two() {
    let other = OTHER_WORDS.replace("config-ref=\"S\"", "config-ref=\"T\"");
    let text = format!("{SEED}\n{other}");
    let found = circuits(&text);
    let names: Vec<&str> = found.iter().map(|circuit| &*circuit.name).collect();
    assert_eq!(
        names,
        ["circuit-breaker-store/circuit-state", "memory/door"]
    );
    // Two calls in one flow, one after the other.
    let gate = |state: &str, config: &str| {
        let bad = format!(r##"<os:store key="{state}"><os:value>OPEN</os:value></os:store>"##);
        format!(
            r##"<os:retrieve key="{state}" target="s"><os:default-value>CLOSED</os:default-value></os:retrieve>
            <choice><when expression="#[vars.s != 'OPEN']"><try>
              <http:request config-ref="{config}" path="/a"/>
              <error-handler><on-error-continue>{bad}</on-error-continue></error-handler>
            </try></when></choice>"##
        )
    };
    let text = format!(
        r##"<flow name="f"><http:listener config-ref="L" path="/x"/>{}{}</flow>"##,
        gate("one", "S"),
        gate("two", "T")
    );
    let found = circuits(&text);
    let upstreams: Vec<_> = found
        .iter()
        .map(|circuit| (&*circuit.name, &*circuit.upstreams[0]))
        .collect();
    assert_eq!(
        upstreams,
        [
            ("_defaultPersistentObjectStore/one", "S"),
            ("_defaultPersistentObjectStore/two", "T")
        ]
    );
}

#[test]
fn a_validation_may_be_the_gate_and_a_retry_may_be_around_the_call() {
    let ask = r##"<os:retrieve key="s" target="s"><os:default-value>ok</os:default-value></os:retrieve>
        <validation:is-true expression="#[vars.s != 'off']"/>"##;
    let bad = format!(
        r##"{COUNT}{MORE}<choice><when expression="#[(vars.n as Number) + 1 == 6]"><os:store key="s"><os:value>off</os:value></os:store></when></choice>"##
    );
    let text = framed(ask, "false", "", &bad).replace(
        r##"<http:request config-ref="S" path="/a"/>"##,
        r##"<until-successful maxRetries="2"><http:request config-ref="S" path="/a"/></until-successful>"##,
    );
    let circuit = one(&text);
    assert_eq!(threshold(&circuit), Some(6));
    assert_eq!(
        circuit.refusal.error.as_deref(),
        Some("VALIDATION:INVALID_BOOLEAN")
    );
    assert!(failures(&circuit).len() > 10);
}

#[test]
fn what_keeps_something_in_a_store_is_not_therefore_a_circuit() {
    let fallback = r##"<flow name="f"><http:listener config-ref="L" path="/x"/><try>
        <http:request config-ref="S" path="/a"/>
        <os:store key="last"><os:value>#[payload]</os:value></os:store>
        <error-handler><on-error-continue>
          <os:retrieve key="last"><os:default-value>none</os:default-value></os:retrieve>
        </on-error-continue></error-handler></try></flow>"##;
    let aside = r##"<flow name="f"><http:listener config-ref="L" path="/x"/>
        <os:contains key="#[attributes.queryParams.id]" target="there"/>
        <choice><when expression="#[vars.there]"><os:retrieve key="#[attributes.queryParams.id]"/></when>
        <otherwise><http:request config-ref="S" path="/a"/>
          <os:store key="#[attributes.queryParams.id]"/></otherwise></choice></flow>"##;
    let flag = framed(
        r##"<os:retrieve key="maintenance" target="m"><os:default-value>off</os:default-value></os:retrieve>"##,
        "vars.m == 'on'",
        "",
        r##"<logger level="ERROR" message="failed"/>"##,
    );
    let rate = format!(
        r##"<flow name="f"><http:listener config-ref="L" path="/x"/>{COUNT}
        <choice><when expression="#[(vars.n as Number) >= 100]"><raise-error type="APP:RATE"/></when>
        <otherwise>{MORE}<http:request config-ref="S" path="/a"/></otherwise></choice></flow>"##
    );
    let failures_counted = framed(COUNT, "attributes.queryParams.skip == 'yes'", "", MORE);
    let attempts = framed(
        &COUNT.replace("\"bad\"", "\"#['tries-' ++ attributes.queryParams.id]\""),
        "(vars.n as Number) >= 3",
        "",
        &MORE.replace("\"bad\"", "\"#['tries-' ++ attributes.queryParams.id]\""),
    );
    let missing = framed(
        r##"<os:contains key="#['gone-' ++ attributes.queryParams.id]" target="gone"/>"##,
        "vars.gone",
        "",
        r##"<os:store key="#['gone-' ++ attributes.queryParams.id]"><os:value>1</os:value></os:store>"##,
    );
    let not_found = framed(
        r##"<os:contains key="gone" target="gone"/>"##,
        "vars.gone",
        "",
        r##"<os:store key="gone"><os:value>1</os:value></os:store>"##,
    )
    .replace("type=\"ANY\"", "type=\"HTTP:NOT_FOUND\"");
    let once = framed(
        r##"<os:contains key="running" target="running"/>"##,
        "vars.running",
        r##"<os:remove key="running"/>"##,
        r##"<os:remove key="running"/>"##,
    )
    .replace(
        "<try>",
        r##"<os:store key="running"><os:value>1</os:value></os:store><try>"##,
    );
    for (what, text) in [
        ("a cached fallback", fallback),
        ("a cache beside", aside),
        ("a feature flag", &flag),
        ("a rate", &rate),
        ("failures that are counted only", &failures_counted),
        ("attempts of one message", &attempts),
        ("things known to be missing", &missing),
        ("a missing thing", &not_found),
        ("a lock", &once),
    ] {
        let found = circuits(text);
        assert!(found.is_empty(), "{what}: {found:#?}");
    }
}

#[test]
fn a_flow_with_too_many_ways_is_left_alone_in_bounded_time() {
    let choice = r##"<choice><when expression="#[attributes.queryParams.a == 'b']"><set-variable variableName="vX" value="1"/></when></choice>"##;
    let many: String = (0..60)
        .map(|at| choice.replace('X', &at.to_string()))
        .collect();
    let text =
        format!(r##"<flow name="f"><http:listener config-ref="L" path="/x"/>{many}</flow>"##);
    assert!(circuits(&text).is_empty());
    let doubled: String = (0..60)
        .map(|_| r##"<set-variable variableName="a" value="#[vars.a ++ vars.a]"/>"##)
        .collect();
    let text = format!(
        r##"<flow name="f"><http:listener config-ref="L" path="/x"/><set-variable variableName="a" value="x"/>{doubled}</flow>"##
    );
    assert!(circuits(&text).is_empty());
}
