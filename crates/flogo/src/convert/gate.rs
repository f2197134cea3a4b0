//! Conditions on the fields of a request, which a native route can ask for itself.

use crate::Expression;
use crate::read::actions::BuiltAction;

/// An action of a handler, for the requests that have these fields.
pub(super) struct Gated<'a> {
    pub built: &'a BuiltAction,
    /// True if the payload is the trigger's own output.
    pub is_own: bool,
    pub gate: Vec<(String, String)>,
}

/// The fields that a condition asks for, each with one value, if it asks for nothing else of the request. `path`: the
/// names that lead to the fields, never empty.
pub(super) fn header_gate(when: &Expression, path: &[&str]) -> Option<Vec<(String, String)>> {
    let mut gate: Vec<(String, String)> = Vec::new();
    for (read, value) in when.equalities(&|read| read.name == path[0])? {
        let parts = read.path.split(['.', '[', ']', '"', '\'']);
        let mut parts = std::iter::once(read.name).chain(parts.filter(|part| !part.is_empty()));
        for wanted in path {
            if parts.next() != Some(*wanted) {
                return None;
            }
        }
        let name = parts.next()?;
        // The trigger gives fields their canonical names, and joins repeated ones by a comma.
        let is_canonical = name.split('-').all(|word| {
            let rest = word.get(1..).unwrap_or_default();
            word.starts_with(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit())
                && rest
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        });
        let is_plain = !value.is_empty()
            && value.trim() == value
            && value
                .chars()
                .all(|c| (c.is_ascii_graphic() || c == ' ') && c != ',');
        let is_known = gate.iter().any(|(known, _)| known == name);
        if parts.next().is_some() || !is_canonical || !is_plain || is_known || name == "Host" {
            return None;
        }
        gate.push((name.to_owned(), value.to_owned()));
    }
    Some(gate)
}
