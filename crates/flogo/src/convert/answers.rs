//! The answers that an action makes itself: the same for all requests, they become rungs, else they are lost.

use fusebox_plan::dialect::{Losses, quote};
use serde_json::{Value as Json, json};

use super::recipe::Recipe;
use super::rehearsal::{Ended, static_scope};
use crate::Value;
use crate::flow::{Action, Data, FlowResponse, Given};
use crate::read::actions::ActionPlaces;

/// The words that the native form fills in, which have no other notation.
const FILLED: [&str; 3] = ["{reason}", "{retry_after}", "{breaker}"];

/// The rungs of an action's answers. Adds all answers without a native form to the losses.
pub(super) fn rungs(recipe: &Recipe<'_>, places: &ActionPlaces, losses: &mut Losses) -> Vec<Json> {
    let action = recipe.action;
    if action.asynchronous {
        let name = quote(&action.name);
        let at = places.steps.first().copied().unwrap_or_default();
        losses.lose(
            at,
            format!("{name} is asynchronous: its answer does not wait"),
        );
    }
    let constant =
        |index: Option<usize>| Some((index?, constant(&action.responses[index?], action)?));
    let kept_back = kept_back(recipe).map(|(index, _)| index);
    let refused = constant(recipe.refusal());
    let failed = constant(recipe.answer(Ended::Failed));
    for status in &recipe.statuses {
        let own = recipe.answer(Ended::Answered(*status));
        if own != recipe.answer(Ended::Failed)
            && let Some(own) = own
        {
            let what = format!(
                "the answer to a call that failed with {status}: here it is that of all failed calls"
            );
            losses.lose(places.responses[own], what);
        }
    }
    for (index, response) in action.responses.iter().enumerate() {
        let carried = [&refused, &failed].into_iter().flatten();
        let is_carried = carried.clone().any(|(of, _)| *of == index) || kept_back == Some(index);
        if is_carried || passes_through(response, recipe) {
            continue;
        }
        let what = if Some(index) == recipe.refusal() {
            "the answer of an open breaker"
        } else if Some(index) == recipe.answer(Ended::Failed) {
            "the answer to a call that failed"
        } else {
            "an answer made by the gateway"
        };
        let code = match &response.code {
            Some(Given::Literal(value)) => value.to_text(),
            Some(Given::Expression(expression)) => format!("={}", expression.source()),
            None => "200".to_owned(),
        };
        let at = places.responses[index];
        if hides(response, recipe) {
            let what = format!(
                "the answer (code {code}) that clients get on a condition, in place of the upstream's"
            );
            losses.lose_guard(at, what);
        } else {
            losses.lose(at, format!("{what} (code {code})"));
        }
    }
    let rung = |on: Option<&str>, (_, answer): (usize, Json)| {
        let mut answer = answer;
        if let Some(on) = on {
            answer["on"] = json!([on]);
        }
        json!({ "respond": answer })
    };
    match (refused, failed) {
        (Some(refused), Some(failed)) if refused.1 == failed.1 => vec![rung(None, failed)],
        (None, Some(failed)) if recipe.breaker.is_none() => vec![rung(None, failed)],
        (refused, failed) => {
            let refused = refused.map(|it| rung(Some("refused"), it));
            refused
                .into_iter()
                .chain(failed.map(|it| rung(Some("failed"), it)))
                .collect()
        }
    }
}

/// The answer to a request that the recipe's gate keeps from the call, by index, if it is the same for all of them.
pub(super) fn kept_back(recipe: &Recipe<'_>) -> Option<(usize, Json)> {
    let index = Some(recipe).filter(|it| !it.gate.is_empty())?.kept_back()?;
    Some((
        index,
        constant(&recipe.action.responses[index], recipe.action)?,
    ))
}

/// A response that is the same for all requests, as `respond:` of a rung.
fn constant(response: &FlowResponse, action: &Action) -> Option<Json> {
    let scope = static_scope(action);
    let code = response.code.as_ref().map(|code| code.eval(&scope));
    let status = match code.transpose().ok()?.unwrap_or_default() {
        code @ (Value::Float(_) | Value::Int(_) | Value::Str(_)) => code.to_int().ok()?,
        _ => 0,
    };
    // As in a run, a missing status is 200, and one that is not final 500.
    let status = match status {
        0 => 200,
        200..=599 => status,
        600..=999 => return None,
        _ => 500,
    };
    let mut answer = json!({ "status": status });
    let data = response.data.as_ref().map(|data| data.eval(&scope));
    let body = match data.transpose().ok()?.unwrap_or_default() {
        _ if matches!(status, 204 | 205 | 304) => None,
        Value::Null => None,
        Value::Str(text) => {
            let is_json = serde_json::from_str::<Json>(&text).is_ok();
            let media_type = if is_json {
                "application/json"
            } else {
                "text/plain"
            };
            answer["headers"] = json!({ "content-type": format!("{media_type}; charset=UTF-8") });
            Some(("text", Json::from(&*text)))
        }
        data => Some((
            "json",
            serde_json::from_str(&data.to_json_text().ok()?).ok()?,
        )),
    };
    if let Some((key, body)) = body {
        answer[key] = body;
    }
    let texts = answer.to_string();
    (!FILLED.iter().any(|word| texts.contains(word))).then_some(answer)
}

/// True if a response keeps the upstream's answer from clients by a condition on their requests.
fn hides(response: &FlowResponse, recipe: &Recipe<'_>) -> bool {
    let Some(when) = &response.when else {
        return false;
    };
    let is_call = |name: &str| {
        let mut calls = recipe.calls.iter();
        calls.any(|call| &*recipe.action.services[call.service].name == name)
    };
    let shows = |given: &Given| match given {
        Given::Expression(it) => it.reads().iter().any(|read| is_call(read.name)),
        Given::Literal(_) => false,
    };
    let reads = when.reads();
    // The fields of the gate are asked for by the route.
    let is_gated = |path: &str| recipe.gate.iter().any(|(name, _)| path.contains(&**name));
    let is_of_client = reads
        .iter()
        .any(|read| read.name == "payload" && !is_gated(&read.path));
    is_of_client
        && !match &response.data {
            None => false,
            Some(Data::One(given)) => shows(given),
            Some(Data::Object(entries)) => entries.iter().any(|entry| shows(&entry.value)),
        }
}

/// True if a response forwards the upstream's answer.
fn passes_through(response: &FlowResponse, recipe: &Recipe<'_>) -> bool {
    recipe.calls.iter().any(|call| {
        let name = &recipe.action.services[call.service].name;
        let is = |given: Option<&Given>, part: &str| match given {
            Some(Given::Expression(it)) => it.source() == format!("$.{name}.outputs.{part}"),
            _ => false,
        };
        let data = matches!(&response.data, Some(Data::One(given)) if is(Some(given), "data"));
        data && is(response.code.as_ref(), "status")
    })
}
