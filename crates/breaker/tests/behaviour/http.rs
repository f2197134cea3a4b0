//! HTTP behind a breaker: the end of the call is the end of its body.

use std::collections::VecDeque;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use fusebox_breaker::{
    BoxError, Boxed, BreakerHttpLayer, Call, CallError, Cooldown, Guard, Guards,
    KeyedBreakerHttpLayer, OnAbandoned, Outcome, Phase, Refused, Registry, RetryAfter, Rule,
    Settings, Totals,
    layers::{ByStatus, GuardedBody},
};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use tower_layer::Layer;
use tower_service::Service;

use crate::kit::*;
use crate::ways_in::{Hand, now_or_never};

/// What a body does when it is polled.
#[derive(Clone, Debug)]
enum Step {
    Data,
    Trailers(&'static str, &'static str),
    Wait,
    Cut,
    Panic,
}

/// A body that does these steps one after the other, and then ends.
#[derive(Clone, Debug)]
struct Script {
    steps: VecDeque<Step>,
    /// Whether it knows after the last step that nothing comes any more.
    knows_its_end: bool,
}

#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body was cut")
    }
}

impl std::error::Error for Cut {}

impl Body for Script {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"data"))))),
            Some(Step::Trailers(name, value)) => {
                let mut trailers = HeaderMap::new();
                trailers.insert(name, value.parse().unwrap());
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Some(Step::Wait) => Poll::Pending,
            Some(Step::Cut) => Poll::Ready(Some(Err(Cut))),
            Some(Step::Panic) => panic!("the body went wrong"),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.knows_its_end && self.steps.is_empty()
    }
}

fn script(steps: impl IntoIterator<Item = Step>) -> Script {
    Script {
        steps: steps.into_iter().collect(),
        knows_its_end: false,
    }
}

type Answer = Result<Response<Script>, &'static str>;

/// Answers each request with what it is asked to.
#[derive(Clone)]
struct Inner;

impl Service<Request<Answer>> for Inner {
    type Response = Response<Script>;
    type Error = &'static str;
    type Future = Ready<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Answer>) -> Self::Future {
        ready(request.into_body())
    }
}

/// A response of that status and those fields.
fn respond(status: u16, fields: &[(&str, &str)], body: Script) -> Answer {
    let mut builder = Response::builder().status(status);
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    Ok(builder.body(body).unwrap())
}

type Guarded = GuardedBody<Script, ByStatus, Arc<Hand>>;
type HandGuard = Guard<fusebox_breaker::ErrorsFail, Arc<Hand>>;

struct Upstream {
    guard: HandGuard,
    hand: Arc<Hand>,
}

fn upstream(settings: Settings) -> Upstream {
    let hand = Arc::new(Hand::default());
    let guard = Guard::of(breaker(settings)).clock(hand.clone());
    Upstream { guard, hand }
}

impl Upstream {
    fn call(&self, answer: Answer) -> Result<Response<Guarded>, CallError<Boxed>> {
        let mut service = BreakerHttpLayer::new(self.guard.clone()).layer(Inner);
        now_or_never(service.call(Request::new(answer))).expect("answers at once")
    }

    fn body(&self, steps: impl IntoIterator<Item = Step>) -> Guarded {
        self.answer(200, steps)
    }

    fn answer(&self, status: u16, steps: impl IntoIterator<Item = Step>) -> Guarded {
        let response = self.call(respond(status, &[], script(steps)));
        response.unwrap().into_body()
    }

    fn totals(&self) -> (u64, u64, u64) {
        let Totals {
            successes,
            failures,
            ignored,
            ..
        } = self.guard.breaker().snapshot(self.guard.now()).totals;
        (successes, failures, ignored)
    }

    fn phase(&self) -> Phase {
        self.guard.breaker().snapshot(self.guard.now()).phase
    }
}

/// A rule that counts successes too.
fn counting() -> Settings {
    by_rule(Rule::FailureRate {
        rate: fusebox_breaker::Ratio::ONE,
        over: fusebox_breaker::Over::Calls(1_000),
        min_calls: 1_000,
    })
}

type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

/// Polls a body once.
fn poll<B: Body + Unpin>(body: &mut B) -> Polled<B> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// Reads a body until it ends or fails.
fn read<B: Body + Unpin>(mut body: B) -> Result<usize, B::Error> {
    let mut frames = 0;
    loop {
        match poll(&mut body) {
            Poll::Ready(Some(frame)) => frame.map(|_| frames += 1)?,
            Poll::Ready(None) => return Ok(frames),
            Poll::Pending => {}
        }
    }
}

