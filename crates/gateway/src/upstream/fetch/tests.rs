//! A target with a breaker, called as an application calls it.

mod repeats;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use fusebox_breaker::{Breaker, Hold, Phase as State, RejectReason};
use fusebox_plan::plan::{Limits, Upstream};
use fusebox_plan::{Loader, Source};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::ground::clock::Clock;
use crate::ground::meter::{BreakerMeter, Counter, PerWorker};
use crate::upstream::breakers::UpstreamBreakers;
use crate::upstream::call_state::CallState;
use crate::upstream::endpoints::LiveEndpoint;
use crate::upstream::event_switch::EventSwitch;
use crate::upstream::pool::Pool;
use crate::upstream::trust::Trust;
use crate::upstream::upstream_errors::UpstreamErrors;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const BAD: &str = "HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n";

const REDIRECTS: Redirects = Redirects {
    most: 2,
    becomes_get: |_, _| true,
    keeps_secrets: |from, to| from == to,
    tells_referer: false,
};

const ONCE: Policy<'_> = Policy {
    repeat: |_| Repeat {
        on_any_idle: true,
        times: 0,
        from_new: false,
    },
    redirects: Some(&REDIRECTS),
    jar: None,
    places: None,
    total: Some(Duration::from_secs(20)),
    gzip: false,
    body_max: 1_000,
};

/// A service that answers each request by its number and path; an empty answer is a close, `…` at an answer's end
/// keeps the connection open without the rest.
struct Service {
    endpoint: Endpoint,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Service {
    async fn start(
        answer: impl Fn(usize, &str) -> &'static str + Send + Sync + 'static,
    ) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::new(false, "127.0.0.1", listener.local_addr().unwrap().port());
        let (requests, connections) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (counts, answer) = ((requests.clone(), connections.clone()), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counts.1.fetch_add(1, Ordering::SeqCst);
                let (requests, answer) = (counts.0.clone(), answer.clone());
                tokio::spawn(async move { serve(stream, &requests, &*answer).await.ok() });
            }
        });
        Service {
            endpoint,
            requests,
            connections,
        }
    }

    fn seen(&self) -> (usize, usize) {
        let seen = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        (seen(&self.requests), seen(&self.connections))
    }
}

