//! The layers among tower's own: buffer, timeout and load shedding, outside and inside.

use std::future::{Ready, pending, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use fusebox_breaker::{
    BoxError, Boxed, BreakerLayer, CallError, Guard, Guards, KeyedBreakerLayer, Outcome, Phase,
    Refused, Registry,
};
use tower::buffer::BufferLayer;
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::{LoadShedLayer, error::Overloaded};
use tower::timeout::TimeoutLayer;
use tower::timeout::error::Elapsed;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::kit::*;

#[derive(Debug)]
struct Down;

impl std::fmt::Display for Down {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the line is down")
    }
}

impl std::error::Error for Down {}

/// Answers with a number, fails with an error of its own, or hangs.
#[derive(Clone)]
struct Inner;

type Answer = Pin<Box<dyn Future<Output = Result<u32, Down>> + Send>>;

impl Service<&'static str> for Inner {
    type Response = u32;
    type Error = Down;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Down>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: &'static str) -> Answer {
        match request {
            "hang" => Box::pin(pending()),
            "fail" => Box::pin(ready(Err(Down))),
            _ => Box::pin(ready(Ok(42))),
        }
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build().unwrap();
    runtime.block_on(future)
}

/// The answers to a call that fails, and to one that is refused after it.
async fn fail_and_be_refused<S>(mut service: S) -> (BoxError, BoxError)
where
    S: Service<&'static str, Response = u32, Error = BoxError>,
{
    let mut ask = async |request| service.ready().await?.call(request).await;
    assert_eq!(ask("answer").await.unwrap(), 42);
    (
        ask("fail").await.unwrap_err(),
        ask("answer").await.unwrap_err(),
    )
}

fn look_at((failed, refused): (BoxError, BoxError)) {
    let failed = failed.downcast_ref::<CallError<Boxed>>().unwrap();
    let CallError::Failed(cause) = failed else {
        panic!("{failed:?}");
    };
    assert!(cause.is::<Down>());
    let source = std::error::Error::source(failed).unwrap();
    assert!(source.is::<Down>());
    let refused = Refused::find_in(&*refused).unwrap();
    assert_eq!(&**refused.breaker(), "orders");
    assert!(refused.retry_in().is_some());
}

#[test]
fn buffer_timeout_and_load_shedding_stand_outside_the_layer() {
    let layer = || BreakerLayer::new(Guard::new("orders", in_a_row(1)).unwrap());
    let second = Duration::from_secs(60);
    block_on(async {
        let buffered = ServiceBuilder::new()
            .layer(BufferLayer::new(8))
            .layer(layer())
            .service(Inner);
        look_at(fail_and_be_refused(buffered).await);
        let timed = ServiceBuilder::new()
            .layer(TimeoutLayer::new(second))
            .layer(layer())
            .service(Inner);
        look_at(fail_and_be_refused(timed).await);
        let shedding = ServiceBuilder::new()
            .layer(LoadShedLayer::new())
            .layer(layer())
            .service(Inner);
        look_at(fail_and_be_refused(shedding).await);
        let all = ServiceBuilder::new()
            .layer(BufferLayer::new(8))
            .layer(LoadShedLayer::new())
            .layer(TimeoutLayer::new(second))
            .layer(layer())
            .layer(TimeoutLayer::new(second))
            .service(Inner);
        look_at(fail_and_be_refused(all).await);
    });
}

#[test]
fn a_timeout_inside_the_layer_is_a_failure_whose_cause_is_kept() {
    let guard = Guard::new("orders", in_a_row(1)).unwrap();
    let service = ServiceBuilder::new()
        .layer(BufferLayer::new(8))
        .layer(BreakerLayer::new(guard.clone()))
        .layer(TimeoutLayer::new(Duration::from_millis(1)));
    block_on(async {
        let error = service.service(Inner).oneshot("hang").await.unwrap_err();
        let error = error.downcast_ref::<CallError<Boxed>>().unwrap();
        assert!(std::error::Error::source(error).unwrap().is::<Elapsed>());
    });
    assert_eq!(guard.breaker().snapshot(guard.now()).phase, Phase::Open);
}

#[test]
fn the_keyed_layer_stands_among_them_too() {
    let guards = Guards::new(Registry::new("orders", in_a_row(1)).unwrap());
    let stack = ServiceBuilder::new()
        .layer(BufferLayer::new(8))
        .layer(KeyedBreakerLayer::new(guards, |_: &&'static str| "acme"))
        .layer(TimeoutLayer::new(Duration::from_secs(60)));
    let (_, refused) = block_on(async { fail_and_be_refused(stack.service(Inner)).await });
    let refused = Refused::find_in(&*refused).unwrap();
    assert_eq!(&**refused.breaker(), "orders/acme");
}

#[test]
fn a_service_that_never_fails_can_be_guarded() {
    let guard = Guard::new("orders", in_a_row(1)).unwrap();
    let never =
        tower::service_fn(|_: ()| -> Ready<Result<u32, std::convert::Infallible>> { ready(Ok(7)) });
    let service = ServiceBuilder::new()
        .layer(BreakerLayer::new(guard))
        .service(never);
    assert_eq!(block_on(service.oneshot(())).unwrap(), 7);
}

/// The word of one's own limit is ignored.
fn judge(result: &Result<u32, BoxError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Success,
        Err(error) if error.is::<Overloaded>() => Outcome::Ignored,
        Err(_) => Outcome::Failure,
    }
}

/// The answer to a second call, while the only place is taken by one that hangs.
async fn second_call<S>(stack: S) -> Option<BoxError>
where
    S: Service<&'static str, Response = u32> + Clone,
    S::Error: Into<BoxError>,
{
    let mut hanging = Box::pin(stack.clone().oneshot("hang"));
    let waits = std::future::poll_fn(|context| Poll::Ready(hanging.as_mut().poll(context)));
    assert!(waits.await.is_pending());
    let mut second = Box::pin(stack.oneshot("answer"));
    let answer = std::future::poll_fn(|context| Poll::Ready(second.as_mut().poll(context)));
    match answer.await {
        Poll::Ready(answer) => answer.err().map(Into::into),
        Poll::Pending => None,
    }
}

#[test]
fn a_limit_sheds_inside_the_layer_and_around_it_but_not_across_it() {
    let guard = Guard::new("orders", in_a_row(1)).unwrap();
    let (shed, limit) = (LoadShedLayer::new(), ConcurrencyLimitLayer::new(1));
    let inside = ServiceBuilder::new()
        .layer(BreakerLayer::new(guard.clone().classifier(judge)))
        .layer(shed.clone())
        .layer(limit.clone())
        .service(Inner);
    let around = ServiceBuilder::new()
        .layer(shed.clone())
        .layer(limit.clone())
        .layer(BreakerLayer::new(guard.clone()))
        .service(Inner);
    let across = ServiceBuilder::new()
        .layer(shed)
        .layer(BreakerLayer::new(guard.clone()))
        .layer(limit)
        .service(Inner);
    block_on(async {
        let error = second_call(inside).await.unwrap();
        let error = error.downcast_ref::<CallError<Boxed>>().unwrap();
        assert!(std::error::Error::source(error).unwrap().is::<Overloaded>());
        assert!(second_call(around).await.unwrap().is::<Overloaded>());
        assert!(second_call(across).await.is_none(), "it waits unseen");
    });
    let snapshot = guard.breaker().snapshot(guard.now());
    assert_eq!(
        (snapshot.phase, snapshot.totals.failures),
        (Phase::Closed, 0)
    );
}