#[test]
fn a_body_that_is_cut_is_a_failure_every_time() {
    let upstream = upstream(in_a_row(20));
    for count in 0..20 {
        assert_eq!(upstream.totals().1, count);
        let body = upstream.body([Step::Data, Step::Wait, Step::Cut]);
        assert_eq!(upstream.totals().1, count, "not before it is cut");
        assert!(read(body).is_err());
    }
    assert_eq!(upstream.phase(), Phase::Open);
    let reason = upstream.guard.breaker().snapshot(at(0)).reason.unwrap();
    assert_eq!(
        reason.to_string(),
        "20 consecutive failures: 20 × truncated (the limit is 20)"
    );
}

#[test]
fn a_call_succeeds_when_its_body_has_ended_and_not_before() {
    let upstream = upstream(counting());
    let mut body = upstream.body([Step::Data, Step::Wait, Step::Data]);
    for _ in 0..3 {
        let _ = poll(&mut body);
        assert_eq!(upstream.totals(), (0, 0, 0));
    }
    assert!(poll(&mut body).is_ready());
    assert_eq!(upstream.totals(), (1, 0, 0));
    drop(body);
    assert_eq!(upstream.totals(), (1, 0, 0));
}

#[test]
fn a_body_that_knows_its_end_ends_the_call_with_the_last_frame_or_at_once() {
    let upstream = upstream(counting());
    let knows = |steps: &[Step]| Script {
        knows_its_end: true,
        ..script(steps.iter().cloned())
    };
    let response = upstream.call(respond(204, &[], knows(&[])));
    assert_eq!(upstream.totals(), (1, 0, 0));
    assert!(response.unwrap().body().is_end_stream());
    let response = upstream.call(respond(200, &[], knows(&[Step::Data, Step::Data])));
    let mut body = response.unwrap().into_body();
    assert!(poll(&mut body).is_ready());
    assert_eq!(upstream.totals(), (1, 0, 0));
    assert!(poll(&mut body).is_ready());
    // Nobody asks such a body once more.
    assert_eq!(upstream.totals(), (2, 0, 0));
}

#[test]
fn a_body_dropped_before_its_end_is_ignored() {
    let upstream = upstream(counting());
    let mut body = upstream.body([Step::Data, Step::Wait, Step::Data]);
    let _ = poll(&mut body);
    drop(body);
    assert_eq!(upstream.totals(), (0, 0, 1));
}

#[test]
fn a_caller_who_wants_no_more_than_the_head_is_judged_by_it() {
    let upstream = upstream(counting());
    drop(upstream.body([Step::Data]));
    assert_eq!(upstream.totals(), (1, 0, 0));
    drop(upstream.answer(500, [Step::Data]));
    assert_eq!(upstream.totals(), (1, 1, 0));
    let mut begun = upstream.answer(500, [Step::Data, Step::Wait]);
    let _ = poll(&mut begun);
    drop(begun);
    assert_eq!(upstream.totals(), (1, 2, 0));
}

#[test]
fn a_body_given_up_after_waiting_so_long_for_the_other_side_is_a_failure() {
    let upstream = upstream(Settings {
        on_abandoned: OnAbandoned::FailureAfter(ms(1_000)),
        ..in_a_row(100)
    });
    // The caller reads slowly: that is its own time.
    let mut body = upstream.body([Step::Data, Step::Wait, Step::Data, Step::Data]);
    assert!(poll(&mut body).is_ready());
    upstream.hand.set(60_000);
    assert!(poll(&mut body).is_pending());
    upstream.hand.set(60_999);
    assert!(poll(&mut body).is_ready());
    upstream.hand.set(120_000);
    drop(body);
    assert_eq!(upstream.totals(), (0, 0, 1));
    // The other side is waited for.
    for (waited, failures) in [(999, 0), (1_000, 1)] {
        upstream.hand.set(200_000);
        let mut body = upstream.body([Step::Wait, Step::Wait, Step::Data]);
        assert!(poll(&mut body).is_pending());
        upstream.hand.set(200_000 + waited / 2);
        assert!(poll(&mut body).is_pending());
        upstream.hand.set(200_000 + waited);
        drop(body);
        assert_eq!(upstream.totals().1, failures);
    }
}