async fn serve(
    mut stream: TcpStream,
    requests: &AtomicUsize,
    answer: &(dyn Fn(usize, &str) -> &'static str + Send + Sync),
) -> io::Result<()> {
    let mut head = Vec::new();
    loop {
        let mut buffer = [0; 4_096];
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        head.extend_from_slice(&buffer[..read]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let path = text.split(' ').nth(1).unwrap_or_default();
        let said = answer(requests.fetch_add(1, Ordering::SeqCst) + 1, path);
        head.clear();
        match said.strip_suffix('…') {
            None if said.is_empty() => return Ok(()),
            None => stream.write_all(said.as_bytes()).await?,
            Some(begun) => stream.write_all(begun.as_bytes()).await?,
        }
        if said.contains("Connection: close") {
            return Ok(());
        }
    }
}

struct NoFiles;

impl Loader for NoFiles {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// An upstream read from the native form, at that endpoint.
fn upstream(endpoint: &Endpoint, more: &str) -> Upstream {
    let yaml = format!(
        "version: 1\nlisten: 127.0.0.1:0\nupstreams: {{ t: {{ url: '{}', {more} }} }}\n\
         routes: [{{ path: /, upstream: t }}]\n",
        endpoint.url()
    );
    let source = Source {
        name: "t.yaml",
        text: yaml.as_bytes(),
    };
    let reading = fusebox_plan::read(&[source], &NoFiles);
    let plan = reading
        .plan
        .unwrap_or_else(|| panic!("{:?}", reading.diagnostics));
    (*plan.upstreams[0]).clone()
}

/// A target, and the worker that calls it.
struct Caller {
    target: Arc<LiveUpstream>,
    worker: WorkerRef,
}

impl Caller {
    fn with_breaker(endpoint: &Endpoint, more: &str) -> Caller {
        let clock = Arc::new(Clock::default());
        let plan = upstream(endpoint, more);
        let events = EventSwitch::off();
        let breakers = UpstreamBreakers::new(&plan.name, &plan, 1, &clock, events.clone());
        Caller::new(plan, Some((Arc::new(breakers), events)), clock)
    }

    fn new(
        plan: Upstream,
        breakers: Option<(Arc<UpstreamBreakers>, Arc<EventSwitch>)>,
        clock: Arc<Clock>,
    ) -> Caller {
        let limits = Limits::default();
        let endpoint = plan.endpoint();
        let pools =
            Pool::for_workers(1, &plan, endpoint, None, &limits, &Trust::default()).unwrap();
        let (meter, errors) = (PerWorker::new(1), UpstreamErrors::new("t".into()));
        let (bulkhead, repeats) = (plan.bulkhead.as_ref(), plan.retry.is_some());
        let calls = CallState::new(plan.budget, bulkhead, repeats, None, None, clock.exact());
        let endpoint = LiveEndpoint::new(plan.endpoint().clone(), pools);
        let (plan, ends, meter) = (Arc::new(plan), vec![Arc::new(endpoint)], Arc::new(meter));
        let target = LiveUpstream::new(plan, breakers, ends, None, meter, errors, calls);
        Caller {
            target: Arc::new(target),
            worker: WorkerRef { clock, index: 0 },
        }
    }

    fn request(&self, path: &str) -> Outbound {
        Outbound {
            method: Method::GET,
            endpoint: self.target.plan.endpoint().clone(),
            target: path.into(),
            headers: HeaderMap::new(),
            body: None,
        }
    }

    async fn ask(&self, path: &str, policy: &Policy<'_>) -> Result<u16, Fault> {
        let answer = fetch(&self.target, self.request(path), policy, &self.worker).await;
        match answer {
            Ok(answer) => Ok(answer.status().as_u16()),
            Err(none) => Err(none.fault),
        }
    }

    async fn get(&self) -> Result<u16, Fault> {
        self.ask("/", &ONCE).await
    }

    fn breaker(&self) -> Breaker {
        self.target.breakers.handles()[0].clone()
    }

    fn state(&self) -> State {
        self.breaker().snapshot(self.worker.clock.exact()).phase
    }

    fn count(&self, counter: impl Fn(&BreakerMeter) -> &Counter) -> u64 {
        let live_breaker = &self.target.breakers.all()[0];
        live_breaker.extras.meters.sum(|meter| counter(meter).get())
    }

    /// Successes, failures and ignored calls.
    fn counts(&self) -> [u64; 3] {
        [
            self.count(|meter| &meter.success),
            self.count(|meter| &meter.failure),
            self.count(|meter| &meter.ignored),
        ]
    }

    /// Waits until the cooldown has ended.
    async fn cool(&self) {
        while let Some(at) = self.breaker().snapshot(self.worker.clock.exact()).retry_at
            && at > self.worker.clock.exact()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn refused(answer: Result<u16, Fault>) -> Refusal {
    match answer {
        Err(Fault::Refused(refusal)) => refusal,
        other => panic!("it is not refused: {other:?}"),
    }
}

const THREE: &str = "breaker: { trip: [{ consecutive_failures: 3 }], cooldown: 60s }";
const NINE: &str = "breaker: { trip: [{ consecutive_failures: 9 }], cooldown: 60s }";
const ONE: &str = "breaker: { trip: [{ consecutive_failures: 1 }], cooldown: 40ms }";

#[tokio::test]
async fn failures_trip_at_the_threshold_and_then_nothing_is_touched() {
    let service = Service::start(|_, _| BAD).await;
    let caller = Caller::with_breaker(&service.endpoint, THREE);
    for _ in 0..3 {
        assert_eq!(caller.get().await.unwrap(), 500);
    }
    let seen = service.seen();
    for _ in 0..5 {
        let refusal = refused(caller.get().await);
        assert_eq!(refusal.rejection.reason, RejectReason::BreakerOpen);
        let said = refusal.to_string();
        let why = "breaker `t` refused the call: the breaker is open and its cooldown has not ended; retry in ";
        assert!(said.starts_with(why) && said.ends_with(" s"), "{said}");
        assert!(
            refusal
                .retry_after
                .is_some_and(|after| (1..=60).contains(&after))
        );
    }
    assert_eq!((service.seen(), seen.0), (seen, 3));
    assert_eq!(caller.counts(), [0, 3, 0]);
    let rejected = caller.target.breakers.all()[0]
        .extras
        .meters
        .sum(BreakerMeter::rejected_total);
    assert_eq!(rejected, 5);
}

#[tokio::test]
async fn a_closed_port_trips_and_a_service_that_is_back_closes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let endpoint = Endpoint::new(false, "127.0.0.1", address.port());
    let caller = Caller::with_breaker(&endpoint, ONE);
    assert!(matches!(caller.get().await, Err(Fault::Unconnected(_))));
    caller.cool().await;
    assert!(matches!(caller.get().await, Err(Fault::Unconnected(_))));
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let none = AtomicUsize::new(0);
            serve(stream, &none, &|_, _| OK).await.ok();
        }
    });
    caller.cool().await;
    assert_eq!(caller.get().await.unwrap(), 200);
    assert_eq!(caller.state(), State::Closed);
    assert_eq!(caller.counts(), [1, 2, 0]);
}

#[tokio::test]
async fn without_a_breaker_nothing_is_asked_refused_or_shown() {
    let service = Service::start(|_, _| BAD).await;
    let clock = Arc::new(Clock::default());
    let caller = Caller::new(upstream(&service.endpoint, THREE), None, clock);
    for _ in 0..20 {
        assert_eq!(caller.get().await.unwrap(), 500);
    }
    assert_eq!(service.seen(), (20, 1));
    assert!(caller.target.breakers.all().is_empty());
}

#[tokio::test]
async fn a_body_that_breaks_off_or_stops_is_a_failure() {
    let service = Service::start(|_, path| match path {
        "/cut" => "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nabc",
        "/silent" => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc…",
        "/no-head" => "HTTP/1.1…",
        "/nonsense" => "NONSENSE\r\n\r\n",
        _ => "",
    })
    .await;
    let caller = Caller::with_breaker(&service.endpoint, NINE);
    let got = caller.ask("/cut", &ONCE).await;
    assert!(matches!(got, Err(Fault::Broken(_))), "{got:?}");
    let got = caller.ask("/nonsense", &ONCE).await;
    assert!(matches!(got, Err(Fault::Malformed)), "{got:?}");
    let got = caller.ask("/close", &ONCE).await;
    assert!(matches!(got, Err(Fault::Cut(_))), "{got:?}");
    let errors = &caller.target.errors;
    let kinds = [ErrorKind::Truncated, ErrorKind::Protocol, ErrorKind::Reset];
    assert_eq!(kinds.map(|kind| errors.count(kind)), [1, 1, 1]);
    assert_eq!(caller.counts(), [0, 3, 0]);
    for (timeout, path) in [("idle", "/silent"), ("request", "/no-head")] {
        let short = format!("timeout: {{ {timeout}: 30ms }}, {NINE}");
        let caller = Caller::with_breaker(&service.endpoint, &short);
        match caller.ask(path, &ONCE).await {
            Err(Fault::Silent(_)) => assert_eq!(path, "/silent"),
            Err(Fault::Timeout) => assert_eq!(path, "/no-head"),
            other => panic!("{path}: {other:?}"),
        }
        assert_eq!(caller.target.errors.count(ErrorKind::Timeout), 1);
        assert_eq!(caller.counts(), [0, 1, 0]);
    }
}

#[tokio::test]
async fn a_fetch_that_takes_too_long_as_a_whole_is_a_failure() {
    let service = Service::start(|_, path| match path {
        "/head" => "HTTP/1.1…",
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc…",
    })
    .await;
    let caller = Caller::with_breaker(&service.endpoint, THREE);
    let hasty = Policy {
        total: Some(Duration::from_millis(30)),
        ..ONCE
    };
    for path in ["/head", "/body", "/head"] {
        let got = caller.ask(path, &hasty).await;
        assert!(matches!(got, Err(Fault::Timeout)), "{got:?}");
    }
    assert_eq!(caller.counts(), [0, 3, 0]);
    refused(caller.get().await);
}

#[tokio::test]
async fn the_files_own_rules_say_what_failed_and_what_says_nothing() {
    let service = Service::start(|_, path| match path {
        "/404" => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "/200" => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nerror",
        _ => BAD,
    })
    .await;
    let rules = "breaker: { trip: [{ consecutive_failures: 2 }], ignore: 'status == 404', \
                 failure: 'status == 200 && body.contains(\"error\")', failure_body: 1KiB }";
    let caller = Caller::with_breaker(&service.endpoint, rules);
    for path in ["/404", "/500", "/200", "/404", "/200"] {
        caller.ask(path, &ONCE).await.unwrap();
    }
    assert_eq!(caller.counts(), [1, 2, 2]);
    refused(caller.get().await);
}

#[tokio::test]
async fn our_own_limits_and_idle_connections_that_were_closed_say_nothing() {
    const LARGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n…";
    let service = Service::start(|number, path| match (path, number) {
        ("/large", _) => LARGE,
        (_, 1) => OK,
        _ => "",
    })
    .await;
    let caller = Caller::with_breaker(&service.endpoint, ONE);
    assert_eq!(caller.get().await.unwrap(), 200);
    // The second request goes out on a connection that is closed over it.
    let got = caller.get().await;
    assert!(
        matches!(&got, Err(Fault::Cut(cut)) if cut.is_stale),
        "{got:?}"
    );
    let small = Policy {
        body_max: 1,
        ..ONCE
    };
    let service = Service::start(|_, _| OK).await;
    let limited = Caller::with_breaker(&service.endpoint, ONE);
    let got = limited.ask("/", &small).await;
    assert!(matches!(got, Err(Fault::TooLarge)), "{got:?}");
    assert_eq!((caller.counts(), limited.counts()), ([1, 0, 1], [0, 0, 1]));
    assert_eq!(
        (caller.state(), limited.state()),
        (State::Closed, State::Closed)
    );
}

#[tokio::test]
async fn redirects_and_free_repeats_are_one_call() {
    let service = Service::start(|number, path| match (path, number) {
        ("/a", _) => "HTTP/1.1 302 Found\r\nLocation: b\r\nContent-Length: 4\r\n\r\ngone",
        ("/b", 2 | 3) => "",
        ("/round", _) => "HTTP/1.1 302 Found\r\nLocation: round\r\nContent-Length: 0\r\n\r\n",
        ("/bad", _) => "HTTP/1.1 302 Found\r\nLocation: ftp://b/\r\nContent-Length: 0\r\n\r\n",
        _ => OK,
    })
    .await;
    let caller = Caller::with_breaker(&service.endpoint, ONE);
    let patient = Policy {
        repeat: |_| Repeat {
            on_any_idle: true,
            times: 2,
            from_new: true,
        },
        ..ONCE
    };
    assert_eq!(caller.ask("/a", &patient).await.unwrap(), 200);
    // The redirect's connection is used again, and cut; then a new one, and another.
    assert_eq!(service.seen(), (4, 3));
    assert_eq!(caller.counts(), [1, 0, 0]);
    let got = caller.ask("/round", &ONCE).await;
    assert!(matches!(got, Err(Fault::Redirects(_))), "{got:?}");
    assert_eq!(service.seen().0, 7);
    let got = caller.ask("/bad", &ONCE).await;
    assert!(matches!(got, Err(Fault::Location(_))), "{got:?}");
    // The upstream has answered; an answer that cannot be followed is not its failure.
    assert_eq!(caller.counts(), [3, 0, 0]);
}

#[tokio::test]
async fn a_probe_is_given_back_when_it_is_dropped_and_keeps_others_out_until_then() {
    let service = Service::start(|_, path| match path {
        "/hang" => "HTTP/1.1…",
        "/bad" => BAD,
        _ => OK,
    })
    .await;
    let caller = Caller::with_breaker(&service.endpoint, ONE);
    caller.ask("/bad", &ONCE).await.unwrap();
    caller.cool().await;
    {
        let mut probe = pin!(caller.ask("/hang", &ONCE));
        let begun = poll_fn(|cx| Poll::Ready(probe.as_mut().poll(cx).is_pending()));
        assert!(begun.await);
        let refusal = refused(caller.get().await);
        assert_eq!(refusal.rejection.reason, RejectReason::BreakerProbing);
    }
    assert_eq!(caller.get().await.unwrap(), 200);
    assert_eq!(caller.state(), State::Closed);
    assert_eq!(caller.counts(), [1, 1, 1]);
}

#[tokio::test]
async fn a_call_that_its_application_gives_up_is_abandoned_as_the_setting_says() {
    let service = Service::start(|_, _| "HTTP/1.1…").await;
    for (abandoned, counts) in [("", [0, 0, 1]), (", abandoned: 1ms", [0, 1, 0])] {
        let breaker =
            format!("breaker: {{ trip: {{ consecutive_failures: 1 }}, cooldown: 60s{abandoned} }}");
        let caller = Caller::with_breaker(&service.endpoint, &breaker);
        let given_up = Duration::from_millis(50);
        let asked = tokio::time::timeout(given_up, caller.ask("/hang", &ONCE)).await;
        assert!(asked.is_err(), "{asked:?}");
        assert_eq!(caller.counts(), counts, "{breaker}");
    }
}

#[tokio::test]
async fn an_upstream_that_closes_within_a_long_body_is_not_blamed_for_its_length() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new(false, "127.0.0.1", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut begun = [0; 4_096];
            let _read = stream.read(&mut begun).await;
        }
    });
    let caller = Caller::with_breaker(&endpoint, NINE);
    let post = async |bytes: usize| {
        let request = Outbound {
            method: Method::POST,
            body: Some(Bytes::from(vec![b'a'; bytes])),
            ..caller.request("/")
        };
        let none = fetch(&caller.target, request, &ONCE, &caller.worker).await;
        assert!(matches!(none.unwrap_err().fault, Fault::Cut(_)));
        caller.counts()
    };
    // More than the sockets of both sides hold.
    assert_eq!(post(32 << 20).await, [0, 0, 1]);
    // All of it is written, so the next byte is the upstream's.
    assert_eq!(post(2).await, [0, 1, 1]);
}

