//! `flogo_gateway.json`: whole Flogo applications, run by the real program between a real client and
//! a real upstream. An application that must not start is given to `check`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::Report;
use crate::support::{Client, Gateway, Program, Response, Seen, Setup, Upstream};

/// How many cases run at once; most of their time is starting and waiting.
const AT_ONCE: usize = 4;

/// Runs the cases.
///
/// # Errors
/// If they cannot be read.
pub fn run(file: &Path) -> Result<Report, String> {
    let text = std::fs::read(file).map_err(|error| error.to_string())?;
    let read: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let cases = read["cases"].as_array().ok_or("it has no list of cases")?;
    let next = AtomicUsize::new(0);
    let report = Mutex::new(Report::default());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((at, case)) = next_of(cases, &next) {
                    let ended = std::thread::scope(|scope| {
                        let ran = scope.spawn(|| run_case(case, at)).join();
                        ran.unwrap_or_else(|_| Err("it panicked; see above".into()))
                    });
                    let mut report = lock(&report);
                    let id = text_of(case, "id").to_owned();
                    match ended {
                        Ok(Ran::AsWritten) => report.passed += 1,
                        Ok(Ran::Corrected(how)) => {
                            report.passed += 1;
                            report.notes.push(format!("{id}: {how}"));
                        }
                        Ok(Ran::Other) => report
                            .notes
                            .push(format!("{id}: another version's behaviour")),
                        Err(why) => report.failed.push((id, why)),
                    }
                }
            });
        }
    });
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.failed.sort();
    Ok(report)
}

fn next_of<'a>(cases: &'a [Value], next: &AtomicUsize) -> Option<(usize, &'a Value)> {
    let at = next.fetch_add(1, Ordering::SeqCst);
    cases.get(at).map(|case| (at, case))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// What a case may say.
const CASE: [&str; 14] = [
    "id",
    "title",
    "note",
    "profiles",
    "definition",
    "action_settings",
    "handler",
    "handler_action",
    "app",
    "env",
    "requests",
    "corrected",
    "expect_startup_error_contains",
    "expect_original_panics",
];
/// What a request of a case may say.
const REQUEST: [&str; 9] = [
    "method",
    "path",
    "headers",
    "body",
    "upstream",
    "sleep_ms",
    "expect",
    "corrected",
    "expect_original_panics",
];
/// What its upstream may be told.
const UPSTREAM: [&str; 7] = [
    "status",
    "content_type",
    "body",
    "headers",
    "down",
    "drop",
    "delay_ms",
];
/// What may be expected of a request.
const EXPECT: [&str; 10] = [
    "code",
    "body_json",
    "body_text",
    "body_contains",
    "headers",
    "upstream_calls",
    "upstream_request",
    "no_response",
    "original_panics",
    "corrected",
];
/// What may be expected of a request to the upstream.
const REACHED: [&str; 4] = ["method", "path", "body", "headers"];

/// How a case went that has not failed.
enum Ran {
    AsWritten,
    /// Not as the original does it, of which the case says in words what is right: both, for whoever
    /// reads the report.
    Corrected(String),
    /// It tells of a version that this one does not follow.
    Other,
}

fn run_case(case: &Value, at: usize) -> Result<Ran, String> {
    known(case, &CASE, "the case")?;
    let corrected = &case["corrected"];
    let startup = case["expect_startup_error_contains"].as_str();
    let words = corrected.as_str();
    let refused = words.is_some_and(|words| words.starts_with("start-up error"));
    if startup.is_some() || refused {
        // Where the newer original hides the cause of a failed start, we tell it as the older did.
        let told_by_both = profiles(case).is_none_or(|them| them.contains(&"pinned"));
        return if told_by_both {
            refuses(case, startup.unwrap_or_default()).map(|()| Ran::AsWritten)
        } else {
            Ok(Ran::Other)
        };
    }
    if profiles(case).is_some_and(|them| !them.contains(&"current")) {
        return Ok(Ran::Other);
    }
    if !corrected.is_null() && words.is_none() {
        known(corrected, &["requests"], "what is corrected of the case")?;
    }
    let requests = corrected["requests"]
        .as_array()
        .or(case["requests"].as_array());
    let Some(requests) = requests else {
        return if case["expect_original_panics"] == true {
            refuses(case, "").map(|()| Ran::AsWritten)
        } else {
            Err("it has no requests".into())
        };
    };
    let service = Service::start(at);
    let app = application(case, &service.url(), "0");
    let mut setup = Setup::new(app);
    for (name, value) in environment(case, &service.url())? {
        setup = setup.env(&name, value);
    }
    let gateway = setup.start();
    let mut ran = Ran::AsWritten;
    for (number, request) in requests.iter().enumerate() {
        known(request, &REQUEST, "the request")?;
        let of_expected = request["expect"]["corrected"].as_str();
        let words = request["corrected"].as_str().or(of_expected).or(words);
        let came = check(request, &gateway, &service)
            .map_err(|why| format!("request {}: {why}", number + 1));
        match (came, words) {
            (Err(why), Some(words)) => ran = Ran::Corrected(format!("{why}; {words}")),
            (came, _) => came?,
        }
    }
    Ok(ran)
}

/// Whether an object says nothing but what is known here: a wish that nobody reads is not fulfilled.
fn known(value: &Value, keys: &[&str], what: &str) -> Result<(), String> {
    let object = value
        .as_object()
        .ok_or_else(|| format!("{what} is no object, but {value}"))?;
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(format!("{what} says `{key}`, which nobody here reads")),
    }
}

