//! The Rust crates of the kind, each as its own documentation uses it.
//!
//! What is left out, and why: `failsafe` and `recloser` let every call pass while half-open, so they refuse none there;
//! `recloser` has but its ring of last calls; the rate of `circuitbreaker-rs` is one over all calls since the last reset,
//! and nothing fills the window of its time-based policy, so only its failures in a row are compared.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use failsafe::CircuitBreaker as _;
use failsafe::backoff::constant;
use failsafe::failure_policy::{consecutive_failures, success_rate_over_time_window};
use tower::Service;
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, SlidingWindowType};

use crate::{Case, Id, Operation, Rule, Run, run, run_here, trip};

const HOUR: Duration = Duration::from_secs(3600);

/// A peer: what it can be measured at, and how it is brought there.
struct Peer {
    who: &'static str,
    can: fn(Rule, Operation) -> bool,
    make: fn(Rule, Operation) -> Run,
}

const PEERS: [Peer; 4] = [
    Peer {
        who: "failsafe",
        can: |rule, operation| match rule {
            Rule::Contiguous => operation != Operation::RefusedHalfOpen,
            Rule::Calls | Rule::Own => false,
            // It cannot trip before its first window has passed.
            Rule::Time => matches!(operation, Operation::Success | Operation::Failure),
        },
        make: of_failsafe,
    },
    Peer {
        who: "recloser",
        can: |rule, operation| rule == Rule::Calls && operation != Operation::RefusedHalfOpen,
        make: of_recloser,
    },
    Peer {
        who: "circuitbreaker-rs",
        can: |rule, _| rule == Rule::Contiguous,
        make: of_circuitbreaker_rs,
    },
    Peer {
        who: "tower-resilience",
        can: |rule, _| rule != Rule::Own,
        make: of_tower_resilience,
    },
];

pub fn cases(rule: Rule, operation: Operation) -> Vec<Case> {
    let can = PEERS.iter().filter(|peer| (peer.can)(rule, operation));
    can.map(|peer| Case {
        id: Id {
            rule,
            operation,
            who: peer.who,
        },
        make: Box::new(move || (peer.make)(rule, operation)),
    })
    .collect()
}

/// The error of a call that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Failed {}

pub(crate) fn answer(succeeds: bool) -> Result<(), Failed> {
    if succeeds { Ok(()) } else { Err(Failed) }
}

fn refusing_or_not(operation: Operation, op: impl Fn(bool) -> bool + Send + Sync + 'static) -> Run {
    if operation == Operation::RefusedOpen {
        trip(&op);
    }
    run(operation, op)
}

fn of_failsafe(rule: Rule, operation: Operation) -> Run {
    macro_rules! with {
        ($policy:expr) => {{
            let breaker = failsafe::Config::new().failure_policy($policy).build();
            refusing_or_not(operation, move |succeeds| {
                !matches!(
                    breaker.call(|| answer(succeeds)),
                    Err(failsafe::Error::Rejected)
                )
            })
        }};
    }
    if rule == Rule::Time {
        let window = Duration::from_secs(10);
        with!(success_rate_over_time_window(
            0.0,
            100,
            window,
            constant(HOUR)
        ))
    } else {
        with!(consecutive_failures(1_000, constant(HOUR)))
    }
}

fn of_recloser(_: Rule, operation: Operation) -> Run {
    let breaker = recloser::Recloser::custom()
        .error_rate(1.0)
        .closed_len(100)
        .open_wait(HOUR)
        .build();
    refusing_or_not(operation, move |succeeds| {
        !matches!(
            breaker.call(|| answer(succeeds)),
            Err(recloser::Error::Rejected)
        )
    })
}

