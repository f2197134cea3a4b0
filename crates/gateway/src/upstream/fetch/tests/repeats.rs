//! Calls of several attempts, and the answers that are held between them.

use super::*;

const RETRY: &str = "retry: { attempts: 3, backoff: { base: 1ms, max: 1ms } }";
const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";

/// A target that repeats what failed, with pauses so short.
fn repeating(endpoint: &Endpoint) -> Caller {
    Caller::with_breaker(endpoint, &format!("{RETRY}, {NINE}"))
}

/// A target that pauses for long before it repeats.
fn pausing(endpoint: &Endpoint) -> Caller {
    let long = "retry: { backoff: { base: 300ms, max: 300ms, jitter: none } }";
    Caller::with_breaker(endpoint, &format!("{long}, {NINE}"))
}

/// Number of outcomes that came after the breaker had moved.
fn late(caller: &Caller) -> u64 {
    let now = caller.worker.clock.exact();
    caller.breaker().snapshot(now).totals.late
}

/// Asks, while an operator opens the breaker in the pause.
async fn ask_in_vain(caller: &Caller, service: &Service) -> Result<Response<Bytes>, Box<NoAnswer>> {
    let request = caller.request("/");
    let asked = fetch(&caller.target, request, &ONCE, &caller.worker);
    let opened = async {
        while service.seen().0 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = caller.worker.clock.exact();
        caller.breaker().hold(Hold::open("a drill", "a test"), now);
    };
    tokio::join!(asked, opened).0
}

#[tokio::test]
async fn the_answer_that_failed_goes_out_if_its_repeat_is_called_off() {
    let service = Service::start(|_, _| BUSY).await;
    let caller = pausing(&service.endpoint);
    let answer = ask_in_vain(&caller, &service).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.body()[..]),
        (503, &b"busy"[..])
    );
    assert_eq!(service.seen().0, 1);
    // One outcome, of a time before the hold.
    assert_eq!(late(&caller), 1);
}

#[tokio::test]
async fn an_answer_that_breaks_off_while_it_is_held_is_mended_by_its_repeat_or_is_the_end() {
    const CUT: &str = "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 9\r\n\r\nabc";
    let service = Service::start(|number, _| if number == 1 { CUT } else { OK }).await;
    let caller = repeating(&service.endpoint);
    assert_eq!(caller.get().await.unwrap(), 200);
    assert_eq!(caller.counts(), [1, 0, 0]);
    let service = Service::start(|_, _| CUT).await;
    let caller = pausing(&service.endpoint);
    let got = ask_in_vain(&caller, &service).await.unwrap_err().fault;
    assert!(matches!(got, Fault::BrokenHeld(_)), "{got:?}");
    assert_eq!(late(&caller), 1);
}

#[tokio::test]
async fn a_failed_answer_that_is_too_long_to_be_held_is_the_answer() {
    let patient = Policy {
        body_max: 100_000,
        ..ONCE
    };
    for length in ["Content-Length: 70000", "Connection: close"] {
        let answer = format!(
            "HTTP/1.1 503 Busy\r\n{length}\r\n\r\n{}",
            "a".repeat(70_000)
        );
        let answer: &'static str = answer.leak();
        let service = Service::start(move |_, _| answer).await;
        let caller = repeating(&service.endpoint);
        let request = caller.request("/");
        let got = fetch(&caller.target, request, &patient, &caller.worker).await;
        assert_eq!(got.unwrap().body().len(), 70_000, "{length}");
        assert_eq!(service.seen().0, 1);
        assert_eq!(caller.counts(), [0, 1, 0]);
    }
}

#[tokio::test]
async fn a_held_answer_over_our_limit_is_no_answer() {
    let service = Service::start(|_, _| BUSY).await;
    let caller = pausing(&service.endpoint);
    let small = Policy {
        body_max: 1,
        ..ONCE
    };
    let got = caller.ask("/", &small).await;
    assert!(matches!(got, Err(Fault::TooLarge)), "{got:?}");
}

#[tokio::test]
async fn an_answer_is_held_no_longer_than_its_call_has_time() {
    let service = Service::start(|_, _| "HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nabc…").await;
    let caller = repeating(&service.endpoint);
    let hasty = Policy {
        total: Some(Duration::from_millis(100)),
        ..ONCE
    };
    let got = caller.ask("/", &hasty).await;
    assert!(matches!(got, Err(Fault::Timeout)), "{got:?}");
    assert_eq!(service.seen().0, 1);
    assert_eq!(caller.counts(), [0, 1, 0]);
}

#[tokio::test]
async fn a_post_that_a_redirect_leads_to_a_closed_port_has_been_sent() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let answer = format!(
        "HTTP/1.1 307 There\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:{port}/\r\n\r\n"
    );
    let answer: &'static str = answer.leak();
    let service = Service::start(move |_, _| answer).await;
    let caller = repeating(&service.endpoint);
    for (method, requests) in [(Method::POST, 1), (Method::PUT, 3)] {
        let before = service.seen().0;
        let request = Outbound {
            method,
            ..caller.request("/")
        };
        let none = fetch(&caller.target, request, &ONCE, &caller.worker).await;
        let none = none.unwrap_err();
        assert!(matches!(none.fault, Fault::Unconnected(_)), "{none:?}");
        assert_eq!(none.request.endpoint.port, port, "the last request made");
        assert_eq!(service.seen().0, before + requests);
    }
}

#[tokio::test]
async fn all_requests_of_an_attempt_share_its_time() {
    let service = Service::start(|_, path| match path {
        "/a" => "HTTP/1.1 302 Found\r\nLocation: b\r\nContent-Length: 4\r\n\r\ngo…",
        _ => "HTTP/1.1…",
    })
    .await;
    // The redirect's body, which does not come to its end, is waited for a second.
    let caller = Caller::with_breaker(
        &service.endpoint,
        &format!("timeout: {{ total: 1100ms }}, {NINE}"),
    );
    let began = Instant::now();
    let got = caller.ask("/a", &ONCE).await;
    assert!(matches!(got, Err(Fault::Timeout)), "{got:?}");
    assert!(
        began.elapsed() < Duration::from_millis(1900),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_call_waits_for_its_place_in_the_bulkhead_and_asks_an_open_breaker_first() {
    let service = Service::start(|_, path| match path {
        "/hang" => "HTTP/1.1…",
        _ => BAD,
    })
    .await;
    let one = "bulkhead: { concurrent: 1, queued: 1, queue_for: 30ms }";
    let caller = Caller::with_breaker(&service.endpoint, &format!("{one}, {THREE}"));
    {
        let mut first = pin!(caller.ask("/hang", &ONCE));
        let begun = poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending()));
        assert!(begun.await);
        let (queued, full) = tokio::join!(caller.get(), caller.get());
        assert_eq!(
            queued.unwrap_err().to_string(),
            "the bulkhead of `t` refused the call: no place became free in time (queue_timeout)"
        );
        assert!(matches!(full, Err(Fault::Full(_, why)) if why.as_str() == "bulkhead_full"));
    }
    // The call that was given up says nothing, and those that were refused even less.
    assert_eq!(caller.counts(), [0, 0, 1]);
    for _ in 0..3 {
        assert_eq!(caller.get().await.unwrap(), 500);
    }
    let places = &caller.target.calls.bulkhead.as_ref().unwrap().places;
    let _taken = places.try_enter().unwrap();
    refused(caller.get().await);
    assert_eq!(places.queued(), 0);
}
