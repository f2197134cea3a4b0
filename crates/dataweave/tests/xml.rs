//! XML: namespaces, attributes and repeated elements, read, selected and written.

mod common;

use common::{eval_over, fail};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn xml(text: &str) -> Json {
    json!({ "payload": { "$typed": { "value": text, "mediaType": "application/xml" } } })
}

const SOAP: &str = r#"<?xml version="1.0"?>
<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">
  <soap:Header/>
  <soap:Body>
    <m:GetCup xmlns:m="http://tea.example/menu" id="7" m:size="big">
      <m:Name>oolong &amp; co</m:Name>
      <m:Price currency="EUR">3.50</m:Price>
      <m:Leaf>a</m:Leaf><m:Leaf n="2">b</m:Leaf>
      <m:Note><![CDATA[<hot>]]></m:Note>
      <m:None xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"/>
      <m:Blank>  </m:Blank>
    </m:GetCup>
  </soap:Body>
</soap:Envelope>"#;

const HEADER: &str = "ns soap http://schemas.xmlsoap.org/soap/envelope/\nns m http://tea.example/menu\noutput application/java\n---\n";

/// Checks what expressions give over the SOAP message.
#[track_caller]
fn give(cases: &[(&str, &str)]) {
    for (text, wanted) in cases {
        let text = format!("{HEADER}{text}");
        common::give(&xml(SOAP), &[(&text, wanted)]);
    }
}

/// Checks the XML that an expression writes, without declaration.
#[track_caller]
fn write(cases: &[(&str, &str)]) {
    for (text, wanted) in cases {
        let header = "ns s http://s\nns t http://t\noutput application/xml writeDeclaration=false indent=false\n---\n";
        let written = eval_over(&format!("{header}{text}"), &xml(SOAP));
        let wanted = Json::from(*wanted).to_string();
        assert_eq!(written.as_deref(), Ok(wanted.as_str()), "{text}");
    }
}

