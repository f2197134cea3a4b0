//! Shared records that fail, hang, lie and lose pushes as planned, to test the users of records.

use bytes::Bytes;
use tokio::sync::watch;

use super::{Applied, Change, NextPush, Pushes, ReadOut, SharedRecords};
use crate::hostile::Faults;
use crate::{Fault, Pending, StoreError, WallTime};

/// A wrapper that injects planned faults into the operations on shared records.
///
/// Each operation takes the next fault of the plan, or the standing fault once the plan is used up. After
/// [`Fault::Lie`] an operation changes nothing and answers that there is no record; after [`Fault::Tear`] a change is
/// carried out but the answer has only half of the record. Pushes are lost separately, see
/// [`HostileRecords::lose_pushes`].
#[derive(Debug)]
pub struct HostileRecords<R> {
    inner: R,
    faults: Faults,
    pushes: watch::Sender<bool>,
}

impl<R: SharedRecords> HostileRecords<R> {
    /// Wraps shared records, with no faults planned.
    pub fn new(inner: R) -> Self {
        HostileRecords {
            inner,
            faults: Faults::none(),
            pushes: watch::Sender::new(true),
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

    /// Releases all hanging operations.
    pub fn release(&self) {
        self.faults.released.send_modify(|turn| *turn += 1);
    }

    /// Starts or stops losing pushes silently. A push is lost if its subscriber reaches it while this is true.
    pub fn lose_pushes(&self, lost: bool) {
        self.pushes.send_replace(!lost);
    }

    /// Number of operations called so far.
    pub fn calls(&self) -> u64 {
        self.faults.lock().calls
    }

    /// The wrapped records, without faults.
    pub fn inner(&self) -> &R {
        &self.inner
    }

    /// Runs an operation with the next fault. `lie` makes its false answer, `tear` its torn one.
    async fn harm<T>(
        &self,
        operation: Pending<'_, T>,
        lie: impl FnOnce(WallTime) -> T,
        tear: impl FnOnce(T) -> T,
    ) -> Result<T, StoreError> {
        match self.faults.next() {
            Fault::None => operation.await,
            Fault::Hang => {
                self.faults.hang().await;
                operation.await
            }
            Fault::Fail => Err(failed()),
            Fault::LoseAnswer => operation.await.and_then(|_| Err(failed())),
            Fault::Lie => Ok(lie(self.inner.now().await?)),
            Fault::Tear => operation.await.map(tear),
        }
    }
}

fn failed() -> StoreError {
    StoreError::not_available("the hostile records fail as planned; plan fewer faults")
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
