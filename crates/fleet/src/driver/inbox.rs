//! The inbox of the task: events of breakers and commands of operators, bounded in size.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fusebox_breaker::{Breaker, Transition};
use tokio::sync::{Notify, oneshot};

use super::FleetView;
use crate::node::{Key, Word};
use crate::share::{ShareError, Sharing};

/// The most waiting transitions. If a breaker has more, the task examines the breaker itself.
const TRANSITIONS_MAX: usize = 4_096;

/// The most waiting commands of operators. The oldest are dropped first.
const WORDS_MAX: usize = 256;

/// Messages to the task, written by any thread.
#[derive(Default)]
pub(super) struct Inbox {
    messages: Mutex<Messages>,
    notify: Notify,
}

/// A breaker that joins. Held strongly until the task has read the message.
pub(super) struct Joining {
    pub breaker: Breaker,
    pub sharing: Sharing,
}

pub(super) struct ViewRequest {
    pub name: Option<Key>,
    pub answer: oneshot::Sender<Vec<FleetView>>,
}

#[derive(Default)]
pub(super) struct Messages {
    pub joining: Vec<Joining>,
    pub rejected: Vec<(Key, ShareError)>,
    pub leaving: Vec<Key>,
    pub transitions: VecDeque<(Key, Transition)>,
    /// Breakers with a transition that exceeded the limit.
    pub missed: BTreeSet<Key>,
    pub demanded: BTreeSet<Key>,
    pub stirred: BTreeSet<Key>,
    pub words: VecDeque<(Key, Word)>,
    pub dropped_words: Vec<(Key, Word)>,
    pub view_requests: Vec<ViewRequest>,
    pub stop: bool,
}

impl Inbox {
    pub fn join(&self, joining: Joining) {
        self.write(|messages| {
            // Of several messages about one breaker since the task last read, the latest counts.
            messages.leaving.retain(|key| key != joining.breaker.name());
            messages.joining.push(joining);
        });
    }

    pub fn leave(&self, key: Key) {
        self.write(|messages| messages.leaving.push(key));
    }

    pub fn view(&self, request: ViewRequest) {
        self.write(|messages| messages.view_requests.push(request));
    }

    pub fn rejected(&self, key: Key, error: ShareError) {
        self.write(|messages| messages.rejected.push((key, error)));
    }

    pub fn transition(&self, breaker: &Breaker, transition: &Transition) {
        self.write(|messages| {
            let key = breaker.name().clone();
            if messages.transitions.len() < TRANSITIONS_MAX && !messages.missed.contains(&key) {
                messages.transitions.push_back((key, transition.clone()));
            } else {
                messages.missed.insert(key);
            }
        });
    }

    pub fn demanded(&self, breaker: &Breaker) {
        self.write(|messages| {
            messages.demanded.insert(breaker.name().clone());
        });
    }

    pub fn stirred(&self, breaker: &Breaker) {
        self.write(|messages| {
            messages.stirred.insert(breaker.name().clone());
        });
    }

    pub fn say(&self, key: Key, word: Word) {
        self.write(|messages| {
            messages.words.push_back((key, word));
            if messages.words.len() > WORDS_MAX {
                messages.dropped_words.extend(messages.words.pop_front());
                messages.dropped_words.truncate(WORDS_MAX);
            }
        });
    }

    pub fn stop(&self) {
        self.write(|messages| messages.stop = true);
    }

    /// Takes all messages since the last call.
    pub fn take(&self) -> Messages {
        std::mem::take(&mut *self.lock())
    }

    /// Waits for a message, or returns at once if one was written since the last call.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }

    fn write(&self, message: impl FnOnce(&mut Messages)) {
        message(&mut self.lock());
        self.notify.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Messages> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
