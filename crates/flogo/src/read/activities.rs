//! The activity of a service, identified by the tail of its `ref`, with its checked settings.

use std::sync::Arc;
use std::time::Duration;

use fusebox_plan::dialect::{Kind, Notes};

use crate::flow::{
    Activity, BreakerActivity, CounterActivity, CounterOperation, GraphQlActivity, QuotaActivity,
    RateLimiterActivity,
};
use crate::read::breaker;
use crate::read::lowering;
use crate::read::object::Text;
use crate::read::passing;
use crate::read::reader::{Owner, Reader};
use crate::read::refs::{ContributionKind, tail};
use crate::read::rest;
use crate::read::scripts;
use crate::read::settings::Settings;

/// The alternative to a known activity that is not supported.
pub(crate) fn instead_of(activity: &str) -> Option<&'static str> {
    Some(match activity {
        "sqld" => "put a web application firewall before the gateway",
        "anomaly" => "watch the metrics for anomalies",
        "graphql" => "let the GraphQL server bound depth and cost of queries",
        "jsexec" => "use expressions, or a service behind a `rest` activity",
        "ws" => "give WebSockets a native route: upgraded connections pass through",
        "kafka" => "publish through an HTTP bridge with the `rest` activity",
        "sqlquery" => "put the query into a service behind a `rest` activity",
        "soapclient" => "call it with the `rest` activity, the envelope as `content`",
        "mapper" => "map values where they are used, in `input` and `data`",
        "runaction" => "name the action in a handler of its own",
        "obfuscate" | "obfuscatejson" => "omit the fields in the response's `data`",
        _ => return None,
    })
}

/// The supported activities, for messages.
const WITH: &str = "circuitbreaker, rest, ratelimiter, graphql, jwt, jsexec, log, counter, channel, actreturn, actreply";

/// The activity of a service; `None` after an error, which is then in the notes.
pub(crate) fn activity(
    reference: Text<'_>,
    settings: &Settings<'_>,
    breaker_name: Arc<str>,
    reader: &mut Reader<'_>,
) -> Option<Activity> {
    let notes = &mut *reader.notes;
    Some(match named(reference.get()) {
        (ContributionKind::Activity, "circuitbreaker") => Activity::Breaker(BreakerActivity {
            name: breaker_name,
            settings: breaker::lower(settings, notes)?,
        }),
        (ContributionKind::Activity, "rest") => {
            Activity::Rest(Box::new(rest::lower(settings, reader)?))
        }
        (ContributionKind::Activity, "ratelimiter") => {
            Activity::RateLimiter(rate_limiter(settings, notes)?)
        }
        (ContributionKind::Activity, "graphql") if cfg!(feature = "graphql") => {
            match settings.word("mode", &["a", "b"], None, notes)? {
                "a" => Activity::GraphQl(GraphQlActivity::default()),
                _ => Activity::Quota(quota(settings, notes)?),
            }
        }
        (ContributionKind::Activity, "jsexec") if cfg!(feature = "script") => {
            Activity::Script(scripts::script(settings, notes))
        }
        (ContributionKind::Activity, "wsproxy") => {
            Activity::Pass(passing::socket(settings, reader)?)
        }
        (ContributionKind::Activity, "grpc") => Activity::Pass(passing::grpc(settings, reader)?),
        (ContributionKind::Activity, "jwt") => Activity::Jwt,
        (ContributionKind::Activity, "log") => Activity::Log,
        (ContributionKind::Activity, "counter") => Activity::Counter(counter(settings, notes)?),
        (ContributionKind::Activity, "channel") => Activity::Channel,
        (ContributionKind::Activity, "actreturn") => Activity::Return(mappings(settings, reader)?),
        (ContributionKind::Activity, "actreply") => Activity::Reply(mappings(settings, reader)?),
        (sort, last) => {
            let (sort, last) = match last {
                // A repository with one activity, as `…/grpc/activity`.
                "activity" => (ContributionKind::Activity, before(reference.get())),
                _ => (sort, last),
            };
            let what = format!("can't find activity {}", reference.get());
            let mend = match instead_of(last) {
                _ if reference.get().starts_with('#') => {
                    "write the whole path: a service's `ref` knows no aliases".to_owned()
                }
                Some(instead) if sort == ContributionKind::Activity => {
                    format!("the `{last}` activity is not supported: {instead}")
                }
                _ => format!("use one of the supported activities: {WITH}"),
            };
            return notes.refuse_alike(reference.at, what, mend);
        }
    })
}

