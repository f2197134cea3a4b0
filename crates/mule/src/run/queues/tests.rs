//! Messages in order, over a reload and a restart, and within a time limit.

use super::*;
use crate::Value;
use crate::run::fixtures;
use fusebox_store::{Limits, MemoryStore, SystemClock};
use futures_util::FutureExt as _;

fn store() -> StoreHandle {
    let store = MemoryStore::new(Limits::default(), Arc::new(SystemClock));
    StoreHandle(Arc::new(store))
}

fn plan(name: &str, persistent: bool, max: Option<usize>) -> Queue {
    let name = name.into();
    Queue {
        name,
        persistent,
        max,
    }
}

fn queue(store: &StoreHandle, persistent: bool, max: Option<usize>) -> LiveQueue {
    LiveQueue::new(&plan("q", persistent, max), store)
}

async fn taken(queue: &LiveQueue) -> Option<Value> {
    let waiting = queue.next().await;
    let message = queue.open(waiting).await.unwrap();
    message.map(|message| message.payload.value)
}

const WAIT: Duration = Duration::from_secs(5);

async fn put(queue: &LiveQueue, payload: impl Into<Value>) -> Published {
    let parcel = Parcel {
        payload: Typed::java(payload.into()),
        correlation_id: None,
        reply_to: None,
    };
    queue.publish(parcel, WAIT).await
}

#[tokio::test(start_paused = true)]
async fn a_message_is_taken_if_one_comes_in_time() {
    for persistent in [false, true] {
        let queue = queue(&store(), persistent, None);
        put(&queue, 1).await.unwrap();
        let consume = async |wait| {
            let parcel = queue.consume(wait).await.unwrap();
            parcel.map(|parcel| parcel.payload.value)
        };
        assert_eq!(consume(Duration::ZERO).await, Some(1.into()));
        assert_eq!(consume(WAIT).await, None);
        let (late, _) = tokio::join!(consume(WAIT), async {
            tokio::time::sleep(WAIT / 2).await;
            put(&queue, 2).await
        });
        assert_eq!(late, Some(2.into()));
    }
}

#[tokio::test]
async fn messages_come_out_in_order_and_make_room() {
    for persistent in [false, true] {
        let queue = queue(&store(), persistent, Some(2));
        put(&queue, 1).await.unwrap();
        put(&queue, "two").await.unwrap();
        {
            let mut third = std::pin::pin!(put(&queue, 3));
            assert!(third.as_mut().now_or_never().is_none());
            assert_eq!(taken(&queue).await, Some(1.into()));
            third.await.unwrap();
        }
        assert_eq!(taken(&queue).await, Some("two".into()));
        assert_eq!(taken(&queue).await, Some(3.into()));
    }
}

#[tokio::test]
async fn a_persistent_queue_is_found_again_with_what_is_in_it() {
    let store = store();
    let before = queue(&store, true, None);
    for number in 1..=3 {
        put(&before, number).await.unwrap();
    }
    assert_eq!(taken(&before).await, Some(1.into()));
    let after = queue(&store, true, None);
    put(&after, 4).await.unwrap();
    for number in 2..=4 {
        assert_eq!(taken(&after).await, Some(number.into()));
    }
    // What another process has taken is not delivered twice.
    assert_eq!(taken(&before).await, None);
}

#[tokio::test]
async fn a_queue_goes_on_over_a_reload_and_says_what_is_lost_with_it() {
    let app = |queues: &[(&str, Option<usize>)]| {
        let queues = queues.iter().map(|(name, max)| plan(name, false, *max));
        fixtures::app(Default::default(), queues.collect())
    };
    let (store, mut lost) = (store(), Vec::new());
    let both = app(&[("q", Some(1)), ("r", None)]);
    let first = Queues::new(&both, &store, None, &mut lost);
    for name in ["q", "r"] {
        let queue = first.find(name).unwrap();
        put(queue, 1).await.unwrap();
    }
    let app = app(&[("q", Some(2))]);
    let second = Queues::new(&app, &store, Some(&first), &mut lost);
    assert_eq!(lost, ["queue r: removed with its messages: 1"]);
    let queue = second.find("q").unwrap();
    put(queue, 2).await.unwrap();
    assert!(put(queue, 3).now_or_never().is_none());
    assert_eq!(taken(queue).await, Some(1.into()));
    assert_eq!(taken(queue).await, Some(2.into()));
}

#[tokio::test]
async fn whoever_waits_hears_of_each_message() {
    let queue = Arc::new(queue(&store(), false, None));
    let waiting = [(); 3].map(|()| {
        let queue = queue.clone();
        tokio::spawn(async move { taken(&queue).await })
    });
    for number in 0..3 {
        put(&queue, number).await.unwrap();
    }
    for one in waiting {
        assert!(one.await.unwrap().is_some());
    }
}