#[test]
fn a_head_given_up_by_an_outer_timeout_after_so_long_is_a_failure() {
    let upstream = upstream(Settings {
        on_abandoned: OnAbandoned::FailureAfter(ms(1_000)),
        ..in_a_row(100)
    });
    let hangs = tower::service_fn(|_: ()| std::future::pending::<Answer>());
    let mut service = BreakerHttpLayer::new(upstream.guard.clone()).layer(hangs);
    for (lasted, totals) in [(999, (0, 0, 1)), (1_000, (0, 1, 1))] {
        upstream.hand.set(10_000);
        let mut call = Box::pin(service.call(()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        upstream.hand.set(10_000 + lasted);
        drop(call);
        assert_eq!(upstream.totals(), totals);
    }
}

#[test]
fn a_probes_place_is_held_until_its_body_has_ended() {
    let upstream = upstream(in_a_row(1));
    assert!(upstream.call(Err("down")).is_err());
    upstream.hand.set(1_000);
    let probe = upstream.body([Step::Data]);
    assert_eq!(upstream.phase(), Phase::HalfOpen);
    let refused = upstream.call(Err("not asked")).unwrap_err();
    assert_eq!(
        refused.refused().unwrap().reason.as_str(),
        "breaker_probing"
    );
    assert_eq!(read(probe).unwrap(), 1);
    assert_eq!(upstream.phase(), Phase::Closed);
}

#[test]
fn a_cut_probe_opens_again() {
    let upstream = upstream(in_a_row(1));
    assert!(upstream.call(Err("down")).is_err());
    upstream.hand.set(1_000);
    assert!(read(upstream.body([Step::Data, Step::Cut])).is_err());
    assert_eq!(upstream.phase(), Phase::Open);
}

#[test]
fn a_stream_without_end_settles_after_it_has_flowed_for_so_long() {
    let mut settings = in_a_row(1);
    settings.half_open.probe_timeout = ms(60_000);
    let upstream = upstream(settings);
    assert!(upstream.call(Err("down")).is_err());
    upstream.hand.set(1_000);
    let layer = BreakerHttpLayer::new(upstream.guard.clone()).settle_after(ms(5_000));
    let steps = [Step::Data, Step::Wait, Step::Data, Step::Cut];
    let response = respond(200, &[], script(steps));
    let call = layer.layer(Inner).call(Request::new(response));
    let mut body = now_or_never(call).unwrap().unwrap().into_body();
    upstream.hand.set(5_999);
    assert!(poll(&mut body).is_ready());
    assert!(poll(&mut body).is_pending());
    assert_eq!(upstream.phase(), Phase::HalfOpen);
    upstream.hand.set(6_000);
    assert!(poll(&mut body).is_ready());
    assert_eq!(upstream.phase(), Phase::Closed);
    assert!(poll(&mut body).is_ready(), "is cut");
    assert_eq!(upstream.phase(), Phase::Closed);
}

#[test]
fn a_body_that_panics_is_a_failure_though_it_is_kept_and_its_owner_that_panics_is_not() {
    let upstream = upstream(in_a_row(100));
    let mut body = upstream.body([Step::Panic]);
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut body).is_ready())).is_err());
    assert_eq!(upstream.totals(), (0, 1, 0));
    let owner = catch_unwind(AssertUnwindSafe(|| {
        let _body = upstream.body([Step::Data]);
        panic!("a fault of the owner's");
    }));
    assert!(owner.is_err());
    assert_eq!(upstream.totals(), (0, 1, 1));
}

#[test]
fn a_status_of_500_and_above_is_a_failure_at_the_end_of_its_body() {
    let upstream = upstream(counting());
    for status in [200, 204, 302, 404, 429, 499] {
        let response = upstream.call(respond(status, &[], script([Step::Data])));
        read(response.unwrap().into_body()).unwrap();
    }
    assert_eq!(upstream.totals(), (6, 0, 0));
    for status in [500, 503, 599] {
        let response = upstream.call(respond(status, &[], script([Step::Data])));
        let response = response.unwrap();
        assert_eq!(response.status(), status);
        read(response.into_body()).unwrap();
    }
    assert_eq!(upstream.totals(), (6, 3, 0));
    assert!(upstream.call(Err("down")).is_err());
    assert_eq!(upstream.totals(), (6, 4, 0));
}

#[test]
fn retry_after_of_a_503_sets_the_cooldown_and_of_a_429_may_trip() {
    let patient = |retry_after| Settings {
        retry_after,
        cooldown: Cooldown {
            max: ms(60_000),
            ..Cooldown::fixed(ms(1_000))
        },
        ..in_a_row(1)
    };
    let upstream_503 = upstream(patient(RetryAfter::Honour));
    let busy = respond(503, &[("retry-after", "7")], script([]));
    read(upstream_503.call(busy).unwrap().into_body()).unwrap();
    let snapshot = upstream_503.guard.breaker().snapshot(at(0));
    assert_eq!(snapshot.retry_at, Some(at(7_000)));
    let upstream_429 = upstream(patient(RetryAfter::Trip));
    let date = [
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"),
    ];
    let found = respond(200, &date, script([]));
    read(upstream_429.call(found).unwrap().into_body()).unwrap();
    assert_eq!(upstream_429.phase(), Phase::Closed, "no word of a 200");
    let busy = respond(429, &date, script([]));
    read(upstream_429.call(busy).unwrap().into_body()).unwrap();
    let snapshot = upstream_429.guard.breaker().snapshot(at(0));
    assert_eq!(snapshot.retry_at, Some(at(10_000)));
}

