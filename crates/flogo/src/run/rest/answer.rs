//! What another service answers: its head, and its body in full.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use fusebox_gateway::parts::{Connection, Desk, ErrorKind, UpstreamError, UpstreamErrors};
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::Fault;

/// The longest gap in an answer's body.
const GAP_MAX: Duration = Duration::from_secs(60);

/// The largest answer, also once it is decompressed.
const ANSWER_MAX: usize = 32 * 1024 * 1024;

/// What another service answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The body, decompressed where we had asked for compression.
    pub body: Body,
}

/// An answer's body, not read yet.
#[derive(Debug)]
pub struct Body {
    inner: Incoming,
    connection: Connection,
    gzip: bool,
}

impl Body {
    /// A body that is on its way on a connection; `gzip`: it is compressed, as we had asked for.
    pub fn new(inner: Incoming, connection: Connection, gzip: bool) -> Body {
        Body {
            inner,
            connection,
            gzip,
        }
    }

    /// Reads the body to its end and gives the connection back.
    ///
    /// # Errors
    /// If it is cut, stops flowing, is too large or not what its coding says; no fault of the
    /// network in Flogo's eyes, since the answer had begun.
    pub async fn read(mut self, desk: &Desk, errors: &UpstreamErrors) -> Result<Bytes, Fault> {
        let note = |error: &UpstreamError| errors.note(error, desk.clock.exact());
        // Most bodies are one frame, which is then the body without a copy.
        let mut first: Option<Bytes> = None;
        let mut more = BytesMut::new();
        while !self.inner.is_end_stream() {
            let frame = tokio::time::timeout(GAP_MAX, self.inner.frame()).await;
            let frame = match frame {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => {
                    note(&UpstreamError::body(&error));
                    return Err(Fault::plain("unexpected EOF"));
                }
                Err(_) => {
                    note(&UpstreamError::silent_body());
                    let waited = GAP_MAX.as_secs();
                    let fault = format!("the answer's body has not gone on for {waited} s");
                    return Err(Fault::plain(fault));
                }
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            match first.take() {
                None if more.is_empty() => first = Some(data),
                None => more.extend_from_slice(&data),
                Some(head) => {
                    more.extend_from_slice(&head);
                    more.extend_from_slice(&data);
                }
            }
            if more.len() > ANSWER_MAX {
                note(&UpstreamError::new(ErrorKind::Limit, "body over our limit"));
                return Err(too_large());
            }
        }
        self.connection.give_back(desk.clock.tick());
        let bytes = first.unwrap_or_else(|| more.freeze());
        if self.gzip && !bytes.is_empty() {
            decompressed(&bytes)
        } else {
            Ok(bytes)
        }
    }

    /// Lets the body go unread; only a connection that has nothing left of it is used again.
    pub fn discard(self, desk: &Desk) {
        if self.inner.is_end_stream() {
            self.connection.give_back(desk.clock.tick());
        }
    }
}

fn decompressed(bytes: &[u8]) -> Result<Bytes, Fault> {
    use std::io::Read as _;
    let mut plain = Vec::new();
    let limit = ANSWER_MAX as u64 + 1;
    let read = MultiGzDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut plain);
    match read {
        Ok(_) if plain.len() > ANSWER_MAX => Err(too_large()),
        Ok(_) => Ok(plain.into()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(Fault::plain("unexpected EOF"))
        }
        Err(_) => Err(Fault::plain("gzip: invalid header")),
    }
}

fn too_large() -> Fault {
    Fault::plain(format!(
        "the answer's body is larger than {ANSWER_MAX} bytes"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn compressed(size: usize) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&vec![b'x'; size]).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_compressed_body_is_read_up_to_its_limit_and_no_further() {
        assert_eq!(decompressed(&compressed(70_000)).unwrap().len(), 70_000);
        assert_eq!(
            decompressed(&compressed(ANSWER_MAX)).unwrap().len(),
            ANSWER_MAX
        );
        let bomb = decompressed(&compressed(ANSWER_MAX + 1)).unwrap_err();
        assert!(bomb.message.contains("larger"), "{bomb}");
    }

    #[test]
    fn a_compressed_body_that_is_none_or_is_cut_is_told_apart() {
        let whole = compressed(1000);
        let message = |bytes: &[u8]| decompressed(bytes).unwrap_err().message;
        assert_eq!(&*message(&whole[..whole.len() - 3]), "unexpected EOF");
        assert_eq!(
            &*message(b"plain text, and enough of it"),
            "gzip: invalid header"
        );
    }
}
