//! The keys of a call beside an application: a small dialect with two targets, and native files before them.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Machine, lines};
use fusebox_call::{Budget, Concurrent, Retry};
use fusebox_plan::dialect::OwnTimeout;
use fusebox_plan::dialect::{Claim, Dialect, Document};
use fusebox_plan::dialect::{Loader, Notes};
use fusebox_plan::plan::{Endpoint, Limits, Timeout, TimeoutBounds, Upstream};
use fusebox_plan::{Conversion, Plan, Program, Reading, Source, Target, read_ahead};
use serde_json::{Map, Value};

/// An application that asks `Orders`, for at most 5 s, and `Stock`.
#[derive(Debug)]
struct App;

impl Program for App {
    fn dialect(&self) -> &'static str {
        "app"
    }

    fn equals(&self, other: &dyn Program) -> bool {
        (other as &dyn Any).is::<App>()
    }

    fn same_step(&self, step: usize, _: &dyn Program, other_step: usize) -> bool {
        step == other_step
    }

    fn changed_parts(&self, _: Option<&dyn Program>) -> Vec<&'static str> {
        Vec::new()
    }

    fn targets(&self) -> Vec<Target> {
        let target = |name: &str, request_timeout: Option<Duration>| Target {
            name: name.into(),
            service: name.into(),
            short_name: None,
            address: format!("http://{name}"),
            request_timeout: request_timeout.map(|time| OwnTimeout {
                time,
                setting: format!("the `responseTimeout` of {name}"),
            }),
        };
        vec![
            target("Orders", Some(Duration::from_secs(5))),
            target("Stock", None),
        ]
    }

    fn breakers(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn show_step(&self, _: usize) -> Map<String, Value> {
        Map::new()
    }

    fn show(&self) -> Map<String, Value> {
        Map::new()
    }
}

/// The dialect whose only document is the word `app`.
struct Word;