#[test]
fn elements_are_selected_with_and_without_their_namespaces() {
    give(&[
        (
            "payload.soap#Envelope.soap#Body.m#GetCup.m#Name",
            r#""oolong & co""#,
        ),
        ("payload.Envelope.Body.GetCup.Name", r#""oolong & co""#),
        ("payload.Envelope.Body.soap#GetCup", "null"),
        ("payload.Envelope.Body.m#GetCup?", "true"),
        (
            "payload.Envelope.Body.m#\"Get$('Cup')\".Name",
            r#""oolong & co""#,
        ),
        ("payload.Envelope.Body.GetCup.*Leaf", r#"["a","b"]"#),
        ("payload.Envelope.Body.GetCup[*('Leaf')]", r#"["a","b"]"#),
        ("payload..*Leaf", r#"["a","b"]"#),
        ("payload..m#Leaf", r#"["a"]"#),
        ("sizeOf(payload.Envelope.Body.GetCup.&Leaf)", "2"),
        ("payload.Envelope.Body.GetCup.Note", r#""<hot>""#),
        ("payload.Envelope.Body.GetCup.None", "null"),
        ("payload.Envelope.Body.GetCup.Blank", "null"),
        ("payload.Envelope.Header", "null"),
        ("flatten({ a @(x: 1): [1, 2], a: [3] }.*a)", "[1,2,3]"),
        (
            "payload.Envelope.Body.GetCup.#",
            r#""http://tea.example/menu""#,
        ),
        ("payload.Envelope.Body.GetCup.Price + 1", "4.5"),
        ("namesOf(payload.Envelope)", r#"["Header","Body"]"#),
    ]);
}

#[test]
fn attributes_are_selected_where_their_values_go() {
    give(&[
        ("payload.Envelope.Body.GetCup.@id", r#""7""#),
        ("payload.Envelope.Body.GetCup.@m#size", r#""big""#),
        ("payload.Envelope.Body.GetCup.@size", r#""big""#),
        ("payload.Envelope.Body.GetCup.@soap#size", "null"),
        ("payload.Envelope.Body.GetCup.@none", "null"),
        ("payload.Envelope.Body.GetCup.@id?", "true"),
        ("payload.Envelope.Body.GetCup.@none?", "false"),
        ("payload.Envelope.Body.GetCup[@('id')]", r#""7""#),
        (
            "payload.Envelope.Body.GetCup.@",
            r#"{"id":"7","size":"big"}"#,
        ),
        ("payload.Envelope.Body.GetCup.Price.@currency", r#""EUR""#),
        ("payload.Envelope.Body.GetCup.*Leaf.@n", r#"["2"]"#),
        (
            "payload.Envelope.Body.GetCup.*Leaf map ($.@n default 'x')",
            r#"["x","2"]"#,
        ),
        (
            "payload.Envelope.Body.GetCup.*Leaf filter ($.@n == '2')",
            r#"["b"]"#,
        ),
        (
            "do { var cup = payload.Envelope.Body.GetCup --- cup.@id }",
            r#""7""#,
        ),
        (
            "payload.Envelope.Body mapObject ((value, key) -> { (key.@id): key.# })",
            r#"{"7":"http://tea.example/menu"}"#,
        ),
        ("keysOf(payload.Envelope.Body)[0].@id", r#""7""#),
        (
            "entriesOf(payload.Envelope.Body)[0].attributes.id",
            r#""7""#,
        ),
        (
            "(payload.Envelope.Body update { case n at .GetCup.@id -> n ++ '8' }).GetCup.@id",
            r#""78""#,
        ),
        // A value is the same with the attributes of its key and without.
        ("payload.Envelope.Body.GetCup.Price == '3.50'", "true"),
        (
            "upper(payload.Envelope.Body.GetCup.Price.@currency ++ payload.Envelope.Body.GetCup.Price)",
            r#""EUR3.50""#,
        ),
        ("sizeOf(payload.Envelope.Body.GetCup)", "7"),
        (
            "[payload.Envelope.Body.GetCup.Price] contains '3.50'",
            "true",
        ),
        (
            "(payload.Envelope.Body.GetCup.*Leaf) joinBy '-'",
            r#""a-b""#,
        ),
    ]);
}

#[test]
fn keys_have_namespaces_and_attributes() {
    write(&[
        ("{ a: 'x' }", "<a>x</a>"),
        (
            "a: { b: 1, c: null, d: '', e: {} }",
            "<a><b>1</b><c/><d></d><e/></a>",
        ),
        ("a: { b: [1, 2] }", "<a><b>1</b><b>2</b></a>"),
        (
            "a @(id: 1, 'b-c': 'x\"<y>&'): 'z<&>'",
            "<a id=\"1\" b-c=\"x&quot;&lt;y>&amp;\">z&lt;&amp;></a>",
        ),
        (
            "s#a: { s#b: 1, t#c @(t#d: 2, s#e: 3): 4 }",
            "<s:a xmlns:s=\"http://s\"><s:b>1</s:b><t:c xmlns:t=\"http://t\" t:d=\"2\" s:e=\"3\">4</t:c></s:a>",
        ),
        (
            "a: { ('b') @(x: 1): 2, ('c' @(y: 2): 3) if true, s#\"d$(1)\": 4 }",
            "<a><b x=\"1\">2</b><c y=\"2\">3</c><s:d1 xmlns:s=\"http://s\">4</s:d1></a>",
        ),
        (
            "a @((if (true) {x: 1} else {}), (y: 2) if false): 1",
            "<a x=\"1\">1</a>",
        ),
        (
            "a: { (payload.Envelope.Body.GetCup.&Price) }",
            "<a><m:Price xmlns:m=\"http://tea.example/menu\" currency=\"EUR\">3.50</m:Price></a>",
        ),
        (
            "'s:a' @('xmlns:s': 'http://s'): { 's:b': 1 }",
            "<s:a xmlns:s=\"http://s\"><s:b>1</s:b></s:a>",
        ),
        ("a: payload.Envelope.Body.GetCup.Price", "<a>3.50</a>"),
        (
            "payload.Envelope.Body mapObject ((value, key) -> { (key): 1 })",
            "<m:GetCup xmlns:m=\"http://tea.example/menu\" id=\"7\" m:size=\"big\">1</m:GetCup>",
        ),
        (
            "a: {x: 1} ++ b @(n: 1): 2",
            "<a><x>1</x><b n=\"1\">2</b></a>",
        ),
        (
            "a: { b: |2026-01-01|, c: true, d: 'A' as Binary }",
            "<a><b>2026-01-01</b><c>true</c><d>A</d></a>",
        ),
        (
            "read('<r xmlns=\"http://d\"><x>1</x></r>', 'application/xml')",
            "<r xmlns=\"http://d\"><x>1</x></r>",
        ),
        (
            "a: read('<r xmlns=\"http://d\" xmlns:p=\"http://p\"><x p:y=\"1\">t</x></r>', 'application/xml').r",
            "<a><x xmlns=\"http://d\" xmlns:p=\"http://p\" p:y=\"1\">t</x></a>",
        ),
        ("read('<r>one<b/>two</r>', 'text/xml')", "<r><b/>onetwo</r>"),
    ]);
}

#[test]
fn a_document_is_written_with_its_options() {
    for (text, wanted) in [
        (
            "output application/xml --- a: { b: 1 }",
            "<?xml version='1.0' encoding='UTF-8'?>\n<a>\n  <b>1</b>\n</a>",
        ),
        (
            "output application/xml writeDeclaration=false, inlineCloseOn=\"none\" --- a: null",
            "<a></a>",
        ),
        (
            "output application/xml writeDeclaration=false skipNullOn=\"everywhere\" --- a @(x: null): { b: null }",
            "<a></a>",
        ),
        (
            "output application/xml writeDeclaration=false writeNilOnNull=true --- a: null",
            "<a xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:nil=\"true\"/>",
        ),
        (
            "write({a: 1}, 'application/xml', {indent: false, writeDeclaration: false})",
            "<a>1</a>",
        ),
        (
            "output application/json indent=false --- read('<a><b/><c> </c></a>', 'application/xml', {nullValueOn: 'empty'})",
            r#"{"a":{"b":null,"c":" "}}"#,
        ),
        (
            "output application/json indent=false --- read('<a><b/></a>', 'application/xml', {nullValueOn: 'none'})",
            r#"{"a":{"b":""}}"#,
        ),
        (
            "output application/json indent=false writeAttributes=true --- read('<a x=\"1\"><b y=\"2\">t</b><c z=\"3\"/></a>', 'application/xml')",
            r#"{"a":{"@x":"1","b":{"@y":"2","__text":"t"},"c":{"@z":"3"}}}"#,
        ),
        (
            "output application/json indent=false duplicateKeyAsArray=true --- read('<a><b>1</b><c/><b>2</b></a>', 'application/xml')",
            r#"{"a":{"b":["1","2"],"c":null}}"#,
        ),
        (
            "output application/xml indent=false writeDeclaration=false --- a: { b: 'x<y' as CData, c: (']]>' as CData) }",
            "<a><b><![CDATA[x<y]]></b><c><![CDATA[]]]]><![CDATA[>]]></c></a>",
        ),
        ("output application/json --- 'x' as CData", "\"x\""),
    ] {
        let written = eval_over(text, &json!({}));
        let wanted = Json::from(wanted).to_string();
        assert_eq!(written.as_deref(), Ok(wanted.as_str()), "{text}");
    }
}

#[test]
fn what_is_no_document_is_told() {
    let none = json!({});
    for (text, words) in [
        (
            "output application/xml --- {a: 1, b: 2}",
            "an object of one key",
        ),
        ("output application/xml --- 'a'", "an object of one key"),
        (
            "output application/xml --- a: { 'b c': 1 }",
            "is not a name of XML",
        ),
        (
            "output application/xml --- a: { 'b><c': 1 }",
            "is not a name of XML",
        ),
        ("output application/xml --- a: '\\u0001'", "XML cannot hold"),
        (
            "payload.ns0#a",
            "declare it in the header: `ns ns0 http://…`",
        ),
        ("{ns0#a: 1}", "unknown namespace `ns0`"),
    ] {
        fail(&none, &[(text, words)]);
    }
    for (text, words) in [
        ("<a>", "the element `a` has no end"),
        ("<a></b>", "invalid XML"),
        ("<a/><b/>", "a second element"),
        ("text", "text outside"),
        ("", "expected an element"),
        ("<a x='1' x='2'/>", "is there twice"),
        ("<p:a/>", "the prefix `p` has no namespace"),
        ("<a>&tea;</a>", "unknown entity `tea`"),
        (
            "<!DOCTYPE a [<!ENTITY t \"x\">]><a>&t;</a>",
            "unknown entity `t`",
        ),
        (&"<a>".repeat(100_000), "more than 200 nested elements"),
    ] {
        fail(&xml(text), &[("payload.a", words)]);
    }
}

#[test]
fn hostile_documents_cost_little() {
    let attributes: String = (0..50_000).map(|n| format!(" a{n}='{n}'")).collect();
    let many = xml(&format!("<a{attributes}/>"));
    assert_eq!(
        eval_over("output application/java --- payload.a.@a49999", &many).as_deref(),
        Ok("\"49999\"")
    );
    let spaces: String = (0..5_000).map(|n| format!(" xmlns:p{n}='u{n}'")).collect();
    let children = "<p1:b/>".repeat(20_000);
    let many = xml(&format!("<a{spaces}>{children}</a>"));
    assert_eq!(
        eval_over("output application/java --- sizeOf(payload.a)", &many).as_deref(),
        Ok("20000")
    );
    let big = xml(&format!("<a>{}</a>", "<b/>".repeat(1_000_000)));
    fail(&big, &[("payload.a", "needs more than 64 MiB")]);
}

/// A tree of elements as a script writes it.
fn tree() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![Just("null".to_owned()), "'[ -~&&[^'\\\\$]]{1,8}'"];
    let pair = |inner: BoxedStrategy<String>| {
        let attributes = prop_oneof![Just(String::new()), Just(" @(x: 1, s#y: '<\"')".to_owned())];
        let key = prop_oneof![Just("a"), Just("s#b"), Just("t#a")];
        (key, attributes, inner)
            .prop_map(|(key, attributes, inner)| format!("{key}{attributes}: {inner}"))
    };
    leaf.prop_recursive(4, 24, 3, move |inner| {
        prop::collection::vec(pair(inner.boxed()), 1..3)
            .prop_map(|pairs| format!("{{ {} }}", pairs.join(", ")))
    })
}

proptest! {
    #[test]
    fn any_text_is_a_document_or_is_told_why_not(text in "[<>/?!a-c='\"&#; \\[\\]-]{0,40}") {
        let scope = xml(&text);
        // Whatever comes: neither a panic nor a value without a root.
        if let Ok(value) = eval_over("output application/java --- sizeOf(payload)", &scope) {
            prop_assert_eq!(value, "1");
        }
    }

    #[test]
    fn a_document_is_the_same_after_it_is_written_and_read(tree in tree(), indent in any::<bool>()) {
        let header = "ns s http://s\nns t http://t\noutput application/java\n---\n";
        // Blank texts are null once they are read.
        let write = |of: &str| {
            format!("write({of}, 'application/xml', {{indent: {indent}}})")
        };
        let once = write(&format!("{{ root: {tree} }}"));
        let again = write(&format!("read({once}, 'application/xml', {{nullValueOn: 'empty'}})"));
        let (once, again) = (format!("{header}{once}"), format!("{header}{again}"));
        prop_assert_eq!(eval_over(&once, &json!({})), eval_over(&again, &json!({})));
    }
}
