//! Filling in the templates of policies.

use std::io;

use fusebox_plan::dialect::{Loader, Notes};

use super::filled;

struct Set(&'static [(&'static str, &'static str)]);

impl Loader for Set {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn property(&self, name: &str) -> Option<String> {
        let mut set = self.0.iter();
        Some(set.find(|(known, _)| *known == name)?.1.to_owned())
    }
}

fn told(text: &str, set: &'static [(&'static str, &'static str)]) -> (String, Vec<String>) {
    let mut notes = Notes::default();
    let text = filled(text, 0, &Set(set), &mut notes);
    let said = notes.finish(&["p.xml"]);
    (text, said.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn check(text: &str, set: &'static [(&'static str, &'static str)], expected: &str) {
    assert_eq!(told(text, set), (expected.to_owned(), Vec::new()));
}

#[test]
fn values_are_filled_in_as_xml() {
    let set = &[("codes", "\"500, 401\""), ("n", "3"), ("e", "a&lt;b & c<d")];
    check(
        "<a b='{{{codes}}}' c='{{n}}'/>",
        set,
        "<a b='&quot;500, 401&quot;' c='3'/>",
    );
    check("{{ n }}{{~n~}}{{&n}}{{{ n }}}", set, "3333");
    check("{{{e}}}", set, "a&lt;b &amp; c&lt;d");
    check("<![CDATA[{{{codes}}}]]>", set, "<![CDATA[\"500, 401\"]]>");
    check("{{{policyId}}}-custom-policy", &[], "policy-custom-policy");
}

#[test]
fn a_block_is_there_or_not_and_lines_keep_their_numbers() {
    let text = "{{#if a}}\nyes\n{{else}}\nno\n{{/if}}\nend";
    check(text, &[("a", "true")], "\nyes\n\n\n\nend");
    check(text, &[("a", "false")], "\n\n\nno\n\nend");
    let text = "{{#unless a}}x{{/unless}}{{#if a}}{{#if b}}ab{{else}}a{{/if}}{{else if b}}b{{else}}-{{/if}}";
    check(text, &[("a", "1"), ("b", "true")], "ab");
    check(text, &[("a", "0"), ("b", "true")], "xb");
    check(text, &[("a", ""), ("b", "false")], "x-");
    check("a{{!-- {{b}}\n --}}{{! c }}d", &[], "a\nd");
}

#[test]
fn a_block_is_repeated_for_each_item() {
    let set = &[
        (
            "hs",
            r#"[{"key": "A", "value": "1"}, {"key": "B", "value": "2"}]"#,
        ),
        ("none", "[]"),
        ("sep", "; "),
    ];
    check(
        "{{#each hs}}{{@index}}{{this.key}}={{value}}{{#unless @last}}{{sep}}{{/unless}}{{/each}}",
        set,
        "0A=1; 1B=2",
    );
    check("{{#each none}}x{{else}}empty{{/each}}", set, "empty");
}

#[test]
fn braces_of_scripts_stay() {
    for text in [
        "#[{{a: 1} ++ b}]",
        "#[payload map {{(x): 1}}]",
        "{{ 1 }}",
        "{{",
        "#[{a: {b: {c: 1}}}]",
    ] {
        check(text, &[], text);
    }
}

#[test]
fn missing_values_are_named_once_each() {
    let (_, said) = told("<x/>\n{{a}} {{{a}}}\n{{#if b}}{{/if}}{{#if b}}{{/if}}", &[]);
    assert_eq!(
        said,
        [
            "p.xml:2:1: error: the template's `a` has no value; give it one: `--set a=…`",
            "p.xml:3:1: warning: the template asks for `b`, which has no value and is taken for false; say so: `--set b=true` or `--set b=false`",
        ]
    );
    let (_, said) = told("{{#if a}}\n{{#each b}}", &[("a", "true")]);
    assert_eq!(said.len(), 2, "{said:#?}");
    let (_, said) = told("{{/if}}{{#eq a}}{{/eq}}", &[]);
    assert_eq!(said.len(), 2, "{said:#?}");
}
