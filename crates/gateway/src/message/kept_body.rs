//! A client's body that is kept while it is sent, so that it can be sent again.
//!
//! Each attempt has a reader: it begins with the kept part and continues with the client's body as it comes, trailers
//! included. Up to a bound all of it is kept; a longer body is sent once. One reader reads at a time: a new one takes
//! the body from the one before, whose connection may still hold it for a moment.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

use crate::message::body::{Body, BodyError};
use crate::message::request_body::RequestBody;

/// A client's body, with what was read of it.
#[derive(Debug, Clone)]
pub struct KeptBody(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    body: RequestBody,
    frames: Vec<Frame<Bytes>>,
    bytes: usize,
    bytes_max: usize,
    /// True once more was read than is kept.
    is_over: bool,
    /// The number of the present reader.
    reader: u32,
}

impl KeptBody {
    /// Keeps up to `bytes_max` bytes of a body.
    pub fn new(body: RequestBody, bytes_max: usize) -> KeptBody {
        KeptBody(Arc::new(Mutex::new(Kept {
            body,
            frames: Vec::new(),
            bytes: 0,
            bytes_max,
            is_over: false,
            reader: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while all that was read is kept, so that the body can be sent from its beginning.
    pub fn is_whole(&self) -> bool {
        !self.lock().is_over
    }

    /// Reads the body to its end, as far as it is kept; true if all of it is kept.
    ///
    /// # Errors
    /// If it breaks off.
    pub async fn read_all(&self) -> Result<bool, BodyError> {
        let mut reader = self.reader();
        while self.is_whole() {
            match reader.frame().await {
                Some(frame) => drop(frame?),
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// A reader from the beginning. Once it is polled, it takes the body from the reader before it.
    pub fn reader(&self) -> KeptReader {
        KeptReader {
            number: None,
            next: 0,
            kept: self.clone(),
        }
    }
}

/// A kept body on its way in one attempt.
#[derive(Debug)]
pub struct KeptReader {
    kept: KeptBody,
    /// The reader's number; `None` until it is polled.
    number: Option<u32>,
    /// The index of the next kept frame.
    next: usize,
}

impl KeptReader {
    /// The body that is read.
    pub fn kept(&self) -> &KeptBody {
        &self.kept
    }
}

impl Kept {
    fn copy(&self, at: usize) -> Option<Frame<Bytes>> {
        let frame = self.frames.get(at)?;
        match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => Some(Frame::data(data.clone())),
            (None, Some(trailers)) => Some(Frame::trailers(trailers.clone())),
            (None, None) => None,
        }
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        self.bytes += frame.data_ref().map_or(0, Bytes::len);
        if self.bytes > self.bytes_max {
            self.is_over = true;
            self.frames = Vec::new();
        }
        if self.is_over {
            return;
        }
        match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => self.frames.push(Frame::data(data.clone())),
            (None, Some(trailers)) => self.frames.push(Frame::trailers(trailers.clone())),
            (None, None) => {}
        }
    }
}

impl http_body::Body for KeptReader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let kept = this.kept.clone();
        let mut kept = kept.lock();
        let number = *this.number.get_or_insert_with(|| {
            kept.reader += 1;
            kept.reader
        });
        if kept.reader != number || (this.next == 0 && kept.is_over) {
            return Poll::Ready(Some(Err(BodyError::Client)));
        }
        if let Some(frame) = kept.copy(this.next) {
            this.next += 1;
            return Poll::Ready(Some(Ok(frame)));
        }
        let frame = std::task::ready!(Pin::new(&mut kept.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            kept.keep(frame);
            this.next += 1;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let kept = self.kept.lock();
        let is_behind = !kept.is_over && self.next < kept.frames.len();
        !is_behind && kept.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let kept = self.kept.lock();
        let frames = kept.frames.iter().skip(self.next);
        let bytes: usize = frames.filter_map(Frame::data_ref).map(Bytes::len).sum();
        match kept.body.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest + bytes as u64),
            None => SizeHint::default(),
        }
    }
}

/// A client's body on its way to an upstream: as it comes, or kept.
#[derive(Debug)]
pub enum ClientBytes {
    /// The client's body, sent once.
    Once(Box<RequestBody>),
    /// The client's body, kept while it is sent.
    Kept(KeptReader),
}

/// The body of a request to an upstream.
pub type Outgoing = Body<ClientBytes>;

impl Outgoing {
    /// True if the body can be sent from its beginning.
    pub fn is_whole(&self) -> bool {
        match self {
            Body::Streamed(ClientBytes::Kept(reader)) => reader.kept().is_whole(),
            Body::Fixed(_) | Body::Streamed(ClientBytes::Once(_)) => true,
        }
    }

    /// The same body from its beginning; `None`: it is a client's, which comes once.
    pub fn again(&self) -> Option<Outgoing> {
        match self {
            Body::Fixed(bytes) => Some(Body::Fixed(bytes.clone())),
            Body::Streamed(ClientBytes::Kept(reader)) => {
                Some(Body::Streamed(ClientBytes::Kept(reader.kept().reader())))
            }
            Body::Streamed(ClientBytes::Once(_)) => None,
        }
    }
}

impl http_body::Body for ClientBytes {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            ClientBytes::Once(body) => Pin::new(body).poll_frame(cx),
            ClientBytes::Kept(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ClientBytes::Once(body) => body.is_end_stream(),
            ClientBytes::Kept(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ClientBytes::Once(body) => body.size_hint(),
            ClientBytes::Kept(body) => body.size_hint(),
        }
    }
}
