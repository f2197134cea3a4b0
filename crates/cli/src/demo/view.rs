//! The demo's output: one line per change, and one per run of similar calls.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fusebox_breaker::{Phase, Transition};
use fusebox_gateway::Gateway;
use http::{Method, StatusCode};

use crate::demo::traffic::Call;

/// The most calls summarised in one line.
const RUN_MAX: u32 = 10;

/// The name of the watched breaker.
const BREAKER: &str = "orders";

/// Prints an introduction.
pub fn introduce(configuration: &str, service: SocketAddr, gateway: SocketAddr, admin: SocketAddr) {
    out("Fusebox demo: a gateway, its breaker, and an order service that fails and recovers.\n");
    for line in configuration.lines() {
        out(&format!("    {line}"));
    }
    out("");
    out(&format!("service    http://{service}/api/orders"));
    out(&format!("gateway    http://{gateway}/api/orders"));
    out(&format!("dashboard  http://{admin}/"));
    out(&format!(
        "look in    fusebox breakers show {BREAKER} --admin http://{admin}\n"
    ));
}

/// The observations of a round, which the demo needs to make its point.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// True if the breaker tripped at its threshold.
    pub trip: bool,
    /// Number of rejected calls whose client got the refusal.
    pub refused: u32,
    /// Total time of these calls.
    pub refused_time: Duration,
    /// Number of rejected calls whose client got the last good answer.
    pub fallback: u32,
    /// Total time of these calls.
    pub fallback_time: Duration,
    /// Number of calls that reached the service.
    pub served: u32,
    /// Total time of those calls.
    pub served_time: Duration,
    /// True if a probe was admitted.
    pub probe: bool,
    /// True if the breaker closed again and a call succeeded after that.
    pub recovery: bool,
}

impl Seen {
    /// True if trip, fast refusal, fallback answer, probe and recovery were all seen.
    pub fn is_complete(&self) -> bool {
        self.trip && self.refused_fast() && self.fallback > 0 && self.probe && self.recovery
    }

    fn refused_fast(&self) -> bool {
        self.refused > 0
            && self.served > 0
            && mean(self.refused_time, self.refused) < mean(self.served_time, self.served)
    }
}