const GRPC: (&str, &str) = ("content-type", "application/grpc+proto");

#[test]
fn grpc_is_judged_by_its_status_in_trailers_or_in_the_head() {
    let upstream = upstream(counting());
    let in_trailers = |status| {
        let body = script([Step::Data, Step::Trailers("grpc-status", status)]);
        read(
            upstream
                .call(respond(200, &[GRPC], body))
                .unwrap()
                .into_body(),
        )
        .unwrap();
        upstream.totals()
    };
    assert_eq!(in_trailers("0"), (1, 0, 0));
    assert_eq!(in_trailers("5"), (2, 0, 0));
    assert_eq!(in_trailers("14"), (2, 1, 0));
    assert_eq!(in_trailers("13"), (2, 2, 0));
    assert_eq!(in_trailers("1"), (2, 2, 1));
    let in_head = |status| {
        let answer = respond(200, &[GRPC, ("grpc-status", status)], script([]));
        read(upstream.call(answer).unwrap().into_body()).unwrap();
        upstream.totals()
    };
    assert_eq!(in_head("3"), (3, 2, 1));
    assert_eq!(in_head("4"), (3, 3, 1));
    let none = respond(200, &[GRPC], script([Step::Data]));
    read(upstream.call(none).unwrap().into_body()).unwrap();
    assert_eq!(upstream.totals(), (3, 4, 1), "ended without a status");
}

#[test]
fn trailers_end_the_call_and_reach_the_caller() {
    let upstream = upstream(counting());
    let mut body = upstream.body([Step::Trailers("checksum", "42")]);
    let Poll::Ready(Some(Ok(frame))) = poll(&mut body) else {
        panic!("a frame");
    };
    assert_eq!(frame.trailers_ref().unwrap()["checksum"], "42");
    assert_eq!(upstream.totals(), (1, 0, 0));
}

#[test]
fn a_closure_judges_heads_and_needs_no_types() {
    let upstream = upstream(counting());
    let layer =
        BreakerHttpLayer::new(upstream.guard.clone()).classify(|status, headers| match status {
            StatusCode::NOT_FOUND => Call::from(Outcome::Ignored),
            _ if headers.contains_key("x-degraded") => Outcome::Failure.into(),
            _ => Outcome::Success.into(),
        });
    let ask = |answer: Answer| {
        let call = layer.layer(Inner).call(Request::new(answer));
        let _ = read(now_or_never(call).unwrap().unwrap().into_body());
        upstream.totals()
    };
    assert_eq!(ask(respond(404, &[], script([]))), (0, 0, 1));
    assert_eq!(ask(respond(404, &[], script([Step::Cut]))), (0, 0, 2));
    assert_eq!(
        ask(respond(200, &[("x-degraded", "1")], script([]))),
        (0, 1, 2)
    );
    assert_eq!(ask(respond(503, &[], script([]))), (1, 1, 2));
    assert_eq!(ask(respond(200, &[], script([Step::Cut]))), (1, 2, 2));
}

#[test]
fn a_call_is_slow_by_the_time_to_its_head_and_stalls_no_longer() {
    let slow = upstream(by_rule(Rule::SlowRate {
        rate: fusebox_breaker::Ratio::ONE,
        slower_than: ms(100),
        over: fusebox_breaker::Over::Calls(1),
        min_calls: 1,
    }));
    let body = slow.body([Step::Data]);
    slow.hand.set(10_000);
    read(body).unwrap();
    assert_eq!(slow.phase(), Phase::Closed);
    let stalls = upstream(by_rule(Rule::Stalled {
        calls: 1,
        longer_than: ms(500),
    }));
    let body = stalls.body([Step::Data]);
    stalls.hand.set(10_000);
    stalls.guard.breaker().tick(at(10_000));
    assert_eq!(stalls.phase(), Phase::Closed);
    read(body).unwrap();
}

