//! From files to elements with placeholders filled in, properties, and diagnostics.

use std::collections::BTreeMap;
use std::io;

use super::*;

/// A machine with its command line, environment, and files in memory.
#[derive(Default)]
struct Machine {
    set: BTreeMap<&'static str, &'static str>,
    env: BTreeMap<&'static str, &'static str>,
    files: BTreeMap<&'static str, &'static str>,
    is_strict: bool,
}

impl Loader for Machine {
    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).map(ToString::to_string)
    }

    fn file(&self, path: &str) -> io::Result<String> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        let file = self.files.get(path).map(ToString::to_string);
        file.ok_or_else(missing)
    }

    fn is_strict(&self) -> bool {
        self.is_strict
    }

    fn property(&self, name: &str) -> Option<String> {
        self.set.get(name).map(ToString::to_string)
    }

    fn environment(&self) -> Vec<(String, String)> {
        let all = self.env.iter().chain(&self.set);
        all.map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }
}

/// The messages of all loggers, then the diagnostics.
fn shown(machine: &Machine, text: &str) -> String {
    let mut notes = Notes::default();
    let mut names = vec!["app/orders.xml".to_owned()];
    let written = read(&[(0, text)], &mut names, machine, &mut notes);
    let mut out = String::new();
    let whole = written.iter().filter(|_| notes.errors() == 0);
    for element in whole.flat_map(|written| &written.elements) {
        if &*element.name == "logger" {
            let message = element
                .attribute("message")
                .map(|attribute| attribute.value.value.as_str());
            let text = element.text.as_ref().map(|text| text.value.as_str());
            out.push_str(message.or(text).unwrap_or("(nothing)"));
            out.push('\n');
        }
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for diagnostic in notes.finish(&names) {
        out.push_str(&format!("{diagnostic}\n"));
    }
    out
}

#[track_caller]
fn check(machine: &Machine, text: &str, expected: &str) {
    let found = shown(machine, text);
    assert_eq!(
        found.trim(),
        expected.trim(),
        "\n--- the text:\n{text}\n--- was:\n{found}"
    );
}

#[test]
fn the_command_line_is_stronger_than_the_environment_than_files_than_global_properties() {
    let machine = Machine {
        set: [("a", "set")].into(),
        env: [("a", "env"), ("b", "env")].into(),
        files: [
            ("1.properties", "a=1\nb=1\nc=1"),
            ("2.yaml", "{a: 2, b: 2, c: 2, d: 2, e: {f: [x, y]}}"),
        ]
        .into(),
        ..Machine::default()
    };
    let text =
        "<configuration-properties file='1.properties'/><configuration-properties file='2.yaml'/>
        <global-property name='d' value='g'/><global-property name='g' value='g'/>
        <logger message='${a} ${b} ${c} ${d} ${g} ${e.f}'/><logger>[${a}]</logger>";
    check(&machine, text, "set env 1 2 g x,y\n[set]");
    let mut names = vec!["orders.xml".to_owned()];
    let written = read(&[(0, text)], &mut names, &machine, &mut Notes::default()).unwrap();
    let properties = written.properties.iter();
    let properties: Vec<_> = properties
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(properties.join(" "), "a=set b=env c=1 d=2 e.f=x,y g=g");
    assert_eq!(names, ["orders.xml", "1.properties", "2.yaml"]);
}

#[test]
fn an_escaped_placeholder_stays_as_it_is_written() {
    let machine = Machine {
        set: [("a", "1")].into(),
        ..Machine::default()
    };
    check(
        &machine,
        "<logger message='\\${a} ${a} $a {a} \\$ ${a}\\'/>",
        "${a} 1 $a {a} \\$ 1\\",
    );
}

#[test]
fn properties_are_made_of_properties() {
    let machine = Machine {
        env: [("env", "dev")].into(),
        files: [
            ("dev.properties", "url=http://${dev.host}:${port}\nport=1"),
            ("note.txt", "hi ${env}"),
        ]
        .into(),
        ..Machine::default()
    };
    check(
        &machine,
        "<configuration-properties file='${env}.properties'/><global-property name='dev.host' value='h'/>
         <logger message='${url} ${${env}.host} ${file::note.txt}'/>",
        "http://h:1 h hi ${env}",
    );
    check(
        &machine,
        "<global-property name='a' value='${b}'/><global-property name='b' value='x${a}'/>\n<logger message='${a}'/>",
        "app/orders.xml:1:75: error: the property `a` refers to itself; set it: `--set a=VALUE`, or replace one placeholder of the circle by its value",
    );
}

#[test]
fn a_placeholder_that_nothing_fills_names_what_mends_it() {
    check(
        &Machine::default(),
        "<global-property name='http.port' value='1'/>\n<logger message='é &lt; ${http.prt}'/><logger message='
   ${host:localhost} ${secure::pw} ${} ${open'/>",
        "
app/orders.xml:2:25: error: the property `http.prt` has no value; did you mean `http.port`? Otherwise set it: `--set http.prt=VALUE`
app/orders.xml:3:4: error: the property `host:localhost` has no value; Mule has no defaults in placeholders; write `${host}`, and a default `<global-property name=\"host\" value=\"localhost\"/>`, which all other sources override
app/orders.xml:3:22: error: the property `secure::pw` has no value; set it: `--set secure::pw=VALUE`
app/orders.xml:3:36: error: `${}` has no key; write `${key}`, or `\\${` for the two characters themselves
app/orders.xml:3:40: error: `${` has no closing `}`; close it, as in `${key}`, or write `\\${` for the two characters themselves",
    );
}

#[test]
fn what_nobody_asks_for_may_be_wrong() {
    check(
        &Machine::default(),
        "<global-property name='a' value='${b}'/><logger message='x'/>",
        "x",
    );
}

#[test]
fn a_property_file_is_looked_for_where_mule_keeps_it() {
    let machine = Machine {
        files: [("../resources/a.yaml", "a: 1")].into(),
        ..Machine::default()
    };
    check(
        &machine,
        "<configuration-properties file='classpath:a.yaml'/><logger message='${a}'/>",
        "1",
    );
    check(
        &machine,
        "<configuration-properties file='b.yaml'/><configuration-properties file='c.json'/><logger message='${b}'/>",
        "
app/orders.xml:1:33: error: the property file `b.yaml` is missing; put it beside the file that names it, or into `src/main/resources`; searched: `app/b.yaml`, `resources/b.yaml`, `app/src/main/resources/b.yaml`; or give its properties: `--set b=VALUE`
app/orders.xml:1:74: error: `c.json` is not a property file; name a file that ends with `.yaml` or `.properties`",
    );
}

#[test]
fn a_property_file_that_is_nowhere_is_needed_for_values_alone() {
    let text = "<configuration-properties file='b.yaml'/><logger message='${b}${c.d}${b}'/>";
    let places = "put it beside the file that names it, or into `src/main/resources`; searched: `app/b.yaml`, `resources/b.yaml`, `app/src/main/resources/b.yaml`";
    let mut machine = Machine::default();
    check(
        &machine,
        text,
        &format!(
            "app/orders.xml:1:33: error: the property file `b.yaml` is missing; {places}; or give its properties: `--set b=VALUE`, `--set c.d=VALUE`"
        ),
    );
    machine.set = [("b", "1"), ("c.d", "2")].into();
    check(
        &machine,
        text,
        "121\napp/orders.xml:1:33: warning: the property file `b.yaml` is missing, so its properties have no values; put it into `src/main/resources`, or give them by `--set KEY=VALUE`",
    );
    // Mule itself needs the file.
    machine.is_strict = true;
    check(
        &machine,
        text,
        &format!("app/orders.xml:1:33: error: the property file `b.yaml` is missing; {places}"),
    );
}

#[test]
fn what_is_wrong_in_a_property_file_is_told_there() {
    let machine = Machine {
        files: [("a.yaml", "a:\n  b:\nc: ${dear}")].into(),
        ..Machine::default()
    };
    check(
        &machine,
        "<configuration-properties file='a.yaml'/><logger message='${c}'/><logger message='${a.b}'/>",
        "
app/orders.xml:1:83: error: the property `a.b` has no value; set it: `--set a.b=VALUE`
app/a.yaml:3:4: error: the property `dear` has no value; set it: `--set dear=VALUE`",
    );
}

#[test]
fn imported_files_stand_where_their_import_does_and_are_read_once() {
    let machine = Machine {
        files: [
            (
                "b.xml",
                "<import file='orders.xml'/><import file='./c.xml'/><logger message='b'/>",
            ),
            (
                "c.xml",
                "<mule><import file='b.xml'/><logger message='c'/></mule>",
            ),
        ]
        .into(),
        ..Machine::default()
    };
    check(
        &machine,
        "<logger message='a'/><import file='b.xml'/><logger message='z'/>",
        "a\nc\nb\nz",
    );
    check(
        &machine,
        "<import file='d.xml'/>",
        "app/orders.xml:1:15: error: there is no file `d.xml`; put it beside the file that names it, or into `src/main/mule`; searched: `app/d.xml`, `app/src/main/mule/d.xml`, `src/main/mule/d.xml`",
    );
}

#[test]
fn properties_that_grow_are_bounded() {
    let mut text = String::from("<global-property name='a0' value='0123456789'/>");
    for n in 1..40 {
        let before = format!("${{a{}}}", n - 1);
        text.push_str(&format!(
            "<global-property name='a{n}' value='{}'/>",
            before.repeat(10)
        ));
    }
    let shown = |more| shown(&Machine::default(), &format!("{text}{more}"));
    let found = shown("<logger message='${a39}'/>");
    assert!(
        found.contains("error: more than 32 nested placeholders"),
        "{found}"
    );
    let found = shown("<logger message='${a9}'/>");
    assert!(
        found.contains("error: this exceeds the limits of filled-in text"),
        "{found}"
    );
    let empty = text.replace("0123456789", "");
    check(
        &Machine::default(),
        &format!("{empty}<logger message='[${{a30}}]'/>"),
        "[]",
    );
}

/// Encrypted by `openssl enc -aes-128-cbc` with the key `1234567890123456`, which is the initial vector too.
const LOCKED: &str = "a: plain\nb: '![SEALED]'\nc: '![SEALED]'";

fn locked() -> Machine {
    let text = LOCKED.replace("SEALED", "tcQRdLtF0zC/8I2X2eG5bg==");
    Machine {
        files: [("safe.yaml", text.leak() as &str)].into(),
        ..Machine::default()
    }
}

const SAFE: &str = "<secure-properties:config name='Safe' file='safe.yaml' key='${k}'/>";

#[test]
fn a_secure_property_is_plain_or_decrypted_with_the_key_or_given() {
    let text = format!("{SAFE}<logger message='${{secure::a}} ${{secure::b}}'/>");
    let mut machine = locked();
    machine.set.insert("k", "1234567890123456");
    check(&machine, &text, "plain a secret");
    machine.set.insert("secure::b", "given");
    machine.set.remove("k");
    check(&machine, &text, "plain given");
}

#[test]
fn a_wrong_key_is_one_error_and_a_missing_one_is_asked_for_where_it_is_needed() {
    let text =
        format!("{SAFE}<logger message='${{secure::b}}'/><logger message='${{secure::c}}'/>");
    let mut machine = locked();
    check(
        &machine,
        &text,
        "app/orders.xml:1:61: error: the property `k` has no value; set it: `--set k=VALUE`",
    );
    machine.set.insert("k", "6543210987654321");
    check(
        &machine,
        &text,
        "app/orders.xml:1:61: error: `b` cannot be decrypted: it was encrypted with another key; give that key, and check `algorithm`, `mode` and `useRandomIVs`, or give the value: `--set secure::b=VALUE`",
    );
    machine.set.insert("k", "short");
    check(
        &machine,
        &text,
        "app/orders.xml:1:61: error: `b` cannot be decrypted: a key of `AES` has 16, 24 or 32 bytes, and this one has 5; give the key that it was encrypted with",
    );
}

#[test]
fn a_wrong_key_is_told_of_the_same_property_each_time() {
    let text = format!("{SAFE}<logger message='x'/>");
    let mut machine = locked();
    machine.set.insert("k", "6543210987654321");
    for _ in 0..8 {
        check(
            &machine,
            &text,
            "app/orders.xml:1:61: error: `b` cannot be decrypted: it was encrypted with another key; give that key, and check `algorithm`, `mode` and `useRandomIVs`, or give the value: `--set secure::b=VALUE`",
        );
    }
}

#[test]
fn without_its_file_a_secure_property_is_given_on_the_command_line() {
    let text = format!("{SAFE}<logger message='${{secure::a}}'/>");
    let mut machine = Machine::default();
    let away = "app/orders.xml:1:45: warning: the file `safe.yaml` is not there, so its properties have no values; give them by `--set secure::KEY=VALUE`\n";
    check(
        &machine,
        &text,
        &format!(
            "{away}app/orders.xml:1:85: error: the property `secure::a` has no value; set it: `--set secure::a=VALUE`"
        ),
    );
    machine.set.insert("secure::a", "abc");
    check(&machine, &text, &format!("abc\n{away}"));
}

#[test]
fn a_property_without_a_value_is_told_once() {
    check(
        &Machine::default(),
        "<logger message='${a}'/><logger message='${a} ${b}'/>",
        "
app/orders.xml:1:18: error: the property `a` has no value; set it: `--set a=VALUE`
app/orders.xml:1:47: error: the property `b` has no value; set it: `--set b=VALUE`",
    );
}

#[test]
fn one_fault_of_a_secure_configuration_is_one_error() {
    let with = |file: &'static str, encrypt: &str| {
        let mut machine = Machine {
            files: [("safe.yaml", file)].into(),
            ..Machine::default()
        };
        machine.set.insert("k", "1234567890123456");
        let text = format!(
            "<secure-properties:config name='Safe' file='safe.yaml' key='${{k}}'>{encrypt}</secure-properties:config><logger message='${{secure::b}}'/>"
        );
        shown(&machine, &text)
    };
    let sealed = "b: '![tcQRdLtF0zC/8I2X2eG5bg==]'";
    for (file, encrypt, said) in [
        (
            sealed,
            "<secure-properties:encrypt algorithm='aes'/>",
            "`algorithm` is `aes`",
        ),
        (
            sealed,
            "<secure-properties:encrypt mode='GCM'/>",
            "`mode` is `GCM`",
        ),
        (
            sealed,
            "<secure-properties:encrypt algorithm='SEED'/>",
            "`--set secure::b=VALUE`",
        ),
        (
            "b: ![tcQRdLtF0zC]",
            "",
            "app/safe.yaml:1:4: error: an encrypted value without quotes",
        ),
        ("b: '![no]'", "", "it is not Base64"),
    ] {
        let found = with(file, encrypt);
        assert_eq!(found.lines().count(), 1, "{found}");
        assert!(found.contains(said), "{found}");
    }
}

#[test]
fn a_path_of_another_system_and_a_file_of_a_value_are_found_in_the_resources() {
    let machine = Machine {
        files: [
            ("../resources/props/a.yaml", "a: 1"),
            ("../resources/note.txt", "hi"),
        ]
        .into(),
        ..Machine::default()
    };
    check(
        &machine,
        "<configuration-properties file='props\\a.yaml'/><logger message='${a} ${file::note.txt}'/>",
        "1 hi",
    );
}

#[test]
fn a_file_that_is_encrypted_as_a_whole_is_read() {
    let text = "<secure-properties:config name='Safe' file='safe.yaml' key='${k}' fileLevelEncryption='true'/><logger message='${secure::b}'/>";
    let mut machine = Machine {
        files: [("safe.yaml", "Cvh4uWGcLuvhzTyHqNeMcw==\n")].into(),
        ..Machine::default()
    };
    machine.set.insert("k", "1234567890123456");
    check(&machine, text, "whole");
    machine.set.insert("k", "6543210987654321");
    let found = shown(&machine, text);
    assert_eq!(found.lines().count(), 1, "{found}");
    assert!(
        found.contains("error: the file cannot be decrypted"),
        "{found}"
    );
    machine.set.remove("k");
    machine.set.insert("secure::b", "given");
    let found = shown(&machine, text);
    assert!(
        found.starts_with("given\napp/orders.xml:1:61: warning: the key"),
        "{found}"
    );
}
