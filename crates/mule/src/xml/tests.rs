//! From texts to elements or diagnostics.

use std::fmt::Write as _;

use fusebox_plan::dialect::Notes;
use proptest::prelude::*;

use super::*;
use crate::app::Compat;

/// The elements, one per line: place, name, attributes with their places, text.
fn shown(elements: &[Element]) -> String {
    let mut out = String::new();
    for element in elements {
        show(element, 0, &mut out);
    }
    out
}

fn show(element: &Element, depth: usize, out: &mut String) {
    let Place { line, col, .. } = element.at;
    write!(out, "{:1$}{line}:{col} ", "", 2 * depth).unwrap();
    out.push_str(&element.title());
    for attribute in &element.attributes {
        let At { value, at } = &attribute.value;
        write!(out, " {}@{}:{}={value:?}", attribute.name, at.line, at.col).unwrap();
    }
    if let Some(At { value, at }) = &element.text {
        write!(out, " @{}:{} {value:?}", at.line, at.col).unwrap();
    }
    out.push('\n');
    for child in &element.children {
        show(child, depth + 1, out);
    }
}

fn told(notes: Notes) -> String {
    notes
        .finish(&["a.xml"])
        .iter()
        .map(|diagnostic| format!("{diagnostic}\n"))
        .collect::<String>()
        .replace("a.xml:", "")
}

/// The elements of a text, then the diagnostics.
#[track_caller]
fn check_as(compat: Compat, text: &str, expected: &str) {
    let mut notes = Notes::default();
    let elements = parse(text, 0, compat, &mut notes);
    let found = elements.map_or(String::new(), |elements| shown(&elements)) + &told(notes);
    let lines = |text: &str| {
        text.trim_matches('\n')
            .lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(
        lines(&found),
        lines(expected),
        "\n--- the text:\n{text}\n--- was:\n{found}"
    );
}

#[track_caller]
fn check(text: &str, expected: &str) {
    check_as(Compat::Intent, text, expected);
}

#[track_caller]
fn check_both(text: &str, expected: &str) {
    check_as(Compat::Intent, text, expected);
    check_as(Compat::Strict, text, expected);
}

#[test]
fn an_application_and_a_snippet_are_the_same() {
    let expected = |line| {
        format!(
            "{line}:1 flow name@{line}:13=\"f\"\n  {line}:16 http:listener path@{line}:37=\"/a\"\n"
        )
    };
    let flow = "<flow name='f'><http:listener path=\"/a\"/></flow>";
    check_both(flow, &expected(1));
    let whole = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<mule xmlns=\"http://www.mulesoft.org/schema/mule/core\" xmlns:http=\"http://www.mulesoft.org/schema/mule/http\">\n{flow}\n</mule>\n"
    );
    check_both(&whole, &expected(3));
}

#[test]
fn a_prefix_means_the_module_whose_address_it_is_bound_to() {
    check_both(
        "<m:mule xmlns:m='http://www.mulesoft.org/schema/mule/core' xmlns:w='http://www.mulesoft.org/schema/mule/http' xmlns:d='http://www.mulesoft.org/schema/mule/documentation'><m:flow d:name='x'/><w:request/><os:store/></m:mule>",
        "1:171 flow\n1:191 http:request\n1:203 os:store\n",
    );
    check_both(
        "<t:transform xmlns:t='http://www.mulesoft.org/schema/mule/ee/core'/><t:transform/>",
        "1:1 ee:transform\n1:69 t:transform\n",
    );
    check_both(
        "<http:request xmlns:http='https://www.mulesoft.org/schema/mule/http'/>",
        "1:1: error: `xmlns:http` is bound to `https://www.mulesoft.org/schema/mule/http`, which is not a namespace of Mule; write `xmlns:http=\"http://www.mulesoft.org/schema/mule/http\"`",
    );
}