#[tokio::test]
async fn a_probe_is_one_attempt() {
    let service = Service::start(|number, _| if number == 1 { BAD } else { "" }).await;
    let caller = Caller::with_breaker(&service.endpoint, ONE);
    let patient = Policy {
        repeat: |_| Repeat {
            on_any_idle: false,
            times: 3,
            from_new: true,
        },
        ..ONCE
    };
    caller.ask("/", &patient).await.unwrap();
    caller.cool().await;
    let got = caller.ask("/", &patient).await;
    assert!(matches!(got, Err(Fault::Cut(_))), "{got:?}");
    // The idle connection costs nothing; a new one is the attempt.
    assert!(service.seen().0 <= 3, "{:?}", service.seen());
    assert_eq!(caller.counts(), [0, 2, 0]);
}

#[tokio::test]
async fn all_repeats_of_a_call_share_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new(false, "127.0.0.1", listener.local_addr().unwrap().port());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(60)).await;
            drop(stream);
        }
    });
    let caller = Caller::with_breaker(&endpoint, &format!("timeout: {{ request: 150ms }}, {NINE}"));
    let patient = Policy {
        repeat: |_| Repeat {
            on_any_idle: true,
            times: 9,
            from_new: true,
        },
        ..ONCE
    };
    caller.ask("/", &patient).await.unwrap_err();
    assert!(connections.load(Ordering::SeqCst) <= 3);
    assert_eq!(caller.counts(), [0, 1, 0]);
}

