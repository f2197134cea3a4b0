//! Shared records that fail, hang, lose and lie by plan, to test whoever uses them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::{Applied, Change, NextPush, Pushes, ReadOut, SharedRecords};
use crate::{Fault, Pending, StoreError, WallTime};

/// A wrapper round shared records that harms the operations on them by plan.
///
/// Each operation takes the next fault of the plan, and the standing fault when the plan is used up. A
/// [`Fault::Lie`] answers that there is no record, and changes none; a [`Fault::Tear`] carries a change out and answers
/// half of the record. Pushes are harmed apart from that, see [`HostileRecords::lose_pushes`].
#[derive(Debug)]
pub struct HostileRecords<R> {
    inner: R,
    plan: Mutex<Plan>,
    released: watch::Sender<u64>,
    pushes: watch::Sender<bool>,
}

#[derive(Debug)]
struct Plan {
    next: VecDeque<Fault>,
    standing: Fault,
    calls: u64,
}

impl<R: SharedRecords> HostileRecords<R> {
    /// Wraps shared records, with no harm planned yet.
    pub fn new(inner: R) -> Self {
        HostileRecords {
            inner,
            plan: Mutex::new(Plan {
                next: VecDeque::new(),
                standing: Fault::None,
                calls: 0,
            }),
            released: watch::Sender::new(0),
            pushes: watch::Sender::new(true),
        }
    }

    /// Plans the faults of the next operations, after those planned before.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().next.extend(faults);
    }

    /// Sets the fault of every operation beyond the plan.
    pub fn stand(&self, fault: Fault) {
        self.lock().standing = fault;
    }

    /// Lets go on all operations that hang now.
    pub fn release(&self) {
        self.released.send_modify(|turn| *turn += 1);
    }

    /// Whether pushes are lost from now on, without a word to those who wait for them: those that a subscriber comes to
    /// while this lasts.
    pub fn lose_pushes(&self, lost: bool) {
        self.pushes.send_replace(!lost);
    }

    /// How many operations were asked for.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// The records inside, to look at them unharmed.
    pub fn inner(&self) -> &R {
        &self.inner
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fault of the next operation, once it does not hang any more.
    async fn next(&self) -> Fault {
        let fault = {
            let mut plan = self.lock();
            plan.calls += 1;
            plan.next.pop_front().unwrap_or(plan.standing)
        };
        if fault == Fault::Hang {
            let mut released = self.released.subscribe();
            // The sender lives in self, so this ends with a release and with nothing else.
            let _ = released.changed().await;
        }
        fault
    }

    /// Applies the next fault to an operation whose false answer would be `lie` and whose torn one `tear` makes.
    async fn harm<T>(
        &self,
        operation: Pending<'_, T>,
        lie: impl FnOnce(WallTime) -> T,
        tear: impl FnOnce(T) -> T,
    ) -> Result<T, StoreError> {
        match self.next().await {
            Fault::None | Fault::Hang => operation.await,
            Fault::Fail => Err(failed()),
            Fault::LoseAnswer => operation.await.and_then(|_| Err(failed())),
            Fault::Lie => Ok(lie(self.inner.now().await?)),
            Fault::Tear => operation.await.map(tear),
        }
    }
}

fn failed() -> StoreError {
    StoreError::NotAvailable {
        why: "the hostile records were told to fail; plan fewer faults".to_owned(),
    }
}

fn half(record: Bytes) -> Bytes {
    record.slice(..record.len() / 2)
}

impl<R: SharedRecords> SharedRecords for HostileRecords<R> {
    fn apply<'a>(
        &'a self,
        key: &'a str,
        change: &'a Change,
        args: &'a [Bytes],
    ) -> Pending<'a, Applied> {
        Box::pin(self.harm(
            self.inner.apply(key, change, args),
            |now| Applied { record: None, now },
            |applied| Applied {
                record: applied.record.map(half),
                now: applied.now,
            },
        ))
    }

    fn read<'a>(&'a self, keys: &'a [&'a str]) -> Pending<'a, ReadOut> {
        Box::pin(self.harm(
            self.inner.read(keys),
            |now| ReadOut {
                records: vec![None; keys.len()],
                now,
            },
            |read| ReadOut {
                records: read.records.into_iter().map(|r| r.map(half)).collect(),
                now: read.now,
            },
        ))
    }

    fn subscribe(&self) -> Pending<'_, Box<dyn Pushes>> {
        Box::pin(async move {
            let inner = self.inner.subscribe().await?;
            let pass = self.pushes.subscribe();
            Ok(Box::new(HostilePushes { inner, pass }) as Box<dyn Pushes>)
        })
    }

    fn now(&self) -> Pending<'_, WallTime> {
        Box::pin(self.harm(self.inner.now(), |now| now, |now| now))
    }
}

struct HostilePushes {
    inner: Box<dyn Pushes>,
    pass: watch::Receiver<bool>,
}

impl Pushes for HostilePushes {
    fn follow(&mut self, key: &str) {
        self.inner.follow(key);
    }

    fn unfollow(&mut self, key: &str) {
        self.inner.unfollow(key);
    }

    fn next(&mut self) -> NextPush<'_> {
        Box::pin(async move {
            loop {
                let push = self.inner.next().await;
                if *self.pass.borrow() {
                    return push;
                }
            }
        })
    }
}
