//! A body that its client offers (`Expect: 100-continue`), held back until the upstream wants it, so that an answer
//! from the head alone saves the upload (RFC 9110, section 10.1.1).
//!
//! While it is held the upstream owes the next byte: its time runs. An upstream that says nothing gets the body after a
//! moment, since many do not know the expectation.

use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

/// An offered body's state, shared by the body and the call that sends it.
#[derive(Debug, Default)]
pub struct Offer {
    state: AtomicU8,
    waker: AtomicWaker,
}

const MADE: u8 = 0;
const TAKEN: u8 = 1;
const DECLINED: u8 = 2;

impl Offer {
    /// The upstream wants the body, or is assumed to.
    pub fn take(&self) {
        self.settle(TAKEN);
    }

    /// The upstream has answered without it: the body is never sent.
    pub fn decline(&self) {
        self.settle(DECLINED);
    }

    /// True while it is undecided whether the body is wanted.
    pub fn is_open(&self) -> bool {
        self.state.load(Ordering::Acquire) == MADE
    }

    /// True if the body may be read; pending while that is undecided.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<bool> {
        self.waker.register(cx.waker());
        match self.state.load(Ordering::Acquire) {
            MADE => Poll::Pending,
            state => Poll::Ready(state == TAKEN),
        }
    }

    /// Decides; the first decision counts.
    fn settle(&self, state: u8) {
        let first = self
            .state
            .compare_exchange(MADE, state, Ordering::AcqRel, Ordering::Acquire);
        if first.is_ok() {
            self.waker.wake();
        }
    }
}