#[test]
fn entities_cdata_and_comments_are_parts_of_one_text() {
    check_both(
        "<a b='&lt;&#233;&#xE9;&amp;amp;\n\tx'> 1 &gt; <!-- no --><![CDATA[ <&lt;> ]]> <c/> 2\r\n3 </a>",
        "1:1 a b@1:7=\"<éé&amp;  x\" @2:6 \"1 >  <&lt;>   2\\n3\"\n  2:45 c\n",
    );
}

#[test]
fn documentation_is_left_out() {
    check_both(
        "<a doc:name='x' xsi:schemaLocation='y' doc:id='z' xml:space='preserve' b='1'/><?pi?>",
        "1:1 a b@1:75=\"1\"\n",
    );
}

#[test]
fn what_is_nearly_xml_is_read_with_a_warning_or_refused() {
    let text = "<a b=\"#[p[\"x\"] < 1]\" c=5 d=#[e > 1]/>\n<e>1 < 2</e><!-- a -- b -->";
    check(
        text,
        r##"
1:1 a b@1:7="#[p[\"x\"] < 1]" c@1:24="5" d@1:28="#[e > 1]"
2:1 e @2:4 "1 < 2"
1:11: warning: a quote within the expression of `b` is not XML; it is read as part of the expression; write `&quot;`, or quote the text with `'`
1:16: warning: a bare `<` in the value of `b` is not XML; it is read as written; write `&lt;`
1:24: warning: the value of `c` has no quotes, which is not XML; it is read as written; put it in quotes
1:28: warning: the value of `d` has no quotes, which is not XML; it is read as written; put it in quotes
2:6: warning: a bare `<` in a text is not XML; it is read as written; write `&lt;`, or put the text into `<![CDATA[ ]]>`
2:20: warning: `--` within a comment is not XML; it is read as written; write a single `-`
"##,
    );
    check_as(
        Compat::Strict,
        "<a c=5 d='<'/>\n<e>1 < 2</e><!-- a -- b -->",
        r##"
1:6: error: the value of `c` has no quotes, which is not XML; put it in quotes
1:11: error: a bare `<` in the value of `d` is not XML; write `&lt;`
2:6: error: a bare `<` in a text is not XML; write `&lt;`, or put the text into `<![CDATA[ ]]>`
2:20: error: `--` within a comment is not XML; write a single `-`
"##,
    );
    check_as(
        Compat::Strict,
        "<a b=\"#[p[\"x\"]]\"/>",
        "1:12: error: `x\"]]\"` in the tag `<a` is not an attribute; write attributes as `name=\"value\"`; a quote within a value is `&quot;`",
    );
}

#[test]
fn tags_that_do_not_fit_are_told_with_both_lines() {
    check_both(
        "<a>\n<b>\n</a>\n</c>\n<d>\n<flow>\n</flwo>\n",
        "2:1: error: `<b>` is not closed before `</a>` in line 3; add `</b>`, or end the tag with `/>`
4:1: error: `</c>` closes no element; remove it
5:1: error: `<d>` is not closed before the file ends; add `</d>`, or end the tag with `/>`
7:1: error: `</flwo>` does not close `<flow>` of line 6; write `</flow>`, or remove it",
    );
    check_both(
        "<a b='1'\n <c/>\n</a>",
        "1:1: error: the tag `<a` has no `>` before the next tag begins in line 2; close it with `>` or `/>`",
    );
}

#[test]
fn what_a_tag_may_not_hold_is_told() {
    check_both(
        "<a b='1' b='2'/><a b='1'c='2' d/><a x='1' =5/>",
        "1:10: error: the attribute `b` is given twice; keep one; the first is in line 1
1:25: error: missing space before `c`; put a space between two attributes
1:31: error: the attribute `d` has no value; write `d=\"…\"`, or remove it
1:43: error: `=5` in the tag `<a` is not an attribute; write attributes as `name=\"value\"`; a quote within a value is `&quot;`",
    );
    check_both(
        "<a b='1",
        "1:6: error: the value of `b` has no closing quote; close it with `'`",
    );
}

