//! Reading whole files, with variables and files of the machine.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{Machine, check, lines, plan_of, read_text, read_with};
use fusebox_breaker::{
    CloseRule, Cooldown, Mode, OnPanic, OnProbeTimeout, Over, Probes, Ramp, Ratio, RetryAfter,
    Rule, Settings,
    settings::{Compare, History, JudgeOn, SlowProbes, WindowKind},
};
use fusebox_plan::plan::{KeyPart, Limits, RewritePart, Step, Store};
use fusebox_plan::{Failure, Loader, Source, read};

const SHORTEST: &str = include_str!("../../../../examples/orders.yaml");
const FULL: &str = include_str!("../../../../examples/full.yaml");

#[test]
fn the_shortest_useful_file_gives_one_of_everything() {
    let plan = plan_of(SHORTEST);
    assert_eq!(plan.listeners.len(), 1);
    assert_eq!(&*plan.listeners[0].name, "default");
    assert_eq!(
        plan.listeners[0].addr,
        SocketAddr::from(([127, 0, 0, 1], 8080))
    );
    assert_eq!(plan.admin, None);
    assert_eq!(plan.store, None);
    assert_eq!(plan.limits, Limits::default());
    let orders = &plan.upstreams[0];
    assert_eq!(
        (orders.endpoint().host.as_str(), orders.endpoint().port),
        ("127.0.0.1", 8081)
    );
    assert_eq!(orders.breaker.settings.trip, Settings::standard().trip);
    assert_eq!(
        orders.breaker.settings.cooldown,
        Cooldown::fixed(Duration::from_secs(60))
    );
    assert_eq!(
        orders.breaker.settings.half_open.probe_timeout,
        orders.timeout.request
    );
    assert_eq!(
        orders.breaker.settings.half_open.on_probe_timeout,
        OnProbeTimeout::Fail
    );
    assert_eq!(orders.breaker.failure, Failure::Default);
    assert!(orders.breaker.key.is_upstream());
    let route = &plan.routes[0];
    assert_eq!(
        (&*route.name, route.path.as_str()),
        ("/api/orders", "/api/orders")
    );
    let Step::Forward(forward) = &route.steps[0] else {
        panic!("it forwards")
    };
    assert_eq!(forward.upstream.name, orders.name);
    assert_eq!(forward.rewrite, None);
}

#[test]
fn an_empty_breaker_is_one_with_all_defaults() {
    let plan = plan_of(&SHORTEST.replace("{ cooldown: 60s }", "{}"));
    let mut defaults = Settings::default();
    defaults.half_open.probe_timeout = Duration::from_secs(30);
    defaults.half_open.on_probe_timeout = OnProbeTimeout::Fail;
    defaults.on_panic = OnPanic::Ignored;
    assert_eq!(plan.upstreams[0].breaker.settings, defaults);
}

#[test]
fn an_upstream_without_a_breaker_has_a_disabled_one() {
    let text = SHORTEST
        .lines()
        .filter(|line| !line.contains("breaker:"))
        .collect::<Vec<_>>()
        .join("\n");
    let reading = read_text(&text);
    assert_eq!(
        reading
            .plan
            .map(|plan| plan.upstreams[0].breaker.settings.mode),
        Some(Mode::Disabled)
    );
}

