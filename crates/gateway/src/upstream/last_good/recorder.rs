//! Takes an answer's body up as it passes, and keeps the answer once it is whole.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderName;

use crate::upstream::last_good::LastGood;
use crate::upstream::last_good::entry::{Entry, Facts, Pieces};
use crate::upstream::last_good::key::{Key, Spot};
use crate::upstream::last_good::memory::Stamp;

/// The longest body that is copied into one piece at its end. Parts of a longer one fill most of the buffers in which
/// they lie, so they are kept as they came.
const COPIED_MAX: usize = 32 << 10;

/// The recording of one answer. Dropped, it changes nothing; so it is for an answer that is cut, or judged a failure in
/// the end.
#[derive(Debug)]
pub struct Recorder {
    owner: Arc<LastGood>,
    work: Work,
}

#[derive(Debug)]
enum Work {
    /// The answer is to be kept.
    Keep(Box<Kept>),
    /// The answer may not be kept, and no earlier one any longer.
    Forget(Key),
}

/// The head of an answer, with its body so far.
#[derive(Debug)]
pub struct Kept {
    /// The key of the entry.
    pub spot: Spot,
    /// The facts about the answer.
    pub facts: Facts,
    /// The path as the upstream sees it.
    pub path: Box<str>,
    /// The names that the answer's `Vary` lists.
    pub vary: Vec<HeaderName>,
    /// The fields, packed.
    pub head: Vec<u8>,
    /// The number of the last removal before the request.
    pub stamp: Stamp,
    /// The parts of the body so far.
    pub parts: Vec<Bytes>,
    /// The bytes of the body so far.
    pub len: usize,
}

impl Recorder {
    /// Records an answer that may be kept.
    pub fn keep(owner: Arc<LastGood>, kept: Kept) -> Recorder {
        Recorder {
            owner,
            work: Work::Keep(Box::new(kept)),
        }
    }

    /// Removes the earlier answers of a request once this one has ended well.
    pub fn forget(owner: Arc<LastGood>, key: Key) -> Recorder {
        Recorder {
            owner,
            work: Work::Forget(key),
        }
    }

    /// Takes up a part of the body, without copying it. A body longer than `max_body` is dropped, and at its end so are
    /// the earlier answers.
    pub fn push(&mut self, data: &Bytes) {
        let Work::Keep(kept) = &mut self.work else {
            return;
        };
        kept.len += data.len();
        if kept.len > self.owner.settings().body_max {
            self.work = Work::Forget(kept.spot.key);
        } else if !data.is_empty() {
            kept.parts.push(data.clone());
        }
    }

    /// Ends the recording of an answer that is whole and not judged a failure.
    pub fn finish(self) {
        match self.work {
            Work::Keep(kept) => {
                let Kept {
                    spot,
                    facts,
                    path,
                    vary,
                    head,
                    stamp,
                    parts,
                    len,
                } = *kept;
                // An answer that stays the same under load is kept once a second.
                let before = self.owner.memory.newest(&spot);
                if before.is_some_and(|before| before.is_same(&facts, &head, &parts, len)) {
                    return;
                }
                let body = gathered(parts, len);
                let entry = Entry::new(spot, facts, path, vary, head, body, stamp);
                self.owner.keep(Arc::new(entry));
            }
            Work::Forget(key) => self.owner.forget(key),
        }
    }
}

fn gathered(parts: Vec<Bytes>, len: usize) -> Pieces {
    if len > COPIED_MAX {
        return Pieces::Many(parts);
    }
    let mut body = BytesMut::with_capacity(len);
    for part in &parts {
        body.put_slice(part);
    }
    Pieces::One(body.freeze())
}
