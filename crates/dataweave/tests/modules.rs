//! The modules of functions: their imports, and what their functions give.

mod common;

use common::{fail, give};
use serde_json::json;

/// Checks functions of a module, imported whole.
#[track_caller]
fn of_module(module: &str, cases: &[(&str, &str)]) {
    for (text, json) in cases {
        let text = format!("import * from {module} --- {text}");
        give(&json!({ "payload": "tea" }), &[(&text, json)]);
    }
}

#[test]
fn functions_are_imported_by_name_by_module_or_not_at_all() {
    let scope = json!({});
    give(
        &scope,
        &[
            (
                r#"import toBase64 from dw::core::Binaries --- toBase64("u:p" as Binary)"#,
                r#""dTpw""#,
            ),
            (
                "import * from dw::core::Strings --- capitalize('max pot')",
                r#""Max Pot""#,
            ),
            (
                "import first as head, last from dw::core::Strings --- head('oolong', 2) ++ last('tea', 1)",
                r#""ooa""#,
            ),
            (
                "import dw::core::Strings --- Strings::repeat('x', 3)",
                r#""xxx""#,
            ),
            (
                "import dw::core::Strings as S --- S::repeat('x', 3)",
                r#""xxx""#,
            ),
            ("dw::core::Strings::repeat('x', 3)", r#""xxx""#),
            ("dw::Core::upper('x')", r#""X""#),
            ("import p from Mule --- p('none')", "null"),
            (
                "import p as property from Mule --- property('none')",
                "null",
            ),
            ("import * from Mule --- p('none') default 1", "1"),
            ("Mule::p('none') default p('none')", "null"),
            (
                "import * from dw::core::Arrays import * from dw::core::Objects --- [1, 2] take 1",
                "[1]",
            ),
            (
                "import first from dw::core::Strings --- ['ab', 'cd'] map ($ first 1)",
                r#"["a","c"]"#,
            ),
            // A name of the script's own comes first, and a qualified one is never it.
            (
                "import * from dw::core::Strings var first = 5 --- dw::core::Strings::first('ab', 1) ++ first",
                r#""a5""#,
            ),
            (
                "import reverse as upper from dw::core::Strings --- upper('ab')",
                r#""ba""#,
            ),
        ],
    );
    fail(
        &scope,
        &[
            (
                "import brew from dw::core::Strings --- 1",
                "the module `dw::core::Strings` has no function `brew`",
            ),
            (
                "import capitalise from dw::core::Strings --- 1",
                "did you mean `capitalize`?",
            ),
            (
                "import * from dw::core::String --- 1",
                "did you mean `dw::core::Strings`?",
            ),
            (
                "import * from modules::Tea --- 1",
                "the module `modules::Tea` is not supported",
            ),
            ("Tea::brew(1)", "unknown module `Tea`"),
            (
                "import lookup from Mule --- lookup('tea', 1)",
                "`lookup` of the module `Mule` is not supported; call the flow before",
            ),
            (
                "import q from Mule --- q('tea')",
                "the module `Mule` has no function `q`; did you mean `p`?",
            ),
            (
                "capitalize('a')",
                "write `import capitalize from dw::core::Strings` in a header",
            ),
        ],
    );
}

#[test]
fn texts_are_written_in_other_ways() {
    of_module(
        "dw::core::Strings",
        &[
            ("camelize('customer_first_name')", r#""customerFirstName""#),
            ("capitalize('customerName')", r#""Customer Name""#),
            ("dasherize('customer NAME')", r#""customer-name""#),
            (
                "underscore('customer-firstName')",
                r#""customer_first_name""#,
            ),
            (
                "[1, 2, 3, 11, 12, 22, 103] map ordinalize($)",
                r#"["1st","2nd","3rd","11th","12th","22nd","103rd"]"#,
            ),
            (
                "['box', 'city', 'boxes', 'day', 'person'] map pluralize($)",
                r#"["boxes","cities","boxes","days","people"]"#,
            ),
            (
                "['boxes', 'cities', 'box', 'cups', 'people'] map singularize($)",
                r#"["box","city","box","cup","person"]"#,
            ),
            ("wrapWith('ab', \"'\")", r#""'ab'""#),
            (
                "['/', 'a/b', '/a', ''] map wrapIfMissing($, '/')",
                r#"["/","/a/b/","/a/","/"]"#,
            ),
            (
                "[\"'abc'\", \"'A\", \"A'\", 'A'] map unwrap($, \"'\")",
                r#"["abc","A'","'A","A"]"#,
            ),
            (
                "appendIfMissing('tea', '!') ++ appendIfMissing('pot!', '!')",
                r#""tea!pot!""#,
            ),
            (
                "prependIfMissing('tea', '/') ++ prependIfMissing('/pot', '/')",
                r#""/tea/pot""#,
            ),
            (
                "leftPad('7', 3, '0') ++ rightPad('a', 2) ++ leftPad('long', 2)",
                r#""007a long""#,
            ),
            ("reverse('Max')", r#""xaM""#),
            ("'12345' mapString (if ($ == '3') '-' else $)", r#""12-45""#),
            ("replaceAll('AAAA', 'AAA', 'B')", r#""BA""#),
            ("'a1b2' remove /[0-9]/", r#""ab""#),
            (
                "fromCharCode(117) ++ charCode('M') ++ charCodeAt('Mule', 1)",
                r#""u77117""#,
            ),
            ("capitalize(null)", "null"),
        ],
    );
}

#[test]
fn texts_are_taken_apart_and_tested() {
    of_module(
        "dw::core::Strings",
        &[
            ("'hello world' first 5", r#""hello""#),
            ("'hello world' last 5", r#""world""#),
            ("substring('hello world', 1, 5)", r#""ello""#),
            ("substringEvery('substring', 4)", r#"["subs","trin","g"]"#),
            (
                "'a~b=c' substringBy ($ == '~' or $ == '=')",
                r#"["a","b","c"]"#,
            ),
            (
                "substringAfterLast('a.b.c', '.') ++ substringBeforeLast('a.b.c', '.')",
                r#""ca.b""#,
            ),
            ("words('a  b\\tc')", r#"["a","b","c"]"#),
            ("lines('a\\n\\nb')", r#"["a","","b"]"#),
            ("collapse('aab b')", r#"["aa","b"," ","b"]"#),
            ("'12 = 3' countCharactersBy isNumeric($)", "3"),
            ("'hello worlo' countMatches 'lo'", "2"),
            ("'hello, ciao' countMatches /[aeiou]/", "5"),
            ("'12 3' everyCharacter ($ == ' ' or isNumeric($))", "true"),
            ("'aB' someCharacter isUpperCase($)", "true"),
            ("null everyCharacter false", "true"),
            (
                "[isAlpha('ab'), isAlpha('a1'), isAlpha(''), isAlpha(null)]",
                "[true,false,false,false]",
            ),
            (
                "[isNumeric('12'), isNumeric('१२३'), isNumeric('1.2'), isNumeric('-1')]",
                "[true,true,false,false]",
            ),
            (
                "[isAlphanumeric('a1'), isLowerCase('a1'), isUpperCase('AB'), isWhitespace('')]",
                "[true,false,true,true]",
            ),
            ("'holu' hammingDistance 'chau'", "3"),
            ("'kitten' levenshteinDistance 'sitting'", "3"),
            ("'123' withMaxSize 2", r#""12""#),
        ],
    );
    let bomb = "import * from dw::core::Strings --- sizeOf(repeat('x', 2147483647))";
    fail(&json!({}), &[(bomb, "makes a text of more than")]);
    let bomb = "import * from dw::core::Strings --- sizeOf(leftPad('x', 9999999999))";
    fail(&json!({}), &[(bomb, "makes a text of more than")]);
}

#[test]
fn lists_are_parted_and_joined() {
    of_module(
        "dw::core::Arrays",
        &[
            ("[1, 2, 3] divideBy 2", "[[1,2],[3]]"),
            (
                "[[1, 2, 3] take 2, [1, 2, 3] drop 2, [1] take -1, [1] drop 9]",
                "[[1,2],[3],[],[]]",
            ),
            ("slice([0, 1, 2, 3, 4, 5], 1, 4)", "[1,2,3]"),
            ("slice([0, 1], -3, 9)", "[0,1]"),
            ("[0, 1, 3, 2] dropWhile $ < 3", "[3,2]"),
            ("[0, 1, 2, 1] takeWhile $ <= 1", "[0,1]"),
            ("[1, 2, 3] firstWith $ > 1", "2"),
            ("[1] firstWith $ > 1", "null"),
            ("[1, 2, 3] indexWhere $ > 1", "1"),
            ("[1] indexWhere $ > 1", "-1"),
            ("indexOf([1, 2], 2)", "1"),
            (
                "[0, 1, 2] partition isEven($)",
                r#"{"success":[0,2],"failure":[1]}"#,
            ),
            ("[1, 2, 3] splitAt 1", r#"{"l":[1],"r":[2,3]}"#),
            ("[1, 2, 3] splitWhere $ > 1", r#"{"l":[1],"r":[2,3]}"#),
            ("[1, 2, 4] countBy isEven($)", "2"),
            ("[{a: 1}, {a: 2}] sumBy $.a", "3"),
            (
                "[[1] some $ > 0, [1] every $ > 1, null every true]",
                "[true,false,true]",
            ),
            (
                "join([{i: 1}, {i: 2}], [{o: 1, n: 'x'}, {o: 1, n: 'y'}, {o: 3}], (l) -> l.i, (r) -> r.o)",
                r#"[{"l":{"i":1},"r":{"o":1,"n":"x"}},{"l":{"i":1},"r":{"o":1,"n":"y"}}]"#,
            ),
            (
                "leftJoin([{i: 1}, {i: 2}], [{o: 1}], (l) -> l.i, (r) -> r.o)",
                r#"[{"l":{"i":1},"r":{"o":1}},{"l":{"i":2}}]"#,
            ),
            (
                "outerJoin([{i: 1}], [{o: 2}], $.i, $.o)",
                r#"[{"l":{"i":1}},{"r":{"o":2}}]"#,
            ),
            ("null take 1", "null"),
        ],
    );
}

#[test]
fn objects_are_parted_merged_and_tested() {
    of_module(
        "dw::core::Objects",
        &[
            (
                "{a: 1, b: 2, c: 3} divideBy 2",
                r#"[{"a":1,"b":2},{"c":3}]"#,
            ),
            (
                "{a: 1, b: 2} mergeWith {a: 3, c: 4}",
                r#"{"b":2,"a":3,"c":4}"#,
            ),
            (
                "[null mergeWith {a: 1}, {a: 1} mergeWith null]",
                r#"[{"a":1},{"a":1}]"#,
            ),
            (
                "{a: 1, b: 5, c: 1} takeWhile ((value, key) -> value < 3)",
                r#"{"a":1}"#,
            ),
            (
                "[{a: 1} everyEntry $ > 1, {} everyEntry false, null everyEntry false]",
                "[false,true,true]",
            ),
            (
                "[{a: 1} someEntry ((value, key) -> key as String == 'a'), {} someEntry true]",
                "[true,false]",
            ),
            (
                "[keySet({a: 1}), nameSet({a: 1}), valueSet({a: 1})]",
                r#"[["a"],["a"],[1]]"#,
            ),
            (
                "entrySet({a: 1})",
                r#"[{"key":"a","value":1,"attributes":{}}]"#,
            ),
        ],
    );
}

#[test]
fn bytes_have_digits_and_lines() {
    of_module(
        "dw::core::Binaries",
        &[
            ("toBase64('u:p' as Binary)", r#""dTpw""#),
            ("toBase64('u:p')", r#""dTpw""#),
            ("fromBase64('dTpw') as String", r#""u:p""#),
            ("typeOf(fromBase64('dTpw'))", r#""Binary""#),
            ("toHex('Mule' as Binary)", r#""4D756C65""#),
            ("fromHex('4d756C65') as String", r#""Mule""#),
            (
                "toHex(fromHex('CAFE') concatWith fromHex('ABCD'))",
                r#""CAFEABCD""#,
            ),
            (
                "('a\\nb\\n' as Binary) readLinesWith 'UTF-8'",
                r#"["a","b"]"#,
            ),
            (
                "(['a', 'b'] writeLinesWith 'UTF-8') as String",
                r#""a\nb\n""#,
            ),
            ("toBase64(null)", "null"),
        ],
    );
    let import = "import * from dw::core::Binaries --- ";
    fail(
        &json!({}),
        &[
            (&format!("{import}fromBase64('?')"), "has no digits of base"),
            (&format!("{import}fromHex('xy')"), "has no digits of base"),
            (
                &format!("{import}'a' readLinesWith 'EBCDIC'"),
                "is not supported",
            ),
        ],
    );
}

#[test]
fn uris_are_encoded_and_parted() {
    of_module(
        "dw::core::URL",
        &[
            (
                "encodeURI('http://asd/ text?a=b&c#d')",
                r#""http://asd/%20text?a=b&c#d""#,
            ),
            ("encodeURIComponent('a b/c?é')", r#""a%20b%2Fc%3F%C3%A9""#),
            ("encodeURIComponent(\"-_.!~*'()\")", r#""-_.!~*'()""#),
            ("decodeURIComponent('a%20b%2Fc%C3%A9')", r#""a b/cé""#),
            (
                "decodeURI('http://a/%20b%2Fc%23')",
                r#""http://a/ b%2Fc%23""#,
            ),
            (
                "compose(['http://a/', '/b'], ['x y'])",
                r#""http://a/x%20y/b""#,
            ),
            (
                "compose `http://a/$(payload ++ '?')/b`",
                r#""http://a/tea%3F/b""#,
            ),
            (
                "parseURI('https://me@en.org:8443/wiki/x?q=1#foot')",
                r#"{"isValid":true,"raw":"https://me@en.org:8443/wiki/x?q=1#foot","host":"en.org","authority":"me@en.org:8443","fragment":"foot","path":"/wiki/x","query":"q=1","scheme":"https","user":"me","port":8443,"isAbsolute":true,"isOpaque":false}"#,
            ),
            ("parseURI('a b').isValid", "false"),
        ],
    );
}

#[test]
fn what_fails_can_be_tried() {
    of_module(
        "dw::Runtime",
        &[
            ("try(() -> 1 / 0).success", "false"),
            (
                "try(() -> fail('cold'))",
                r#"{"success":false,"error":{"kind":"UserException","message":"cold","location":"Unknown location","stack":[]}}"#,
            ),
            ("try(() -> 5)", r#"{"success":true,"result":5}"#),
            ("try(fail('cold')).error.message", r#""cold""#),
            ("try(() -> {}.name!) orElse 'none'", r#""none""#),
            ("try(() -> 'DW') orElse fail('never')", r#""DW""#),
            ("try(() -> {}.name!) orElse (() -> 7)", "7"),
            (
                "(try(() -> {}.name!) orElseTry fail('b')).error.message",
                r#""b""#,
            ),
            ("try(() -> {}.a!) orElseTry 1 orElse 2", "1"),
            ("'ok' failIf isEmpty([1])", r#""ok""#),
            ("{ user: 1 } wait 20", r#"{"user":1}"#),
            ("[1, 2] map try(() -> $ / 0).success", "[false,false]"),
            ("prop('tea')", "null"),
        ],
    );
    let import = "import * from dw::Runtime --- ";
    fail(
        &json!({}),
        &[
            (&format!("{import}fail('cold')"), "MULE:EXPRESSION: cold"),
            (&format!("{import}fail()"), "MULE:EXPRESSION: Error"),
            (
                &format!("{import}1 failIf $ == 1"),
                "MULE:EXPRESSION: Failed",
            ),
            (&format!("{import}1 orElse 2"), "the result of a `try`"),
            (&format!("{import}1 wait -1"), "not negative"),
            // No trying gives back the steps that were taken.
            (
                "import * from dw::Runtime fun f(n) = try(() -> f(n + 1)) orElse f(n + 1) --- f(0)",
                "steps",
            ),
        ],
    );
}

#[test]
fn hashes_are_those_of_the_algorithms() {
    of_module(
        "dw::Crypto",
        &[
            (
                "MD5('asd' as Binary)",
                r#""7815696ecbf1c96e6894b779456d330e""#,
            ),
            (
                "SHA1('dsasd' as Binary)",
                r#""2fa183839c954e6366c206367c9be5864e4f4a65""#,
            ),
            (
                "HMACWith('secret_key' as Binary, 'Some value to hash' as Binary, 'HmacSHA256')",
                r#""b51b4fe8c4e37304605753272b5b4321f9644a9b09cb1179d7016c25041d1747""#,
            ),
            (
                "dw::core::Binaries::toHex(hashWith('hello' as Binary, 'MD2'))",
                r#""A9046C73E00331AF68917D3804F70655""#,
            ),
            (
                "lower(dw::core::Binaries::toHex(hashWith('abc', 'SHA-256')))",
                r#""ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad""#,
            ),
            (
                "dw::core::Binaries::toBase64(HMACBinary('k', 'v'))",
                r#""lPxqL36JuBls904QeajBHrZ5pVI=""#,
            ),
        ],
    );
    fail(
        &json!({}),
        &[("dw::Crypto::hashWith('a', 'CRC')", "unknown hash")],
    );
}

#[test]
fn a_dollar_in_a_text_is_the_parameter_of_its_function() {
    give(
        &json!({}),
        &[
            ("[1, 2] map \"Line $\"", r#"["Line 1","Line 2"]"#),
            ("[1, 2] map \"$$: $\"", r#"["0: 1","1: 2"]"#),
            ("'5 $'", r#""5 $""#),
            ("[1] map ((x) -> 'cost $')", r#"["cost $"]"#),
            ("[1] map ('\\$ ' ++ $)", r#"["$ 1"]"#),
        ],
    );
}

#[test]
fn numbers_dates_and_periods_have_modules() {
    of_module(
        "dw::core::Numbers",
        &[
            (
                "[toHex(255), toBinary(-2), toRadixNumber(35, 36)]",
                r#"["ff","-10","z"]"#,
            ),
            (
                "[fromHex('-ff'), fromBinary('100'), fromRadixNumber('z', 36)]",
                "[-255,4,35]",
            ),
            (
                "toHex(100000000000000000000000000000000000000)",
                r#""4b3b4ca85a86c47a098a224000000000""#,
            ),
            ("toHex(null)", "null"),
        ],
    );
    of_module(
        "dw::core::Dates",
        &[
            (
                "[today(), tomorrow(), yesterday()]",
                r#"["2026-01-01","2026-01-02","2025-12-31"]"#,
            ),
            (
                "atBeginningOfWeek(|2020-10-06T18:23:20.351-03:00|)",
                r#""2020-10-04T00:00:00-03:00""#,
            ),
            ("atBeginningOfMonth(|2020-10-06|)", r#""2020-10-01""#),
            ("atBeginningOfHour(|18:23:20|)", r#""18:00:00""#),
        ],
    );
    of_module(
        "dw::core::Periods",
        &[
            (
                "[days(4), days(4.555), hours(4.555), months(4), seconds(1.5)]",
                r#"["P4D","PT109H19M12S","PT4H33M18S","P4M","PT1.5S"]"#,
            ),
            (
                "[between(|2011-12-11|, |2010-11-10|), between(|2020-02-29|, |2020-03-30|)]",
                r#"["P1Y1M1D","P-1M-1D"]"#,
            ),
            ("hours(-1) + hours(2)", "3600"),
            (
                "duration({days: 4, hours: 11, minutes: 28})",
                r#""PT107H28M""#,
            ),
            (
                "|2020-10-05| + period({years: 1, months: 1, days: 1})",
                r#""2021-11-06""#,
            ),
        ],
    );
}

#[test]
fn partial_evaluation_goes_by_the_function_and_not_by_its_name() {
    use fusebox_dataweave::symbol::{Symbol, View};
    use fusebox_dataweave::{Properties, Script, Value};
    let known = |text: &str| {
        let view = View {
            payload: &Symbol::Unknown,
            attributes: &Symbol::Unknown,
            vars: &std::collections::BTreeMap::new(),
            error: &Symbol::NULL,
            properties: &Properties::new(),
            steps: &std::cell::Cell::new(1000),
        };
        let script = Script::parse(text).expect("it is a script");
        script.symbol(&view).known().cloned()
    };
    assert_eq!(known("upper('ab')"), Some(Value::from("AB")));
    for text in [
        "import reverse as upper from dw::core::Strings --- upper('ab')",
        "var upper = (x) -> 'c' --- upper('ab')",
        "fun upper(x: Number) = 'c' fun upper(x: String) = 'd' --- upper('ab')",
        "import * from dw::Runtime --- try(() -> 1)",
        "{a: 1} update { case .a -> 2 }",
        "read('1')",
        "read('<a>1</a>', 'application/xml')",
        "payload.^mimeType",
        "a @(x: 1): 2",
    ] {
        assert_eq!(known(text), None, "{text}");
    }
    assert_eq!(known("read('1', 'application/json')"), Some(Value::from(1)));
}

#[test]
fn a_mask_replaces_simple_values_at_any_depth() {
    of_module(
        "dw::util::Values",
        &[
            (
                "{u: [{name: 'P', pin: 1, in: {pin: null, pins: 2}}], pin: [3, {a: 4}]} mask 'pin' with '**'",
                r#"{"u":[{"name":"P","pin":"**","in":{"pin":"**","pins":2}}],"pin":[3,{"a":4}]}"#,
            ),
            (
                "[{a: 'x', b: 'y'}] mask field('a') with ('<' ++ $ ++ '>')",
                r#"[{"a":"<x>","b":"y"}]"#,
            ),
            (
                "mask({a: [1]}, index(0)) with ((old, path) -> path[0].selector ++ old)",
                r#"{"a":["a1"]}"#,
            ),
            (
                "[[123, true], [456, true]] mask 1 with false",
                "[[123,false],[456,false]]",
            ),
            ("[1, [2, 3]] mask 1 with 0", "[1,[2,0]]"),
            ("null mask 'a' with 1", "null"),
            (
                "{a @(n: 'P', m: 1): 'x'} mask attr('n') with '*' then ($.a.@n ++ $.a.@m ++ $.a)",
                r#""*1x""#,
            ),
            (
                "field('a')",
                r#"{"kind":"Object","namespace":null,"selector":"a"}"#,
            ),
        ],
    );
    // By its full name, and under a name of the script's own.
    give(
        &json!({ "payload": { "a": 1 } }),
        &[
            (
                "import dw::util::Values --- payload Values::mask 'a' with 2",
                r#"{"a":2}"#,
            ),
            (
                "import mask as hide from dw::util::Values --- payload hide 'a' with 2",
                r#"{"a":2}"#,
            ),
            ("dw::util::Values::mask(payload, 'b') with 2", r#"{"a":1}"#),
        ],
    );
}

#[test]
fn a_mask_without_its_with_or_of_another_kind_is_an_error() {
    for (text, error) in [
        ("payload mask 'a'", "`mask` and `with` belong together"),
        ("payload mask true with 1", "`mask` expects a name"),
        ("payload mask {a: 1} with 1", "`mask` expects a name"),
    ] {
        let text = format!("import * from dw::util::Values --- {text}");
        fail(&json!({ "payload": { "a": 1 } }), &[(&text, error)]);
    }
}
