//! The rows of the table of calls (`conformance/calls.txt`), and exact budgets.

use std::collections::BTreeMap;
use std::time::Duration;

use fusebox_breaker::machine::ForcedTrip;
use fusebox_breaker::{CloseRule, Cooldown, HalfOpen, Phase, Ratio, Rule, Settings};
use fusebox_call::attempts::RetryResult;
use fusebox_call::{Backoff, Budget, Ejection, Jitter, Retry};

use crate::parts::{Ended, Mode, Plan};
use crate::world::World;

const TABLE: &str = include_str!("../../../../conformance/calls.txt");
const HOUR: Duration = Duration::from_secs(3600);

fn in_a_row(threshold: u32) -> Settings {
    Settings {
        trip: vec![Rule::ConsecutiveFailures {
            threshold,
            within: None,
        }],
        cooldown: Cooldown::fixed(HOUR),
        ..Settings::default()
    }
}

fn retry(attempts: u32) -> Retry {
    Retry {
        attempts,
        backoff: Backoff {
            base: Duration::from_millis(1),
            max: Duration::from_millis(1),
            jitter: Jitter::Full,
        },
        ..Retry::default()
    }
}

fn plan(endpoints: u32, retries: bool) -> Plan {
    let half_open = HalfOpen {
        close: CloseRule::FailureRate {
            rate: Ratio::percent(50),
            over: endpoints,
        },
        ..HalfOpen::default()
    };
    Plan {
        breaker: Settings {
            half_open,
            ..in_a_row(5)
        },
        ejection: Some(Ejection {
            breaker: in_a_row(5),
            ..Ejection::default()
        }),
        retry: retries.then(|| retry(endpoints.max(2))),
        budget: Budget {
            ratio: 1.0,
            min: 100,
        },
        request_timeout: Duration::from_secs(5),
        total: Duration::from_secs(5),
    }
}

fn list(hits: &[usize], expected: &str) -> String {
    let mut hits = hits.to_vec();
    hits.sort_by(|a, b| b.cmp(a));
    let each: Vec<_> = hits.iter().map(usize::to_string).collect();
    match (hits.is_empty(), expected.starts_with('=')) {
        (true, _) => "-".to_owned(),
        (_, true) => format!("={}", hits.iter().sum::<usize>()),
        _ => each.join(" "),
    }
}

/// Words with their numbers, in the order of the words.
fn counted(words: impl Iterator<Item = String>, text: impl Fn(&str, usize) -> String) -> String {
    let mut counts = BTreeMap::<String, usize>::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    let all: Vec<_> = counts
        .iter()
        .map(|(word, count)| text(word, *count))
        .collect();
    all.join(", ")
}

/// The client's answer in words, with or without a ladder.
fn client(ended: Ended, has_ladder: bool) -> String {
    let (own, reason) = match ended {
        Ended::Answered(status) if status.is_success() => return "200 alive".to_owned(),
        Ended::Answered(_) => ("503 dead", "status_503"),
        Ended::TimedOut => ("504", "timeout"),
        Ended::Refused => ("503 breaker_open", "breaker_open"),
    };
    match has_ladder {
        true => format!("200 respond {reason}"),
        false => own.to_owned(),
    }
}

/// The numbers of a row, as the table writes them.
fn numbers(cells: &[&str]) -> Vec<String> {
    let [endpoints, dead, calls] = [1, 2, 4].map(|at: usize| cells[at].parse::<usize>().unwrap());
    let plan = plan(u32::try_from(endpoints).unwrap(), cells[0] == "on");
    let mut world = World::new(1, plan, 1, endpoints, 4);
    for server in 0..dead {
        world.set_mode(server, Mode::Failing);
    }
    if cells[3] == "half_open" {
        let trip = ForcedTrip::new("a test", "a test");
        world.gateways[0].breaker.trip(trip, world.now);
        world.pass(HOUR);
    }
    for _ in 0..calls {
        world.arrive(0);
        world.pass(Duration::from_secs(1));
    }
    let gateway = &world.gateways[0];
    for (server, (success, failure)) in gateway.attempts.iter().enumerate() {
        let is_dead = server < dead;
        let expected = if is_dead {
            (0, gateway.hits[server])
        } else {
            (gateway.hits[server], 0)
        };
        assert_eq!(
            (*success, *failure),
            expected,
            "an endpoint's breaker hears each attempt"
        );
    }
    let views = gateway.endpoints.set().views(world.now);
    let count = |is: &dyn Fn(&fusebox_call::endpoints::EndpointView) -> bool| {
        views.iter().filter(|view| is(view)).count()
    };
    let ends = |is: &dyn Fn(Ended) -> bool| world.ends.iter().filter(|ended| is(**ended)).count();
    let retries = gateway.retries.iter().map(RetryResult::to_string);
    let retries = counted(retries, |word, count| format!("{word} {count}"));
    let clients = |has_ladder| {
        let words = world
            .ends
            .iter()
            .map(move |ended| client(*ended, has_ladder));
        counted(words, |word, count| format!("{count}x {word}"))
    };
    vec![
        list(&gateway.hits[..dead], cells[5]),
        list(&gateway.hits[dead..], cells[6]),
        format!(
            "{} {} {} {}",
            ends(&|it| matches!(it, Ended::Answered(status) if status.is_success())),
            ends(&|it| matches!(it, Ended::Answered(status) if !status.is_success())),
            ends(&|it| it == Ended::Refused),
            gateway.breaker.snapshot(world.now).phase.as_str()
        ),
        format!(
            "{} {}",
            count(&|view| view.ejected),
            count(&|view| view.state == Phase::Open)
        ),
        if retries.is_empty() {
            "-".to_owned()
        } else {
            retries
        },
        clients(false),
        clients(true),
    ]
}

#[test]
fn each_row_of_the_table_has_its_numbers() {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#')).skip(1);
    let mut differ = Vec::new();
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let found = numbers(&cells);
        if found != cells[5..] {
            differ.push(format!("expected {:?}\n   found {found:?}", &cells[5..]));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// Hits of that many calls that all fail, one every `pause`, with the results of their retries.
fn spent(ratio: f64, min: u32, calls: usize, pause: Duration) -> (usize, String) {
    let plan = Plan {
        breaker: in_a_row(u32::MAX),
        budget: Budget { ratio, min },
        ..plan(1, true)
    };
    let mut world = World::new(1, plan, 1, 1, 4);
    world.set_mode(0, Mode::Failing);
    for _ in 0..calls {
        world.arrive(0);
        world.pass(pause);
    }
    world.pass(HOUR);
    let results = world.gateways[0].retries.iter().map(RetryResult::to_string);
    let results = counted(results, |word, count| format!("{word} {count}"));
    (world.gateways[0].hits[0], results)
}

#[test]
fn a_budget_pays_for_its_part_of_the_calls_and_no_more() {
    let quickly = Duration::from_millis(5);
    for (ratio, min, calls, hits, results) in [
        (0.2, 3, 1_000, 1_203, "budget 797, failure 203"),
        (0.2, 1, 10, 13, "budget 7, failure 3"),
        (0.5, 1, 10, 16, "budget 4, failure 6"),
        (1.0, 1, 10, 20, "failure 10"),
    ] {
        let found = spent(ratio, min, calls, quickly);
        assert_eq!(
            found,
            (hits, results.to_owned()),
            "{ratio} of {calls}, {min} at least"
        );
    }
    // One call in ten seconds is repeated by what `min` pays in alone.
    let slowly = spent(0.01, 1, 10, Duration::from_secs(10));
    assert_eq!(slowly, (20, "failure 10".to_owned()));
}
