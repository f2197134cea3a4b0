//! Errors, with their positions.

use std::io;

use fusebox_mule::app::Compat;
use fusebox_mule::read;
use fusebox_plan::{Loader, Source};

use super::{Read, check, flow, read_all, snippet};

/// Checks all diagnostics of a flow `f` with these elements, which begin at 1:57.
#[track_caller]
fn refused(inner: &str, expected: &[&str]) {
    for compat in [Compat::Intent, Compat::Strict] {
        check(&flow(inner), compat, expected);
    }
}

#[test]
fn all_that_is_outside_is_named_at_once_with_what_is_nearest() {
    refused(
        "<db:select config-ref=\"D\"><db:sql>x</db:sql></db:select>\n<anypoint-mq:publish/>\n<batch:job/>\n<set-paylod value=\"x\"/>\n<foo:bar/>",
        &[
            "1:57: error: `db:select` is not supported; the nearest replacement: `http:request` to a service that owns the database, or `os:store` and `os:retrieve` for small state",
            "2:1: error: `anypoint-mq:publish` is not supported; the nearest replacement: `vm:publish`",
            "3:1: error: `batch:job` is not supported; the nearest replacement: `foreach` or `parallel-foreach` over the records",
            "4:1: error: unknown element `set-paylod`; did you mean `set-payload`?",
            "5:1: error: `foo:bar` is not supported: the module `foo` is not; call a service that does it by `http:request`",
        ],
    );
}

#[test]
fn attributes_are_those_of_the_table() {
    refused(
        r#"<os:store ky="k" key="k" failIfPresent="true" failifpresent="true"/>"#,
        &[
            "1:67: error: `os:store` has no attribute `ky`; did you mean `key`?",
            "1:103: error: `os:store` has no attribute `failifpresent`; did you mean `failIfPresent`?",
        ],
    );
    refused(
        r#"<set-variable value="1"/><logger level="LOUD"/><until-successful maxRetries="-1" millisBetweenRetries="soon"/>"#,
        &[
            "1:57: error: `set-variable` has no `variableName`; add `variableName=\"…\"`",
            "1:97: error: `level` is `LOUD`; expected one of TRACE, DEBUG, INFO, WARN, ERROR",
            "1:134: error: `maxRetries` is `-1`; write a whole number from 0 to 1000000",
            "1:160: error: `millisBetweenRetries` is `soon`; write a whole number from 0 to 31622400000",
        ],
    );
}

#[test]
fn what_stands_in_the_wrong_place_is_told_its_own() {
    refused(
        r#"<choice><logger/></choice><when expression="true"/><on-error-continue/>"#,
        &[
            "1:57: error: this `choice` has no `when`; add `<when expression=\"#[…]\">…</when>`",
            "1:65: error: `logger` is not allowed in `choice`; put it into `when` or `otherwise`",
            "1:83: error: `when` is not allowed in `flow`; it belongs in `choice`",
            "1:108: error: `on-error-continue` is not allowed in `flow`; it belongs in `error-handler`",
        ],
    );
    check(
        r#"<logger/>"#,
        Compat::Intent,
        &[
            "1:1: error: `logger` is not allowed outside flows; put it into a flow: `<flow name=\"main\">…</flow>`",
        ],
    );
    refused(
        r#"<error-handler><on-error-continue/></error-handler><logger/><scheduler/>"#,
        &[
            "1:57: error: there are elements after the `error-handler`; make it the last one",
            "1:117: error: `scheduler` is a second source of the flow; make a flow of its own for it, and let both refer to a third",
        ],
    );
    refused(
        "stray",
        &["1:57: error: `flow` must not contain text: `stray`; remove it"],
    );
}

