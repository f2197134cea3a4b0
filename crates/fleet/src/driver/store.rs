//! The store as the task uses it: concurrent commands with a timeout, and a renewed subscription.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fusebox_store::{
    StoreError,
    records::{Change, Changed, Push, Pushes, SharedRecords},
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep_until, timeout};

use crate::change::{LUA, change};
use crate::command::Command;
use crate::node::{Input, Key, TRY_AGAIN};

/// The change of a breaker's record, which covers all commands.
const CHANGE: Change = Change {
    name: "breaker",
    lua: LUA,
    rust: |record, args, now| match args
        .first()
        .and_then(|command| change(record, command, args.get(1).map(AsRef::as_ref), now.0))
    {
        None => Changed::Kept,
        Some(rewritten) => Changed::Written {
            record: rewritten.record.into(),
            live_for: Duration::from_millis(rewritten.live_for),
            push: rewritten.push,
        },
    },
};

type Answer = Pin<Box<dyn Future<Output = Input> + Send>>;
type OpeningPushes = Pin<Box<dyn Future<Output = Result<Box<dyn Pushes>, StoreError>> + Send>>;

pub(super) struct StoreClient {
    records: Arc<dyn SharedRecords>,
    prefix: String,
    timeout: Duration,
    under_way: FuturesUnordered<Answer>,
    subscription: Subscription,
}

enum Subscription {
    Waiting { until: Instant },
    Opening(OpeningPushes),
    Open(Box<dyn Pushes>),
}

impl StoreClient {
    pub fn new(records: Arc<dyn SharedRecords>, prefix: String, timeout: Duration) -> Self {
        let subscription = Subscription::Opening(subscribing(records.clone()));
        StoreClient {
            records,
            prefix,
            timeout,
            under_way: FuturesUnordered::new(),
            subscription,
        }
    }

    pub fn apply(&mut self, id: u64, key: &Key, command: &Command, poison: Option<Vec<u8>>) {
        let records = self.records.clone();
        let command = Bytes::from(command.write());
        let args: Vec<Bytes> = [command]
            .into_iter()
            .chain(poison.map(Bytes::from))
            .collect();
        let key = self.key(key);
        let within = self.timeout;
        self.under_way.push(Box::pin(async move {
            match timeout(within, records.apply(&key, &CHANGE, &args)).await {
                Ok(Ok(applied)) => Input::Applied {
                    id,
                    record: record(&applied.record),
                    now: applied.now.0,
                },
                Ok(Err(_)) | Err(_) => Input::Failed { id },
            }
        }));
    }

    pub fn read(&mut self, id: u64, keys: &[Key]) {
        let records = self.records.clone();
        let keys: Vec<String> = keys.iter().map(|key| self.key(key)).collect();
        let within = self.timeout;
        self.under_way.push(Box::pin(async move {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            match timeout(within, records.read(&keys)).await {
                Ok(Ok(read)) => Input::ReadOut {
                    id,
                    records: read.records.iter().map(record).collect(),
                    now: read.now.0,
                },
                Ok(Err(_)) | Err(_) => Input::Failed { id },
            }
        }));
    }

    pub fn follow(&mut self, key: &Key) {
        let key = self.key(key);
        if let Subscription::Open(pushes) = &mut self.subscription {
            pushes.follow(&key);
        }
    }

    pub fn unfollow(&mut self, key: &Key) {
        let key = self.key(key);
        if let Subscription::Open(pushes) = &mut self.subscription {
            pushes.unfollow(&key);
        }
    }

    /// Returns the next answer or push. Dropping the future loses nothing.
    pub async fn next(&mut self, keys: impl Fn() -> Vec<Key>) -> Input {
        let StoreClient {
            records,
            prefix,
            under_way,
            subscription,
            ..
        } = self;
        loop {
            // Answers first: a push may carry the same record as an answer.
            tokio::select! {
                biased;
                Some(answer) = under_way.next(), if !under_way.is_empty() => return answer,
                push = next_push(subscription, records, || keys().iter().map(|key| format!("{prefix}{key}")).collect()) => match push {
                    Push::Gap => return Input::Gap,
                    Push::Record { key, record } => {
                        if let Some(key) = key.strip_prefix(prefix.as_str()) {
                            return Input::Pushed { key: key.into(), record: record.to_vec() };
                        }
                    }
                },
            }
        }
    }

    fn key(&self, key: &Key) -> String {
        format!("{}{key}", self.prefix)
    }
}

fn record(bytes: &Option<Bytes>) -> Option<Vec<u8>> {
    bytes.as_ref().map(|bytes| bytes.to_vec())
}

fn subscribing(records: Arc<dyn SharedRecords>) -> OpeningPushes {
    Box::pin(async move { records.subscribe().await })
}

/// Returns the next push, subscribing to these keys first if necessary.
async fn next_push(
    subscription: &mut Subscription,
    records: &Arc<dyn SharedRecords>,
    keys: impl Fn() -> Vec<String>,
) -> Push {
    loop {
        match subscription {
            Subscription::Waiting { until } => {
                sleep_until(*until).await;
                *subscription = Subscription::Opening(subscribing(records.clone()));
            }
            Subscription::Opening(subscribing) => {
                *subscription = match subscribing.await {
                    Ok(mut pushes) => {
                        keys().iter().for_each(|key| pushes.follow(key));
                        Subscription::Open(pushes)
                    }
                    Err(_) => Subscription::Waiting {
                        until: Instant::now() + TRY_AGAIN,
                    },
                };
            }
            Subscription::Open(pushes) => return pushes.next().await,
        }
    }
}
