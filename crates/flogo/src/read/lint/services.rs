//! Services and their steps: settings that nothing reads, operations that only ask, tokens that are never valid.

use std::collections::HashSet;

use fusebox_plan::dialect::{Entry, Kind, Place, quote, suggest};

use super::known::{Known, is_misspelt};
use super::{Subject, literal};
use crate::flow::Activity;
use crate::language::expression::Expression;
use crate::read::object::Object;
use crate::read::reader::{Reader, expression_of};
use crate::{Map, Names, Value};

/// The operation of a step on its breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Ask,
    Counter,
    Reset,
    /// A misspelt one, which only asks.
    Unknown,
    /// One that is computed.
    Computed,
}

impl Operation {
    fn of(entry: Option<&Entry>, text: Option<&str>) -> Operation {
        let Some(entry) = entry else {
            return Operation::Ask;
        };
        match (&entry.value.kind, text) {
            (_, Some("")) => Operation::Ask,
            (_, Some("counter")) => Operation::Counter,
            (_, Some("reset")) => Operation::Reset,
            (_, Some(_)) => Operation::Unknown,
            _ if crate::read::object::is_null(&entry.value) => Operation::Ask,
            _ if crate::read::object::text(&entry.value).is_some() => Operation::Computed,
            _ => Operation::Unknown,
        }
    }
}

impl Subject<'_> {
    pub(super) fn services(&self, reader: &mut Reader<'_>) {
        // A custom setting may be read as `$.NAME.inputs.KEY`.
        let read: HashSet<(&str, &str)> = self
            .reads
            .iter()
            .filter_map(|(name, path)| {
                let key = path.strip_prefix(".inputs")?;
                let mut key = key.split(['.', '[', ']', '"', '\'']);
                Some((name.as_str(), key.find(|key| !key.is_empty()).unwrap_or("")))
            })
            .collect();
        let is_read = |service: &str, key: &str| {
            read.contains(&(service, key)) || read.contains(&(service, ""))
        };
        let mut inputs: Vec<Vec<Option<Object<'_>>>> =
            vec![Vec::new(); self.built.action.services.len()];
        for (step, service) in self.steps() {
            if let Some(inputs) = inputs.get_mut(service) {
                inputs.push(object_of(step, "input"));
            }
        }
        for (index, service) in self.written_services().into_iter().enumerate() {
            let Some(activity) = self.activity(index) else {
                continue;
            };
            let known = Known::of(activity);
            let name = &*self.built.action.services[index].name;
            let settings = object_of(service, "settings");
            for entry in entries(settings) {
                let key = first(&entry.key);
                if !known.has(key) && !is_read(name, key) {
                    warn_of_unread(entry, key, name, &known, activity, reader);
                }
            }
            match activity {
                Activity::Breaker(_) => {
                    self.breaker(
                        index,
                        service.place_of("name"),
                        settings,
                        &inputs[index],
                        reader,
                    );
                }
                Activity::Jwt => self.token(
                    index,
                    service.place_of("name"),
                    settings,
                    &inputs[index],
                    reader,
                ),
                _ => {}
            }
        }
        for (step, service) in self.steps() {
            let Some(activity) = self.activity(service) else {
                continue;
            };
            let known = Known::of(activity);
            let name = &*self.built.action.services[service].name;
            for entry in entries(object_of(step, "input")) {
                let key = first(&entry.key);
                if known.inputs.contains(&key) || is_read(name, key) {
                    continue;
                }
                if known.settings.contains(&key) {
                    let (key, name) = (quote(key), quote(name));
                    let what =
                        format!("the input {key} is ignored: only the settings of {name} say it");
                    reader
                        .notes
                        .warn(entry.at, what, "move it there, or remove it");
                } else {
                    warn_of_unread(entry, key, name, &known, activity, reader);
                }
            }
        }
    }

    /// The operations on a breaker.
    fn breaker(
        &self,
        index: usize,
        at: Place,
        settings: Option<Object<'_>>,
        inputs: &[Option<Object<'_>>],
        reader: &mut Reader<'_>,
    ) {
        let default = entry(settings, "operation");
        let mut operations = Vec::new();
        for input in inputs {
            let given = entry(*input, "operation").or(default);
            let text = given.and_then(|given| self.known_text(given));
            operations.push((Operation::of(given, text.as_deref()), given));
        }
        for (operation, entry) in &operations {
            if let (Operation::Unknown, Some(entry)) = (operation, entry) {
                let shown = entry.value.describe();
                let what = format!(
                    "the operation {shown} only asks whether the breaker is open: it is neither `counter` nor `reset`"
                );
                let mend = match literal(&entry.value) {
                    Some(text) => suggest(text, ["counter", "reset"]),
                    None => "expected one of counter, reset".to_owned(),
                };
                reader.notes.warn(entry.value.at, what, mend);
            }
        }
        let has = |wanted: &[Operation]| operations.iter().any(|(it, _)| wanted.contains(it));
        let told = [Operation::Counter, Operation::Computed, Operation::Unknown];
        let is_meant = |input: &Option<Object<'_>>| is_misspelt(entries(*input), "operation");
        if has(&[Operation::Ask]) && !has(&told) && !inputs.iter().any(is_meant) {
            let name = self.name(index);
            let what =
                format!("the breaker {name} is asked and never told `counter`, so it never trips");
            let mend = "add a step after the call: `{ \"if\": \"$.CALL.error != nil\", \"service\": …, \"input\": { \"operation\": \"counter\" } }`";
            reader.notes.warn(at, what, mend);
        }
    }

    /// The text of a setting or an input, if it is the same for all requests: a literal, an expression without names,
    /// or one that reads the action's settings alone.
    fn known_text(&self, entry: &Entry) -> Option<String> {
        if let Some(text) = literal(&entry.value) {
            return Some(text.to_owned());
        }
        let (_, source) = expression_of(&entry.value)?;
        let expression = Expression::compile(source, &Names::default()).ok()?;
        let mut reads = expression.reads().into_iter();
        if reads.any(|read| read.name != "conf") {
            return None;
        }
        let scope = Map::from([("conf".into(), self.built.action.conf.clone())]);
        match expression.eval(&scope).ok()? {
            Value::Str(text) => Some(text.to_string()),
            _ => None,
        }
    }

    /// The settings and inputs of a check of tokens.
    fn token(
        &self,
        index: usize,
        at: Place,
        settings: Option<Object<'_>>,
        inputs: &[Option<Object<'_>>],
        reader: &mut Reader<'_>,
    ) {
        let methods = inputs
            .iter()
            .map(|input| entry(*input, "signingMethod"))
            .chain([entry(settings, "signingMethod")]);
        for given in methods.flatten() {
            if let Some(method) = self.known_text(given)
                && is_vain(&method)
            {
                let shown = quote(&method);
                let what = format!("with the signing method {shown} {VAIN}");
                reader.notes.warn(given.value.at, what, HMAC);
            }
        }
        let has_key = |object: Option<Object<'_>>| {
            let key = entry(object, "key");
            key.is_some_and(|key| self.known_text(key).as_deref() != Some(""))
        };
        if !has_key(settings) && inputs.iter().any(|input| !has_key(*input)) {
            let name = self.name(index);
            let what = format!(
                "{name} has no `key`, so every token that is signed with an empty key is valid"
            );
            reader.notes.warn(at, what, "add `\"key\"` to its settings");
        }
    }
}