#[test]
fn what_nothing_defines_names_the_bind_that_mends_it() {
    let text = r#"<flow name="f"><http:listener config-ref="HTTP_Listener" path="/x"/><http:request config-ref="Order_Service" path="/"/></flow>"#;
    let Read { said, plan } = read_all(&[("a.xml", text)], "", Compat::Intent);
    assert!(plan.is_none());
    assert_eq!(
        said,
        [
            "a.xml:1:43: error: nothing defines the listener `HTTP_Listener`; bind it: `--bind HTTP_Listener=http://127.0.0.1:8081`",
            "a.xml:1:95: error: nothing defines the requests' configuration `Order_Service`; bind it: `--bind Order_Service=http://127.0.0.1:8082`",
        ]
    );
    let bindings =
        "HTTP_Listener=https://127.0.0.1:1 Order_Service=ftp://x Orders=http://127.0.0.1:1";
    let Read { said, .. } = read_all(&[("a.xml", text)], bindings, Compat::Intent);
    assert_eq!(
        said,
        [
            "a.xml:1:1: error: `--bind Orders=http://127.0.0.1:1` binds nothing: no listener, request or flow-ref names `Orders`; expected one of HTTP_Listener, Order_Service",
            "a.xml:1:43: error: `--bind HTTP_Listener=…`: `https://127.0.0.1:1` is not an address to listen on; write it as `http://127.0.0.1:8081` or `http://0.0.0.0:8081/base`",
            "a.xml:1:95: error: `--bind Order_Service=…`: the scheme `ftp` is not supported: `ftp://x`; use `http` or `https`",
        ]
    );
}

#[test]
fn names_are_given_once_and_found() {
    let text = format!(
        r#"<os:object-store name="f"/>{}<sub-flow name="g"/><sub-flow name="g"/>"#,
        flow(
            r#"<flow-ref name="gg"/><os:clear objectStore="g"/><try><error-handler ref="none"/></try>"#
        )
    );
    check(
        &text,
        Compat::Strict,
        &[
            "1:40: error: the name `f` is taken: a `os:object-store` has it at a.xml:1; give each its own name",
            "1:100: error: unknown flow `gg`; did you mean `g`? Or add the file that defines it, or ignore its calls: `--bind gg=none`",
            "1:128: error: nothing declares the object store `g`; `g` is a `sub-flow`",
            "1:157: error: unknown `error-handler` `none`; add the file that defines it, or do without it: `--bind none=none`",
            "1:213: error: the name `g` is taken: a `sub-flow` has it at a.xml:1; give each its own name",
        ],
    );
}

#[test]
fn faults_of_expressions_stand_where_they_are() {
    refused(
        r##"<set-payload value="#[payload +]"/><choice><when expression="vars.a =="><logger/></when></choice>"##,
        &[
            "1:88: error: expected a value, found the end of the text; complete the expression, or remove what does not belong to it",
            "1:127: error: expected a value, found the end of the text; complete the expression, or remove what does not belong to it",
        ],
    );
}

#[test]
fn paths_are_those_that_mule_takes() {
    let listeners = r#"<flow name="a"><http:listener config-ref="L" path="/a*"/></flow>
<flow name="b"><http:listener config-ref="L" path="/{x}/{x}"/></flow>
<flow name="c"><http:listener config-ref="L" path="/c/{x}" allowedMethods="GET,PUT"/></flow>
<flow name="d"><http:listener config-ref="L" path="c/{y}/" allowedMethods="put"/></flow>
<flow name="e"><http:listener config-ref="L" path="/c/{y}" allowedMethods="POST"/></flow>
<flow name="g"><http:listener config-ref="L" path="/c/{y}"/></flow>"#;
    check(
        listeners,
        Compat::Strict,
        &[
            "1:52: error: in `a*` `*` is only a part of the segment; make `*` a whole segment, or name it: `{rest}`",
            "2:52: error: the path has `{x}` twice; give each its own name",
            "4:52: error: `/c/{y}` has the path and a method of the listener at a.xml:3; change one path, or separate them by `allowedMethods`",
            "6:52: error: `/c/{y}` has the path and a method of the listener at a.xml:3; change one path, or separate them by `allowedMethods`",
        ],
    );
}

#[test]
fn handlers_in_a_circle_are_refused() {
    let text = format!(
        r#"<error-handler name="h"><on-error-continue><try><error-handler ref="h"/></try></on-error-continue></error-handler>
<on-error-continue name="e"><try><error-handler><on-error ref="e"/></error-handler></try></on-error-continue>
{}"#,
        flow("")
    );
    check(
        &text,
        Compat::Strict,
        &[
            "1:69: error: the `error-handler` `h` refers to itself; write the handlers of its inner scope explicitly",
            "2:64: error: the handler `e` refers to itself; write the handlers of its inner scope explicitly",
        ],
    );
}

