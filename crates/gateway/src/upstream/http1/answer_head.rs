//! Reads an answer's head, as soon as all of it is here.
//!
//! The values of the fields are parts of the bytes that were read, not copies. A value that is kept for long would keep
//! all bytes of that read with it, so who keeps values copies them (`last_good`, `jar`).

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::ext::ReasonPhrase;

use super::fault::{Fault, HeadFault};
use super::known_head::{Field, KnownHead};

/// The most fields that are read without a place on the heap.
const FIELDS_AT_HAND: usize = 128;

/// The lines that end a head.
const EMPTY_LINES: [&[u8]; 2] = [b"\r\n", b"\n"];

/// The bytes that begin every answer that is read.
const BEGINNING: &[u8] = b"HTTP/1.";

/// Our limits on a head.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// The most bytes, from the status line to the empty line.
    pub bytes_max: usize,
    /// The most fields.
    pub fields_max: usize,
}

/// A head that was read.
#[derive(Debug)]
pub struct AnswerHead {
    /// The answer's status.
    pub status: StatusCode,
    /// True for HTTP/1.1, false for HTTP/1.0.
    pub is_http11: bool,
    /// The answer's fields.
    pub headers: HeaderMap,
    /// The reason phrase, if it is not the status's own.
    pub reason: Option<ReasonPhrase>,
    /// The length that the head names; `None`: none.
    pub length: Option<u64>,
    /// True if the head says that the body comes in chunks.
    pub is_chunked: bool,
    /// True if the upstream keeps the connection.
    pub keeps: bool,
}

/// Reads heads as their bytes come.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// The number of bytes of the present head that were looked at for its end; 0: it was not read yet.
    looked_at: usize,
    /// The places of the head's fields.
    places: Vec<Place>,
    /// The lines of the heads before.
    known: KnownHead,
}

/// The place of a field in a head.
#[derive(Debug)]
struct Place {
    name: Range<usize>,
    value: Range<usize>,
    /// True if the whole line is the known one at its place.
    is_known: bool,
}

/// A head's first line.
#[derive(Debug, Clone)]
pub struct StatusLine {
    code: u16,
    reason: Range<usize>,
    is_http11: bool,
}

/// A head's first line, and the number of the head's bytes.
struct Read {
    length: usize,
    first: StatusLine,
    /// True if each line of the head was known.
    is_known: bool,
}

impl HeadReader {
    /// Begins with a new head.
    pub fn begin(&mut self) {
        self.looked_at = 0;
    }

    /// Gives back the known lines, which only make the next head sooner to read.
    pub fn shed(&mut self) {
        self.known = KnownHead::default();
    }

    /// Takes a head from the front of `buffer`, once all of it is there; `fields` gives an empty map, which is filled with the
    /// fields of a final answer.
    ///
    /// # Errors
    /// If it is malformed, is over a limit, or frames a body in more than one way.
    pub fn take(
        &mut self,
        buffer: &mut BytesMut,
        limits: HeadLimits,
        fields: impl FnOnce() -> HeaderMap,
    ) -> Result<Option<AnswerHead>, Fault> {
        if buffer.is_empty() || !self.may_be_whole(buffer, limits) {
            return Ok(None);
        }
        let seen = &buffer[..buffer.len().min(limits.bytes_max)];
        let Some(read) = self.read(seen, limits)? else {
            if buffer.len() >= limits.bytes_max {
                return Err(Fault::HeadTooLarge);
            }
            // The end of a line may be the start of the end.
            self.looked_at = buffer.len().saturating_sub(2).max(1);
            return Ok(None);
        };
        self.looked_at = 0;
        let head = buffer.split_to(read.length).freeze();
        let is_interim = matches!(read.first.code, 100 | 102..=199);
        let fields = if is_interim {
            HeaderMap::new()
        } else {
            fields()
        };
        self.head(&read, &head, fields).map(Some)
    }

    /// False if a head of which a part was read before has still no end: it is not read again for each of its bytes.
    fn may_be_whole(&mut self, bytes: &[u8], limits: HeadLimits) -> bool {
        if self.looked_at == 0 || bytes.len() >= limits.bytes_max {
            return true;
        }
        let from = self.looked_at;
        let has_end = memchr::memchr_iter(b'\n', &bytes[from..])
            .any(|at| matches!(&bytes[from + at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]));
        if !has_end {
            self.looked_at = bytes.len().saturating_sub(2).max(1);
        }
        has_end
    }

