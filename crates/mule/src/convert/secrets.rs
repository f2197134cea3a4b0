//! The values of secure properties, which a conversion does not write: variables stand for them.

use fusebox_plan::Conversion;

use crate::app::App;

/// The prefix of the keys of secure properties.
const SECURE: &str = "secure::";
/// The length from which a value is looked for; a shorter one is in every text.
const LENGTH_MIN: usize = 4;

/// A conversion with `${NAME}` in place of each secure property's value.
pub(super) fn hidden(app: &App, mut conversion: Conversion) -> Conversion {
    let mut secrets: Vec<(String, &str)> = app
        .properties
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(SECURE)?, &**value)))
        .filter(|(_, value)| value.len() >= LENGTH_MIN)
        // A file that is read both ways has nothing encrypted at such a key, like that of a port.
        .filter(|(key, value)| {
            app.properties
                .get(*key)
                .is_none_or(|plain| &**plain != *value)
        })
        .map(|(key, value)| (variable(key), value))
        .collect();
    // A value may be a part of another.
    secrets.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    for (name, value) in secrets {
        let quoted = serde_json::Value::from(value).to_string();
        let forms = [value, quoted.trim_matches('"')];
        let replaced = |text: &str| {
            let mut text = text.to_owned();
            for form in forms {
                text = text.replace(form, &format!("${{{name}}}"));
            }
            text
        };
        conversion.yaml = conversion
            .yaml
            .as_deref()
            .map(|it| in_quotes(&replaced(it)));
        for diagnostic in &mut conversion.diagnostics {
            diagnostic.what = replaced(&diagnostic.what);
        }
    }
    conversion
}

/// YAML with quotes around texts that a variable has come into: `{ a: ${A} }` is none.
fn in_quotes(yaml: &str) -> String {
    let line = |line: &str| match line.trim_start().starts_with('#') {
        true => line.to_owned(),
        false => quoted(line),
    };
    yaml.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A line with quotes around its bare texts with a variable.
fn quoted(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("${") {
        let before = &rest[..at];
        let is_open = |text: &str| text.replace("\\\"", "").matches('"').count() % 2 == 1;
        let after = at + rest[at..].find('}').map_or(rest.len() - at, |end| end + 1);
        if is_open(&format!("{out}{before}")) {
            out.push_str(&rest[..after]);
            rest = &rest[after..];
            continue;
        }
        // A bare text ends before the next mark of a list or an object.
        let starts = [": ", ", ", "[ ", "{ ", "- ", "["].iter();
        let start = starts.filter_map(|mark| Some(before.rfind(mark)? + mark.len()));
        let start = start.max().unwrap_or(0);
        let ends = [", ", " }", "]", " ]"].iter();
        let end = ends.filter_map(|mark| rest[after..].find(mark)).min();
        let end = end.map_or(rest.len(), |end| after + end);
        out.push_str(&rest[..start]);
        out.push_str(&format!("\"{}\"", &rest[start..end]));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// The variable that stands for a property: `TEA_TOKEN` for `tea.token`.
fn variable(key: &str) -> String {
    let letters = key.chars().map(|c| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    });
    let name: String = letters.collect();
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("_{name}"),
        false => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_text_with_a_variable_gets_quotes() {
        for (line, expected) in [
            (
                "respond: { json: { a: ${A}, b: ${B} } }",
                "respond: { json: { a: \"${A}\", b: \"${B}\" } }",
            ),
            ("url: \"http://${HOST}:80\"", "url: \"http://${HOST}:80\""),
            ("  a: x-${A}", "  a: \"x-${A}\""),
            (
                "list: [ ${A}, \"b ${B}\", c${C}d ]",
                "list: [ \"${A}\", \"b ${B}\", \"c${C}d\" ]",
            ),
            ("# a: ${A}", "# a: ${A}"),
        ] {
            assert_eq!(in_quotes(line), expected);
        }
    }
}
