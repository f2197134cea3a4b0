//! Delivers pushed records from one connection to all subscribers in this process.
//!
//! One task subscribes anew on each new connection, and then sends all subscribers a gap, since earlier messages were
//! missed.

use super::link::{Channel, LinkHandle, Listener, Request};
use super::records::Names;
use super::trouble::RequestError;
use crate::shared::{NextPush, Push, Pushes};
use redis::{PushInfo, PushKind, Value};
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// The most pushes, and bytes, that wait for a slow subscriber; beyond it they are replaced by a gap.
const WAITING_PUSHES: usize = 1_024;
const WAITING_BYTES: usize = 4 << 20;
/// The pause after a rejected subscription.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Receives all messages of the connection, and passes each to the subscribers of its key.
pub(super) struct Hub {
    names: Names,
    // A std lock: held to look up and to deliver, never across an await.
    state: Mutex<State>,
    /// Wakes the task that subscribes.
    wake: Notify,
}

#[derive(Default)]
struct State {
    inboxes: Vec<Weak<Inbox>>,
    /// Number of connections so far.
    serial: u64,
    /// True once all wanted channels are subscribed on the latest connection.
    subscribed: bool,
}

/// The pushes that one subscriber has not taken yet.
#[derive(Default)]
struct Inbox {
    // A std lock: held to add and to take, never across an await.
    content: Mutex<Content>,
    filled: Notify,
}

#[derive(Default)]
struct Content {
    follows: HashSet<String>,
    gap: bool,
    waiting: VecDeque<Push>,
    /// Total size of the waiting records.
    bytes: usize,
}

/// A subscription to pushes of a Valkey server.
pub(super) struct ValkeyPushes {
    hub: Arc<Hub>,
    inbox: Arc<Inbox>,
}