#[test]
fn the_full_example_says_every_supported_key_and_each_arrives() {
    let machine = Machine {
        env: [("ORDERS_URL", "http://10.0.0.1:8081/base")].into(),
        files: [
            ("/run/secrets/admin", "s3cret-token\n"),
            ("/run/secrets/read", "s3cret-look\n"),
            ("/run/secrets/service", "s3cret-ask\n"),
        ]
        .into(),
    };
    let reading = read_with(FULL, &machine);
    assert_eq!(lines(&reading), "");
    let plan = reading.plan.unwrap();
    assert_eq!(
        plan.admin
            .as_ref()
            .unwrap()
            .token
            .as_ref()
            .unwrap()
            .reveal(),
        "s3cret-token"
    );
    assert_eq!(
        plan.store,
        Some(Store::Embedded {
            path: "./fusebox-data".into()
        })
    );
    assert!(plan.listeners[0].encoded_slash_allowed || plan.listeners[1].encoded_slash_allowed);
    let orders = &plan.upstreams[0];
    assert_eq!(orders.endpoint().base_path, "/base");
    let breaker = &orders.breaker;
    assert_eq!(
        breaker.key.0,
        [
            KeyPart::Upstream,
            KeyPart::Header(http::HeaderName::from_static("x-tenant"))
        ]
    );
    assert_eq!(breaker.keys_max, 1000);
    let settings = &breaker.settings;
    let seconds = Duration::from_secs;
    assert_eq!(
        settings.trip,
        [
            Rule::ConsecutiveFailures {
                threshold: 5,
                within: Some(seconds(60))
            },
            Rule::Failures {
                threshold: 20,
                over: Over::Time(seconds(60)),
                full: false
            },
            Rule::Failures {
                threshold: 30,
                over: Over::Calls(100),
                full: true
            },
            Rule::FailureRate {
                rate: Ratio::percent(50),
                over: Over::Time(seconds(10)),
                min_calls: 20
            },
            Rule::SlowRate {
                rate: Ratio::percent(80),
                slower_than: seconds(2),
                over: Over::Time(seconds(10)),
                min_calls: 20
            },
            Rule::Stalled {
                calls: 20,
                longer_than: seconds(4)
            },
        ]
    );
    assert_eq!(settings.judge_on, JudgeOn::Failures);
    assert_eq!(settings.compare, Compare::Above);
    assert_eq!(settings.slow_compare, Compare::AtLeast);
    assert_eq!(settings.retry_after, RetryAfter::Honour);
    assert_eq!(settings.half_open.failures, 2);
    assert_eq!(settings.ramp, Some(Ramp::linear(seconds(10))));
    assert_eq!(settings.window, WindowKind::Tumbling);
    assert_eq!(settings.history, History::Keep);
    assert_eq!(
        settings.cooldown,
        Cooldown {
            base: seconds(5),
            factor: 2.0,
            max: seconds(60),
            jitter: 0.2
        }
    );
    assert_eq!(
        settings.half_open.probes,
        Probes::Limited(3.try_into().unwrap())
    );
    assert_eq!(settings.half_open.close, CloseRule::Successes(3));
    assert_eq!(settings.half_open.on_probe_timeout, OnProbeTimeout::Replace);
    assert!(settings.half_open.in_a_row);
    assert_eq!(settings.half_open.failures, 2);
    assert_eq!(settings.half_open.period_timeout, Some(seconds(60)));
    let catalogue = &plan.upstreams[1].breaker.settings.half_open;
    assert_eq!(
        catalogue.slow,
        Some(SlowProbes {
            rate: Ratio::percent(80),
            slower_than: seconds(2)
        })
    );
    assert_eq!(breaker.failure_body_max, Some(64 * 1024));
    let Step::Forward(forward) = &plan.routes[0].steps[0] else {
        panic!("it forwards")
    };
    assert_eq!(
        forward.rewrite.as_ref().unwrap().0,
        [
            RewritePart::Literal("/orders/".to_owned()),
            RewritePart::Param("id".to_owned())
        ]
    );
    let Step::Respond(respond) = &plan.routes.last().unwrap().steps[0] else {
        panic!("it responds")
    };
    assert_eq!(respond.headers["cache-control"], "no-store");
}

/// The small example files, one idea each.
#[test]
fn every_example_is_read_without_diagnostics() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    let mut read = 0;
    for file in std::fs::read_dir(root).unwrap() {
        let path = file.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
            && !path.ends_with("full.yaml")
        {
            plan_of(&std::fs::read_to_string(&path).unwrap());
            read += 1;
        }
    }
    assert!(read >= 4, "{read} examples");
}