/// The kind and the name of a path, under the names that activities have had before.
pub(crate) fn named(path: &str) -> (ContributionKind, &str) {
    match tail(path) {
        (ContributionKind::Activity, "gql") => (ContributionKind::Activity, "graphql"),
        // A repository with one activity.
        (ContributionKind::Other, "activity") if before(path) == "grpc" => {
            (ContributionKind::Activity, "grpc")
        }
        (ContributionKind::Activity, "js") | (ContributionKind::Other, "jsexec") => {
            (ContributionKind::Activity, "jsexec")
        }
        known => known,
    }
}

/// The segment before the last one of a path.
fn before(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    let (before, _) = path.rsplit_once('/').unwrap_or_default();
    tail(before).1
}

fn rate_limiter(settings: &Settings<'_>, notes: &mut Notes) -> Option<RateLimiterActivity> {
    let before = notes.errors();
    let mend =
        "write it as in `100-S`: a number of calls, and S, M or H for a second, minute or hour";
    let limit = settings.required("limit", notes);
    let parsed = limit.as_deref().and_then(|limit| {
        let (calls, unit) = limit.split_once('-')?;
        let window = match unit {
            "S" | "s" => 1,
            "M" | "m" => 60,
            "H" | "h" => 3600,
            _ => return None,
        };
        let calls: u64 = calls.parse().ok().filter(|calls| *calls > 0)?;
        Some((calls, Duration::from_secs(window)))
    });
    if limit.is_some() && parsed.is_none() {
        settings.not_valid("limit", mend, notes);
    }
    let mut positive = |key: &str| {
        let number = settings.real(key, notes).unwrap_or(0.0);
        if number < 0.0 {
            settings.not_valid(key, "give a number above 0, or 0 for none", notes);
        }
        number
    };
    let spike_threshold = positive("spikeThreshold");
    let decay_rate = positive("decayRate");
    let (limit, window) = parsed?;
    (before == notes.errors()).then_some(RateLimiterActivity {
        limit,
        window,
        spike_threshold: (spike_threshold > 0.0).then_some(spike_threshold),
        decay_rate: if decay_rate > 0.0 { decay_rate } else { 0.01 },
    })
}

/// The limit on the time of calls, mode b of `graphql`.
fn quota(settings: &Settings<'_>, notes: &mut Notes) -> Option<QuotaActivity> {
    let limit = settings.required("limit", notes)?;
    let numbers: Option<Vec<u64>> = limit.split('-').map(|it| it.parse().ok()).collect();
    match numbers.as_deref() {
        Some(&[most, fill, every]) if most > 0 && every > 0 => Some(QuotaActivity {
            most,
            fill,
            every: Duration::from_millis(every),
        }),
        _ => {
            let mend = "write it as in `2000-200-1000`: the most milliseconds of calls, those that are added, and how often, in milliseconds";
            settings.not_valid("limit", mend, notes);
            None
        }
    }
}

pub(crate) fn counter(settings: &Settings<'_>, notes: &mut Notes) -> Option<CounterActivity> {
    let counter = settings.required("counterName", notes);
    let operations = ["get", "increment", "reset"];
    // An empty operation counts as absent.
    let operation = match settings.get("op") {
        Some(value) if value.to_text().is_empty() => Some("get"),
        _ => settings.word("op", &operations, Some("get"), notes),
    };
    Some(CounterActivity {
        counter: counter?.into(),
        operation: match operation? {
            "increment" => CounterOperation::Increment,
            "reset" => CounterOperation::Reset,
            _ => CounterOperation::Get,
        },
    })
}

fn mappings(settings: &Settings<'_>, reader: &mut Reader<'_>) -> Option<crate::flow::Mapping> {
    let entry = settings
        .entries
        .iter()
        .find(|entry| entry.key == "mappings");
    match entry.map(|entry| &entry.value.kind) {
        Some(Kind::Map(entries)) => lowering::mapping(entries, Owner::Definitions, reader),
        Some(_) => {
            settings.not_valid("mappings", "give an object of mappings", reader.notes);
            None
        }
        None => {
            settings.required("mappings", reader.notes);
            None
        }
    }
}
