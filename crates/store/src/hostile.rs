//! A store that fails, hangs, lies and tears writes as planned, to test the users of a store.

use crate::{NewObject, Object, ObjectStore, PartitionSettings, Pending, Put, StoreError, When};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// The fault injected into one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// None: the operation runs as usual.
    None,
    /// The operation fails and changes nothing.
    Fail,
    /// The operation succeeds but is reported as failed, as if its answer had been lost.
    LoseAnswer,
    /// The operation is reported as successful but not carried out; a read finds no object. Only a broken store does
    /// this, yet its user must not crash, hang or leak.
    Lie,
    /// The operation waits for [`HostileStore::release`], then runs as usual.
    Hang,
    /// A put stores the first half of its value and is reported as failed. Any other operation fails.
    Tear,
}

/// A wrapper that injects planned faults into the operations of a store.
///
/// Each operation takes the next fault of the plan, or the standing fault once the plan is used up. Without either,
/// operations run as usual.
#[derive(Debug)]
pub struct HostileStore<S> {
    inner: S,
    faults: Faults,
}

/// The faults of hostile objects or records, and the release of hanging operations.
#[derive(Debug)]
pub(crate) struct Faults {
    plan: Mutex<Plan>,
    pub(crate) released: watch::Sender<u64>,
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) next: VecDeque<Fault>,
    pub(crate) standing: Fault,
    pub(crate) calls: u64,
}

impl Faults {
    pub(crate) fn none() -> Self {
        Faults {
            plan: Mutex::new(Plan {
                next: VecDeque::new(),
                standing: Fault::None,
                calls: 0,
            }),
            released: watch::Sender::new(0),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault of the operation that begins now.
    pub(crate) fn next(&self) -> Fault {
        let mut plan = self.lock();
        plan.calls += 1;
        plan.next.pop_front().unwrap_or(plan.standing)
    }

    /// Waits for a release. The sender lives in self, so nothing else ends the wait.
    pub(crate) async fn hang(&self) {
        let _ = self.released.subscribe().changed().await;
    }
}

impl<S: ObjectStore> HostileStore<S> {
    /// Wraps a store, with no faults planned.
    pub fn new(inner: S) -> Self {
        HostileStore {
            inner,
            faults: Faults::none(),
        }
    }

    /// Appends faults to the plan, one for each of the next operations.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().next.extend(faults);
    }

    /// Sets the standing fault, for every operation beyond the plan.
    pub fn stand(&self, fault: Fault) {
        self.faults.lock().standing = fault;
    }

    /// Releases all hanging operations. Later ones hang again if planned to.
    pub fn release(&self) {
        self.faults.released.send_modify(|turn| *turn += 1);
    }

    /// Number of operations called so far.
    pub fn calls(&self) -> u64 {
        self.faults.lock().calls
    }

    /// The wrapped store, without faults.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Runs an operation with the next fault. `lie` is its false answer.
    async fn harm<T>(&self, operation: Pending<'_, T>, lie: T) -> Result<T, StoreError> {
        self.apply(self.faults.next(), operation, lie).await
    }

    async fn apply<T>(
        &self,
        fault: Fault,
        operation: Pending<'_, T>,
        lie: T,
    ) -> Result<T, StoreError> {
        match fault {
            Fault::None => operation.await,
            Fault::Fail | Fault::Tear => Err(failed()),
            Fault::LoseAnswer => operation.await.and_then(|_| Err(failed())),
            Fault::Lie => Ok(lie),
            Fault::Hang => {
                self.faults.hang().await;
                operation.await
            }
        }
    }
}

fn failed() -> StoreError {
    StoreError::not_available("the hostile store fails as planned; plan fewer faults")
}

impl<S: ObjectStore> ObjectStore for HostileStore<S> {
    fn configure(&self, partition: &str, settings: PartitionSettings) -> Result<(), StoreError> {
        self.inner.configure(partition, settings)
    }

    fn get<'a>(&'a self, partition: &'a str, key: &'a str) -> Pending<'a, Option<Object>> {
        Box::pin(self.harm(self.inner.get(partition, key), None))
    }

    fn put<'a>(
        &'a self,
        partition: &'a str,
        key: &'a str,
        mut object: NewObject,
        when: When,
    ) -> Pending<'a, Put> {
        Box::pin(async move {
            let mut fault = self.faults.next();
            if fault == Fault::Tear {
                object.value.truncate(object.value.len() / 2);
                fault = Fault::LoseAnswer;
            }
            let operation = self.inner.put(partition, key, object, when);
            let lie = Put::Stored { version: u64::MAX };
            self.apply(fault, operation, lie).await
        })
    }

    fn increment<'a>(
        &'a self,
        partition: &'a str,
        key: &'a str,
        by: i64,
        ttl: Option<Duration>,
    ) -> Pending<'a, i64> {
        Box::pin(self.harm(self.inner.increment(partition, key, by, ttl), by))
    }

    fn remove<'a>(
        &'a self,
        partition: &'a str,
        key: &'a str,
        when: When,
    ) -> Pending<'a, Option<Object>> {
        Box::pin(self.harm(self.inner.remove(partition, key, when), None))
    }

    fn keys<'a>(
        &'a self,
        partition: &'a str,
        prefix: &'a str,
        limit: usize,
    ) -> Pending<'a, Vec<String>> {
        Box::pin(self.harm(self.inner.keys(partition, prefix, limit), Vec::new()))
    }

    fn clear<'a>(&'a self, partition: &'a str) -> Pending<'a, u64> {
        Box::pin(self.harm(self.inner.clear(partition), 0))
    }

    fn sweep<'a>(&'a self, budget: usize) -> Pending<'a, u64> {
        Box::pin(self.harm(self.inner.sweep(budget), 0))
    }

    fn flush<'a>(&'a self) -> Pending<'a, ()> {
        Box::pin(self.harm(self.inner.flush(), ()))
    }
}
