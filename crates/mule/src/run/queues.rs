//! The queues of an application: payloads that flows put in, each taken out by one consumer.
//!
//! A message of a persistent queue is an object in the gateway's store and is removed when a consumer takes it. As
//! in Mule without a transaction, a message whose flow fails afterwards is not delivered again.
//!
//! Source: [the VM connector](https://docs.mulesoft.com/vm-connector/latest/vm-reference).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fusebox_gateway::parts::StoreHandle;
use fusebox_store::{NewObject, StoreError, When};
use tokio::sync::{Notify, OnceCell, OwnedSemaphorePermit, Semaphore, oneshot};

use super::outside::{Parcel, PublishFault, Published, Reply};
use crate::app::{App, Queue};
use crate::{STORED, Typed};

/// The room of a queue without `maxOutstandingMessages`.
const MESSAGES_MAX: usize = 100_000;

/// The time limit of a store operation.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// The queues of an application.
#[derive(Debug, Default)]
pub struct Queues(Vec<Arc<LiveQueue>>);

/// A queue at run time.
#[derive(Debug)]
pub struct LiveQueue {
    name: Arc<str>,
    // A std lock, held while one message is put in or taken out.
    waiting: Mutex<VecDeque<Waiting>>,
    arrived: Notify,
    room: Arc<Semaphore>,
    /// The room in total, in messages; a reload may change it.
    room_max: AtomicUsize,
    stored: Option<QueueStore>,
}

/// The messages of a persistent queue in the store.
#[derive(Debug)]
struct QueueStore {
    store: StoreHandle,
    partition: String,
    /// The number of the next message; set once the messages of an earlier process are listed.
    next: OnceCell<AtomicU64>,
}

/// A waiting message with its permit for room.
#[derive(Debug)]
pub struct Waiting {
    message: Content,
    /// The id of the sending event, and the channel for its reply; neither outlives the process.
    correlation_id: Option<Arc<str>>,
    reply_to: Option<oneshot::Sender<Reply>>,
    _room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum Content {
    Memory(Typed),
    /// A key of the store.
    Stored(String),
}

impl Queues {
    /// Makes the queues of an application. A queue of `previous` that still fits is reused with its messages. Adds a
    /// sentence to `lost` for every queue whose messages are dropped.
    pub fn new(
        app: &App,
        store: &StoreHandle,
        previous: Option<&Queues>,
        lost: &mut Vec<String>,
    ) -> Queues {
        let queues = app.queues.iter().map(|queue| {
            let reused = previous.and_then(|previous| previous.find(&queue.name));
            match reused.filter(|reused| reused.stored.is_some() == queue.persistent) {
                Some(reused) => {
                    reused.widen(room(queue));
                    reused.clone()
                }
                None => Arc::new(LiveQueue::new(queue, store)),
            }
        });
        let queues = Queues(queues.collect());
        for old in previous.iter().flat_map(|previous| &previous.0) {
            if !queues.0.iter().any(|queue| Arc::ptr_eq(queue, old)) {
                lost.extend(old.lost());
            }
        }
        queues
    }

    /// A sentence for each queue that would lose messages if it were dropped.
    pub fn lost(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|queue| queue.lost())
    }

    /// Finds a queue by its name.
    pub fn find(&self, name: &str) -> Option<&Arc<LiveQueue>> {
        self.0.iter().find(|queue| &*queue.name == name)
    }
}

/// The room of a queue, in messages.
fn room(plan: &Queue) -> usize {
    plan.max.unwrap_or(MESSAGES_MAX).min(Semaphore::MAX_PERMITS)
}

impl LiveQueue {
    fn new(plan: &Queue, store: &StoreHandle) -> LiveQueue {
        LiveQueue {
            name: plan.name.clone(),
            waiting: Mutex::default(),
            arrived: Notify::new(),
            room: Arc::new(Semaphore::new(room(plan))),
            room_max: AtomicUsize::new(room(plan)),
            stored: plan.persistent.then(|| QueueStore {
                store: store.clone(),
                partition: format!("vm/{}", plan.name),
                next: OnceCell::new(),
            }),
        }
    }

    /// Changes the room; messages above a smaller room stay.
    fn widen(&self, room: usize) {
        let before = self.room_max.swap(room, Ordering::AcqRel);
        if room > before {
            self.room.add_permits(room - before);
        } else {
            self.room.forget_permits(before - room);
        }
    }

    /// A sentence on the messages that dropping the queue would lose. Messages of a persistent queue stay in the store.
    fn lost(&self) -> Option<String> {
        let left = self.waiting().len();
        (self.stored.is_none() && left > 0).then(|| {
            let name = &self.name;
            format!("queue {name}: removed with its messages: {left}")
        })
    }

