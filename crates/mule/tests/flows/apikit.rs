//! APIkit's router by the names of flows, without the API's description.

use fusebox_mule::{Event, Form, Value};

use super::{Line, Running, errors, reading};

const LISTENER: &str = r#"<http:listener-config name="In"><http:listener-connection host="127.0.0.1" port="0"/></http:listener-config>
<flow name="main"><http:listener config-ref="In" path="/api/*"/><apikit:router config-ref="tea"/></flow>
"#;

fn app(flows: &[&str]) -> String {
    let flows = flows.iter().map(|name| {
        format!(
            r##"<flow name="{name}"><set-payload value="#[flow.name ++ ' ' ++ (write(attributes.uriParams, 'application/json', {{indent: false}}))]"/></flow>
"##
        )
    });
    format!(
        "{LISTENER}<apikit:config name=\"tea\"/>\n{}",
        flows.collect::<String>()
    )
}

/// A request as its listener tells it.
fn request(method: &str, path: &str, media_type: Option<&str>) -> Event {
    let headers = media_type.map(|it| ("content-type".into(), it.into()));
    let headers = Value::formed(headers.into_iter().collect(), Form::Headers);
    Event {
        attributes: Value::record([
            ("listenerPath", "/api/*".into()),
            ("method", method.into()),
            ("rawRequestPath", path.into()),
            ("uriParams", Value::object(Vec::new())),
            ("headers", headers),
        ]),
        ..Event::default()
    }
}

#[tokio::test]
async fn a_request_goes_to_the_flow_that_is_named_for_it() {
    let running = Running::new(&app(&[
        r"get:\cups:tea",
        r"get:\cups\(id):tea",
        r"get:\cups\new:tea",
        r"delete:\cups\(id)\pots\(pot)",
        r"get:\:tea",
        r"put:\cups:other",
    ]));
    for (method, path, told) in [
        ("GET", "/api/cups", r"get:\cups:tea {}"),
        (
            "GET",
            "/api/cups/a%20b",
            r#"get:\cups\(id):tea {"id":"a b"}"#,
        ),
        ("GET", "/api/cups/new", r"get:\cups\new:tea {}"),
        (
            "DELETE",
            "/api/cups/1/pots/2",
            r#"delete:\cups\(id)\pots\(pot) {"id":"1","pot":"2"}"#,
        ),
        ("GET", "/api/", r"get:\:tea {}"),
    ] {
        let payload = running.payload("main", request(method, path, None)).await;
        assert_eq!(payload.shown().unwrap().replace(": ", ":"), told, "{path}");
    }
    for (method, path, kind) in [
        ("GET", "/api/pots", "APIKIT:NOT_FOUND"),
        ("PUT", "/api/cups", "APIKIT:METHOD_NOT_ALLOWED"),
        ("POST", "/api/cups/1", "APIKIT:METHOD_NOT_ALLOWED"),
    ] {
        let (found, _) = running.error("main", request(method, path, None)).await;
        assert_eq!(found, kind, "{method} {path}");
    }
}

#[tokio::test]
async fn several_flows_take_several_media_types() {
    let both = app(&[
        r"post:\cups:application\json:tea",
        r"post:\cups:application\xml:tea",
    ]);
    let running = Running::new(&both);
    for (sent, flow) in [
        ("application/json; charset=utf-8", "json"),
        ("application/xml", "xml"),
    ] {
        let event = request("POST", "/api/cups", Some(sent));
        let payload = running.payload("main", event).await;
        let told = payload.shown().unwrap();
        assert!(
            told.starts_with(&format!(r"post:\cups:application\{flow}:tea")),
            "{told}"
        );
    }
    let event = request("POST", "/api/cups", Some("text/plain"));
    let (kind, what) = running.error("main", event).await;
    assert_eq!(kind, "APIKIT:UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(what, "POST /cups does not take text/plain");
    let any = both + &app(&[r"post:\cups:tea"])[app(&[]).len()..];
    let event = request("POST", "/api/cups", Some("text/plain"));
    let payload = Running::new(&any).payload("main", event).await;
    assert!(payload.shown().unwrap().starts_with(r"post:\cups:tea "));
}

#[test]
fn what_is_not_read_of_an_api_is_told() {
    let told = |xml: &str| reading(xml, &Line::default()).1;
    let scaffold = app(&[r"get:\cups:tea"]).replace("name=\"tea\"/>", "name=\"tea\" api=\"tea.raml\" outboundHeadersMapName=\"outboundHeaders\" httpStatusVarName=\"httpStatus\"/>")
        + r#"<flow name="console"><http:listener config-ref="In" path="/console/*"/><apikit:console config-ref="tea"/></flow>"#;
    assert_eq!(
        told(&scaffold),
        [
            "src/main/mule/a.xml:3:27: warning: requests are routed by the names of flows, and not validated against `tea.raml`; check in the flows what must be checked, as by `validation:is-true`",
            "src/main/mule/a.xml:5:72: warning: APIkit's console is not part of this program: its requests are `APIKIT:NOT_FOUND`; remove its flow, or ignore this",
        ]
    );
    assert_eq!(
        told(&app(&[])),
        [
            r"src/main/mule/a.xml:2:65: warning: no flow is named for `tea`, so every request is `APIKIT:NOT_FOUND`; name flows as `get:\orders\(id):tea`"
        ]
    );
    assert_eq!(
        errors(&app(&[r"get:\cups\(id).json:tea"]), &Line::default()),
        [
            r"a.xml:4:13: error: in `get:\\cups\\(id).json:tea` a parameter is only a part of the segment `(id).json`; make each parameter a whole segment: `get:\orders\(id):config`"
        ]
    );
}

#[tokio::test]
async fn a_mapping_gives_a_resource_a_flow_of_any_name() {
    let config = r#"<apikit:config name="tea"><apikit:flow-mappings><apikit:flow-mapping resource="/pots/{id}" action="get" flow-ref="pour"/></apikit:flow-mappings></apikit:config>"#;
    let app = app(&["pour"]).replace("<apikit:config name=\"tea\"/>", config);
    let event = request("GET", "/api/pots/7", None);
    let payload = Running::new(&app).payload("main", event).await;
    assert!(payload.shown().unwrap().starts_with("pour "));
}