#[test]
fn an_entity_that_nobody_defines_is_named() {
    check_both(
        "<a b='&nbsp; &x; a&b&#0;'>&#xZ;</a>",
        "1:7: error: the entity `&nbsp;` is not defined; write the character itself; there are `&lt;`, `&gt;`, `&amp;`, `&quot;`, `&apos;` and `&#…;`
1:14: error: the entity `&x;` is not defined; write the character itself; there are `&lt;`, `&gt;`, `&amp;`, `&quot;`, `&apos;` and `&#…;`
1:19: error: this `&` does not begin an entity; write `&amp;` for the character itself
1:21: error: `&#0;` is not a character of XML; write its code in decimal, `&#233;`, or in hexadecimal, `&#xE9;`
1:27: error: `&#xZ;` is not a character of XML; write its code in decimal, `&#233;`, or in hexadecimal, `&#xE9;`",
    );
}

#[test]
fn document_types_other_encodings_and_stray_texts_are_refused() {
    check_both(
        "<!DOCTYPE a [<!ENTITY x 'y'>]><a/>",
        "1:1: error: document types are not supported: their entities are not expanded; remove `<!DOCTYPE …>` and replace its entities by their text",
    );
    check_both(
        "<?xml version='1.0' encoding='ISO-8859-1'?><a/>",
        "1:1: error: the file declares the encoding `ISO-8859-1`; save it as UTF-8 and declare that: `encoding=\"UTF-8\"`",
    );
    check_both(
        "<a/>\n  ... <mule>x<b/></mule>",
        "2:3: error: the text `...` belongs to no element; remove it, or make it a comment: `<!-- … -->`
2:13: error: the text `x` belongs to no element; remove it, or make it a comment: `<!-- … -->`",
    );
    check_both(
        "<!-- nothing -->",
        "1:1: error: the file has no elements; write the application's flows, `<flow name=\"…\">`, with or without `<mule>` around them",
    );
}

#[test]
fn depth_and_attributes_are_bounded() {
    let mut notes = Notes::default();
    let deep = "<a>".repeat(65) + &"</a>".repeat(65);
    assert!(parse(&deep, 0, Compat::Intent, &mut notes).is_none());
    assert!(told(notes).contains("1:193: error: more than 64 nested elements"));
    let mut notes = Notes::default();
    let wide: String = (0..129).map(|n| format!(" a{n}=''")).collect();
    assert!(parse(&format!("<a{wide}/>"), 0, Compat::Intent, &mut notes).is_none());
    assert!(told(notes).contains("`<a` has more than 128 attributes; remove some"));
}

#[test]
fn a_fault_within_a_value_is_told_where_it_is_written() {
    let mut notes = Notes::default();
    let text = "<a b='x &gt; é\n y'>\n  1<![CDATA[\n2 &\n  3]]></a>";
    let elements = parse(text, 0, Compat::Strict, &mut notes).unwrap();
    let place = |place: Place| (place.line, place.col);
    let b = &elements[0].attributes[0];
    assert_eq!(b.value.value, "x > é  y");
    assert_eq!(place(b.place(1, 3)), (1, 9));
    assert_eq!(place(b.place(1, 4)), (1, 13));
    assert_eq!(place(b.place(1, 8)), (2, 2));
    assert_eq!(elements[0].text.as_ref().unwrap().value, "1\n2 &\n  3");
    assert_eq!(place(elements[0].text_place(1, 1)), (3, 3));
    assert_eq!(place(elements[0].text_place(2, 3)), (4, 3));
    assert_eq!(place(elements[0].text_place(3, 3)), (5, 3));
}