/// Every key of the schema is somewhere in the full example, so that reader, table and example agree.
#[test]
fn the_full_example_leaves_out_no_key() {
    let schema = fusebox_plan::schema();
    let mut missing = Vec::new();
    let mut tables = vec![&schema];
    tables.extend(schema["$defs"].as_object().unwrap().values());
    for table in tables {
        for key in table["properties"].as_object().unwrap().keys() {
            let here = |line: &str| {
                let line = line.trim_start_matches(['#', ' ', '-']);
                [format!("{key}:"), format!(" {key}:"), format!("{{ {key}:")]
                    .iter()
                    .any(|form| line.contains(form.as_str()))
            };
            if !FULL.lines().any(here) {
                missing.push(key.clone());
            }
        }
    }
    assert_eq!(missing, [""; 0]);
}

#[test]
fn a_plan_written_out_is_read_back_as_the_same_plan() {
    let machine = Machine {
        env: [
            ("ORDERS_URL", "http://10.0.0.1:8081/base"),
            ("PAYMENTS_KEY", "***"),
        ]
        .into(),
        files: [("/run/secrets/admin", "***")].into(),
    };
    // What is set in requests is not shown.
    let full = FULL.replace("x-via: payments", "x-via: '***'");
    // Several hidden tokens would read as the same one.
    let full = full.replace(", read_token: \"${file:/run/secrets/read}\"", "");
    let full = full.replace(", service_token: \"${file:/run/secrets/service}\"", "");
    for text in [SHORTEST, &full] {
        let plan = read_with(text, &machine).plan.unwrap();
        let written = plan.to_json().to_string();
        let again = read_text(&written);
        assert_eq!(lines(&again), "", "{written}");
        assert_eq!(again.plan, Some(plan), "{written}");
    }
}

#[test]
fn a_secret_is_in_no_dump_and_no_diagnostic() {
    const CANARY: &str = "canary-7f3a";
    let machine = Machine {
        env: [
            ("TOKEN", CANARY),
            ("URL", "http://user:canary-7f3a@a"),
            ("TIME", "canary-7f3a"),
        ]
        .into(),
        files: [("/secret", "canary-7f3a\u{1}\n")].into(),
    };
    let text = "listen: 127.0.0.1:8080\nadmin: { addr: 0.0.0.0:9900, token: '${TOKEN}' }\nroutes: [{ path: /, respond: {} }]\n";
    let plan = read_with(text, &machine).plan.unwrap();
    assert!(!plan.to_json().to_string().contains(CANARY));
    assert!(!format!("{plan:?}").contains(CANARY));
    let text = "listen: ${TOKEN}\nadmin: { addr: '${TOKEN}', token: '${file:/secret}' }\nlimits: { head: '${TIME}', connections: '${TIME}' }\n\
        store: { kind: '${TIME}' }\nupstreams:\n  a: { url: '${URL}', timeout: '${TIME}', breaker: { mode: '${TIME}', key: '${TOKEN}', failure: '${TOKEN}' } }\n\
        routes: [{ path: '${TIME}', methods: ['${TIME}'], upstream: '${TIME}', rewrite: '${TIME}' }]\n";
    let reading = read_with(text, &machine);
    assert!(reading.diagnostics.len() > 8, "{}", lines(&reading));
    assert!(!lines(&reading).contains(CANARY), "{}", lines(&reading));
}