fn profiles(case: &Value) -> Option<Vec<&str>> {
    let list = case["profiles"].as_array()?;
    Some(list.iter().filter_map(Value::as_str).collect())
}

/// The program says what is wrong with the application.
fn refuses(case: &Value, wanted: &str) -> Result<(), String> {
    let app = application(case, "http://127.0.0.1:1", "9096");
    let mut program = Program::new().file("app.json", &app);
    for (name, value) in environment(case, "http://127.0.0.1:1")? {
        program = program.env(&name, &value);
    }
    let ended = program.run(["check", "app.json"]);
    let told = format!("{}{}", ended.stdout, ended.stderr);
    if ended.code == Some(0) {
        return Err("it was accepted".into());
    }
    if told.contains(wanted) {
        Ok(())
    } else {
        Err(format!("{wanted:?} is not in {told:?}"))
    }
}

/// The application that a case describes, with the addresses that it leaves open.
fn application(case: &Value, upstream: &str, port: &str) -> String {
    let app = if case["app"].is_object() {
        case["app"].clone()
    } else {
        around(case)
    };
    app.to_string()
        .replace("@UPSTREAM@", upstream)
        .replace("@PORT@", port)
}

/// The variables of the environment in which the program runs; no other case sees them.
fn environment(case: &Value, upstream: &str) -> Result<Vec<(String, String)>, String> {
    let env = match &case["env"] {
        Value::Null => return Ok(Vec::new()),
        Value::Object(env) => env.iter(),
        other => return Err(format!("the environment is no object, but {other}")),
    };
    let variables = env.map(|(name, value)| match value {
        Value::Array(_) | Value::Object(_) | Value::Null => {
            Err(format!("the variable `{name}` is no text, but {value}"))
        }
        value => Ok((name.clone(), as_text(value).replace("@UPSTREAM@", upstream))),
    });
    variables.collect()
}

/// An application with one handler that runs the case's definition.
fn around(case: &Value) -> Value {
    let mut settings = json!({ "uri": "microgateway:G" });
    extend(&mut settings, &case["action_settings"]);
    let mut action = json!({
        "ref": "github.com/project-flogo/microgateway",
        "settings": settings,
    });
    extend(&mut action, &case["handler_action"]);
    let mut handler = json!({ "method": "GET", "path": "/t" });
    extend(&mut handler, &case["handler"]);
    json!({
        "name": "T", "type": "flogo:app", "version": "1.0.0",
        "triggers": [{
            "id": "rest",
            "ref": "github.com/project-flogo/contrib/trigger/rest",
            "settings": { "port": "@PORT@" },
            "handlers": [{ "settings": handler, "actions": [action] }],
        }],
        "resources": [{ "id": "microgateway:G", "data": case["definition"] }],
    })
}