impl Dialect for Word {
    fn name(&self) -> &'static str {
        "app"
    }

    fn claim(&self, text: &str, _: usize, _: &mut Notes) -> Claim {
        match text {
            "app" => Claim::Application,
            _ => Claim::None,
        }
    }

    fn takes_many(&self) -> bool {
        false
    }

    fn read(
        &self,
        _: &[Document<'_>],
        _: &mut Vec<String>,
        _: &dyn Loader,
        _: &mut Notes,
    ) -> Option<Plan> {
        Some(Plan {
            listeners: Vec::new(),
            admin: None,
            store: None,
            fleet: None,
            access_log: None,
            limits: Limits::default(),
            upstreams: Vec::new(),
            guards: Vec::new(),
            breakers: Vec::new(),
            routes: Vec::new(),
            app: Some(Arc::new(App)),
        })
    }

    fn convert(&self, _: &[Document<'_>], _: Vec<String>, _: &dyn Loader, _: Notes) -> Conversion {
        Conversion {
            yaml: None,
            diagnostics: Vec::new(),
        }
    }
}

/// Reads the application beside a file whose upstreams are these.
fn beside(upstreams: &str) -> Reading {
    let text = format!("upstreams:\n  {upstreams}\n");
    let source = |name, text| Source { name, text };
    let sources = [
        source("app", "app".as_bytes()),
        source("guards.yaml", text.as_bytes()),
    ];
    read_ahead(&[&Word], &sources, &Machine::default())
}

#[track_caller]
fn check(upstreams: &str, expected: &str) {
    let found = lines(&beside(upstreams)).replace("guards.yaml:", "");
    assert_eq!(found.trim(), expected.trim(), "{upstreams}");
}

#[test]
fn what_stands_before_a_target_is_added_to_what_the_application_says() {
    let reading = beside(
        "Orders: { breaker: {}, retry: { budget: 10%, per_try: 1s }, bulkhead: { concurrent: 8 }, timeout: { total: 3s } }",
    );
    assert_eq!(lines(&reading), "");
    let plan = reading.plan.unwrap();
    let target = Upstream {
        timeout: Timeout {
            request: Duration::from_secs(5),
            ..Timeout::default()
        },
        ..Upstream::new("Orders".into(), Endpoint::new(false, "orders", 80))
    };
    let guarded = plan.guards[0].before(target.clone());
    assert_eq!(
        guarded.retry.as_ref().unwrap().per_try,
        Some(Duration::from_secs(1))
    );
    assert!(guarded.retry.as_ref().unwrap().on.timeout);
    let ratio = 0.1;
    assert_eq!(guarded.budget, Budget { ratio, min: 3 });
    assert_eq!(
        guarded.bulkhead.as_ref().unwrap().concurrent,
        Concurrent::Fixed(8)
    );
    assert_eq!(guarded.timeout.total, Some(Duration::from_secs(3)));
    let shown = &plan.to_json()["upstreams"]["Orders"];
    for key in ["retry", "bulkhead"] {
        assert!(shown[key].is_object(), "{shown:#}");
    }
    let plain = beside("Orders: { breaker: {} }").plan.unwrap();
    assert_eq!(plain.guards[0].timeout, TimeoutBounds::default());
    let guarded = plain.guards[0].before(target.clone());
    let breaker = guarded.breaker.clone();
    assert_eq!(guarded, Upstream { breaker, ..target });
    let retried = beside("Stock: { breaker: {}, retry: {} }").plan.unwrap();
    assert_eq!(retried.guards[0].retry, Some(Retry::default()));
}

#[test]
fn an_ejection_has_no_effect_since_the_one_address_of_a_service_is_never_ejected() {
    check(
        "Orders: { breaker: {}, ejection: { consecutive_failures: 3 } }",
        "2:36: warning: `ejection` has no effect: an application gives each service one address, and the only one is never ejected; remove it; the breaker stands before the service as a whole",
    );
    check(
        "Orders: { breaker: {}, ejection: { failures: 3 } }",
        "2:36: warning: `ejection` has no effect: an application gives each service one address, and the only one is never ejected; remove it; the breaker stands before the service as a whole
2:48: error: `failures` has no window; add `within: 60s` or `over: 100 calls`, or use `consecutive_failures`",
    );
    check("Orders: { breaker: {}, ejection: off }", "");
}

#[test]
fn a_guards_tries_end_before_the_applications_own_time() {
    check(
        "Orders: { breaker: {}, retry: { per_try: 5s } }",
        "2:44: error: `per_try` is 5s, and the whole call ends after `timeout.request`, 5s, so a try that takes so long is the last; lower it, or raise `timeout.total`",
    );
    check("Stock: { breaker: {}, retry: { per_try: 5s } }", "");
    check(
        "Stock: { breaker: {}, bulkhead: { concurrent: 1, queued: 1 } }",
        "2:60: error: `queued` has no `queue_for`, so a call would wait for a place without end; add `queue_for: 200ms`",
    );
}

#[test]
fn what_is_the_applications_own_has_no_place_beside_it() {
    check(
        "Orders: { breaker: { half_open: { probe: health } }, balance: round_robin, health: { path: / }, resolve: 10s, hedge: { after: 1s }, request: {}, fallback: [], fallback_on: [failed], last_good: {}, host: preserve, location: keep }",
        "2:44: error: `probe: health` has no place beside an application, whose services are not checked; remove it
2:56: error: `balance` has no place beside an application, whose requests go where its file says; remove it
2:78: error: `health` has no place beside an application, whose requests go where its file says; remove it
2:99: error: `resolve` has no place beside an application, whose requests go where its file says; remove it
2:113: error: `hedge` has no place beside an application, whose requests go where its file says; remove it
2:135: error: `request` has no place beside an application, whose requests go where its file says; remove it
2:148: error: `fallback` has no place beside an application, whose own error handling answers; remove it
2:162: error: `fallback_on` has no place beside an application, whose own error handling answers; remove it
2:185: error: `last_good` has no place beside an application, whose own error handling answers; remove it
2:200: error: `host` has no place beside an application, whose requests go where its file says; remove it
2:216: error: `location` has no place beside an application, whose requests go where its file says; remove it",
    );
}
