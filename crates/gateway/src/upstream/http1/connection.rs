//! A connection to an upstream that carries one request at a time, and its state between two of them.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body::Frame;

use super::answer_head::{AnswerHead, HeadLimits, HeadReader};
use super::chunked::{Chunked, Part};
use super::fault::Fault;
use super::request_head;
use super::upload::Upload;
use super::wire::{Idleness, Wire};
use crate::ground::transport::ByteStream;
use crate::message::interim::{MOST, Watching};
use crate::message::kept_body::Outgoing;
use crate::upstream::parting::{CloseOnDrop, Parting};
use crate::upstream::upstream_errors::CertificateWish;

/// The status at which an answer's head ends the connection's time with HTTP.
const SWITCHED: &[u8] = b"101";

/// The bytes before the status in a status line.
const BEFORE_STATUS: usize = b"HTTP/1.1 ".len();

/// The part of an answer that is read next.
#[derive(Debug)]
enum Reading {
    /// Nothing: no request is on its way.
    Nothing,
    /// The answer's head.
    Head,
    /// A body of known length, with the number of bytes to come.
    Length(u64),
    /// The chunks of the body.
    Chunked(Box<Chunked>),
    /// The body, up to the end of the connection.
    UntilClose,
    /// Nothing: the whole answer was read.
    End,
    /// Nothing: the connection speaks another protocol from here on.
    Switched,
    /// Nothing: the answer broke off.
    Broken,
}

/// An open connection.
#[derive(Debug)]
pub struct Http1 {
    wire: Wire,
    reading: Reading,
    heads: HeadReader,
    upload: Upload,
    /// True while the connection may carry another request.
    keeps: bool,
    /// True if the request's method is `HEAD` or `CONNECT`.
    is_head: bool,
    is_connect: bool,
    /// The number of interim answers to the request.
    interim: u32,
    limits: HeadLimits,
    /// Over TLS, the upstream's request for a client certificate that we do not have.
    wish: Option<Arc<CertificateWish>>,
    /// Behind the wire, so that it is dropped after the socket.
    parting: CloseOnDrop,
}

impl Http1 {
    /// A new connection; `wish`: over TLS, the upstream's request for a certificate.
    pub fn new(
        stream: Box<dyn ByteStream>,
        limits: HeadLimits,
        wish: Option<Arc<CertificateWish>>,
    ) -> Http1 {
        Http1 {
            wire: Wire::new(stream),
            reading: Reading::Nothing,
            heads: HeadReader::default(),
            upload: Upload::default(),
            keeps: true,
            is_head: false,
            is_connect: false,
            interim: 0,
            limits,
            wish,
            parting: CloseOnDrop(Arc::default()),
        }
    }

    /// The part that the place of a call on the connection is tied to.
    pub fn parting(&self) -> &Arc<Parting> {
        &self.parting.0
    }

    /// True if the upstream's request for a client certificate, which we do not have, is still open.
    pub fn is_wish_open(&self) -> bool {
        self.wish.as_ref().is_some_and(|wish| wish.is_open())
    }

    /// The number of bytes written since the request began.
    pub fn written(&self) -> u64 {
        self.wire.written()
    }

    /// True once bytes have come since the request began.
    pub fn has_read(&self) -> bool {
        self.wire.has_read()
    }

    /// Begins a request: queues its head and a fixed body, and takes one that is streamed.
    pub fn begin(&mut self, request: &mut Request<Outgoing>) {
        let framing = Upload::framing(request.body());
        request_head::write(self.wire.begin(), request, framing);
        self.upload = Upload::begin(request.body_mut(), framing, &mut self.wire);
        self.is_head = *request.method() == Method::HEAD;
        self.is_connect = *request.method() == Method::CONNECT;
        self.interim = 0;
        self.heads.begin();
        self.keeps = self.keeps && !closes(request.headers());
        self.reading = Reading::Head;
    }

    /// Takes the request back if nothing of it was written: returns true, and its body is whole again.
    pub fn take_back(&mut self, request: &mut Request<Outgoing>) -> bool {
        self.written() == 0 && self.upload.give_back(request.body_mut())
    }