    /// Puts a message in, once there is room for it.
    ///
    /// # Errors
    /// If there is no room in time, or if the store fails.
    pub async fn publish(&self, parcel: Parcel, wait: Duration) -> Published {
        let Parcel {
            payload: message,
            correlation_id,
            reply_to,
        } = parcel;
        let room = tokio::time::timeout(wait, self.room.clone().acquire_owned()).await;
        let Ok(Ok(room)) = room else {
            return Err(PublishFault::Full(self.name.clone()));
        };
        let message = match &self.stored {
            None => Content::Memory(message),
            Some(messages) => {
                let failed = |error: String| PublishFault::NotAvailable(error);
                let next = self.recovered(messages).await;
                let next = next.map_err(|it| failed(it.to_string()))?;
                let key = format!("{:020}", next.fetch_add(1, Ordering::Relaxed));
                let bytes = message.to_stored().map_err(|it| failed(it.description))?;
                let object = NewObject::new(bytes, STORED);
                let store = &messages.store.0;
                let put = store.put(&messages.partition, &key, object, When::Always);
                in_time(put).await.map_err(|it| failed(it.to_string()))?;
                Content::Stored(key)
            }
        };
        self.waiting().push_back(Waiting {
            message,
            correlation_id,
            reply_to,
            _room: Some(room),
        });
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for the next message. Dropping the future loses no message.
    pub async fn next(&self) -> Waiting {
        if let Some(messages) = &self.stored {
            while let Err(error) = self.recovered(messages).await {
                tracing::error!(queue = %self.name, %error, "the queue's messages cannot be read yet");
                tokio::time::sleep(STORE_WAIT).await;
            }
        }
        loop {
            let arrived = self.arrived.notified();
            {
                let mut waiting = self.waiting();
                if let Some(message) = waiting.pop_front() {
                    // Several messages may have come while no consumer waited, with a single notification.
                    if !waiting.is_empty() {
                        self.arrived.notify_one();
                    }
                    return message;
                }
            }
            arrived.await;
        }
    }

    /// Takes the next message, if one comes in time.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn consume(&self, wait: Duration) -> Result<Option<Parcel>, PublishFault> {
        let taken = async {
            loop {
                let waiting = self.next().await;
                match self.open(waiting).await {
                    Ok(None) => {}
                    Ok(Some(parcel)) => return Ok(parcel),
                    Err(error) => return Err(PublishFault::NotAvailable(error.to_string())),
                }
            }
        };
        // A message that is there is taken also without any time to wait.
        match tokio::time::timeout(wait, taken).await {
            Ok(taken) => taken.map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Takes a message for this process alone; `None`: another process has taken it.
    ///
    /// # Errors
    /// If the store fails; the message becomes the next one again.
    pub async fn open(&self, waiting: Waiting) -> Result<Option<Parcel>, StoreError> {
        let parcel = |waiting: Waiting, payload| {
            Some(Parcel {
                payload,
                correlation_id: waiting.correlation_id,
                reply_to: waiting.reply_to,
            })
        };
        let (key, messages) = match (&waiting.message, &self.stored) {
            (Content::Stored(key), Some(messages)) => (key, messages),
            (Content::Memory(message), _) => {
                let message = message.clone();
                return Ok(parcel(waiting, message));
            }
            (Content::Stored(_), None) => return Ok(None),
        };
        let store = &messages.store.0;
        let removed = store.remove(&messages.partition, key, When::Always);
        match in_time(removed).await {
            Ok(None) => Ok(None),
            Ok(Some(object)) => match Typed::from_stored(&object.value) {
                Ok(message) => Ok(parcel(waiting, message)),
                Err(fault) => {
                    tracing::error!(queue = %self.name, key, fault = %fault.description, "a message cannot be read, and is dropped");
                    Ok(None)
                }
            },
            Err(error) => {
                self.waiting().push_front(waiting);
                self.arrived.notify_one();
                Err(error)
            }
        }
    }

    /// Lists the messages of an earlier process, once, and returns the number of the next message.
    async fn recovered<'a>(&self, messages: &'a QueueStore) -> Result<&'a AtomicU64, StoreError> {
        let find = || async {
            let keys = messages.store.0.keys(&messages.partition, "", MESSAGES_MAX);
            let keys = in_time(keys).await?;
            let last = keys.iter().filter_map(|key| key.parse::<u64>().ok()).max();
            let mut waiting = self.waiting();
            for key in keys {
                waiting.push_back(Waiting {
                    message: Content::Stored(key),
                    correlation_id: None,
                    reply_to: None,
                    // Messages from before the limit was set are accepted even without room.
                    _room: self.room.clone().try_acquire_owned().ok(),
                });
            }
            self.arrived.notify_one();
            Ok(AtomicU64::new(last.map_or(0, |last| last + 1)))
        };
        messages.next.get_or_try_init(find).await
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn in_time<T>(pending: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(STORE_WAIT, pending).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::NotAvailable {
            why: format!("it has not answered for {} s", STORE_WAIT.as_secs()),
        }),
    }
}

#[cfg(test)]
mod tests;