fn extend(object: &mut Value, more: &Value) {
    for (key, value) in more.as_object().into_iter().flatten() {
        object[key] = value.clone();
    }
}

/// What is behind the gateway: an upstream that a case can take away and give back.
struct Service {
    addr: SocketAddr,
    running: Mutex<Option<Upstream>>,
    behaviour: Arc<Mutex<Value>>,
    seen: Arc<Mutex<Vec<(Seen, String)>>>,
}

impl Service {
    /// Each case has a loopback address of its own, so that nobody else takes the port of an
    /// upstream that is down.
    fn start(at: usize) -> Service {
        let host = u8::try_from(at % 200 + 1).expect("within a byte");
        let addr = SocketAddr::from(([127, 77, host, 1], 0));
        let mut service = Service {
            addr,
            running: Mutex::default(),
            behaviour: Arc::new(Mutex::new(json!({ "status": 200 }))),
            seen: Arc::default(),
        };
        let upstream = service.serve();
        service.addr = upstream.addr();
        *lock(&service.running) = Some(upstream);
        service
    }

    fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    fn serve(&self) -> Upstream {
        let (behaviour, seen) = (self.behaviour.clone(), self.seen.clone());
        Upstream::at(self.addr, None, move |call| {
            let behaviour = lock(&behaviour).clone();
            let body = call.text();
            lock(&seen).push((call.seen.clone(), body));
            if behaviour["drop"] == true {
                call.close();
                return;
            }
            let delay = behaviour["delay_ms"].as_u64().unwrap_or(0);
            // The delay of the service is a part of the case.
            std::thread::sleep(Duration::from_millis(delay));
            let status = behaviour["status"].as_u64().unwrap_or(200);
            let status = u16::try_from(status).expect("a status");
            let mut lines = String::new();
            if let Some(media_type) = behaviour["content_type"].as_str() {
                lines = format!("Content-Type: {media_type}\r\n");
            }
            for (name, value) in behaviour["headers"].as_object().into_iter().flatten() {
                let values = value.as_array().cloned().unwrap_or(vec![value.clone()]);
                for value in values {
                    lines += &format!("{name}: {}\r\n", value.as_str().unwrap_or_default());
                }
            }
            call.respond_with(status, &lines, &as_text(&behaviour["body"]));
        })
    }