    /// The fault of a connection that ended within a head, of which these bytes have come.
    pub fn broken_off(&mut self, bytes: &[u8], limits: HeadLimits) -> Fault {
        self.read(bytes, limits).err().unwrap_or(Fault::NoAnswer)
    }

    /// Reads the lines of a head that bytes begin with; `None`: it has no end yet.
    fn read(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Option<Read>, Fault> {
        if let Some(read) = self.read_known(bytes, limits) {
            return Ok(Some(read));
        }
        if limits.fields_max <= FIELDS_AT_HAND {
            let mut fields = [const { MaybeUninit::uninit() }; FIELDS_AT_HAND];
            self.read_into(bytes, &mut fields[..limits.fields_max])
        } else {
            let mut fields = vec![MaybeUninit::uninit(); limits.fields_max];
            self.read_into(bytes, &mut fields)
        }
    }

    /// Reads a head of which each line is known; `None`: it is another one.
    fn read_known(&mut self, bytes: &[u8], limits: HeadLimits) -> Option<Read> {
        let (first, mut at) = self.known.first(bytes)?;
        let first = first.clone();
        self.places.clear();
        while let Some((field, length)) = self.known.field(self.places.len(), &bytes[at..]) {
            self.places.push(Place {
                name: at..at + field.name_end,
                value: at + field.value_at.start..at + field.value_at.end,
                is_known: true,
            });
            at += length;
        }
        let end = EMPTY_LINES
            .iter()
            .find(|end| bytes[at..].starts_with(end))?;
        (self.places.len() <= limits.fields_max).then(|| Read {
            length: at + end.len(),
            first,
            is_known: true,
        })
    }

    fn read_into<'b>(
        &mut self,
        bytes: &'b [u8],
        fields: &mut [MaybeUninit<httparse::Header<'b>>],
    ) -> Result<Option<Read>, Fault> {
        // Empty lines before it would be skipped.
        let beginning = bytes.len().min(BEGINNING.len());
        if bytes[..beginning] != BEGINNING[..beginning] {
            return Err(Fault::Head(HeadFault::Version));
        }
        let mut read = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let parsed = parser.parse_response_with_uninit_headers(&mut read, bytes, fields);
        let length = match parsed {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(fault(error)),
        };
        let place = |part: &[u8]| {
            let from = part.as_ptr().addr() - bytes.as_ptr().addr();
            from..from + part.len()
        };
        self.places.clear();
        for field in &*read.headers {
            self.places.push(Place {
                name: place(field.name.as_bytes()),
                value: place(field.value),
                is_known: false,
            });
        }
        let first = StatusLine {
            code: read.code.unwrap_or_default(),
            // No reason is none of the bytes.
            reason: match read.reason {
                Some(reason) if !reason.is_empty() => place(reason.as_bytes()),
                _ => 0..0,
            },
            is_http11: read.version == Some(1),
        };
        Ok(Some(Read {
            length,
            first,
            is_known: false,
        }))
    }

    /// The line of a field in a head, with its end.
    fn line<'h>(&self, index: usize, head: &'h [u8]) -> &'h [u8] {
        let next = self.places.get(index + 1).map(|next| next.name.start);
        let end = next.unwrap_or_else(|| {
            let length = |end: &&&[u8]| head.ends_with(end);
            head.len() - EMPTY_LINES.iter().find(length).map_or(0, |end| end.len())
        });
        &head[self.places[index].name.start..end]
    }

    /// Looks which fields of a head are known, though not all of it is.
    fn recognise(&mut self, first: &StatusLine, head: &[u8]) {
        let end = self.places.first().map(|field| field.name.start);
        let line = &head[..end.unwrap_or(0)];
        if self.known.first(line).is_none() && !line.is_empty() {
            self.known.note_first(line, first.clone());
        }
        for index in 0..self.places.len() {
            let line = self.line(index, head);
            let known = self.known.field(index, line);
            self.places[index].is_known = known.is_some_and(|(_, length)| length == line.len());
        }
    }

    /// The field at a place in a head; `None`: it is malformed.
    fn field(&mut self, index: usize, head: &Bytes) -> Option<(HeaderName, HeaderValue)> {
        let Place {
            name,
            value,
            is_known,
        } = &self.places[index];
        if let (true, Some(field)) = (is_known, self.known.at(index)) {
            return Some((field.name.clone(), field.value.clone()));
        }
        let (name, value) = (name.clone(), value.clone());
        let read_name = HeaderName::from_bytes(&head[name.clone()]).ok()?;
        let read_value = HeaderValue::from_maybe_shared(head.slice(value.clone())).ok()?;
        let line = self.line(index, head);
        let from = name.start;
        self.known.note_field(index, line, || {
            Some(Field {
                name: read_name.clone(),
                value: HeaderValue::from_bytes(&head[value.clone()]).ok()?,
                name_end: name.end - from,
                value_at: value.start - from..value.end - from,
            })
        });
        Some((read_name, read_value))
    }

    /// The meaning of a head whose lines were read.
    fn head(
        &mut self,
        read: &Read,
        head: &Bytes,
        mut headers: HeaderMap,
    ) -> Result<AnswerHead, Fault> {
        let first = &read.first;
        let status = StatusCode::from_u16(first.code);
        let status = status.map_err(|_| Fault::Head(HeadFault::Status))?;
        let reason = &head[first.reason.clone()];
        let own = status.canonical_reason().map(str::as_bytes);
        let reason = (own != Some(reason)).then(|| ReasonPhrase::try_from(reason).ok());
        headers.reserve(self.places.len());
        let mut framing = Framing::default();
        let mut keeping = Keeping::default();
        if !read.is_known {
            self.recognise(first, head);
        }
        for index in 0..self.places.len() {
            let Some((name, value)) = self.field(index, head) else {
                return Err(Fault::Head(HeadFault::Field));
            };
            if name == CONTENT_LENGTH {
                framing.length(value.as_bytes())?;
            } else if name == TRANSFER_ENCODING {
                framing.coding(value.as_bytes())?;
            } else if name == CONNECTION {
                keeping.see(value.as_bytes());
            }
            headers.append(name, value);
        }
        if framing.is_chunked && !first.is_http11 {
            return Err(Fault::Head(HeadFault::TransferEncoding));
        }
        if framing.is_chunked && framing.length.is_some() {
            return Err(Fault::Head(HeadFault::Ambiguous));
        }
        Ok(AnswerHead {
            status,
            is_http11: first.is_http11,
            reason: reason.flatten(),
            length: framing.length,
            is_chunked: framing.is_chunked,
            keeps: keeping.keeps(first.is_http11),
            headers,
        })
    }
}