#[test]
fn variables_and_files_fill_scalars_and_never_structure() {
    let machine = Machine {
        env: [
            ("PORT", "8080"),
            ("EMPTY", ""),
            ("EVIL", "x\n  evil: { url: http://evil }"),
        ]
        .into(),
        files: [("pong.txt", "pong\r\n\n")].into(),
    };
    let text = "listen: 127.0.0.1:${PORT}\nlimits: { fields: '${FIELDS:-50}', connections: '${PORT}' }\n\
        routes: [{ path: /a, respond: { text: '${file:pong.txt}' } }, { path: /b, respond: { text: '${EVIL}' } },\n\
        { path: /c, respond: { text: '$${PORT} ${EMPTY:-empty}${EMPTY} $5' } }, { path: /d, respond: { json: { port: '${PORT}', n: 1, t: true } } }]\n";
    let reading = read_with(text, &machine);
    assert_eq!(lines(&reading), "");
    let plan = reading.plan.unwrap();
    assert_eq!(plan.listeners[0].addr.port(), 8080);
    assert_eq!(
        (plan.limits.head_fields_max, plan.limits.connections_max),
        (50, 8080)
    );
    let body = |route: usize| match &plan.routes[route].steps[0] {
        Step::Respond(respond) => String::from_utf8(respond.body.to_vec()).unwrap(),
        step => panic!("{step:?}"),
    };
    assert_eq!(body(0), "pong");
    assert!(body(1).contains("evil: {"));
    assert_eq!(body(2), "${PORT} empty $5");
    assert_eq!(body(3), r#"{"port":"8080","n":1,"t":true}"#);
}

#[test]
fn a_failed_substitution_is_an_error_at_its_own_place() {
    check(
        "listen: 127.0.0.1:${PORT}\nadmin: { token: \"ab ${TOKEN} ${file:/run/x}\" }\nroutes: [{ path: /, respond: { text: '${' , status: '${1X}' } }]\n",
        "1:19: error: the variable `PORT` is not set; set it, or give it a default: `${PORT:-default}`
2:21: error: the variable `TOKEN` is not set; set it, or give it a default: `${TOKEN:-default}`
2:30: error: the file `/run/x` cannot be read: no such file; check the path and that this process may read it
3:39: error: `${` has no closing `}`; close it, as in `${NAME}`, or write `$${` for the two characters themselves
3:54: error: `1X` is not a variable's name; write `${NAME}`, `${NAME:-default}` or `${file:PATH}`, or `$${` for the two characters themselves",
    );
}

/// A loader with values that no sane machine has.
struct Hostile;

impl Loader for Hostile {
    fn env(&self, _name: &str) -> Option<String> {
        Some("${FILE} \u{0}\u{1b}[31m".repeat(200_000))
    }

    fn file(&self, _path: &str) -> std::io::Result<String> {
        Err(std::io::Error::other("\n\u{1b}]0;owned\u{7}"))
    }
}

#[test]
fn a_hostile_loader_costs_a_diagnostic_and_no_more() {
    let text = "listen: '${A}${B}'\nadmin: { token: '${file:x}' }\nupstreams: { '${A}': { url: '${A}' } }\nroutes: ['${A}']\n";
    let reading = read_with(text, &Hostile);
    assert!(reading.plan.is_none());
    assert!(
        reading
            .diagnostics
            .iter()
            .all(|diagnostic| diagnostic.to_string().len() < 1000)
    );
    for diagnostic in &reading.diagnostics {
        assert!(
            !diagnostic.to_string().contains(['\n', '\u{1b}']),
            "{:?}",
            diagnostic.to_string()
        );
    }
}

#[test]
fn several_sources_are_one_configuration() {
    let a = "listen: 127.0.0.1:8080\nupstreams: { a: { url: http://a, breaker: {} } }\n";
    let b = "upstreams: { b: { url: http://b, breaker: {} } }\nroutes: [{ path: /a, upstream: a }, { path: /b, upstream: b }]\n";
    let source = |name, text: &'static str| Source {
        name,
        text: text.as_bytes(),
    };
    let reading = read(
        &[source("a.yaml", a), source("b.yaml", b)],
        &Machine::default(),
    );
    assert_eq!(lines(&reading), "");
    assert_eq!(reading.plan.map(|plan| plan.upstreams.len()), Some(2));
    let reading = read(
        &[
            source("a.yaml", a),
            source("b.yaml", b),
            source("c.yaml", a),
        ],
        &Machine::default(),
    );
    assert_eq!(
        lines(&reading),
        "c.yaml:1:1: error: `listen` is already given in another file; keep it in one of the files\n\
         c.yaml:2:14: error: the upstream `a` is already given in another file; give one of the two another name\n"
    );
    assert!(read(&[], &Machine::default()).plan.is_none());
}

#[test]
fn json_is_read_as_yaml_is() {
    let plan = plan_of(
        r#"{"listen": "127.0.0.1:8080", "upstreams": {"orders": {"url": "http://127.0.0.1:8081",
        "breaker": {"cooldown": "60s"}}}, "routes": [{"path": "/api/orders", "upstream": "orders"}]}"#,
    );
    assert_eq!(plan, plan_of(SHORTEST));
}

