//! The slot of a client's connection for the note of its present exchange.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::ground::access_log::Note;

/// The note of the present exchange, if the access log is on. While it is off, each look is one load.
#[derive(Debug, Default)]
pub struct NoteSlot {
    is_full: AtomicBool,
    note: Mutex<Option<Arc<Note>>>,
}

impl NoteSlot {
    /// Puts in the note of an exchange that begins.
    pub fn put(&self, note: Arc<Note>) {
        *self.note.lock() = Some(note);
        self.is_full.store(true, Ordering::Release);
    }

    /// The note of the present exchange.
    #[inline]
    pub fn get(&self) -> Option<Arc<Note>> {
        match self.is_full() {
            true => self.note.lock().clone(),
            false => None,
        }
    }

    /// Takes the note out.
    #[inline]
    pub fn take(&self) -> Option<Arc<Note>> {
        if !self.is_full() {
            return None;
        }
        self.is_full.store(false, Ordering::Release);
        self.note.lock().take()
    }

    /// Runs `see` on the note, if there is one.
    #[inline]
    pub fn with(&self, see: impl FnOnce(&Note)) {
        if self.is_full()
            && let Some(note) = &*self.note.lock()
        {
            see(note);
        }
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }
}
