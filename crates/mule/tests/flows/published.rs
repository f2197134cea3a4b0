//! Elements in places where Mule does not take them, as recipes write them: `intent` runs them, `strict` refuses.

use fusebox_mule::Event;
use fusebox_mule::app::Compat;

use super::{CONFIGS, Line, Running, errors, event, reading, shown};

fn strict() -> Line {
    Line {
        compat: Compat::Strict,
        ..Line::default()
    }
}

#[tokio::test]
async fn a_store_s_value_may_be_an_attribute() {
    let app = r##"<flow name="f"><os:store key="cup" objectStore="Tea" value="#[payload ++ '!']"/>
<os:retrieve key="cup" objectStore="Tea"/></flow><os:object-store name="Tea"/>"##;
    let app =
        format!("{CONFIGS}<flow name='in'><http:listener config-ref='In' path='/'/></flow>{app}");
    let running = Running::new(&app);
    assert_eq!(running.payload("f", event("green")).await, "green!".into());
    let (_, told) = reading(&app, &Line::default());
    let said = "src/main/mule/a.xml:3:118: warning: `os:store` has no attribute `value` in Mule; it is read as the child `os:value`; write it as the child `<os:value>…</os:value>`";
    assert_eq!(told, [said]);
    let said = "a.xml:3:118: error: `os:store` has no attribute `value` in Mule; write it as the child `<os:value>…</os:value>`";
    assert_eq!(errors(&app, &strict()), [said]);
    let twice = app.replace("'!']\"/>", "'!']\"><os:value>1</os:value></os:store>");
    let said = "a.xml:3:118: error: `os:store` has its value twice, as an attribute and as a child; remove the attribute";
    assert_eq!(errors(&twice, &Line::default()), [said]);
}

#[tokio::test]
async fn a_response_among_the_steps_is_that_of_the_flow() {
    let app = CONFIGS.to_owned()
        + r##"<flow name="f"><http:listener config-ref="In" path="/cup"/>
<choice><when expression="#[payload == 'many']"><set-payload value="too many"/>
<http:response statusCode="#[vars.code default 429]"><http:headers>#[{'Retry-After': '60'}]</http:headers></http:response></when>
<when expression="#[payload == 'gone']"><http:response statusCode="410"><http:body>gone for good</http:body></http:response></when>
<when expression="#[payload == 'bad']"><http:response statusCode="503"/><raise-error type="APP:BAD" description="no"/></when></choice>
</flow>"##;
    let running = Running::new(&app);
    let reply = running.reply("f", event("many")).await;
    assert_eq!(shown(&reply), (429, "too many"));
    assert_eq!(reply.headers["retry-after"], "60");
    let reply = running.reply("f", event("gone")).await;
    assert_eq!(shown(&reply), (410, "gone for good"));
    assert_eq!(shown(&running.reply("f", event("one")).await), (200, "one"));
    let reply = running.reply("f", event("bad")).await;
    assert_eq!(shown(&reply), (503, "bad"));
    let (_, told) = reading(&app, &Line::default());
    let lines: Vec<_> = told
        .iter()
        .map(|line| &line[..line.find(';').unwrap()])
        .collect();
    let said = "Mule refuses `http:response` among the steps of a flow";
    let at = |line| format!("src/main/mule/a.xml:{line}: warning: {said}");
    assert_eq!(lines, [at("5:1"), at("6:41"), at("7:40")]);
    let refused = errors(&app, &strict());
    assert_eq!(refused.len(), 3, "{refused:#?}");
}

#[tokio::test]
async fn the_parts_of_a_transform_may_be_in_each_other_s_place() {
    for parts in [
        "<ee:set-payload>PAYLOAD</ee:set-payload><ee:set-variable variableName='v'>2</ee:set-variable><ee:set-attributes>{n: 3}</ee:set-attributes>",
        "<ee:message><ee:set-payload>PAYLOAD</ee:set-payload><ee:set-variable variableName='v'>2</ee:set-variable></ee:message><ee:variables><ee:set-attributes>{n: 3}</ee:set-attributes></ee:variables>",
        "<ee:variables><ee:set-payload>PAYLOAD</ee:set-payload><ee:set-attributes>{n: 3}</ee:set-attributes><ee:set-variable variableName='v'>2</ee:set-variable></ee:variables>",
    ] {
        let parts = parts.replace("PAYLOAD", "output application/json --- {a: 1}");
        let app = format!(
            r##"{CONFIGS}<flow name="f"><http:listener config-ref="In" path="/cup"/>
<ee:transform>{parts}</ee:transform><set-payload value="#[payload ++ {{v: vars.v, n: attributes.n}}]"/></flow>"##
        );
        let payload = Running::new(&app).payload("f", Event::default()).await;
        let shown = payload.shown().unwrap().replace([' ', '\n'], "");
        assert_eq!(shown, r#"{"a":1,"v":2,"n":3}"#);
        let (_, told) = reading(&app, &Line::default());
        let refused = errors(&app, &strict());
        assert_eq!(told.len(), refused.len(), "{told:#?}");
        assert!((2..=3).contains(&told.len()), "{told:#?}");
    }
    let twice = CONFIGS.to_owned()
        + "<flow name='f'><http:listener config-ref='In' path='/'/>\n<ee:transform><ee:message><ee:set-payload>1</ee:set-payload><ee:set-payload>2</ee:set-payload></ee:message></ee:transform></flow>";
    let said = "a.xml:4:61: error: `ee:transform` has `ee:set-payload` twice; keep one";
    assert_eq!(errors(&twice, &Line::default()), [said]);
}