/// Prints the summary, and returns the exit code.
pub fn conclude(seen: &Seen) -> ExitCode {
    let mark = |yes: bool| if yes { "seen" } else { "NOT SEEN" };
    out("");
    out(&format!("trip           {}", mark(seen.trip)));
    out(&format!(
        "fast refusal   {}: {} calls refused in {} each, a real call takes {}",
        mark(seen.refused_fast()),
        seen.refused,
        millis(mean(seen.refused_time, seen.refused)),
        millis(mean(seen.served_time, seen.served)),
    ));
    out(&format!(
        "fallback       {}: {} calls got the last good answer in {} each",
        mark(seen.fallback > 0),
        seen.fallback,
        millis(mean(seen.fallback_time, seen.fallback)),
    ));
    out(&format!("probe          {}", mark(seen.probe)));
    out(&format!("recovery       {}", mark(seen.recovery)));
    if seen.is_complete() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The running output, with the observations of the present round.
pub struct View {
    gateway: Gateway,
    began: Instant,
    seen: Seen,
    /// The generation of the latest printed transition.
    generation: u64,
    /// The current run of each method.
    runs: Vec<Run>,
}

/// Calls of one method with the same result.
struct Run {
    method: Method,
    status: StatusCode,
    why: Why,
    /// The age of the last answer, in seconds.
    age: Option<String>,
    count: u32,
    took: Duration,
}

impl View {
    /// Makes a view of a gateway's breaker.
    pub fn new(gateway: Gateway) -> View {
        let generation = gateway
            .breaker(BREAKER)
            .map_or(0, |status| status.snapshot.generation);
        View {
            gateway,
            began: Instant::now(),
            seen: Seen::default(),
            generation,
            runs: Vec::new(),
        }
    }

    /// Begins a round, with all observations reset.
    pub fn begin_round(&mut self) {
        self.seen = Seen::default();
        self.say("breaker orders is closed: calls pass");
    }

    /// The observations of the present round.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Prints a line about a change.
    pub fn say(&mut self, what: &str) {
        self.end_runs();
        out(&format!(
            "{:6.1}s  ** {what}",
            self.began.elapsed().as_secs_f64()
        ));
    }

    /// Records the end of a call.
    pub fn call(&mut self, call: &Call) {
        let seen = &mut self.seen;
        match (call.reason.is_some(), call.fallback.is_some()) {
            (true, true) => {
                seen.fallback += 1;
                seen.fallback_time += call.took;
            }
            (true, false) => {
                seen.refused += 1;
                seen.refused_time += call.took;
            }
            (false, _) => {
                seen.served += 1;
                seen.served_time += call.took;
            }
        }
        // The admission of a probe comes before its call, and a trip or a recovery after it.
        let (before, after): (Vec<_>, Vec<_>) = self
            .new_transitions()
            .into_iter()
            .partition(|transition| transition.to == Phase::HalfOpen);
        before.iter().for_each(|before| self.transition(before));
        self.add(call);
        after.iter().for_each(|after| self.transition(after));
        let served = call.status.is_success() && call.fallback.is_none();
        if served && self.seen.probe && self.phase() == Some(Phase::Closed) {
            self.seen.recovery = true;
        }
    }

    /// Adds a call to the current run of its method, or begins a new one.
    fn add(&mut self, call: &Call) {
        let why = Why::of(call);
        let same = |run: &Run| run.status == call.status && run.why == why && run.count < RUN_MAX;
        let of_method = |run: &Run| run.method == call.method;
        if self.runs.iter().any(|run| of_method(run) && !same(run)) {
            self.end_runs();
        }
        if !self.runs.iter().any(of_method) {
            self.runs.push(Run {
                method: call.method.clone(),
                status: call.status,
                why,
                age: None,
                count: 0,
                took: Duration::ZERO,
            });
        }
        if let Some(run) = self.runs.iter_mut().find(|run| of_method(run)) {
            run.age.clone_from(&call.age);
            run.count += 1;
            run.took += call.took;
        }
    }

    fn phase(&self) -> Option<Phase> {
        self.gateway
            .breaker(BREAKER)
            .map(|status| status.snapshot.phase)
    }

    /// The transitions since the last call.
    fn new_transitions(&mut self) -> Vec<Transition> {
        let Some(status) = self.gateway.breaker(BREAKER) else {
            return Vec::new();
        };
        let shown = self.generation;
        self.generation = self.generation.max(status.snapshot.generation);
        status
            .snapshot
            .recent
            .into_iter()
            .filter(|transition| transition.generation > shown)
            .collect()
    }

    fn transition(&mut self, transition: &Transition) {
        let reason = &transition.reason;
        let text = match (transition.from, transition.to) {
            (Phase::Closed, Phase::Open) => {
                self.seen.trip = true;
                format!("TRIP: breaker orders is open: {reason}")
            }
            (Phase::HalfOpen, Phase::Open) => format!("breaker orders is open again: {reason}"),
            (_, Phase::HalfOpen) => {
                self.seen.probe = true;
                format!("PROBE: breaker orders is half-open: {reason}, one call may try")
            }
            (_, Phase::Closed) => format!("RECOVERY: breaker orders is closed: {reason}"),
            (_, Phase::Open) => format!("breaker orders is open: {reason}"),
        };
        self.say(&text);
    }

    /// Prints the current runs.
    pub fn end_runs(&mut self) {
        for run in std::mem::take(&mut self.runs) {
            let mean = millis(mean(run.took, run.count));
            let each = if run.count == 1 { "" } else { " each" };
            let age = run.age.as_deref().unwrap_or_default();
            out(&format!(
                "{:6.1}s     {:>2} x {:<4} {}  {mean}{each}  {}",
                self.began.elapsed().as_secs_f64(),
                run.count,
                run.method.as_str(),
                run.status.as_u16(),
                run.why.text(age),
            ));
        }
    }
}

/// The origin of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    /// The service answered.
    Served,
    /// The service failed, and there was no other answer.
    Failed,
    /// The service failed, and the last good answer took its answer's place.
    Instead,
    /// The breaker refused; a retry is worth it in `retry` seconds.
    Refused { reason: String, retry: String },
    /// The breaker refused, and the client got the last good answer.
    InsteadOfRefusal { reason: String },
}

impl Why {
    fn of(call: &Call) -> Why {
        let reason = call.reason.as_deref();
        let reason = reason.and_then(|reason| reason.split(';').next());
        match (reason.map(str::to_owned), call.fallback.is_some()) {
            (Some(reason), true) => Why::InsteadOfRefusal { reason },
            (Some(reason), false) => Why::Refused {
                reason,
                retry: call.retry_after.clone().unwrap_or_default(),
            },
            (None, true) => Why::Instead,
            (None, false) if call.status == StatusCode::BAD_GATEWAY => Why::Failed,
            (None, false) => Why::Served,
        }
    }

    /// The origin in words; `age` is that of the last good answer, in seconds.
    fn text(&self, age: &str) -> String {
        match self {
            Why::Served => "from the service".to_owned(),
            Why::Failed => "the service closed the connection".to_owned(),
            Why::Instead => format!("FALLBACK: the last good answer, {age}s old"),
            Why::Refused { reason, retry } => format!("refused: {reason}, retry in {retry}s"),
            Why::InsteadOfRefusal { reason } => {
                format!("FALLBACK: the last good answer, {age}s old ({reason})")
            }
        }
    }
}

fn mean(total: Duration, count: u32) -> Duration {
    total.checked_div(count).unwrap_or_default()
}

fn millis(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

/// Prints a line to standard output. A closed pipe does not stop the demo.
fn out(line: &str) {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{line}").ok();
}