#[tokio::test]
async fn a_call_that_is_refused_waits_for_no_place() {
    let service = Service::start(|_, _| BAD).await;
    let caller = Caller::with_breaker(&service.endpoint, THREE);
    let places = Semaphore::new(1);
    let narrow = Policy {
        places: Some(&places),
        ..ONCE
    };
    let hasty = Policy {
        total: Some(Duration::from_millis(20)),
        ..narrow
    };
    let taken = places.acquire().await.unwrap();
    let got = caller.ask("/", &hasty).await;
    assert!(matches!(got, Err(Fault::Timeout)), "{got:?}");
    // The call was never admitted, and the limit is ours.
    assert_eq!((caller.counts(), service.seen()), ([0, 0, 0], (0, 0)));
    let kinds = [ErrorKind::Limit, ErrorKind::Timeout];
    assert_eq!(kinds.map(|it| caller.target.errors.count(it)), [1, 0]);
    drop(taken);
    for _ in 0..3 {
        assert_eq!(caller.ask("/", &narrow).await.unwrap(), 500);
    }
    let _taken = places.acquire().await.unwrap();
    refused(caller.ask("/", &narrow).await);
}

#[tokio::test]
async fn a_call_that_waited_for_its_place_has_its_whole_time_from_then_on() {
    let service = Service::start(|_, _| "HTTP/1.1…").await;
    let caller = Caller::with_breaker(&service.endpoint, THREE);
    let (places, total) = (Semaphore::new(1), Duration::from_millis(400));
    let policy = Policy {
        places: Some(&places),
        total: Some(total),
        ..ONCE
    };
    let taken = places.acquire().await.unwrap();
    let mut call = pin!(caller.ask("/", &policy));
    let waiting = tokio::time::timeout(Duration::from_millis(40), call.as_mut());
    assert!(waiting.await.is_err());
    drop(taken);
    let had_at = Instant::now();
    assert!(matches!(call.await, Err(Fault::Timeout)));
    assert!(had_at.elapsed() >= total, "{:?}", had_at.elapsed());
    assert_eq!(caller.counts(), [0, 1, 0]);
}

