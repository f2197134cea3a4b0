//! What breakers and operators have to say, until the task takes it: bounded, whatever happens.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fusebox_breaker::{Breaker, Transition};
use tokio::sync::{Notify, oneshot};

use super::FleetView;
use crate::node::{Key, Word};
use crate::share::{ShareError, Sharing};

/// How many transitions wait. Of a breaker with more, the task looks at the breaker itself.
const TRANSITIONS_MAX: usize = 4_096;

/// How many words of operators wait. The oldest give way.
const WORDS_MAX: usize = 256;

/// Written by any thread, read by the task.
#[derive(Default)]
pub(super) struct Inbox {
    letters: Mutex<Letters>,
    bell: Notify,
}

/// A breaker that joins. It is kept until the task has read this.
pub(super) struct Joining {
    pub breaker: Breaker,
    pub sharing: Sharing,
}

/// Somebody who wants to see what is known of a breaker, or of all.
pub(super) struct Look {
    pub name: Option<Key>,
    pub answer: oneshot::Sender<Vec<FleetView>>,
}

#[derive(Default)]
pub(super) struct Letters {
    pub joining: Vec<Joining>,
    pub refused: Vec<(Key, ShareError)>,
    pub leaving: Vec<Key>,
    pub transitions: VecDeque<(Key, Transition)>,
    /// Breakers of which a transition found no place.
    pub missed: BTreeSet<Key>,
    pub demanded: BTreeSet<Key>,
    pub stirred: BTreeSet<Key>,
    pub words: VecDeque<(Key, Word)>,
    pub dropped_words: Vec<(Key, Word)>,
    pub looks: Vec<Look>,
    pub stop: bool,
}

impl Inbox {
    pub fn join(&self, joining: Joining) {
        self.write(|letters| {
            // Of what was said about one breaker since the task last read, the last word counts.
            letters.leaving.retain(|key| key != joining.breaker.name());
            letters.joining.push(joining);
        });
    }

    pub fn leave(&self, key: Key) {
        self.write(|letters| letters.leaving.push(key));
    }

    pub fn look(&self, look: Look) {
        self.write(|letters| letters.looks.push(look));
    }

    pub fn refused(&self, key: Key, error: ShareError) {
        self.write(|letters| letters.refused.push((key, error)));
    }

    pub fn transition(&self, breaker: &Breaker, transition: &Transition) {
        self.write(|letters| {
            let key = breaker.name().clone();
            if letters.transitions.len() < TRANSITIONS_MAX && !letters.missed.contains(&key) {
                letters.transitions.push_back((key, transition.clone()));
            } else {
                letters.missed.insert(key);
            }
        });
    }

    pub fn demanded(&self, breaker: &Breaker) {
        self.write(|letters| {
            letters.demanded.insert(breaker.name().clone());
        });
    }

    pub fn stirred(&self, breaker: &Breaker) {
        self.write(|letters| {
            letters.stirred.insert(breaker.name().clone());
        });
    }

    pub fn say(&self, key: Key, word: Word) {
        self.write(|letters| {
            letters.words.push_back((key, word));
            if letters.words.len() > WORDS_MAX {
                letters.dropped_words.extend(letters.words.pop_front());
                letters.dropped_words.truncate(WORDS_MAX);
            }
        });
    }

    pub fn stop(&self) {
        self.write(|letters| letters.stop = true);
    }

    /// All that was written since.
    pub fn take(&self) -> Letters {
        std::mem::take(&mut *self.lock())
    }

    /// Waits until something is written, or returns at once where that has happened since the last time.
    pub async fn rings(&self) {
        self.bell.notified().await;
    }

    fn write(&self, letter: impl FnOnce(&mut Letters)) {
        letter(&mut self.lock());
        self.bell.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
