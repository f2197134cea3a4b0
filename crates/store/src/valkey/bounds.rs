//! Limits the size of replies: a stream that fails as soon as a reply announces or delivers too much.
//!
//! The client's parser buffers a reply until it is complete, whatever its length. So the bytes are scanned before they
//! reach the parser; only the headers of the parts are read, as defined by [RESP](https://valkey.io/topics/protocol/).

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The deepest nesting of arrays, maps and sets. Our scripts return flat lists; the slots of a cluster nest 4 deep.
const DEPTH_MAX: usize = 16;
/// The most bytes in a simple line, such as an error or a number.
const LINE_MAX: usize = 64 * 1024;
/// The most bytes in a header line that announces a length.
const HEAD_MAX: usize = 32;
/// The fewest bytes of an encoded value.
const VALUE_MIN: usize = 3;

/// The reason for rejecting a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Excess {
    Bytes(usize),
    Line,
    Values(u64),
    Depth,
    Head,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Excess::Bytes(max) => write!(f, "its reply is longer than the {max} bytes allowed"),
            Excess::Line => write!(f, "its reply has a line of more than {LINE_MAX} bytes"),
            Excess::Values(count) => write!(f, "its reply announces {count} values"),
            Excess::Depth => write!(f, "its reply is nested more than {DEPTH_MAX} deep"),
            Excess::Head => f.write_str("its reply has a part without a valid length"),
        }
    }
}

/// Scans a stream of replies byte by byte.
#[derive(Debug)]
struct Scanner {
    /// The most bytes in one reply.
    max: usize,
    /// The bytes of the current reply so far.
    used: usize,
    /// The values still to come in each open array, outermost first.
    open: Vec<u64>,
    position: Position,
}

#[derive(Debug)]
enum Position {
    /// At the start of a value.
    Start,
    /// In a header line of this kind, which announces a length.
    Head { kind: u8, line: Vec<u8> },
    /// In any other line, `length` bytes so far; `ending` if the last was a carriage return.
    Line { length: usize, ending: bool },
    /// In content that is skipped, with `left` bytes to go.
    Bulk { left: usize },
}

impl Scanner {
    fn new(max: usize) -> Self {
        Scanner {
            max,
            used: 0,
            open: Vec::new(),
            position: Position::Start,
        }
    }