#[tokio::test]
async fn calls_take_turns_to_probe_once_a_probe_has_said_nothing() {
    const GONE: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let service = Service::start(|number, path| match (path, number) {
        (_, 1) => BAD,
        ("/gone", 2) => GONE,
        ("/gone", _) => "HTTP/1.1…",
        _ => OK,
    })
    .await;
    let ignoring = ONE.replace("breaker: {", "breaker: { ignore: 'status == 404',");
    let caller = Caller::with_breaker(&service.endpoint, &ignoring);
    caller.get().await.unwrap();
    caller.cool().await;
    assert_eq!(caller.ask("/gone", &ONCE).await.unwrap(), 404);
    assert_eq!(caller.counts(), [0, 1, 1]);
    // The same request again hangs; another one does not come in vain, and is preferred after a second.
    let (gone, other) = tokio::join!(caller.ask("/gone", &ONCE), caller.get());
    assert_eq!(other.unwrap(), 200);
    let refusal = refused(gone);
    assert_eq!(refusal.rejection.reason, RejectReason::BreakerProbing);
    assert_eq!(caller.state(), State::Closed);
    assert_eq!(caller.counts(), [1, 1, 2]);
}

#[tokio::test]
async fn a_key_of_the_host_is_the_one_that_is_asked() {
    let service = Service::start(|_, _| OK).await;
    let key = "breaker: { key: '{header.host}', max_keys: 9 }";
    let caller = Caller::with_breaker(&service.endpoint, key);
    caller.get().await.unwrap();
    let name = format!("t/{}", service.endpoint.authority);
    assert_eq!(**caller.breaker().name(), *name);
}

#[tokio::test]
async fn a_hold_without_an_end_names_no_time() {
    let service = Service::start(|_, _| OK).await;
    let caller = Caller::with_breaker(&service.endpoint, ONE);
    let now = caller.worker.clock.exact();
    caller.breaker().hold(Hold::open("a drill", "a test"), now);
    assert_eq!(
        refused(caller.get().await).to_string(),
        "breaker `t` refused the call: the breaker is held open by an operator"
    );
}

#[tokio::test]
async fn interim_answers_without_an_end_are_no_answer() {
    const MANY: &str = "HTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\n\
        HTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\n\
        HTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\n\
        HTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\n…";
    let service = Service::start(|_, _| MANY).await;
    let caller = Caller::with_breaker(&service.endpoint, ONE);
    let got = caller.get().await;
    assert!(matches!(got, Err(Fault::Malformed)), "{got:?}");
    assert_eq!(caller.counts(), [0, 1, 0]);
}