#[test]
fn each_request_is_guarded_by_the_breaker_of_its_own_key() {
    let hand = Arc::new(Hand::default());
    let guards = Guards::new(Registry::new("hosts", in_a_row(1)).unwrap()).clock(hand);
    let layer = KeyedBreakerHttpLayer::new(guards.clone(), |request: &Request<Answer>| {
        request.uri().host().unwrap_or("-").to_owned()
    });
    let ask = |host: &str, answer: Answer| {
        let request = Request::builder().uri(format!("http://{host}/"));
        let call = layer.layer(Inner).call(request.body(answer).unwrap());
        let response = now_or_never(call).unwrap()?;
        read(response.into_body()).map_err(|error| CallError::Failed(error).boxed())
    };
    assert!(ask("a", respond(200, &[], script([Step::Cut]))).is_err());
    let refused = ask("a", respond(200, &[], script([]))).unwrap_err();
    assert_eq!(&**refused.refused().unwrap().breaker(), "hosts/a");
    assert_eq!(
        ask("b", respond(200, &[], script([Step::Data]))).unwrap(),
        1
    );
}

#[test]
fn a_refusal_by_a_breaker_further_inside_says_nothing_about_the_other_side() {
    let (outer, inner) = (upstream(in_a_row(1)), upstream(in_a_row(1)));
    assert!(inner.call(Err("down")).is_err());
    let service = BreakerHttpLayer::new(inner.guard.clone()).layer(Inner);
    let mut service = BreakerHttpLayer::new(outer.guard.clone()).layer(service);
    let answer = respond(200, &[], script([]));
    let error = now_or_never(service.call(Request::new(answer)))
        .unwrap()
        .unwrap_err();
    assert!(Refused::find_in(&error).is_some());
    assert_eq!((outer.phase(), outer.totals()), (Phase::Closed, (0, 0, 1)));
}

/// What `tonic`'s clients and `axum`'s routes ask of a service.
#[test]
fn a_call_without_a_response_has_a_cause_whatever_its_error() {
    use fusebox_breaker::ClassifyHttp as _;
    let cause = |error: &(dyn std::error::Error + 'static)| {
        let call = ByStatus.error(error);
        (call.outcome, call.cause.unwrap().to_string())
    };
    let failed = |cause: &str| (Outcome::Failure, cause.to_owned());
    assert_eq!(cause(&Cut), failed("no response"));
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    assert_eq!(cause(&refused), failed("refused"));
    let other = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    assert_eq!(cause(&other), failed("no response"));
}

fn suits_tonic_and_axum<S, Q, B>(_: &S)
where
    S: Service<Request<Q>, Response = Response<B>, Error: Into<BoxError>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
}

#[test]
fn the_service_suits_tonic_and_axum() {
    let guard = Guard::new("orders", Settings::default()).unwrap();
    suits_tonic_and_axum::<_, Answer, _>(&BreakerHttpLayer::new(guard).layer(Inner));
}

/// A connection of `hyper`'s over which a server sends these bytes and then hangs up.
async fn asked_of(sent: &'static [u8], guard: &Guard) -> Result<usize, BoxError> {
    use http_body_util::{BodyExt, Empty};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (client, mut server) = tokio::io::duplex(4_096);
    let server = tokio::spawn(async move {
        let _ = server.read(&mut [0; 1_024]).await;
        server.write_all(sent).await
    });
    let io = hyper_util::rt::TokioIo::new(client);
    let (sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    tokio::spawn(connection);
    let sender = Arc::new(tokio::sync::Mutex::new(sender));
    let client = tower::service_fn(move |request: Request<Empty<Bytes>>| {
        let sender = sender.clone();
        async move { sender.lock().await.send_request(request).await }
    });
    let mut service = BreakerHttpLayer::new(guard.clone()).layer(client);
    let request = Request::builder().uri("/").header("host", "orders");
    let response = service.call(request.body(Empty::new())?).await?;
    let collected = response.into_body().collect().await;
    server.await??;
    Ok(collected?.to_bytes().len())
}

#[test]
fn bodies_that_hypers_peer_cuts_open_the_breaker_and_whole_ones_do_not() {
    let guard = Guard::new("orders", in_a_row(2)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndata";
        let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\ndata";
        assert_eq!(asked_of(whole, &guard).await.unwrap(), 4);
        assert!(asked_of(cut, &guard).await.is_err());
        assert_eq!(asked_of(whole, &guard).await.unwrap(), 4);
        for _ in 0..2 {
            assert!(asked_of(cut, &guard).await.is_err());
        }
        let refused = asked_of(whole, &guard).await.unwrap_err();
        assert!(Refused::find_in(&*refused).is_some());
    });
}
