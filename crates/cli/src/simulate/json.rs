//! A replay as JSON, for other programs.

use fusebox_sim::rerun::{Report, Trip};
use fusebox_sim::sweep::{Tried, Value};
use serde_json::{Map, Number, Value as Json, json};

use crate::simulate::result::{Replayed, Swept};

/// The reports of all breakers, and the sweep's results, the best first.
pub fn of(replayed: &Replayed, swept: Option<&Swept>) -> Json {
    let breakers = replayed
        .breakers
        .iter()
        .map(|it| breaker(&it.name, &it.report));
    let mut whole = Map::new();
    whole.insert("breakers".into(), breakers.collect());
    if let Some(swept) = swept {
        let tried = swept.ranked.tried.iter().map(|it| one(swept, it));
        whole.insert("sweep".into(), tried.collect());
        let best = swept.ranked.best().map(|best| {
            json!({
                "line": best.line,
                "cost": number(best.cost),
                "today": number(swept.ranked.today.cost),
                "better": swept.ranked.improves(),
            })
        });
        whole.insert("best".into(), best.unwrap_or(Json::Null));
    }
    Json::Object(whole)
}

/// The report of one breaker.
pub fn breaker(name: &str, report: &Report) -> Json {
    json!({
        "name": name,
        "trips": report.trips.iter().map(trip).collect::<Vec<_>>(),
        "calls": report.calls,
        "failed": report.failed,
        "refused": report.refused,
        "refused_failed": report.refused_failed,
        "refused_good": report.refused_good,
        "unknown": report.unknown,
        "detect_ms": report.detect().map(millis),
        "recover_ms": report.recover().map(millis),
    })
}

fn trip(trip: &Trip) -> Json {
    json!({
        "at_ms": millis(trip.at),
        "from": trip.from.as_str(),
        "reason": trip.reason.to_string(),
        "until_ms": millis(trip.until),
    })
}

fn one(swept: &Swept, tried: &Tried) -> Json {
    let value = match &tried.values[..] {
        [Value::Count(count)] => json!(count),
        values => {
            let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
            json!(texts.join(","))
        }
    };
    json!({
        "rule": swept.names.join(","),
        "value": value,
        "trips": tried.trips,
        "failed": tried.failed,
        "refused_good": tried.refused_good,
        "refused_failed": tried.refused_failed,
        "cost": number(tried.cost),
        "pareto": tried.on_front,
        "today": tried.is_today,
    })
}

/// Milliseconds, without a fraction where there is none.
fn millis(nanos: u64) -> Json {
    number(nanos as f64 / 1e6)
}

fn number(number: f64) -> Json {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return json!(number as i64);
    }
    Number::from_f64(number).map_or(Json::Null, Json::Number)
}
