//! Sends a request's body behind its head, as it comes.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame};

use super::fault::Fault;
use super::request_head::SentFraming;
use super::wire::Wire;
use crate::message::body::{Body, BodyError};
use crate::message::kept_body::{ClientBytes, Outgoing};
use crate::message::marks;

/// A request's body on its way.
#[derive(Debug, Default)]
pub struct Upload {
    /// The body; `None` once all of it is queued.
    body: Option<ClientBytes>,
    /// The bytes that are left, if the head said how many there are; `None`: it comes in chunks.
    left: Option<u64>,
    /// True once any of it was taken.
    has_begun: bool,
    /// True while queued bytes may wait.
    is_sending: bool,
}

impl Upload {
    /// The framing of a body.
    pub fn framing(body: &Outgoing) -> SentFraming {
        match body {
            Body::Fixed(None) => SentFraming::Nothing,
            Body::Fixed(Some(bytes)) => SentFraming::Length(bytes.len() as u64),
            Body::Streamed(body) => match body.size_hint().exact() {
                Some(bytes) => SentFraming::Length(bytes),
                None => SentFraming::Chunked,
            },
        }
    }

    /// Begins to send a body behind a head that is queued. Fixed bytes are queued at once; the body keeps a handle to them.
    pub fn begin(body: &mut Outgoing, framing: SentFraming, wire: &mut Wire) -> Upload {
        let mut upload = Upload {
            is_sending: true,
            ..Upload::default()
        };
        match body {
            Body::Fixed(None) => {}
            Body::Fixed(Some(bytes)) => wire.push_data(bytes.clone()),
            Body::Streamed(_) => {
                if let Body::Streamed(body) = std::mem::replace(body, Body::Fixed(None)) {
                    upload.body = Some(body);
                }
                upload.left = match framing {
                    SentFraming::Length(bytes) => Some(bytes),
                    SentFraming::Nothing | SentFraming::Chunked => None,
                };
            }
        }
        upload
    }

    /// True until all has been written.
    pub fn is_unfinished(&self) -> bool {
        self.is_sending
    }

    /// Gives an untouched body back; false: some of it was taken.
    pub fn give_back(&mut self, body: &mut Outgoing) -> bool {
        if self.has_begun {
            return false;
        }
        if let Some(untouched) = self.body.take() {
            *body = Body::Streamed(untouched);
        }
        true
    }

    /// Sends as much as goes; ready once all has been written.
    pub fn poll(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            // Frames that are there at once are written together.
            let mut waits = false;
            while let Some(body) = &mut self.body
                && wire.has_room()
            {
                match Pin::new(body).poll_frame(cx) {
                    Poll::Pending => {
                        waits = true;
                        break;
                    }
                    Poll::Ready(frame) => {
                        self.has_begun = true;
                        self.queue(frame, wire)?;
                    }
                }
            }
            match wire.poll_write(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(written) => written?,
            }
            if self.body.is_none() {
                self.is_sending = false;
                return Poll::Ready(Ok(()));
            }
            if waits {
                return Poll::Pending;
            }
        }
    }

    /// Queues the next frame of the body, or its end.
    fn queue(
        &mut self,
        frame: Option<Result<Frame<Bytes>, BodyError>>,
        wire: &mut Wire,
    ) -> Result<(), Fault> {
        let Some(frame) = frame else {
            return self.end(None, wire);
        };
        let frame = frame.map_err(Fault::Upload)?;
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(other) => return self.end(other.into_trailers().ok(), wire),
        };
        if !data.is_empty() {
            match &mut self.left {
                Some(left) => {
                    let rest = left.checked_sub(data.len() as u64);
                    *left = rest.ok_or(Fault::UploadLength)?;
                    wire.push_data(data);
                }
                None => {
                    let mut size = [0; 20];
                    let mut rest = &mut size[..];
                    // The digits of a number of 64 bits fit.
                    let _ = write!(rest, "{:x}\r\n", data.len());
                    let free = rest.len();
                    wire.push(&size[..size.len() - free]);
                    wire.push_data(data);
                    wire.push(b"\r\n");
                }
            }
        }
        match self.body.as_ref().is_some_and(|body| body.is_end_stream()) {
            true => self.end(None, wire),
            false => Ok(()),
        }
    }

    /// Queues the end of the body.
    fn end(&mut self, trailers: Option<HeaderMap>, wire: &mut Wire) -> Result<(), Fault> {
        self.body = None;
        match self.left {
            Some(0) => return Ok(()),
            Some(_) => return Err(Fault::UploadLength),
            None => {}
        }
        wire.push(b"0\r\n");
        for (name, value) in trailers.iter().flatten() {
            if marks::may_trail(name) {
                let line = [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"];
                line.iter().for_each(|part| wire.push(part));
            }
        }
        wire.push(b"\r\n");
        Ok(())
    }
}