fn fault(error: httparse::Error) -> Fault {
    Fault::Head(match error {
        httparse::Error::TooManyHeaders => return Fault::HeadTooLarge,
        httparse::Error::Version => HeadFault::Version,
        httparse::Error::Status => HeadFault::Status,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => HeadFault::Field,
        httparse::Error::NewLine | httparse::Error::Token => HeadFault::Other,
    })
}

/// The framing that a head's fields ask for.
#[derive(Debug, Default)]
struct Framing {
    length: Option<u64>,
    is_chunked: bool,
}

impl Framing {
    /// Reads a `Content-Length`: one number, once. A list, a sign or a second line is read differently by others.
    fn length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(value).ok().filter(|_| digits);
        let length = text.and_then(|text| text.parse().ok());
        let length = length.ok_or(Fault::Head(HeadFault::ContentLength))?;
        match self.length.replace(length) {
            None => Ok(()),
            Some(other) if other == length => Err(Fault::Head(HeadFault::Ambiguous)),
            Some(_) => Err(Fault::Head(HeadFault::ContentLength)),
        }
    }

    /// Reads a `Transfer-Encoding`: exactly `chunked`, once.
    fn coding(&mut self, value: &[u8]) -> Result<(), Fault> {
        let is_first = !std::mem::replace(&mut self.is_chunked, true);
        match is_first && value.eq_ignore_ascii_case(b"chunked") {
            true => Ok(()),
            false => Err(Fault::Head(HeadFault::Ambiguous)),
        }
    }
}

/// The words of `Connection` about the connection's end.
#[derive(Debug, Default)]
struct Keeping {
    closes: bool,
    keeps: bool,
}

