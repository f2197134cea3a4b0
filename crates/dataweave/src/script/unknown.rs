//! The names in a script that mean nothing.
//!
//! Mostly they come of keys with a hyphen that are not in quotes: `attributes.headers.x-client` is a subtraction.

use super::cursor::Cursor;
use super::{functions, types};
use crate::fault::ParseFault;

/// The names of the event and of its surroundings.
const PARTS: [&str; 10] = [
    "payload",
    "attributes",
    "vars",
    "error",
    "message",
    "correlationId",
    "flow",
    "app",
    "server",
    "mule",
];

/// The names that a script reads, and that neither it nor anything around it defines.
pub(super) fn names(cursor: &Cursor<'_>) -> Vec<ParseFault> {
    let known = |name: &str| {
        PARTS.contains(&name)
            || cursor.declared.contains(name)
            || cursor.imported.contains_key(name)
            || functions::find(name).is_some()
            || types::kind(name).is_some()
            || name.contains("::")
    };
    let called = |name: &str| cursor.called.iter().any(|(known, _)| &**known == name);
    let mut names: Vec<(&str, usize)> = cursor
        .names
        .iter()
        .map(|(name, at)| (&**name, *at))
        .filter(|(name, _)| !known(name) && !called(name))
        .collect();
    names.sort_unstable_by_key(|(_, at)| *at);
    let mut keys: Vec<usize> = Vec::new();
    let mut found = Vec::new();
    for (name, at) in names {
        let what = format!("unknown name `{name}`");
        let Some((start, path, key)) = hyphened(cursor.text, at) else {
            let mend = format!(
                "write `vars.{name}` for a variable of the flow, or quote a text: `\"{name}\"`"
            );
            found.push(cursor.fault(at, &what, &mend));
            continue;
        };
        // The parts of one key are one fault.
        if keys.contains(&start) {
            continue;
        }
        keys.push(start);
        let what = format!("{what}: the hyphen in `{key}` is a subtraction");
        let mend = format!("write the key in quotes: `{path}.'{key}'`");
        found.push(cursor.fault(at, &what, &mend));
    }
    found
}

/// The key with a hyphen whose part is a name at an offset: its start, the path before it, and the key.
fn hyphened(text: &str, at: usize) -> Option<(usize, &str, &str)> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    let back = |from: usize, takes: &dyn Fn(u8) -> bool| {
        let taken = bytes[..from].iter().rev().take_while(|byte| takes(**byte));
        from - taken.count()
    };
    if !text[..at].ends_with('-') {
        return None;
    }
    let start = back(at, &|byte| is_word(byte) || byte == b'-');
    let before = start.checked_sub(1).filter(|dot| bytes[*dot] == b'.')?;
    let path = &text[back(before, &|byte| is_word(byte) || byte == b'.')..before];
    let after = &bytes[at..];
    let length = after
        .iter()
        .take_while(|byte| is_word(**byte) || **byte == b'-');
    let key = &text[start..at + length.count()];
    Some((start, path, key.trim_end_matches('-')))
}