    fn scan(&mut self, mut bytes: &[u8]) -> Result<(), Excess> {
        while let Some(&byte) = bytes.first() {
            let mut taken = 1;
            match &mut self.position {
                Position::Start => {
                    self.position = match byte {
                        b'$' | b'!' | b'=' | b'*' | b'~' | b'>' | b'%' | b'|' => Position::Head {
                            kind: byte,
                            line: Vec::new(),
                        },
                        // The parser rejects anything that is not a reply.
                        _ => Position::Line {
                            length: 0,
                            ending: false,
                        },
                    };
                }
                Position::Line { length, ending } => {
                    let ends = *ending && byte == b'\n';
                    *ending = byte == b'\r';
                    *length += 1;
                    if *length > LINE_MAX {
                        return Err(Excess::Line);
                    }
                    if ends {
                        self.end_value();
                    }
                }
                Position::Head { kind, line } => {
                    line.push(byte);
                    if line.len() > HEAD_MAX {
                        return Err(Excess::Head);
                    }
                    if let Some(number) = line.strip_suffix(b"\r\n") {
                        let number = std::str::from_utf8(number).ok();
                        let number = number.and_then(|text| text.trim().parse::<i64>().ok());
                        let (kind, number) = (*kind, number.ok_or(Excess::Head)?);
                        self.begin(kind, number)?;
                    }
                }
                Position::Bulk { left } => {
                    taken = bytes.len().min(*left);
                    *left -= taken;
                    if *left == 0 {
                        self.position = Position::Start;
                        self.used += taken;
                        self.end_value();
                        bytes = &bytes[taken..];
                        continue;
                    }
                }
            }
            // The last byte of a reply does not count towards the next one.
            if !matches!(self.position, Position::Start) || !self.open.is_empty() {
                self.used += taken;
            }
            if self.used > self.max {
                return Err(Excess::Bytes(self.max));
            }
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// Handles the announced length or count of a value.
    fn begin(&mut self, kind: u8, number: i64) -> Result<(), Excess> {
        let count = match (kind, u64::try_from(number)) {
            (b'$' | b'*' | b'~', Err(_)) | (b'*' | b'~' | b'>' | b'%', Ok(0)) => {
                self.end_value();
                return Ok(());
            }
            (_, Err(_)) => return Err(Excess::Head),
            (_, Ok(count)) => count,
        };
        let left = self.max.saturating_sub(self.used);
        if matches!(kind, b'$' | b'!' | b'=') {
            let length = usize::try_from(count).unwrap_or(usize::MAX);
            if length > left {
                return Err(Excess::Bytes(self.max));
            }
            self.position = Position::Bulk { left: length + 2 };
            return Ok(());
        }
        let values = match kind {
            b'%' => count.checked_mul(2),
            b'|' => count
                .checked_mul(2)
                .and_then(|double| double.checked_add(1)),
            _ => Some(count),
        };
        let values = values.ok_or(Excess::Values(count))?;
        if values > (left / VALUE_MIN) as u64 {
            return Err(Excess::Values(count));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Excess::Depth);
        }
        self.open.push(values);
        self.position = Position::Start;
        Ok(())
    }

    /// Ends a value, and every open array that it completes.
    fn end_value(&mut self) {
        self.position = Position::Start;
        while let Some(left) = self.open.last_mut() {
            *left -= 1;
            if *left > 0 {
                return;
            }
            self.open.pop();
        }
        self.used = 0;
    }
}

/// A stream that fails on a reply above the size limit.
#[derive(Debug)]
pub(super) struct Bounded<S> {
    stream: S,
    scanner: Scanner,
    failed: Option<Excess>,
}

impl<S> Bounded<S> {
    /// Wraps a stream, with the most bytes allowed in one reply.
    pub(super) fn new(stream: S, max: usize) -> Self {
        Bounded {
            stream,
            scanner: Scanner::new(max),
            failed: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.failed.is_none() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            this.failed = this.scanner.scan(&buffer.filled()[before..]).err();
            if this.failed.is_some() {
                buffer.set_filled(before);
            }
        }
        // The boundaries of the replies are lost, so the stream stays failed.
        Poll::Ready(match this.failed {
            None => Ok(()),
            Some(excess) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                excess.to_string(),
            )),
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOST: usize = 100;

    fn scan(bytes: &[u8], step: usize) -> Result<Scanner, Excess> {
        let mut scanner = Scanner::new(MOST);
        for some in bytes.chunks(step) {
            scanner.scan(some)?;
        }
        Ok(scanner)
    }

    #[test]
    fn replies_of_every_kind_pass_one_after_the_other_without_end() {
        let replies = "+OK\r\n-ERR no\r\n:7\r\n$-1\r\n$0\r\n\r\n$5\r\na\r\nbc\r\n*0\r\n*-1\r\n*2\r\n:1\r\n\
                       *1\r\n$1\r\nx\r\n%1\r\n+a\r\n_\r\n~2\r\n#t\r\n,1.5\r\n>2\r\n+message\r\n(99\r\n\
                       |1\r\n+ttl\r\n:3\r\n+value\r\n=7\r\ntxt:abc\r\n!5\r\nERR x\r\n%0\r\n";
        let many = replies.repeat(20);
        for step in [1, 2, 3, 7, 64, many.len()] {
            let scanner = scan(many.as_bytes(), step).unwrap();
            assert_eq!((scanner.used, scanner.open.len()), (0, 0), "{step}");
            assert!(matches!(scanner.position, Position::Start));
        }
    }

    #[test]
    fn an_oversized_reply_is_rejected_at_its_header() {
        let deep = "*1\r\n".repeat(DEPTH_MAX + 1);
        for (reply, excess) in [
            ("$500000000\r\n", Excess::Bytes(MOST)),
            ("$98\r\n", Excess::Bytes(MOST)),
            ("$9223372036854775807\r\n", Excess::Bytes(MOST)),
            ("$99999999999999999999\r\n", Excess::Head),
            ("$what\r\n", Excess::Head),
            ("$?\r\n", Excess::Head),
            ("=-1\r\n", Excess::Head),
            ("%-1\r\n", Excess::Head),
            ("$0000000000000000000000000000000001\r\n", Excess::Head),
            ("*1000000000\r\n", Excess::Values(1_000_000_000)),
            ("%50\r\n", Excess::Values(50)),
            ("%9223372036854775807\r\n", Excess::Values(i64::MAX as u64)),
            ("*2\r\n$60\r\n", Excess::Bytes(MOST)),
            (&deep, Excess::Depth),
        ] {
            if reply == "*2\r\n$60\r\n" {
                let whole = format!("*2\r\n$60\r\n{}\r\n$60\r\n", "x".repeat(60));
                assert_eq!(scan(whole.as_bytes(), 9).unwrap_err(), excess);
                continue;
            }
            for step in [1, 100] {
                assert_eq!(scan(reply.as_bytes(), step).unwrap_err(), excess, "{reply}");
            }
        }
        assert_eq!(scan(&[b'+'; 200], 7).unwrap_err(), Excess::Bytes(MOST));
        let mut scanner = Scanner::new(usize::MAX);
        assert_eq!(scanner.scan(&[b'-'; LINE_MAX + 2]), Err(Excess::Line));
    }

    proptest! {
        #[test]
        fn any_bytes_are_followed_without_a_panic(
            bytes in prop::collection::vec(prop::sample::select(b"+-:$*%|~>=!(_#,?\r\n019 ax".to_vec()), 0..200),
            step in 1usize..20,
        ) {
            let _ = scan(&bytes, step);
        }

        #[test]
        fn the_splitting_of_the_bytes_makes_no_difference(
            bytes in prop::collection::vec(prop::sample::select(b"+:$*>\r\n012".to_vec()), 0..80),
            step in 1usize..20,
        ) {
            let (one, other) = (scan(&bytes, step), scan(&bytes, 1));
            prop_assert_eq!(one.map(|it| it.used).map_err(|_| ()), other.map(|it| it.used).map_err(|_| ()));
        }
    }
}