    /// Behaves from now on as a request of a case says.
    fn behave(&self, behaviour: &Value) {
        let mut running = lock(&self.running);
        if behaviour["down"] == true {
            if let Some(upstream) = running.take() {
                upstream.stop();
            }
            return;
        }
        *lock(&self.behaviour) = behaviour.clone();
        running.get_or_insert_with(|| self.serve());
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Makes a request of a case and compares what comes of it.
fn check(request: &Value, gateway: &Gateway, service: &Service) -> Result<(), String> {
    let expect = expectation(request)?;
    if !request["upstream"].is_null() {
        known(&request["upstream"], &UPSTREAM, "the upstream")?;
        service.behave(&request["upstream"]);
    }
    if let Some(millis) = request["sleep_ms"].as_u64() {
        // The applications count in whole seconds of real time.
        std::thread::sleep(Duration::from_millis(millis));
    }
    let before = lock(&service.seen).len();
    let mut lines = String::new();
    for (name, value) in request["headers"].as_object().into_iter().flatten() {
        lines += &format!("{name}: {}\r\n", as_text(value));
    }
    let method = request["method"].as_str().unwrap_or("GET");
    let path = request["path"].as_str().unwrap_or("/t");
    let body = as_text(&request["body"]);
    let response = Client::to(gateway.addr()).request(method, path, &lines, &body);
    compare(&expect, &response, &service.url())?;
    let seen = lock(&service.seen);
    if let Some(calls) = expect["upstream_calls"].as_u64() {
        let came = seen.len() - before;
        if came as u64 != calls {
            return Err(format!("the upstream was called {came} times, not {calls}"));
        }
    }
    match (&expect["upstream_request"], seen.last()) {
        (Value::Null, _) => Ok(()),
        (_, None) => Err("the upstream was not called".into()),
        (wanted, Some((last, body))) => reached(wanted, last, body),
    }
}

/// What is expected of a request, with what is corrected of it.
fn expectation(request: &Value) -> Result<Value, String> {
    let corrected = &request["corrected"];
    let mut expect = if corrected.is_object() {
        corrected.clone()
    } else {
        request["expect"].clone()
    };
    known(&expect, &EXPECT, "what is expected")?;
    if let Some(inner) = expect.get("corrected").filter(|it| it.is_object()).cloned() {
        known(&inner, &EXPECT, "what is corrected")?;
        extend(&mut expect, &inner);
    }
    if request["expect_original_panics"] == true && !corrected.is_object() {
        expect["original_panics"] = true.into();
    }
    if let Some(reached) = expect.get("upstream_request") {
        known(reached, &REACHED, "what the upstream gets")?;
    }
    Ok(expect)
}

fn compare(expect: &Value, response: &Response, upstream: &str) -> Result<(), String> {
    let text = response.text();
    let shown = || format!("{} {text:?}", response.status);
    let panics = &expect["original_panics"];
    if expect["no_response"] == true || panics.is_string() || *panics == true {
        // Where the original says nothing, we say that it is our fault or the request's.
        return if matches!(response.status, 400 | 500) {
            Ok(())
        } else {
            Err(shown())
        };
    }
    if let Some(code) = expect["code"].as_u64()
        && u64::from(response.status) != code
    {
        return Err(format!("{code} was expected, and came {}", shown()));
    }
    if let Some(wanted) = expect["body_text"].as_str()
        && text != wanted.replace("@UPSTREAM@", upstream)
    {
        return Err(format!(
            "the body {wanted:?} was expected, and came {}",
            shown()
        ));
    }
    if let Some(wanted) = expect["body_contains"].as_str()
        && !text.contains(&wanted.replace("@UPSTREAM@", upstream))
    {
        return Err(format!("{wanted:?} is not in {}", shown()));
    }
    if let Some(wanted) = expect.get("body_json") {
        let came: Value =
            serde_json::from_str(&text).map_err(|_| format!("no JSON: {}", shown()))?;
        let wanted = wanted.to_string().replace("@UPSTREAM@", upstream);
        let wanted: Value = serde_json::from_str(&wanted).map_err(|error| error.to_string())?;
        if !same(&wanted, &came) {
            return Err(format!("{wanted} was expected, and came {}", shown()));
        }
    }
    fields(&expect["headers"], |name| response.fields.get(name))
}

fn reached(wanted: &Value, seen: &Seen, body: &str) -> Result<(), String> {
    for (key, came) in [
        ("method", &*seen.method),
        ("path", &*seen.target),
        ("body", body),
    ] {
        if let Some(wanted) = wanted[key].as_str()
            && wanted != came
        {
            return Err(format!("the upstream's {key} was {came:?}, not {wanted:?}"));
        }
    }
    fields(&wanted["headers"], |name| seen.fields.get(name))
}

fn fields<'a>(wanted: &Value, came: impl Fn(&str) -> Option<&'a str>) -> Result<(), String> {
    for (name, value) in wanted.as_object().into_iter().flatten() {
        if came(name) != value.as_str() {
            return Err(format!("{name} was {:?}, not {value}", came(name)));
        }
    }
    Ok(())
}

/// JSON equality in which 1 and 1.0 are the same number.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, one)| other.get(key).is_some_and(|other| same(one, other)))
        }
        _ => one == other,
    }
}