fn of_circuitbreaker_rs(_: Rule, operation: Operation) -> Run {
    use circuitbreaker_rs::{BreakerError, CircuitBreaker, DefaultPolicy};
    let half_open = operation == Operation::RefusedHalfOpen;
    let breaker = CircuitBreaker::<DefaultPolicy, Failed>::builder()
        .failure_threshold(1.0)
        .min_throughput(u64::MAX)
        .consecutive_failures(1_000)
        .consecutive_successes(u64::MAX)
        .probe_interval(1)
        .cooldown(if half_open {
            Duration::from_millis(5)
        } else {
            HOUR
        })
        .build();
    let op = move |succeeds| !matches!(breaker.call(|| answer(succeeds)), Err(BreakerError::Open));
    if half_open {
        trip(&op);
        std::thread::sleep(Duration::from_millis(20));
        // Its probes are counted when they begin, and too few successes leave it half-open.
        while op(true) {}
    }
    refusing_or_not(operation, op)
}

/// What the innermost service does.
#[derive(Clone, Copy)]
enum Request {
    Answer { succeeds: bool },
    Hang,
}

/// The innermost service: answers at once, or never.
#[derive(Clone)]
struct Inner;

impl Service<Request> for Inner {
    type Response = ();
    type Error = Failed;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Answer {
        Answer(request)
    }
}

struct Answer(Request);

impl Future for Answer {
    type Output = Result<(), Failed>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match self.0 {
            Request::Answer { succeeds } => Poll::Ready(answer(succeeds)),
            Request::Hang => Poll::Pending,
        }
    }
}

fn of_tower_resilience(rule: Rule, operation: Operation) -> Run {
    use tower_resilience_circuitbreaker::CircuitBreakerError;
    let half_open = operation == Operation::RefusedHalfOpen;
    let builder = CircuitBreakerLayer::builder()
        .permitted_calls_in_half_open(1)
        .wait_duration_in_open(if half_open {
            Duration::from_millis(5)
        } else {
            HOUR
        });
    let layer = match rule {
        Rule::Contiguous | Rule::Own => builder.consecutive_failures(1_000),
        Rule::Calls => builder
            .failure_rate_threshold(1.0)
            .sliding_window_size(100)
            .minimum_number_of_calls(100),
        Rule::Time => builder
            .failure_rate_threshold(1.0)
            .sliding_window_type(SlidingWindowType::TimeBased)
            .sliding_window_duration(Duration::from_secs(10))
            .minimum_number_of_calls(100),
    }
    .build()
    .expect("the settings are sound");
    let service = layer.layer_fn(Inner);
    // While open it waits for a millisecond of tokio's time when another thread is at its lock.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a thread can be started");
    let ask_and_tell = |service: &RefCell<_>, succeeds| {
        let answered = poll_to_end(&mut *service.borrow_mut(), Request::Answer { succeeds });
        !matches!(answered, Err(CircuitBreakerError::OpenCircuit))
    };
    if operation == Operation::RefusedOpen || half_open {
        let service = RefCell::new(service.clone());
        trip(|succeeds| ask_and_tell(&service, succeeds));
    }
    let probe = half_open.then(|| {
        std::thread::sleep(Duration::from_millis(20));
        let mut context = Context::from_waker(Waker::noop());
        let mut service = service.clone();
        assert!(service.poll_ready(&mut context).is_ready());
        let mut probe = service.call(Request::Hang);
        assert!(probe.as_mut().poll(&mut context).is_pending());
        std::sync::Mutex::new(probe)
    });
    Box::new(move |times| {
        let _held = &probe;
        let _time = runtime.enter();
        // A service is cloned for each caller, as a server does for each connection.
        let service = RefCell::new(service.clone());
        run_here(operation, times, |succeeds| {
            ask_and_tell(&service, succeeds)
        });
    })
}

/// Polls for the answer. With other threads at the same lock that may take more than one poll.
fn poll_to_end<S: Service<Request>>(
    service: &mut S,
    request: Request,
) -> Result<S::Response, S::Error>
where
    S::Future: Unpin,
{
    let mut context = Context::from_waker(Waker::noop());
    while service.poll_ready(&mut context)?.is_pending() {
        std::hint::spin_loop();
    }
    let mut future = service.call(request);
    loop {
        match Pin::new(&mut future).poll(&mut context) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::hint::spin_loop(),
        }
    }
}
