//! Interim answers (1xx) of an upstream, on their way to its client.
//!
//! hyper's client reports them, hyper's server cannot send them. So they are queued here, and the client's socket
//! writes them when hyper has nothing of its own to write: behind the previous answer, ahead of the one that they
//! belong to, which waits until they are out.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Poll, Waker};

use futures_util::task::AtomicWaker;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Request, StatusCode};
use parking_lot::Mutex;

use crate::message::field_kinds::FieldKinds;
use crate::message::fields;
use crate::message::kept_body::Outgoing;
use crate::message::offer::Offer;
use crate::message::request_body::Intake;

/// Limit on the interim answers to one request; with one more the upstream has failed.
pub const MOST: u32 = 16;

/// Limit in bytes on the queue for a client that does not read; the rest is dropped.
const WAITING_BYTES: usize = 64 * 1024;

/// Interim answers to the request that a client's connection serves.
#[derive(Debug)]
pub struct Interim {
    /// Number of the request's attempt; interim answers to earlier ones are dropped.
    turn: AtomicU64,
    count: AtomicU32,
    /// Number of those that the client cannot get.
    dropped: AtomicU32,
    /// False for HTTP/1.0, which has none (RFC 9110, section 15.2), and for HTTP/2, where hyper cannot send any.
    shown: AtomicBool,
    waiting: AtomicBool,
    queue: Mutex<Vec<u8>>,
    /// Wakes the client's connection.
    connection: Waker,
    /// Wakes the call to the upstream.
    caller: AtomicWaker,
}

impl Interim {
    /// Creates the state of one connection, whose task is woken by `connection`.
    pub fn new(connection: Waker) -> Arc<Interim> {
        Arc::new(Interim {
            turn: AtomicU64::new(0),
            count: AtomicU32::new(0),
            dropped: AtomicU32::new(0),
            shown: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            queue: Mutex::default(),
            connection,
            caller: AtomicWaker::new(),
        })
    }

    /// Begins a request; `shown`: its client may get interim answers.
    pub fn begin(&self, shown: bool) {
        self.turn.fetch_add(1, Ordering::Relaxed);
        self.shown.store(shown, Ordering::Relaxed);
    }

    /// Ends a request: waits until the queued interim answers are written; later ones are dropped.
    pub async fn end(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
        if self.waiting.load(Ordering::Acquire) {
            poll_fn(|_| match self.waiting.load(Ordering::Acquire) {
                // The socket wakes us.
                true => Poll::Pending,
                false => Poll::Ready(()),
            })
            .await;
        }
    }

    /// Counts and passes on the interim answers to one attempt at an upstream; a 100 takes the body that
    /// `intake` holds back.
    pub fn watch(
        self: &Arc<Interim>,
        request: &mut Request<Outgoing>,
        intake: Option<&Arc<Intake>>,
    ) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) + 1;
        self.count.store(0, Ordering::Relaxed);
        let interim = self.clone();
        let offered = intake.filter(|intake| intake.offer().is_some()).cloned();
        hyper::ext::on_informational(request, move |answer| {
            if answer.status() == StatusCode::CONTINUE {
                offered.as_deref().and_then(Intake::offer).map(Offer::take);
            }
            interim.take(turn, answer.status(), answer.headers());
        });
    }

    /// Resolves when the upstream has sent more than [`MOST`].
    pub async fn too_many(&self) {
        poll_fn(|cx| {
            if self.count.load(Ordering::Relaxed) > MOST {
                return Poll::Ready(());
            }
            self.caller.register(cx.waker());
            Poll::Pending
        })
        .await;
    }

    fn take(&self, turn: u64, status: StatusCode, headers: &HeaderMap) {
        if turn != self.turn.load(Ordering::Relaxed) {
            return;
        }
        let count = self.count.load(Ordering::Relaxed).saturating_add(1);
        self.count.store(count, Ordering::Relaxed);
        if count > MOST {
            self.caller.wake();
            return;
        }
        // The gateway asks for 100 itself when it wants one (RFC 9110, section 15.2).
        if status == StatusCode::CONTINUE {
            return;
        }
        if !self.shown.load(Ordering::Relaxed) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let head = written(status, headers);
        let mut queue = self.queue.lock();
        if queue.len() + head.len() <= WAITING_BYTES {
            queue.extend_from_slice(&head);
            self.waiting.store(true, Ordering::Release);
            self.connection.wake_by_ref();
        }
    }

    /// The number of interim answers that the client could not get.
    pub fn dropped(&self) -> u32 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// True if interim answers are queued.
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// Takes the queued bytes, to be written now.
    pub fn write(&self) -> Vec<u8> {
        let mut queue = self.queue.lock();
        let bytes = std::mem::take(&mut *queue);
        self.waiting.store(false, Ordering::Release);
        self.connection.wake_by_ref();
        bytes
    }
}

fn written(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut headers = headers.clone();
    let found = FieldKinds::of_answer(&headers);
    fields::strip_response(&mut headers, found);
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    let reason = status.canonical_reason().unwrap_or("Interim");
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in &headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_belongs_to_the_connection_is_not_passed_on() {
        let mut headers = HeaderMap::new();
        headers.insert("link", HeaderValue::from_static("</a>; rel=preload"));
        headers.insert("connection", HeaderValue::from_static("x-hop"));
        headers.insert("x-hop", HeaderValue::from_static("1"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("3"));
        let head = String::from_utf8(written(StatusCode::EARLY_HINTS, &headers)).unwrap();
        assert_eq!(
            head,
            "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\nvia: 1.1 fusebox\r\n\r\n"
        );
    }

    #[test]
    fn an_earlier_attempts_answers_and_too_many_are_not_shown() {
        let interim = Interim::new(Waker::noop().clone());
        interim.begin(true);
        let turn = interim.turn.load(Ordering::Relaxed);
        interim.take(turn - 1, StatusCode::PROCESSING, &HeaderMap::new());
        interim.take(turn, StatusCode::CONTINUE, &HeaderMap::new());
        assert!(!interim.is_waiting());
        for _ in 0..2 * MOST {
            interim.take(turn, StatusCode::PROCESSING, &HeaderMap::new());
        }
        let shown = String::from_utf8(interim.write()).unwrap();
        assert_eq!(shown.matches("102 Processing").count() as u32, MOST - 1);
        assert!(interim.count.load(Ordering::Relaxed) > MOST && !interim.is_waiting());
    }
}
