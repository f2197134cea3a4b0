//! The path of a call, in terms of the client's path, and what else a call sends.

use fusebox_plan::dialect::{quote, read_rewrite};

use super::recipe::Call;
use crate::Value;
use crate::flow::{Action, Given, TargetPart};
use crate::read::triggers::RouteDraft;

/// The path of a call.
pub(super) struct Target {
    pub path: String,
    /// The query, without the `?`.
    pub query: Option<String>,
}

/// The path that the upstream receives, with the route's parameters.
pub(super) fn target(
    call: &Call<'_>,
    action: &Action,
    route: &RouteDraft,
    renamed: &[(String, String)],
) -> Result<Target, String> {
    let mut text = String::new();
    for part in &call.rest.target {
        match part {
            TargetPart::Literal(literal) => text.push_str(literal),
            TargetPart::Param(name) => {
                let source = source_of(name, call.step);
                let plain = source.as_ref().and_then(|source| {
                    let found = renamed.iter().find(|(known, _)| known == source);
                    found.filter(|_| !route.path.is_rest(source))
                });
                let Some((_, plain)) = plain else {
                    let where_to = "is not a single segment of the client's path";
                    return Err(format!("its parameter {} {where_to}", quote(name)));
                };
                text = format!("{text}{{{plain}}}");
            }
        }
    }
    if has_setting(action, call, "pathParams") && text.contains('{') {
        return Err("its settings give path parameters of their own".to_owned());
    }
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (text, None),
    };
    match read_rewrite(&path) {
        Ok(_) => Ok(Target { path, query }),
        Err(fault) => Err(fault.what),
    }
}

/// The parameter of the client's path whose value fills a parameter of the call.
fn source_of(name: &str, step: &crate::flow::FlowStep) -> Option<String> {
    step.input.iter().rev().find_map(|assignment| {
        let Given::Expression(expression) = &assignment.value else {
            return None;
        };
        let path: Vec<&str> = assignment.path.iter().map(|part| &**part).collect();
        match path[..] {
            ["pathParams"] if expression.source() == "$.payload.pathParams" => {
                Some(name.to_owned())
            }
            ["pathParams", to] if to == name => expression
                .source()
                .strip_prefix("$.payload.pathParams.")
                .filter(|from| !from.contains(['.', '[']))
                .map(str::to_owned),
            _ => None,
        }
    })
}

/// True if the call sets this part of the request itself, instead of forwarding the client's.
pub(super) fn own_input(action: &Action, call: &Call<'_>, input: &str) -> bool {
    let client = format!("$.payload.{input}");
    let mapped = call.step.input.iter().any(|assignment| {
        *assignment.path[0] == *input
            && !matches!(&assignment.value, Given::Expression(expression) if expression.source() == client)
    });
    mapped || has_setting(action, call, input)
}

fn has_setting(action: &Action, call: &Call<'_>, key: &str) -> bool {
    let settings = &action.services[call.service].settings;
    matches!(settings, Value::Object(settings) if settings.contains_key(key))
}