#[test]
fn handlers_that_multiply_are_refused_in_time() {
    let mut text = String::new();
    for index in 0..40 {
        let next = index + 1;
        text.push_str(&format!(
            r#"<error-handler name="h{index}"><on-error-continue><try><error-handler ref="h{next}"/></try><try><error-handler ref="h{next}"/></try></on-error-continue></error-handler>"#
        ));
    }
    text.push_str(r#"<error-handler name="h40"><on-error-continue><logger/></on-error-continue></error-handler>"#);
    text.push_str(&flow(""));
    let Read { plan, said } = snippet(&text, Compat::Intent);
    assert!(plan.is_none());
    assert!(
        said.iter()
            .any(|line| line.contains("refer to one another so often")),
        "{said:#?}"
    );
}

#[test]
fn errors_of_modules_are_raised_by_modules() {
    refused(
        r#"<raise-error type="HTTP:TIMEOUT"/><raise-error type="NOPE"/><raise-error type="CRITICAL"/><raise-error type="A:B:C"/>"#,
        &[
            "1:76: error: `HTTP:TIMEOUT` is reserved for its module; write one of your own, such as `APP:TIMEOUT`",
            "1:110: error: unknown error type `MULE:NOPE`; name its namespace: `APP:NOPE`",
            "1:136: error: `MULE:CRITICAL` is reserved for its module; write one of your own, such as `APP:CRITICAL`",
            "1:166: error: `A:B:C` is not an error type; write one such as `APP:CIRCUIT_OPEN`",
        ],
    );
}

#[test]
fn the_namespace_of_a_module_that_the_application_does_not_have_is_free() {
    let raise = r#"<raise-error type="VALIDATION:INVALID_TOKEN"/>"#;
    let Read { plan, said } = snippet(&flow(raise), Compat::Strict);
    assert_eq!(said, [""; 0]);
    assert!(plan.is_some());
    refused(
        &format!(r##"<validation:is-true expression="#[true]"/>{raise}"##),
        &[
            "1:118: error: `VALIDATION:INVALID_TOKEN` is reserved for its module; write one of your own, such as `APP:INVALID_TOKEN`",
        ],
    );
}

#[test]
fn scripts_that_do_more_than_sleep_are_refused() {
    refused(
        r#"<scripting:execute engine="groovy"><scripting:code>payload.size()</scripting:code></scripting:execute><scripting:execute engine="python"/>"#,
        &[
            "1:108: error: the only supported scripts are those that sleep; write `Thread.sleep(1000)`, `Thread.sleep(vars.x.toLong())` or `Thread.sleep((vars.x as Long) * 1000)`, or use `ee:transform`",
            "1:186: error: scripts in `python` are not supported; rewrite it with `ee:transform`",
        ],
    );
}

#[test]
fn requests_say_whom_they_call_and_what_fails() {
    refused(
        r#"<http:request path="/x"/><http:request config-ref="S" method="G T"><http:headers>x</http:headers><http:response-validator><http:success-status-code-validator values="200..100"/></http:response-validator></http:request>"#,
        &[
            "1:57: error: the request has neither a configuration nor a URL; add `config-ref=\"…\"` and bind it, or `url=\"http://…\"`",
            "1:119: error: `G T` is not a method; write one such as `GET`",
            "1:138: error: `http:headers` is a text; expected an expression that gives an object; write an expression such as `#[{'name': 'value'}]`",
            "1:223: error: `200..100` is not a status or a range of statuses; write them as `200..299, 304`",
        ],
    );
}

#[test]
fn keys_and_certificates_are_not_passed_over() {
    let text = r#"<http:listener-config name="L"><http:listener-connection host="0.0.0.0" port="8443" protocol="HTTPS"/></http:listener-config>
<tls:context name="t"><tls:trust-store path="x.jks"/></tls:context>
<http:request-config name="S"><http:request-connection host="a" protocol="HTTPS" tlsContext="t"/></http:request-config>
<flow name="f"><http:listener config-ref="L" path="/x"/><http:request config-ref="S"/></flow>"#;
    check(
        text,
        Compat::Intent,
        &[
            "1:32: error: an HTTPS listener needs a certificate: it has no `tls:context`; add `<tls:context><tls:key-store type=\"pem\" path=\"server.pem\"/></tls:context>`",
            "2:46: error: there is no file `x.jks`; put it beside the file that names it, or into `src/main/resources`; searched: `x.jks`, `../resources/x.jks`, `src/main/resources/x.jks`",
        ],
    );
    let bindings = "L=http://127.0.0.1:0 S=https://orders.example";
    let Read { plan, said } = read_all(&[("a.xml", text)], bindings, Compat::Strict);
    assert_eq!(said, [""; 0]);
    assert!(plan.is_some());
}

#[test]
fn an_application_that_nothing_starts_is_told_so() {
    check(
        r#"<flow name="f"><logger/></flow>"#,
        Compat::Intent,
        &[
            "1:1: warning: nothing starts: no flow has a source; add an `http:listener`, a `scheduler` or a `vm:listener` to a flow, or add the file that has one",
        ],
    );
}

#[test]
fn two_listeners_cannot_share_an_address() {
    let text = r#"<flow name="f"><http:listener config-ref="A" path="/x"/></flow><flow name="g"><http:listener config-ref="B" path="/x"/></flow>"#;
    let bindings = "A=http://127.0.0.1:8081 B=http://localhost:8081";
    let Read { said, .. } = read_all(&[("a.xml", text)], bindings, Compat::Intent);
    assert_eq!(
        said,
        [
            "a.xml:1:1: error: `B` listens on 127.0.0.1:8081, and so does `A`; give each its own address, or let the flows share one"
        ]
    );
}

#[test]
fn handlers_that_nest_without_end_are_refused() {
    let mut text = String::new();
    for index in 0..2_000 {
        let next = index + 1;
        text.push_str(&format!(
            r#"<error-handler name="h{index}"><on-error-continue><try><error-handler ref="h{next}"/></try></on-error-continue></error-handler>"#
        ));
    }
    text.push_str(r#"<error-handler name="h2000"><on-error-continue><logger/></on-error-continue></error-handler>"#);
    text.push_str(&flow(""));
    let Read { plan, said } = snippet(&text, Compat::Intent);
    assert!(plan.is_none());
    assert!(
        said.iter().any(|line| line.contains("nested scopes here")),
        "{said:#?}"
    );
}

#[test]
fn a_large_application_is_read_in_time() {
    let mut text = String::from(
        r#"<flow name="f"><http:listener config-ref="L" path="/x"/><flow-ref name="f0"/></flow>"#,
    );
    for index in 0..2_000 {
        let next = (index + 1) % 2_000;
        text.push_str(&format!(
            r#"<flow name="f{index}"><until-successful><flow-ref name="f{next}"/></until-successful><os:clear objectStore="s{index}"/><vm:publish config-ref="V" queueName="q{index}"/></flow>"#
        ));
    }
    let Read { plan, said } = snippet(&text, Compat::Intent);
    assert_eq!(said.len(), 4_000);
    assert_eq!(
        plan.unwrap()
            .program::<fusebox_mule::app::App>()
            .unwrap()
            .flows
            .len(),
        2_001
    );
    // The same with unknown names: each is one error with a suggestion, however often it is called.
    let wrong = text.replace("flow-ref name=\"f", "flow-ref name=\"g");
    let Read { plan, said } = snippet(&wrong, Compat::Strict);
    assert!(plan.is_none());
    assert_eq!(said.len(), 6_000);
}

#[test]
fn a_missing_property_hides_nothing() {
    let text = r##"<http:listener-config name="In"><http:listener-connection host="127.0.0.1" port="${tea.port}"/></http:listener-config>
<flow name="tea"><http:listener config-ref="In" path="/cup"/>
<db:select config-ref="Base"><db:sql>select 1</db:sql></db:select>
<set-payload value="#[1 +]"/></flow>"##;
    let Read { said, .. } = snippet(text, Compat::Intent);
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].starts_with("a.xml:1:82: error: the property `tea.port` has no value"));
    assert!(said[1].starts_with("a.xml:3:1: error: `db:select` is not supported"));
    assert!(said[2].starts_with("a.xml:4:"), "{said:#?}");
}

#[test]
fn a_wrong_expression_is_told_once() {
    for inner in [
        r##"<http:request config-ref="S"><http:headers>#[{a: brew()}]</http:headers></http:request>"##,
        r##"<until-successful maxRetries="#[brew()]"><logger/></until-successful>"##,
        r##"<os:store key="k" failIfPresent="#[brew()]"><os:value>1</os:value></os:store>"##,
    ] {
        let Read { said, .. } = snippet(&flow(inner), Compat::Intent);
        assert_eq!(said.len(), 1, "{said:#?}");
        assert!(said[0].contains("brew"), "{said:#?}");
    }
}

#[test]
fn a_zone_has_its_full_name() {
    let with = |zone: &str| {
        let text = format!(
            r##"<flow name="f"><scheduler><scheduling-strategy><cron expression="0 0 3 * * ?" timeZone="{zone}"/></scheduling-strategy></scheduler><logger/></flow>"##
        );
        snippet(&text, Compat::Strict).said
    };
    for zone in [
        "Europe/Berlin",
        "America/Los_Angeles",
        "UTC",
        "GMT",
        "GMT+2",
        "GMT-03:30",
    ] {
        assert_eq!(with(zone), [""; 0], "{zone}");
    }
    for zone in [
        "Europe/Atlantis",
        "europe/berlin",
        "Berlin",
        "GMT+25",
        "PDT",
    ] {
        let said = with(zone);
        assert_eq!(said.len(), 1, "{zone}: {said:#?}");
        assert!(said[0].contains("unknown time zone"), "{said:#?}");
    }
}

#[test]
fn a_file_of_another_kind_is_told_so_once() {
    let text = r##"<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>a</groupId></project>"##;
    let Read { said, .. } = snippet(text, Compat::Intent);
    assert_eq!(said.len(), 1, "{said:#?}");
}

#[test]
fn a_file_that_cannot_be_parsed_hides_nothing_of_the_others() {
    let files = [
        ("a.xml", "<mule><flow name='f'></mule>"),
        (
            "b.xml",
            "<mule><flow name='g'><db:select/><flow-ref name='f'/></flow></mule>",
        ),
    ];
    let Read { said, plan } = read_all(&files, "", Compat::Intent);
    assert!(plan.is_none());
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[0].starts_with("a.xml:1:"), "{said:#?}");
    assert!(
        said[1].starts_with("b.xml:1:22: error: `db:select`"),
        "{said:#?}"
    );
}