/// The effect of a signing method other than HMAC.
pub(super) const VAIN: &str =
    "no token is ever valid: the key is taken as raw bytes, which only HMAC uses";

/// The mend for a signing method with which no token is valid.
pub(super) const HMAC: &str =
    "write `\"signingMethod\": \"HMAC\"`, or check such tokens before the gateway";

/// True if no token is ever valid with a signing method.
pub(super) fn is_vain(method: &str) -> bool {
    !method.is_empty() && !method.eq_ignore_ascii_case("hmac")
}

pub(super) fn warn_of_unread(
    entry: &Entry,
    key: &str,
    service: &str,
    known: &Known,
    activity: &Activity,
    reader: &mut Reader<'_>,
) {
    let effect = match activity {
        Activity::Jwt => "so it verifies nothing",
        _ => "so its default holds",
    };
    let (shown, service, activity) = (quote(key), quote(service), known.activity);
    let what = format!("the {activity} activity does not read {shown} ({service}), {effect}");
    let mend = match known.meant(key) {
        Some(meant) => format!("did you mean {}?", quote(meant)),
        None => suggest(key, known.all()),
    };
    reader.notes.warn(entry.at, what, mend);
}

/// The first part of a name with dots.
fn first(key: &str) -> &str {
    key.split('.').next().unwrap_or(key)
}

pub(super) fn object_of<'n>(object: Object<'n>, key: &str) -> Option<Object<'n>> {
    Object::of(&object.get(key)?.value)
}

pub(super) fn entries<'n>(object: Option<Object<'n>>) -> &'n [Entry] {
    object.map_or(&[], |object| object.entries())
}

/// An entry of settings or inputs, whose names are exact.
pub(super) fn entry<'n>(object: Option<Object<'n>>, key: &str) -> Option<&'n Entry> {
    entries(object).iter().find(|entry| entry.key == key)
}

/// The keys of an object; none for other values.
pub(super) fn keys(entry: &Entry) -> Vec<&str> {
    match &entry.value.kind {
        Kind::Map(entries) => entries.iter().map(|entry| entry.key.as_str()).collect(),
        _ => Vec::new(),
    }
}