#[test]
fn text_that_is_not_utf8_is_an_error_at_its_line() {
    let reading = read(
        &[Source {
            name: "fb.yaml",
            text: b"listen: 127.0.0.1:8080\nroutes: \xc3\xa4\xff\n",
        }],
        &Machine::default(),
    );
    assert_eq!(
        lines(&reading),
        "fb.yaml:2:10: error: the file is not valid UTF-8 here; save it as UTF-8\n"
    );
}

#[test]
fn a_byte_order_mark_and_carriage_returns_do_no_harm() {
    let text = format!("\u{feff}{}", SHORTEST.replace('\n', "\r\n"));
    assert_eq!(plan_of(&text), plan_of(SHORTEST));
}

/// The complete planned configuration; unsupported keys are reported at their places.
#[test]
fn the_planned_form_gets_an_error_for_each_unsupported_key() {
    let mut machine = Machine::default();
    for certificate in ["cert.pem", "ca.pem"] {
        machine.files.insert(
            certificate,
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        );
    }
    machine.files.insert(
        "key.pem",
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
    );
    let reading = read_with(include_str!("../fixtures/whole.yaml"), &machine);
    let found = lines(&reading).replace("fb.yaml:", "");
    assert_eq!(found, include_str!("../fixtures/whole.txt"));
}

/// Every file on the page about the native form.
#[test]
fn the_files_in_the_documentation_are_read_without_diagnostics() {
    let page = include_str!("../../../../docs/configuration.md");
    let files: Vec<&str> = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(files.len() >= 2);
    for file in files {
        plan_of(file);
    }
}

/// Every file on the page about calls, and every part of one: indented keys of an upstream.
#[test]
fn the_page_about_calls_is_read_without_diagnostics() {
    let page = include_str!("../../../../docs/calls.md");
    let blocks = page.split("```yaml\n").skip(1);
    let blocks: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 5);
    for block in blocks {
        if block.starts_with("listen") {
            plan_of(block);
            continue;
        }
        let url = match block.contains("endpoints:") {
            true => "",
            false => "    url: http://127.0.0.1:8081\n",
        };
        plan_of(&format!(
            "listen: 127.0.0.1:8080\nupstreams:\n  orders_dr: {{ url: http://127.0.0.1:8082, breaker: {{}} }}\n  \
                 orders:\n    breaker: {{}}\n{url}{block}routes:\n  - {{ path: /, upstream: orders }}\n  \
                 - {{ path: /dr, upstream: orders_dr }}\n"
        ));
    }
}

/// The file on the page about gRPC, and every part of one: indented keys of an upstream.
#[test]
fn the_page_about_grpc_is_read_without_diagnostics() {
    let page = include_str!("../../../../docs/grpc.md");
    let blocks = page.split("```yaml\n").skip(1);
    let blocks: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 5);
    for block in blocks {
        if block.starts_with("listen") {
            plan_of(block);
            continue;
        }
        let breaker = match block.contains("breaker:") {
            true => "",
            false => "    breaker: {}\n",
        };
        plan_of(&format!(
            "listen: 127.0.0.1:8080\nupstreams:\n  greeter:\n    url: http://127.0.0.1:8081\n{breaker}{block}\
             routes:\n  - {{ path: /, upstream: greeter }}\n"
        ));
    }
}

/// The page names every key, so that it cannot fall behind the schema.
#[test]
fn the_documentation_names_every_key() {
    let page = include_str!("../../../../docs/configuration.md");
    let schema = fusebox_plan::schema();
    let mut tables = vec![&schema];
    tables.extend(schema["$defs"].as_object().unwrap().values());
    for table in tables {
        for key in table["properties"].as_object().unwrap().keys() {
            let named = [format!("`{key}`"), format!(".{key}`"), format!("`{key}.")];
            assert!(
                named.iter().any(|name| page.contains(name.as_str())),
                "`{key}` is not on the page"
            );
        }
    }
}