impl Keeping {
    fn see(&mut self, value: &[u8]) {
        for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.closes |= word.eq_ignore_ascii_case(b"close");
            self.keeps |= word.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn keeps(&self, is_http11: bool) -> bool {
        !self.closes && (is_http11 || self.keeps)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        bytes_max: 256,
        fields_max: 4,
    };

    /// The head in `bytes` that come `at_once` at a time and then end, and the rest; or the fault, as text.
    fn taken(bytes: &[u8], at_once: usize) -> Result<(AnswerHead, Vec<u8>), String> {
        let mut reader = HeadReader::default();
        let mut buffer = BytesMut::new();
        let mut parts = bytes.chunks(at_once.max(1));
        loop {
            let Some(part) = parts.next() else {
                return Err(reader.broken_off(&buffer, LIMITS).to_string());
            };
            buffer.extend_from_slice(part);
            let head = reader.take(&mut buffer, LIMITS, HeaderMap::new);
            if let Some(head) = head.map_err(|fault| fault.to_string())? {
                let rest = parts.flatten().copied();
                let rest = buffer.iter().copied().chain(rest).collect();
                return Ok((head, rest));
            }
        }
    }

    fn all(bytes: &str) -> Result<AnswerHead, String> {
        taken(bytes.as_bytes(), usize::MAX).map(|it| it.0)
    }

    /// Heads of which many begin as others do.
    fn alike() -> impl Strategy<Value = String> {
        let first = "HTTP/1\\.[01] (200 OK|200 Fine|404 Not Found|100 Continue|204 )(\r\n|\n)";
        let line = "(Date|date|ETag|Content-Length|Transfer-Encoding|Connection|X-A|X A)(: |:| : |:\t)\
                    (1|chunked|close|a b|[\\x00-\\xff]{0,3}) ?(\r\n|\n|\n )";
        (first, prop::collection::vec(line, 0..6), "(\r\n|\n)")
            .prop_map(|(first, lines, end)| format!("{first}{}{end}", lines.concat()))
    }

    proptest! {
        /// A connection whose upstream answers with a few heads in turns reads each as a new connection does.
        #[test]
        fn a_head_reads_the_same_whatever_came_before(
            heads in prop::collection::vec(alike(), 1..5),
            turns in prop::collection::vec((0usize..5, 0usize..3), 1..60),
        ) {
            let mut reader = HeadReader::default();
            let limits = HeadLimits { bytes_max: 256, fields_max: 4 };
            for (turn, cut) in turns {
                let head = heads[turn % heads.len()].as_bytes();
                let head = &head[..head.len() - cut.min(head.len())];
                let mut buffers = [BytesMut::from(head), BytesMut::from(head)];
                let [here, anew] = &mut buffers;
                reader.begin();
                let here_read = reader.take(here, limits, HeaderMap::new);
                let anew_read = HeadReader::default().take(anew, limits, HeaderMap::new);
                prop_assert_eq!(format!("{here_read:?}"), format!("{anew_read:?}"));
                prop_assert_eq!(&buffers[0], &buffers[1]);
            }
        }
    }

    #[test]
    fn a_head_is_read_with_its_framing() {
        let head = all("HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX-A: b \r\n\r\n").unwrap();
        assert_eq!((head.status, head.length), (StatusCode::OK, Some(12)));
        assert!(head.keeps && !head.is_chunked && head.reason.is_none());
        assert_eq!(head.headers["x-a"], "b");
        let head = all("HTTP/1.1 200 Fine\nTransfer-Encoding: Chunked\n\n").unwrap();
        assert!(head.is_chunked);
        assert_eq!(head.reason.unwrap().as_bytes(), b"Fine");
    }

    #[test]
    fn who_closes_is_known_by_version_and_words() {
        let keeps = |version: &str, lines: &str| {
            let head = all(&format!("HTTP/{version} 200 OK\r\n{lines}\r\n"));
            head.unwrap().keeps
        };
        assert!(keeps("1.1", ""));
        assert!(!keeps("1.0", ""));
        assert!(keeps("1.0", "Connection: Keep-Alive\r\n"));
        assert!(!keeps("1.1", "Connection: x, CLOSE\r\n"));
        let both = "Connection: close\r\nConnection: keep-alive\r\n";
        assert!(!keeps("1.1", both));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for (lines, fault) in [
            (
                "Content-Length: 1\r\nContent-Length: 2",
                "malformed Content-Length",
            ),
            (
                "Content-Length: 1\r\nContent-Length: 1",
                "ambiguous body length",
            ),
            ("Content-Length: 1, 1", "malformed Content-Length"),
            ("Content-Length: +1", "malformed Content-Length"),
            ("Content-Length: -1", "malformed Content-Length"),
            ("Content-Length: 0x1", "malformed Content-Length"),
            ("Content-Length:", "malformed Content-Length"),
            (
                "Content-Length: 18446744073709551616",
                "malformed Content-Length",
            ),
            ("Transfer-Encoding: gzip", "ambiguous body length"),
            ("Transfer-Encoding: gzip, chunked", "ambiguous body length"),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                "ambiguous body length",
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 1",
                "ambiguous body length",
            ),
            (
                "Content-Length: 1\r\nTransfer-Encoding: chunked",
                "ambiguous body length",
            ),
            ("Content-Length : 1", "malformed field"),
            ("X: a\r\n b", "malformed field"),
            (" X: a", "malformed field"),
            ("X: a\rY: b", "malformed field"),
            ("X: a\0b", "malformed field"),
            ("X\0: a", "malformed field"),
            ("no field", "malformed field"),
            (": a", "malformed field"),
            (
                "A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1",
                "head over our limit",
            ),
        ] {
            let read = all(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n"));
            assert_eq!(read.unwrap_err(), fault, "{lines:?}");
        }
        let coded = all("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(coded.unwrap_err(), "malformed Transfer-Encoding");
    }

    #[test]
    fn what_is_no_status_line_is_refused() {
        for (line, fault) in [
            ("HTTP/2.0 200 OK", "malformed version"),
            ("HTTP/1.2 200 OK", "malformed version"),
            ("http/1.1 200 OK", "malformed version"),
            ("\r\nHTTP/1.1 200 OK", "malformed version"),
            ("HTTP/1.1 99 X", "malformed status"),
            ("HTTP/1.1 099 X", "malformed status"),
            ("HTTP/1.1 1000 X", "malformed status"),
            ("HTTP/1.1 abc X", "malformed status"),
            ("HTTP/1.1 +20 X", "malformed status"),
            ("HTTP/1.1  200 X", "malformed status"),
        ] {
            let read = all(&format!("{line}\r\n\r\n"));
            assert_eq!(read.unwrap_err(), fault, "{line:?}");
        }
    }

    #[test]
    fn a_head_may_be_as_long_as_the_limit_and_no_longer() {
        let of = |size: usize| {
            let fill = size - b"HTTP/1.1 200 OK\r\nx: \r\n\r\n".len();
            format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(fill))
        };
        for at_once in [1, 7, 1000] {
            assert!(taken(of(256).as_bytes(), at_once).is_ok());
            let long = taken(of(257).as_bytes(), at_once);
            assert_eq!(long.unwrap_err(), "head over our limit");
        }
    }

    #[test]
    fn a_head_without_its_end_is_told_by_what_has_come() {
        assert_eq!(
            all("HTTP/1.1 200 OK\r\nContent-").unwrap_err(),
            Fault::NoAnswer.to_string()
        );
        assert_eq!(all("HTTP/1.1 abc").unwrap_err(), "malformed status");
        assert_eq!(all("SSH-2.0-x\r\n").unwrap_err(), "malformed version");
    }

    proptest! {
        #[test]
        fn a_head_is_the_same_however_it_comes(
            lines in prop::collection::vec(
                prop::sample::select(vec![
                    "Content-Length: 3", "Transfer-Encoding: chunked", "Connection: close", "A: b", "A:", "B : c", " fold",
                    "X: a\rb", "",
                ]),
                0..5,
            ),
            line_end in prop::sample::select(vec!["\r\n", "\n"]),
            status in prop::sample::select(vec!["HTTP/1.1 200 OK", "HTTP/1.0 404 No", "HTTP/1.1 20", "HTP"]),
            cut in 0..200_usize,
            at_once in 1..40_usize,
        ) {
            let mut bytes = format!("{status}{line_end}{}{line_end}{line_end}rest", lines.join(line_end)).into_bytes();
            bytes.truncate(cut);
            let show = |read: Result<(AnswerHead, Vec<u8>), String>| {
                read.map(|(head, rest)| (format!("{head:?}"), rest))
            };
            prop_assert_eq!(show(taken(&bytes, at_once)), show(taken(&bytes, usize::MAX)));
        }

        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), at_once in 1..50_usize) {
            let mut bytes = [b"HTTP/1.1 200 ".to_vec(), bytes].concat();
            bytes.extend_from_slice(b"\r\n\r\n");
            let _ = taken(&bytes, at_once);
        }
    }
}