#[test]
fn an_empty_base_path_is_the_root() {
    let text = r##"<http:listener-config name="L" basePath=""><http:listener-connection port="8081"/></http:listener-config><http:request-config name="S" basePath=""><http:request-connection host="h"/></http:request-config>"##;
    let text = format!("{text}{}", flow(r##"<http:request config-ref="S"/>"##));
    let Read { said, plan } = read_all(&[("a.xml", &text)], "", Compat::Strict);
    assert_eq!(said, [""; 0]);
    assert!(plan.is_some());
}

#[test]
fn a_key_store_with_a_property_that_is_not_set_is_one_error() {
    let text = r#"<http:listener-config name="L"><http:listener-connection host="0.0.0.0" port="8443" protocol="HTTPS">
<tls:context><tls:key-store type="pem" path="${store}"/></tls:context></http:listener-connection></http:listener-config>
<flow name="f"><http:listener config-ref="L" path="/x"/></flow>"#;
    check(
        text,
        Compat::Intent,
        &["2:46: error: the property `store` has no value; set it: `--set store=VALUE`"],
    );
    let text = text.replace(
        r#"path="${store}""#,
        r#"path="server.p12" password="${word}""#,
    );
    check(
        &text,
        Compat::Intent,
        &["2:68: error: the property `word` has no value; set it: `--set word=VALUE`"],
    );
}

#[test]
fn a_store_is_told_what_is_wrong_with_it() {
    let of = |stores: &str, protocol: &str| {
        format!(
            r#"<http:request-config name="S"><http:request-connection host="a" protocol="{protocol}"><tls:context>
{stores}</tls:context></http:request-connection></http:request-config>
<flow name="f"><http:listener config-ref="L" path="/x"/><http:request config-ref="S"/></flow>"#
        )
    };
    for (stores, said) in [
        (
            r#"<tls:trust-store path="none.pem"/>"#,
            "2:24: error: there is no file `none.pem`; put it beside the file that names it, or into `src/main/resources`; searched: `none.pem`, `../resources/none.pem`, `src/main/resources/none.pem`",
        ),
        (
            r#"<tls:trust-store/>"#,
            "2:1: error: `tls:trust-store` has no `path`; add `path=\"ca.pem\" type=\"pem\"`",
        ),
        (
            r#"<tls:trust-store insecure="true"/>"#,
            "2:1: warning: `insecure` turns off the check of certificates, so anyone on the network path can read and change all traffic; remove it, and name the authority's certificate: `type=\"pem\" path=\"ca.pem\"`",
        ),
    ] {
        check(&of(stores, "HTTPS"), Compat::Intent, &[said]);
    }
    let said = "1:81: warning: this `tls:context` has no effect: the connection is not of the protocol HTTPS; add `protocol=\"HTTPS\"` to the connection, or remove it";
    check(&of("", "HTTP"), Compat::Strict, &[said]);
}

/// The stores of the fixtures by name.
struct Stores;

impl Loader for Stores {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> io::Result<String> {
        Err(io::Error::new(io::ErrorKind::InvalidData, "no text"))
    }

    fn bytes(&self, path: &str) -> io::Result<Vec<u8>> {
        let bytes: &[u8] = match path {
            "server.p12" => include_bytes!("../fixtures/stores/server.p12"),
            "trust.p12" => include_bytes!("../fixtures/stores/trust.p12"),
            "trust.jks" => include_bytes!("../fixtures/stores/trust.jks"),
            "ca.p12" => include_bytes!("../fixtures/stores/ca.pem"),
            "cut.p12" => &include_bytes!("../fixtures/stores/trust.p12")[..99],
            "vast.p12" => &[b'0'; (1 << 20) + 1],
            _ => return Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
        };
        Ok(bytes.to_vec())
    }

    fn bindings(&self) -> Vec<(String, String)> {
        vec![("L".to_owned(), "http://127.0.0.1:0".to_owned())]
    }
}

/// The faults of these stores of a request, which begin at 2:1.
fn stores(inner: &str) -> Vec<String> {
    let text = format!(
        r#"<http:request-config name="S"><http:request-connection host="a" protocol="HTTPS"><tls:context>
{inner}</tls:context></http:request-connection></http:request-config>
<flow name="f"><http:listener config-ref="L" path="/x"/><http:request config-ref="S"/></flow>"#
    );
    let source = Source {
        name: "a.xml",
        text: text.as_bytes(),
    };
    let reading = read(&[source], &Stores);
    let said = reading.diagnostics.iter();
    said.map(|line| line.to_string().replacen("a.xml:", "", 1))
        .collect()
}

#[test]
fn a_store_of_java_is_read_whatever_its_type_is_said_to_be() {
    for kind in ["", "type='pkcs12'", "type='PKCS12'", "type='jks'"] {
        let key = format!(
            "<tls:key-store path='server.p12' {kind} alias='Server' password='changeit' keyPassword='changeit'/>"
        );
        let trust = format!("<tls:trust-store path='trust.p12' {kind} password='changeit'/>");
        assert_eq!(stores(&(trust + &key)), [""; 0], "{kind}");
    }
}

#[test]
fn a_fault_of_a_java_store_is_told_at_its_place_without_the_password() {
    for (store, said) in [
        (
            "<tls:trust-store path='trust.jks' password='changeit'/>",
            "2:24: error: `trust.jks` is a store of the form JKS or JCEKS, which is not read; make PKCS12 of it, `keytool -importkeystore -srckeystore trust.jks -destkeystore trust.p12 -deststoretype PKCS12`, and write `type=\"pkcs12\" path=\"trust.p12\"`",
        ),
        (
            "<tls:trust-store path='trust.p12' password='hidden'/>",
            "2:45: error: `trust.p12` does not open with this password; give the password of the store, as by a property and `--set`",
        ),
        (
            "<tls:trust-store path='trust.p12'/>",
            "2:1: error: `trust.p12` has a password, and `password` is missing; add `password`, with a property for its value",
        ),
        (
            "<tls:key-store path='trust.p12' password='changeit'/>",
            "2:22: error: the store `trust.p12` has no private key; name the store with the certificate and its key",
        ),
        (
            "<tls:key-store path='server.p12' alias='sever' password='changeit'/>",
            "2:41: error: the store `server.p12` has no key `sever`; did you mean `server`?",
        ),
        (
            "<tls:key-store path='server.p12' password='changeit' keyPassword='hidden'/>",
            "2:67: error: `keyPassword` differs from `password`, but a PKCS12 store is read with one password for all its parts; write the same, after `keytool -importkeystore` with `-deststorepass` if the store really has two",
        ),
        (
            "<tls:trust-store path='ca.p12' password='changeit'/>",
            "2:24: error: `ca.p12` is PEM; write `type=\"pem\"`",
        ),
        (
            "<tls:trust-store path='cut.p12' password='changeit'/>",
            "2:24: error: the store `cut.p12` cannot be read: it is damaged, or of another form than PKCS12; make PEM of its certificates, and write `type=\"pem\"`",
        ),
        (
            "<tls:trust-store path='vast.p12' password='changeit'/>",
            "2:24: error: the store `vast.p12` has 1048577 bytes, above the limit of 1048576; keep only the entries that are used in it",
        ),
    ] {
        let found = stores(store);
        assert_eq!(found, [said], "{store}");
    }
}

#[test]
fn a_module_that_is_not_supported_is_told_once_with_its_places() {
    let files = [
        (
            "a.xml",
            "<mule><flow name='f'><db:select/><db:insert/></flow></mule>",
        ),
        (
            "b.xml",
            "<mule><db:config name='d'/><flow name='g'><db:select/><ldap:bind/><http:basic-security-filter/></flow></mule>",
        ),
    ];
    let Read { said, .. } = read_all(&files, "", Compat::Intent);
    let starts = [
        "a.xml:1:22: error: `db:select` is not supported",
        "b.xml:1:55: error: `ldap:bind` is not supported",
        "b.xml:1:67: error: `http:basic-security-filter` is not supported",
    ];
    assert_eq!(said.len(), starts.len(), "{said:#?}");
    for (said, start) in said.iter().zip(starts) {
        assert!(said.starts_with(start), "{said}");
    }
    let end = "; 3 more: 1:34, b.xml:1:7, 1:43";
    assert!(said[0].ends_with(end), "{said:#?}");
    let Read { said: again, .. } = read_all(&[files[1], files[0]], "", Compat::Intent);
    assert!(said.iter().all(|line| again.contains(line)), "{again:#?}");
}

#[test]
fn a_function_that_is_not_there_is_told_once() {
    let inner = r##"<set-payload value="#[lookup('f', 1)]"/><logger message="#[lookup('g', 1)]"/><logger message="#[lookdown(1)]"/>"##;
    let Read { said, .. } = snippet(&flow(inner), Compat::Intent);
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(
        said[0].contains("`lookup`") && said[0].contains("; 1 more: 1:"),
        "{said:#?}"
    );
}

#[test]
fn a_missing_error_handler_is_told_once_and_can_be_done_without() {
    let text = "<flow name='f'><logger/><error-handler ref='common'/></flow><flow name='g'><logger/><error-handler ref='common'/></flow>";
    let Read { said, .. } = snippet(text, Compat::Intent);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(
        said[0].ends_with("or do without it: `--bind common=none`"),
        "{said:#?}"
    );
    let Read { plan, said } = read_all(&[("a.xml", text)], "common=none", Compat::Intent);
    assert!(plan.is_some(), "{said:#?}");
    assert!(said[1].contains("handles nothing"), "{said:#?}");
}

#[test]
fn a_configuration_without_a_host_is_for_requests_with_a_url() {
    for connection in ["", "<http:request-connection protocol='HTTPS'/>"] {
        let config = format!("<http:request-config name='Out'>{connection}</http:request-config>");
        let with = |request: &str| {
            let request = format!("<http:request config-ref='Out' {request}/>");
            snippet(&format!("{config}{}", flow(&request)), Compat::Strict)
        };
        let Read { plan, said } = with("url='https://example.com/x'");
        assert!(plan.is_some(), "{said:#?}");
        let Read { plan, said } = with("path='/x'");
        assert!(plan.is_some() && said.len() == 1, "{said:#?}");
        assert!(
            said[0].contains("its configuration `Out` a host"),
            "{said:#?}"
        );
    }
}

#[test]
fn what_studio_and_recipes_write_is_read_with_a_warning() {
    for (inner, warning) in [
        (
            "<scripting:execute engine='groovy' target='x'><scripting:code>Thread.sleep(5)</scripting:code></scripting:execute>",
            "`target` has no effect: a sleep has no result",
        ),
        (
            "<http:request url='http://h/'><ee:repeatable-file-store-stream inMemorySize='5'/></http:request>",
            "`ee:repeatable-file-store-stream` has no effect",
        ),
        (
            "<try><logger/><error-handler/></try>",
            "this `error-handler` handles nothing",
        ),
    ] {
        let Read { plan, said } = snippet(&flow(inner), Compat::Intent);
        assert!(plan.is_some(), "{said:#?}");
        assert!(said.iter().any(|line| line.contains(warning)), "{said:#?}");
    }
    let config = "<http:request-config name='S'><http:request-connection host='h'><http:default-headers><http:default-header key='a' value='b'/><http:header key='c' value='d'/></http:default-headers></http:request-connection></http:request-config>";
    let text = format!(
        "{config}{}",
        flow("<http:request config-ref='S' path='/'/>")
    );
    let Read { plan, said } = snippet(&text, Compat::Intent);
    let app = plan.unwrap().program::<fusebox_mule::app::App>().unwrap();
    assert_eq!(app.requesters[0].default_headers.len(), 2, "{said:#?}");
    assert!(snippet(&text, Compat::Strict).plan.is_none());
}

#[test]
fn a_reserved_namespace_is_told_so() {
    check(
        &flow("<raise-error type='MULE:RETRY'/>"),
        Compat::Intent,
        &[
            "1:76: error: unknown error type `MULE:RETRY`; `MULE` is the namespace of Mule's own; write one of yours, such as `APP:RETRY`",
        ],
    );
}

#[test]
fn the_configurations_of_a_domain_are_those_of_its_applications() {
    let domain = r#"<domain:mule-domain xmlns:domain="http://www.mulesoft.org/schema/mule/ee/domain" xmlns:http="http://www.mulesoft.org/schema/mule/http" xmlns="http://www.mulesoft.org/schema/mule/core"><http:listener-config name="Shared"><http:listener-connection host="127.0.0.1" port="8081"/></http:listener-config></domain:mule-domain>"#;
    let app = "<mule><flow name='f'><http:listener config-ref='Shared' path='/x'/></flow></mule>";
    let files = [("app.xml", app), ("domain.xml", domain)];
    let Read { plan, said } = read_all(&files, "", Compat::Strict);
    assert!(plan.is_some(), "{said:#?}");
}

#[test]
fn a_build_file_among_the_files_hides_nothing_of_the_others() {
    let pom = "<dependency><groupId>a</groupId></dependency><dependency/>";
    let app = flow("<logger/>").replace("\"L\"", "\"In\"");
    let files = [("a.xml", app.as_str()), ("b.xml", pom)];
    let Read { plan, said } = read_all(&files, "In=http://127.0.0.1:0", Compat::Intent);
    assert!(plan.is_some(), "{said:#?}");
    let told = said.iter().filter(|line| line.contains("of a build file"));
    assert_eq!(told.count(), 1, "{said:#?}");
    let Read { plan, said } = read_all(&[("b.xml", pom)], "", Compat::Intent);
    assert!(plan.is_none(), "{said:#?}");
}