    /// Sends the request, and waits for the head of its final answer; interim ones go to `watching`. `fields` gives an empty map
    /// for the fields of a head.
    pub fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        watching: &Watching<'_>,
        mut fields: impl FnMut() -> HeaderMap,
    ) -> Poll<Result<AnswerHead, Fault>> {
        if self.written() == 0 {
            let _ = self.poll_upload(cx)?;
        }
        loop {
            while !self.waits_for_upload()
                && let Some(head) =
                    self.heads
                        .take(&mut self.wire.read, self.limits, &mut fields)?
            {
                let is_switch = head.status == StatusCode::SWITCHING_PROTOCOLS;
                if !head.status.is_informational() || is_switch {
                    self.answered(&head);
                    return Poll::Ready(Ok(head));
                }
                self.interim += 1;
                if self.interim > MOST {
                    return Poll::Ready(Err(Fault::TooManyInterim));
                }
                watching.see(head.status, &head.headers);
            }
            if self.waits_for_upload() {
                ready!(self.poll_upload(cx))?;
                continue;
            }
            match self.wire.poll_read(cx, None) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(self.heads.broken_off(&self.wire.read, self.limits)));
                }
                // Nothing was asked yet, so this is no answer.
                Poll::Ready(Ok(_)) if self.written() == 0 => {
                    return Poll::Ready(Err(Fault::NoAnswer));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => break,
            }
        }
        let _ = self.poll_upload(cx)?;
        Poll::Pending
    }

    /// True if the answer switches protocols before the request is complete: its rest goes first, since what follows is no
    /// HTTP.
    fn waits_for_upload(&self) -> bool {
        self.upload.is_unfinished()
            && self
                .wire
                .read
                .get(BEFORE_STATUS..BEFORE_STATUS + SWITCHED.len())
                == Some(SWITCHED)
    }

    /// Sends the rest of the request; ready once all has been written.
    pub fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        match self.upload.is_unfinished() {
            true => self.upload.poll(&mut self.wire, cx),
            false => Poll::Ready(Ok(())),
        }
    }

    /// True until all of the request has been written.
    pub fn is_uploading(&self) -> bool {
        self.upload.is_unfinished()
    }

    /// Waits for the end of a connection whose answer was read; bytes behind the answer stay where they are.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.wire.read.is_empty() {
            return Poll::Pending;
        }
        match self.wire.poll_read(cx, None) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }

    /// Notes the head of an answer, which says what follows it (RFC 9112, section 6.3).
    fn answered(&mut self, head: &AnswerHead) {
        if let Some(wish) = &self.wish {
            wish.answered();
        }
        self.keeps = self.keeps && head.keeps;
        let status = head.status;
        let switches =
            status == StatusCode::SWITCHING_PROTOCOLS || (self.is_connect && status.is_success());
        let has_none =
            self.is_head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        self.reading = if switches {
            Reading::Switched
        } else if has_none {
            Reading::End
        } else if head.is_chunked {
            Reading::Chunked(Box::new(Chunked::new(self.limits)))
        } else {
            match head.length {
                Some(0) => Reading::End,
                Some(bytes) => Reading::Length(bytes),
                None => Reading::UntilClose,
            }
        };
    }

    /// The next frame of the answer's body; `None`: it has ended.
    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let frame = ready!(self.poll_part(cx));
        if frame.is_err() {
            self.reading = Reading::Broken;
        }
        Poll::Ready(frame.transpose())
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Fault>> {
        loop {
            let expected = match &mut self.reading {
                Reading::Length(left) => {
                    let here = self.wire.read.len();
                    let here = usize::try_from(*left).map_or(here, |left| left.min(here));
                    if here > 0 {
                        let data = self.wire.read.split_to(here).freeze();
                        *left -= here as u64;
                        if *left == 0 {
                            self.reading = Reading::End;
                        }
                        return Poll::Ready(Ok(Some(Frame::data(data))));
                    }
                    Some(*left)
                }
                Reading::Chunked(chunked) => {
                    let part = chunked.next(&mut self.wire.read)?;
                    let has_ended = chunked.has_ended();
                    if has_ended {
                        self.reading = Reading::End;
                    }
                    match part {
                        Part::Data(data) => return Poll::Ready(Ok(Some(Frame::data(data)))),
                        Part::Trailers(trailers) => {
                            return Poll::Ready(Ok(Some(Frame::trailers(trailers))));
                        }
                        Part::End => return Poll::Ready(Ok(None)),
                        Part::More(0) => None,
                        Part::More(left) => Some(left),
                    }
                }
                Reading::UntilClose if !self.wire.read.is_empty() => {
                    let data = self.wire.read.split().freeze();
                    return Poll::Ready(Ok(Some(Frame::data(data))));
                }
                Reading::UntilClose => None,
                Reading::Nothing
                | Reading::Head
                | Reading::End
                | Reading::Switched
                | Reading::Broken => return Poll::Ready(Ok(None)),
            };
            if ready!(self.wire.poll_read(cx, expected))? == 0 {
                self.keeps = false;
                if !matches!(self.reading, Reading::UntilClose) {
                    return Poll::Ready(Err(Fault::CutBody));
                }
                self.reading = Reading::End;
            }
        }
    }

    /// True if nothing of the answer is left to be read.
    pub fn has_ended(&self) -> bool {
        !matches!(
            self.reading,
            Reading::Length(_) | Reading::Chunked(_) | Reading::UntilClose
        )
    }

    /// The number of bytes of the body that are still to come; `None`: it is not known.
    pub fn left(&self) -> Option<u64> {
        match &self.reading {
            Reading::Length(left) => Some(*left),
            Reading::Chunked(_) | Reading::UntilClose => None,
            _ => Some(0),
        }
    }

    /// Ends the exchange; true if the connection may carry another request, once it is looked at.
    pub fn rest(&mut self) -> bool {
        let is_whole = matches!(self.reading, Reading::End) && !self.is_uploading();
        // A body that ends with its connection leaves nothing behind.
        let may_rest = is_whole && self.keeps;
        if may_rest {
            self.reading = Reading::Nothing;
            self.upload = Upload::default();
            self.wire.rest();
        }
        may_rest
    }

    /// Gives large places back, since no request has come for a while.
    pub fn shed(&mut self) {
        self.heads.shed();
        self.wire.shed();
    }

    /// True if bytes came behind the answer.
    pub fn has_leftovers(&self) -> bool {
        !self.wire.read.is_empty()
    }

    /// Looks whether a connection without a request is still open.
    pub fn idleness(&mut self) -> Idleness {
        self.wire.idleness()
    }

    /// Says farewell if the other side expects one; the connection is to be dropped.
    pub fn part(&mut self) {
        // Without TLS the end of the socket says all.
        if self.wish.is_some() {
            self.wire.part();
        }
    }

    /// The stream behind an answer that switched protocols, and the bytes of it that have come; `None`: none did.
    pub fn into_switched(self) -> Option<(Box<dyn ByteStream>, Bytes)> {
        matches!(self.reading, Reading::Switched).then(|| {
            self.parting.0.untie();
            self.wire.into_parts()
        })
    }
}

/// True if a request says that its connection carries no other.
fn closes(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(http::header::CONNECTION).iter();
    values.any(|value| {
        let mut words = value.as_bytes().split(|byte| *byte == b',');
        words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}