impl Hub {
    pub(super) fn new(names: Names) -> Hub {
        Hub {
            names,
            state: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// The inboxes of all live subscribers.
    fn inboxes(&self) -> Vec<Arc<Inbox>> {
        let mut state = self.lock();
        state.inboxes.retain(|inbox| inbox.strong_count() > 0);
        state.inboxes.iter().filter_map(Weak::upgrade).collect()
    }

    /// The connection's serial number, and all keys that any subscriber follows.
    fn wanted(&self) -> (u64, BTreeSet<String>) {
        let mut wanted = BTreeSet::new();
        for inbox in self.inboxes() {
            wanted.extend(inbox.lock().follows.iter().cloned());
        }
        (self.lock().serial, wanted)
    }

    /// Records that everything is subscribed, if the connection is still the one with this serial number, and sends all
    /// subscribers a gap.
    fn set_subscribed(&self, serial: u64) {
        let mut state = self.lock();
        if state.serial == serial {
            state.subscribed = true;
            // Under the lock, so that a subscriber that joins now gets the gap exactly once.
            for inbox in state.inboxes.iter().filter_map(Weak::upgrade) {
                inbox.gap();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Hub {
    fn on_connect(&self) {
        let mut state = self.lock();
        state.serial += 1;
        state.subscribed = false;
        drop(state);
        self.wake.notify_one();
    }

    fn on_push(&self, info: PushInfo) {
        match info.kind {
            PushKind::Disconnection => self.lock().subscribed = false,
            PushKind::Message | PushKind::SMessage => {
                let Some(Value::BulkString(message)) = info.data.last() else {
                    return;
                };
                // Foreign messages on our channel are ignored.
                if let Some((key, record)) = split(message)
                    && let Some(key) = self.names.name(key)
                {
                    for inbox in self.inboxes() {
                        inbox.put(&key, record);
                    }
                }
            }
            _ => (),
        }
    }
}

/// Splits a message into key and record. Its form: the key's length, a colon, the key, the record.
fn split(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = message.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&message[..colon]).ok()?.parse().ok()?;
    message[colon + 1..].split_at_checked(length)
}

impl Inbox {
    fn put(&self, key: &str, record: &[u8]) {
        let mut content = self.lock();
        if !content.follows.contains(key) {
            return;
        }
        if content.waiting.len() >= WAITING_PUSHES || content.bytes >= WAITING_BYTES {
            content.waiting.clear();
            content.bytes = 0;
            content.gap = true;
        } else {
            content.bytes += record.len();
            content.waiting.push_back(Push::Record {
                key: key.to_owned(),
                record: record.to_vec().into(),
            });
        }
        drop(content);
        self.filled.notify_one();
    }

    fn gap(&self) {
        self.lock().gap = true;
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Subscribes to all wanted channels, for as long as the link lives.
pub(super) async fn keep_subscribed(hub: Arc<Hub>, handle: LinkHandle, single: bool) {
    let mut serial = 0;
    let mut subscribed: BTreeSet<Vec<u8>> = BTreeSet::new();
    loop {
        hub.wake.notified().await;
        while let Err(Refused) =
            reconcile(&hub, &handle, single, &mut serial, &mut subscribed).await
        {
            sleep(RETRY_AFTER).await;
        }
    }
}

struct Refused;

/// Brings the subscriptions of the current connection in line with the wanted ones.
async fn reconcile(
    hub: &Hub,
    handle: &LinkHandle,
    single: bool,
    serial: &mut u64,
    subscribed: &mut BTreeSet<Vec<u8>>,
) -> Result<(), Refused> {
    let (now, follows) = hub.wanted();
    if *serial != now {
        subscribed.clear();
    }
    let mut wanted = BTreeSet::from([hub.names.channel()]);
    if !single {
        wanted.extend(follows.iter().map(|name| hub.names.key(name)));
    }
    let (mut fresh, mut refused) = (false, false);
    for channel in wanted.difference(&subscribed.clone()) {
        let listen = if *channel == hub.names.channel() {
            Channel::Subscribe(channel.clone())
        } else {
            Channel::SubscribeSharded(channel.clone())
        };
        match handle.send(Request::Listen(listen)).await {
            Ok(_) => fresh = true,
            // A server without sharded channels publishes to all subscribers.
            Err(RequestError::Unavailable(why)) if why.contains("unknown command") => (),
            Err(_) => {
                refused = true;
                continue;
            }
        }
        subscribed.insert(channel.clone());
    }
    for channel in subscribed.difference(&wanted).cloned().collect::<Vec<_>>() {
        // At worst its messages still arrive and are dropped, since no inbox follows them.
        let _ = handle
            .send(Request::Listen(Channel::UnsubscribeSharded(
                channel.clone(),
            )))
            .await;
        subscribed.remove(&channel);
    }
    *serial = now;
    if fresh {
        hub.set_subscribed(now);
    }
    if refused { Err(Refused) } else { Ok(()) }
}

impl ValkeyPushes {
    pub(super) fn new(hub: Arc<Hub>) -> ValkeyPushes {
        let inbox = Arc::new(Inbox::default());
        let mut state = hub.lock();
        state.inboxes.push(Arc::downgrade(&inbox));
        // Otherwise the gap comes once the subscriptions are in place.
        inbox.lock().gap = state.subscribed;
        drop(state);
        ValkeyPushes { hub, inbox }
    }
}

impl Pushes for ValkeyPushes {
    fn follow(&mut self, key: &str) {
        if self.inbox.lock().follows.insert(key.to_owned()) {
            self.hub.wake.notify_one();
        }
    }

    fn unfollow(&mut self, key: &str) {
        if self.inbox.lock().follows.remove(key) {
            self.hub.wake.notify_one();
        }
    }

    fn next(&mut self) -> NextPush<'_> {
        Box::pin(async move {
            loop {
                {
                    let mut content = self.inbox.lock();
                    if std::mem::take(&mut content.gap) {
                        return Push::Gap;
                    }
                    if let Some(push) = content.waiting.pop_front() {
                        if let Push::Record { record, .. } = &push {
                            content.bytes -= record.len();
                        }
                        return push;
                    }
                }
                self.inbox.filled.notified().await;
            }
        })
    }
}

impl Drop for ValkeyPushes {
    fn drop(&mut self) {
        self.inbox.lock().follows.clear();
        self.hub.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_a_key_and_a_record() {
        assert_eq!(split(b"3:a:brecord"), Some((&b"a:b"[..], &b"record"[..])));
        assert_eq!(split(b"1:a"), Some((&b"a"[..], &b""[..])));
        assert_eq!(split(b"9:short"), None);
        assert_eq!(split(b"no number"), None);
    }

    proptest! {
        #[test]
        fn any_message_is_read_or_refused_without_a_panic(message: Vec<u8>) {
            let _ = split(&message);
        }
    }
}