/// An element of names, attributes, a text and children. No value has white space that XML would normalise.
fn element() -> impl Strategy<Value = Element> {
    let name = || "[a-z][a-z0-9.-]{0,5}";
    let value = || "[ -~é–😀]{0,12}";
    let node = move |children: Vec<Element>| {
        let attributes = prop::collection::btree_map(name(), value(), 0..4);
        (name(), attributes, value()).prop_map(move |(name, attributes, text)| {
            let place = Place::default();
            let text = text.trim().to_owned();
            Element {
                module: "x".into(),
                name: name.as_str().into(),
                at: place,
                attributes: attributes
                    .into_iter()
                    .map(|(name, value)| Attribute {
                        name: name.as_str().into(),
                        at: place,
                        value: At::new(value, place),
                        places: Places::default(),
                        state: Filling::default(),
                    })
                    .collect(),
                children: children.clone(),
                text: (!text.is_empty()).then(|| At::new(text, place)),
                text_places: Places::default(),
                text_state: Filling::default(),
            }
        })
    };
    node(Vec::new()).prop_recursive(4, 24, 4, move |inner| {
        prop::collection::vec(inner, 0..4).prop_flat_map(node)
    })
}

/// An element in XML notation.
fn written(element: &Element, out: &mut String) {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    write!(out, "<{}", element.title()).unwrap();
    for attribute in &element.attributes {
        let value = &attribute.value.value;
        // Any quote that the value does not contain.
        if value.contains('\'') {
            let value = escaped(value).replace('"', "&quot;");
            write!(out, "\n {}=\"{value}\"", attribute.name).unwrap();
        } else {
            write!(out, " {} = '{}'", attribute.name, escaped(value)).unwrap();
        }
    }
    out.push('>');
    for child in &element.children {
        written(child, out);
    }
    if let Some(At { value, .. }) = &element.text {
        let cdata = value.len() % 2 == 0 && !value.contains("]]>");
        let text = if cdata {
            format!("<![CDATA[{value}]]>")
        } else {
            escaped(value).replace('>', "&gt;")
        };
        out.push_str(&text);
    }
    writeln!(out, "</{}>", element.title()).unwrap();
}

/// The element without places.
fn bare(element: &Element) -> Element {
    let at = Place::default();
    let value = |value: &At<String>| At::new(value.value.clone(), at);
    Element {
        at,
        attributes: element
            .attributes
            .iter()
            .map(|attribute| Attribute {
                at,
                value: value(&attribute.value),
                places: Places::default(),
                ..attribute.clone()
            })
            .collect(),
        children: element.children.iter().map(bare).collect(),
        text: element.text.as_ref().map(value),
        text_places: Places::default(),
        text_state: Filling::default(),
        ..element.clone()
    }
}

proptest! {
    #[test]
    fn what_is_written_as_xml_is_read_back_however_files_are_understood(element in element()) {
        let mut text = String::new();
        written(&element, &mut text);
        for compat in [Compat::Intent, Compat::Strict] {
            let mut notes = Notes::default();
            let read = parse(&text, 0, compat, &mut notes);
            prop_assert_eq!(told(notes), "", "{}", &text);
            let read: Vec<Element> = read.unwrap().iter().map(bare).collect();
            prop_assert_eq!(&read, &vec![element.clone()], "{}", &text);
        }
    }

    #[test]
    fn every_character_of_a_value_is_told_where_it_is_written(
        lines in prop::collection::vec("[ -%\'-;=?-~é😀]{1,8}", 1..4),
    ) {
        // Without markup and entities, a value in double quotes is in the source character by character.
        let value = lines.join("\n").replace('"', "'");
        let text = format!("<a>\n é <b c=\"{value}\"/></a>");
        let mut notes = Notes::default();
        let elements = parse(&text, 0, Compat::Strict, &mut notes).unwrap();
        let attribute = &elements[0].children[0].attributes[0];
        let (mut line, mut col) = (2, 10);
        for (index, char) in value.chars().enumerate() {
            let place = attribute.place(1, index + 1);
            prop_assert_eq!((place.line, place.col), (line, col));
            (line, col) = if char == '\n' { (line + 1, 1) } else { (line, col + 1) };
        }
    }
}
