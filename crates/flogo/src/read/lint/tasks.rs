//! Tasks of flows: settings and inputs that their activities do not read, path parameters that a call lacks.

use fusebox_plan::dialect::{Entry, Kind, Place, quote};

use super::handlers::MAPPED;
use super::known::Known;
use super::services::{keys, warn_of_unread};
use super::texts::nested;
use crate::flow::{Activity, TargetPart};
use crate::read::object::Object;
use crate::read::reader::{Reader, expression_of};

/// Warns of the slips in a task. `activity`: its activity as written; `at`: the place of the task's id.
pub(crate) fn lint(
    activity: Object<'_>,
    kind: &Activity,
    id: &str,
    at: Place,
    reader: &mut Reader<'_>,
) {
    let known = Known::of(kind);
    let settings = super::services::entries(super::services::object_of(activity, "settings"));
    let input = super::services::entries(super::services::object_of(activity, "input"));
    for entry in settings.iter().filter(|entry| !known.has(&entry.key)) {
        warn_of_unread(entry, &entry.key, id, &known, kind, reader);
    }
    for entry in input {
        if known.inputs.contains(&&*entry.key) {
            in_vain(entry, "an input without a `mapping`", reader);
        } else if known.settings.contains(&&*entry.key) {
            let (key, id) = (quote(&entry.key), quote(id));
            let what = format!("the input {key} is ignored: only the settings of {id} say it");
            let mend = "move it there, or remove it";
            reader.notes.warn(entry.at, what, mend);
        } else {
            warn_of_unread(entry, &entry.key, id, &known, kind, reader);
        }
    }
    match kind {
        Activity::Rest(rest) => {
            let mut wanted = rest.target.iter().filter_map(|part| match part {
                TargetPart::Param(name) => Some(name.as_str()),
                TargetPart::Literal(_) => None,
            });
            let given = input.iter().chain(settings);
            let given: Vec<&Entry> = given.filter(|entry| entry.key == "pathParams").collect();
            let missing = wanted.find(|param| !given.iter().any(|entry| may_have(entry, param)));
            if let Some(param) = missing {
                let id = quote(id);
                let what = format!(
                    "the uri of {id} has `/:{param}`, but this task gives no such path parameter, so the call fails"
                );
                let mend = format!(
                    "add `\"pathParams\": {{ \"mapping\": {{ \"{param}\": … }} }}` to its input"
                );
                reader.notes.warn(at, what, mend);
            }
        }
        Activity::Return(_) | Activity::Reply(_) => {
            let mappings = settings.iter().find(|entry| entry.key == "mappings");
            if let Some(Kind::Map(entries)) = mappings.map(|entry| &entry.value.kind) {
                for entry in entries {
                    in_vain(entry, "a result without a `mapping`", reader);
                }
            }
        }
        _ => {}
    }
}

/// Warns of expressions in a value that is no mapping.
fn in_vain(entry: &Entry, of: &str, reader: &mut Reader<'_>) {
    let is_mapped = keys(entry)
        .iter()
        .any(|key| *key == "mapping" || key.starts_with('@'));
    if !is_mapped {
        nested(&entry.value, of, MAPPED, true, reader);
    }
}

/// True if parameters may have one of a name: an expression and a directive may have any.
fn may_have(entry: &Entry, param: &str) -> bool {
    let value = entry
        .value
        .entry("mapping")
        .map_or(&entry.value, |it| &it.value);
    match &value.kind {
        Kind::Map(entries) => entries
            .iter()
            .any(|entry| entry.key == param || entry.key.starts_with('@')),
        _ => expression_of(value).is_some(),
    }
}
