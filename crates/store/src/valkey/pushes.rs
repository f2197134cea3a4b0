//! Brings the news of changed records from one connection to all who listen in this process.
//!
//! One task beside the connection subscribes after each time that it was made, and then tells all
//! listeners of a gap: what was said before, they have not heard.

use super::link::{Asker, Call, Channel, Listener};
use super::records::Names;
use super::trouble::Trouble;
use crate::shared::{NextPush, Push, Pushes};
use redis::{PushInfo, PushKind, Value};
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// How many pushes, and how many bytes, wait for a slow listener before it is told of a gap instead.
const WAITING_PUSHES: usize = 1_024;
const WAITING_BYTES: usize = 4 << 20;
/// How long to rest after a subscription that was refused.
const REST: Duration = Duration::from_secs(1);

/// Hears everything, and passes it on to those who follow it.
pub(super) struct Hub {
    names: Names,
    // A std lock: held to look up and to pass on, never across a wait.
    state: Mutex<State>,
    /// Wakes the task that subscribes.
    wake: Notify,
}

#[derive(Default)]
struct State {
    inboxes: Vec<Weak<Inbox>>,
    /// How many connections there were.
    serial: u64,
    /// Whether everything wanted is subscribed on the last of them.
    listening: bool,
}

/// What one listener has not taken yet.
#[derive(Default)]
struct Inbox {
    // A std lock: held to put in and to take out, never across a wait.
    content: Mutex<Content>,
    filled: Notify,
}

#[derive(Default)]
struct Content {
    follows: HashSet<String>,
    gap: bool,
    waiting: VecDeque<Push>,
    /// The bytes of the records that wait.
    bytes: usize,
}

/// One subscription.
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

    /// The listeners that are still there.
    fn inboxes(&self) -> Vec<Arc<Inbox>> {
        let mut state = self.lock();
        state.inboxes.retain(|inbox| inbox.strong_count() > 0);
        state.inboxes.iter().filter_map(Weak::upgrade).collect()
    }

    /// The connection's number, and what anybody follows.
    fn wanted(&self) -> (u64, BTreeSet<String>) {
        let mut wanted = BTreeSet::new();
        for inbox in self.inboxes() {
            wanted.extend(inbox.lock().follows.iter().cloned());
        }
        (self.lock().serial, wanted)
    }

    /// Notes that everything is subscribed, if the connection is still that one, and tells all
    /// listeners to read.
    fn listens(&self, serial: u64) {
        let mut state = self.lock();
        if state.serial == serial {
            state.listening = true;
            // Under the lock, so that who comes now is told once.
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
    fn connected(&self) {
        let mut state = self.lock();
        state.serial += 1;
        state.listening = false;
        drop(state);
        self.wake.notify_one();
    }

    fn heard(&self, info: PushInfo) {
        match info.kind {
            PushKind::Disconnection => self.lock().listening = false,
            PushKind::Message | PushKind::SMessage => {
                let Some(Value::BulkString(said)) = info.data.last() else {
                    return;
                };
                // Foreign messages on our channel are not for us.
                if let Some((key, record)) = split(said)
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

/// The key and the record in a message: the key's length, a colon, the key, the record.
fn split(said: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = said.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&said[..colon]).ok()?.parse().ok()?;
    said[colon + 1..].split_at_checked(length)
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

/// Subscribes to what is wanted, for as long as the link lives.
pub(super) async fn tend(hub: Arc<Hub>, asker: Asker, single: bool) {
    let mut serial = 0;
    let mut heard: BTreeSet<Vec<u8>> = BTreeSet::new();
    loop {
        hub.wake.notified().await;
        while let Err(Refused) = settle(&hub, &asker, single, &mut serial, &mut heard).await {
            sleep(REST).await;
        }
    }
}

struct Refused;

/// Makes what is subscribed on the present connection what is wanted.
async fn settle(
    hub: &Hub,
    asker: &Asker,
    single: bool,
    serial: &mut u64,
    heard: &mut BTreeSet<Vec<u8>>,
) -> Result<(), Refused> {
    let (now, follows) = hub.wanted();
    if *serial != now {
        heard.clear();
    }
    let mut wanted = BTreeSet::from([hub.names.channel()]);
    if !single {
        wanted.extend(follows.iter().map(|name| hub.names.key(name)));
    }
    let (mut fresh, mut refused) = (false, false);
    for channel in wanted.difference(&heard.clone()) {
        let listen = if *channel == hub.names.channel() {
            Channel::Hear(channel.clone())
        } else {
            Channel::HearInSlot(channel.clone())
        };
        match asker.ask(Call::Listen(listen)).await {
            Ok(_) => fresh = true,
            // A server that knows no slots' channels publishes for all.
            Err(Trouble::Away(why)) if why.contains("unknown command") => (),
            Err(_) => {
                refused = true;
                continue;
            }
        }
        heard.insert(channel.clone());
    }
    for channel in heard.difference(&wanted).cloned().collect::<Vec<_>>() {
        // Heard in vain at worst: whoever does not follow it is not told.
        let _ = asker
            .ask(Call::Listen(Channel::LeaveSlot(channel.clone())))
            .await;
        heard.remove(&channel);
    }
    *serial = now;
    if fresh {
        hub.listens(now);
    }
    if refused { Err(Refused) } else { Ok(()) }
}

impl ValkeyPushes {
    pub(super) fn new(hub: Arc<Hub>) -> ValkeyPushes {
        let inbox = Arc::new(Inbox::default());
        let mut state = hub.lock();
        state.inboxes.push(Arc::downgrade(&inbox));
        // Else the gap comes when there is something to hear.
        inbox.lock().gap = state.listening;
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
        fn any_message_is_read_or_refused_without_a_panic(said: Vec<u8>) {
            let _ = split(&said);
        }
    }
}
