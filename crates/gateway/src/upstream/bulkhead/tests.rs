//! Places, the queue and the limits of a bulkhead, on virtual time.

use std::future::{pending, ready};

use super::*;

fn bounds(queued_max: usize) -> BulkheadBounds {
    BulkheadBounds {
        queued_max,
        queue_for: Duration::from_millis(200),
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_places_and_queue_a_call_is_refused_at_once_and_in_the_queue_after_its_time() {
    let bulkhead = Bulkhead::new(2, 1);
    let first = bulkhead.enter(bounds(1), pending()).await.unwrap();
    let second = bulkhead.enter(bounds(1), pending()).await.unwrap();
    let third = tokio::spawn({
        let bulkhead = bulkhead.clone();
        async move { bulkhead.enter(bounds(1), pending()).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(bulkhead.queued(), 1);
    let full = bulkhead.enter(bounds(1), pending()).await.unwrap_err();
    assert_eq!(full, Full::BulkheadFull);
    assert_eq!(third.await.unwrap().unwrap_err(), Full::QueueTimeout);
    assert_eq!((bulkhead.in_flight(), bulkhead.queued()), (2, 0));
    assert_eq!(Full::ALL.map(|why| bulkhead.rejected(why)), [1, 1]);
    drop((first, second));
    assert_eq!(bulkhead.in_flight(), 0);
    assert!(bulkhead.try_enter().is_some());
}

#[tokio::test(start_paused = true)]
async fn who_waits_gets_the_place_before_who_comes_later() {
    let bulkhead = Bulkhead::new(1, 1);
    let first = bulkhead.try_enter().unwrap();
    let waiting = tokio::spawn({
        let bulkhead = bulkhead.clone();
        async move { bulkhead.enter(bounds(1), pending()).await }
    });
    tokio::task::yield_now().await;
    drop(first);
    assert!(bulkhead.try_enter().is_none(), "the place is promised");
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_the_queue_frees_its_turn() {
    let bulkhead = Bulkhead::new(1, 1);
    let first = bulkhead.try_enter().unwrap();
    assert!(bulkhead.enter(bounds(1), ready(())).await.is_err());
    assert_eq!(bulkhead.queued(), 0);
    drop(first);
    assert!(bulkhead.try_enter().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_place_that_passes_to_one_in_the_queue_takes_no_room_there() {
    let bulkhead = Bulkhead::new(1, 1);
    let first = bulkhead.try_enter().unwrap();
    let enter = || {
        let bulkhead = bulkhead.clone();
        tokio::spawn(async move { bulkhead.enter(bounds(1), pending()).await })
    };
    let second = enter();
    tokio::task::yield_now().await;
    drop(first);
    // The second one has the place, and has not noticed it yet.
    assert_eq!(bulkhead.queued(), 1);
    let third = enter();
    drop(second.await.unwrap().unwrap());
    drop(third.await.unwrap().unwrap());
    assert_eq!((bulkhead.in_flight(), bulkhead.queued()), (0, 0));
    assert_eq!(Full::ALL.map(|why| bulkhead.rejected(why)), [0, 0]);
}

#[test]
fn a_stream_frees_its_calls_place_while_there_is_room_for_streams() {
    let bulkhead = Bulkhead::new(1, 1);
    let mut stream = bulkhead.try_enter().unwrap();
    stream.become_stream();
    stream.become_stream();
    let mut other = bulkhead.try_enter().unwrap();
    other.become_stream();
    assert!(bulkhead.try_enter().is_none(), "the streams are full");
    drop(stream);
    assert!(bulkhead.try_enter().is_none());
    drop(other);
    assert_eq!(bulkhead.in_flight(), 0);
    assert!(bulkhead.try_enter().is_some());
}

#[test]
fn a_lower_limit_takes_places_away_as_calls_end_and_a_higher_one_gives_them_back() {
    let bulkhead = Bulkhead::new(3, 1);
    let calls: Vec<_> = (0..3).map(|_| bulkhead.try_enter().unwrap()).collect();
    bulkhead.resize(1, 1);
    bulkhead.resize(2, 1);
    let mut calls = calls.into_iter();
    drop(calls.next());
    assert!(bulkhead.try_enter().is_none(), "two are still in flight");
    drop(calls.next());
    let call = bulkhead.try_enter().unwrap();
    assert!(bulkhead.try_enter().is_none());
    drop((call, calls));
    bulkhead.resize(4, 1);
    let calls: Vec<_> = (0..4).map(|_| bulkhead.try_enter().unwrap()).collect();
    assert!(bulkhead.try_enter().is_none());
    drop(calls);
}
