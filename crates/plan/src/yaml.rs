//! Writes native YAML: keys with their values, one a line.

use std::fmt::Write as _;

use serde_json::Value as Json;

/// A quoted text, in which the native reader replaces no variable.
fn quoted(text: &str) -> String {
    key(text).replace("${", "$${")
}

/// A quoted key, in which variables have no meaning.
pub fn key(text: &str) -> String {
    Json::from(text).to_string()
}

/// A value in one line of YAML.
pub fn inline(value: &Json) -> String {
    match value {
        Json::String(text) if is_word(text) => text.clone(),
        Json::String(text) => quoted(text),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Json::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", key_of(key), inline(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// Writes the entries of a map, one a line.
pub fn entries(out: &mut String, indent: usize, entries: &serde_json::Map<String, Json>) {
    for (key, value) in entries {
        let _ = writeln!(out, "{:indent$}{}: {}", "", key_of(key), inline(value));
    }
}

fn key_of(text: &str) -> String {
    // A key of our own, and no truth value.
    if is_word(text) || text == "on" {
        text.to_owned()
    } else {
        key(text)
    }
}

/// True for a text that needs no quotes: a word that YAML does not reserve.
fn is_word(text: &str) -> bool {
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !reserved.contains(&text.to_ascii_lowercase().as_str())
}
