//! Interim answers (1xx) of an upstream, on their way to its client.
//!
//! hyper's server cannot send them. So they are queued here, and the client's socket writes them when hyper has nothing of its own to write: behind the previous answer, ahead of the one that they
//! belong to, which waits until they are out.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Poll, Waker};

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;

use crate::message::field_kinds::FieldKinds;
use crate::message::fields;
use crate::message::request_body::Intake;

/// Limit on the interim answers to one request; with one more the upstream has failed.
pub const MOST: u32 = 16;

/// Limit in bytes on the queue for a client that does not read; the rest is dropped.
const WAITING_BYTES: usize = 64 * 1024;

/// Interim answers to the request that a client's connection serves.
#[derive(Debug)]
pub struct Interim {
    /// Number of those that the client cannot get.
    dropped: AtomicU32,
    /// False for HTTP/1.0, which has none (RFC 9110, section 15.2), and for HTTP/2, where hyper cannot send any.
    shown: AtomicBool,
    waiting: AtomicBool,
    queue: Mutex<Vec<u8>>,
    /// Wakes the client's connection.
    connection: Waker,
}

/// The receiver of the interim answers to one attempt at an upstream.
#[derive(Debug, Default)]
pub struct Watching<'a> {
    /// The request's state; `None`: they are dropped.
    interim: Option<&'a Interim>,
    intake: Option<&'a Intake>,
}

impl<'a> Watching<'a> {
    /// Passes interim answers on; a 100 takes the body that `intake` holds back.
    pub fn new(interim: &'a Interim, intake: Option<&'a Arc<Intake>>) -> Watching<'a> {
        Watching {
            interim: Some(interim),
            intake: intake.map(|it| &**it),
        }
    }

    /// Takes an interim answer.
    pub fn see(&self, status: StatusCode, headers: &HeaderMap) {
        // The gateway asks for 100 itself when it wants one (RFC 9110, section 15.2).
        if status == StatusCode::CONTINUE {
            if let Some(offer) = self.intake.and_then(Intake::offer) {
                offer.take();
            }
        } else if let Some(interim) = self.interim {
            interim.take(status, headers);
        }
    }
}

impl Interim {
    /// Creates the state of one connection, whose task is woken by `connection`.
    pub fn new(connection: Waker) -> Arc<Interim> {
        Arc::new(Interim {
            dropped: AtomicU32::new(0),
            shown: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            queue: Mutex::default(),
            connection,
        })
    }

    /// Begins a request; `shown`: its client may get interim answers.
    pub fn begin(&self, shown: bool) {
        self.shown.store(shown, Ordering::Relaxed);
    }

    /// Ends a request: waits until the queued interim answers are written.
    pub async fn end(&self) {
        if self.waiting.load(Ordering::Acquire) {
            poll_fn(|_| match self.waiting.load(Ordering::Acquire) {
                // The socket wakes us.
                true => Poll::Pending,
                false => Poll::Ready(()),
            })
            .await;
        }
    }

    fn take(&self, status: StatusCode, headers: &HeaderMap) {
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
    fn a_100_is_for_us_and_what_a_client_cannot_get_is_counted() {
        let interim = Interim::new(Waker::noop().clone());
        interim.begin(true);
        let watching = Watching::new(&interim, None);
        watching.see(StatusCode::CONTINUE, &HeaderMap::new());
        assert!(!interim.is_waiting());
        watching.see(StatusCode::PROCESSING, &HeaderMap::new());
        assert!(interim.is_waiting());
        let shown = String::from_utf8(interim.write()).unwrap();
        assert!(shown.starts_with("HTTP/1.1 102 Processing\r\n"), "{shown}");
        interim.begin(false);
        watching.see(StatusCode::PROCESSING, &HeaderMap::new());
        assert!(!interim.is_waiting());
        assert_eq!(interim.dropped(), 1);
    }
}
