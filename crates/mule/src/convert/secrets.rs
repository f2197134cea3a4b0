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
        .filter_map(|(key, value)| Some((variable(key.strip_prefix(SECURE)?), &**value)))
        .filter(|(_, value)| value.len() >= LENGTH_MIN)
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
        conversion.yaml = conversion.yaml.as_deref().map(replaced);
        for diagnostic in &mut conversion.diagnostics {
            diagnostic.what = replaced(&diagnostic.what);
        }
    }
    conversion
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
