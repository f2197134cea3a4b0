//! Takes a chunked body apart (RFC 9112, section 7.1), without copying its data.

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::answer_head::HeadLimits;
use super::fault::Fault;

/// The most digits of a chunk's size, leading zeros included.
const DIGITS_MAX: u32 = 16;

/// The most bytes of all extensions of a body together.
const EXTENSIONS_MAX: usize = 16 * 1024;

/// The place within a body that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// A chunk's size, of which that many digits have come.
    Size(u32),
    /// White space behind a size.
    SizeSpace,
    /// The extensions behind a size.
    Extension,
    /// The `\n` of a size's line.
    SizeEnd,
    /// A chunk's data, with the number of bytes to come.
    Data(u64),
    /// The `\r`, then the `\n`, behind a chunk's data.
    DataCr,
    DataLf,
    /// The trailers, up to an empty line.
    Trailers,
    /// The body's end.
    End,
}

/// A chunked body on its way in.
#[derive(Debug)]
pub struct Chunked {
    at: At,
    size: u64,
    extensions: usize,
    /// The bytes of the trailers that were looked at for their end.
    looked_at: usize,
    limits: HeadLimits,
}

/// The next part of a body.
#[derive(Debug)]
pub enum Part {
    /// More bytes are needed; that many at least are still to come, if that is known.
    More(u64),
    /// Data of a chunk; never empty.
    Data(Bytes),
    /// The trailers, behind which the body has ended.
    Trailers(HeaderMap),
    /// The end of the body.
    End,
}

impl Chunked {
    /// The start of a body; `limits` bound its trailers as they bound a head.
    pub fn new(limits: HeadLimits) -> Chunked {
        Chunked {
            at: At::Size(0),
            size: 0,
            extensions: 0,
            looked_at: 0,
            limits,
        }
    }

    /// True once the body has ended.
    pub fn has_ended(&self) -> bool {
        self.at == At::End
    }

    /// Takes the next part from the front of `buffer`. Framing behind data is passed over as well, up to the end if that is there, so that
    /// the last data are known to be the last.
    ///
    /// # Errors
    /// If the bytes are no chunks, or over a limit.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Part, Fault> {
        self.pass_framing(buffer)?;
        match self.at {
            At::End => Ok(Part::End),
            At::Data(left) if buffer.is_empty() => Ok(Part::More(left)),
            At::Data(left) => {
                let here = usize::try_from(left).map_or(buffer.len(), |it| it.min(buffer.len()));
                let data = buffer.split_to(here).freeze();
                self.at = match left - here as u64 {
                    0 => At::DataCr,
                    left => At::Data(left),
                };
                // A fault behind the data is returned with the next part.
                self.pass_framing(buffer).ok();
                Ok(Part::Data(data))
            }
            At::Trailers => match self.end_of_trailers(buffer)? {
                None => Ok(Part::More(0)),
                Some(length) => {
                    let lines = buffer.split_to(length).freeze();
                    self.at = At::End;
                    Ok(Part::Trailers(trailers(&lines, self.limits)?))
                }
            },
            _ => Ok(Part::More(0)),
        }
    }

    /// Passes over framing, up to data, to trailers or to the end.
    fn pass_framing(&mut self, buffer: &mut BytesMut) -> Result<(), Fault> {
        let mut passed = 0;
        let result = loop {
            if matches!(self.at, At::Data(_) | At::End) {
                break Ok(());
            }
            let Some(byte) = buffer.get(passed).copied() else {
                break Ok(());
            };
            if self.at == At::Trailers {
                match &buffer[passed..] {
                    [b'\r', b'\n', ..] if self.looked_at == 0 => {
                        passed += 2;
                        self.at = At::End;
                    }
                    _ => {}
                }
                break Ok(());
            }
            match self.step(byte) {
                Ok(next) => self.at = next,
                Err(fault) => break Err(fault),
            }
            passed += 1;
        };
        buffer.advance(passed);
        result
    }

    fn step(&mut self, byte: u8) -> Result<At, Fault> {
        Ok(match (self.at, byte) {
            (At::Size(digits), _) if byte.is_ascii_hexdigit() => {
                if digits == DIGITS_MAX {
                    return Err(Fault::Chunk("its size has too many digits"));
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                // Sixteen digits fit.
                self.size = (if digits == 0 { 0 } else { self.size << 4 }) | u64::from(digit);
                At::Size(digits + 1)
            }
            (At::Size(0), _) => return Err(Fault::Chunk("it has no size")),
            (At::Size(_) | At::SizeSpace | At::Extension, b'\r') => At::SizeEnd,
            (At::Size(_) | At::SizeSpace, b' ' | b'\t') => At::SizeSpace,
            (At::Size(_) | At::SizeSpace, b';') => At::Extension,
            (At::Size(_) | At::SizeSpace, _) => {
                return Err(Fault::Chunk("its size must be hexadecimal digits"));
            }
            (At::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.extensions += 1;
                if self.extensions > EXTENSIONS_MAX {
                    return Err(Fault::ExtensionsTooLarge);
                }
                At::Extension
            }
            (At::Extension, _) => return Err(Fault::Chunk("its extension has control characters")),
            (At::SizeEnd, b'\n') if self.size == 0 => At::Trailers,
            (At::SizeEnd, b'\n') => At::Data(self.size),
            (At::SizeEnd, _) => return Err(Fault::Chunk("its size does not end its line")),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size(0),
            (At::DataCr | At::DataLf, _) => {
                return Err(Fault::Chunk("its data does not end where it should"));
            }
            (at @ (At::Data(_) | At::Trailers | At::End), _) => at,
        })
    }

    /// The length of the trailers with their empty line, once they are there.
    fn end_of_trailers(&mut self, buffer: &[u8]) -> Result<Option<usize>, Fault> {
        let seen = &buffer[..buffer.len().min(self.limits.bytes_max)];
        let from = self.looked_at.min(seen.len());
        for at in memchr::memchr_iter(b'\n', &seen[from..]) {
            let at = from + at;
            if at == 0 || seen[at - 1] != b'\r' {
                return Err(Fault::Chunk("a trailer does not end its line"));
            }
            if let [b'\r', b'\n', ..] = &seen[at + 1..] {
                return Ok(Some(at + 3));
            }
        }
        if buffer.len() >= self.limits.bytes_max {
            return Err(Fault::TrailersTooLarge);
        }
        self.looked_at = buffer.len().saturating_sub(2);
        Ok(None)
    }
}

/// The fields of a trailer section.
fn trailers(lines: &Bytes, limits: HeadLimits) -> Result<HeaderMap, Fault> {
    let mut fields = vec![httparse::EMPTY_HEADER; limits.fields_max];
    let malformed = Fault::Chunk("its trailers must be fields");
    let fields = match httparse::parse_headers(lines, &mut fields) {
        Ok(httparse::Status::Complete((_, fields))) => fields,
        Err(httparse::Error::TooManyHeaders) => return Err(Fault::TrailersTooLarge),
        _ => return Err(malformed),
    };
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        match (name, value) {
            (Ok(name), Ok(value)) => headers.append(name, value),
            _ => return Err(malformed),
        };
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        bytes_max: 64,
        fields_max: 3,
    };

    /// The data, the trailers and the rest of a body.
    type Taken = (Vec<u8>, Vec<String>, Vec<u8>);

    /// A body that comes `at_once` at a time, or its fault.
    fn taken(bytes: &[u8], at_once: usize) -> Result<Taken, String> {
        let mut chunked = Chunked::new(LIMITS);
        let (mut buffer, mut data, mut lines) = (BytesMut::new(), Vec::new(), Vec::new());
        let mut parts = bytes.chunks(at_once.max(1));
        loop {
            match chunked.next(&mut buffer).map_err(|it| it.to_string())? {
                Part::Data(more) => data.extend_from_slice(&more),
                Part::Trailers(trailers) => {
                    assert!(chunked.has_ended());
                    for (name, value) in &trailers {
                        let value = String::from_utf8_lossy(value.as_bytes());
                        lines.push(format!("{name}: {value}"));
                    }
                }
                Part::End => {
                    let rest = buffer.iter().copied().chain(parts.flatten().copied());
                    return Ok((data, lines, rest.collect()));
                }
                Part::More(_) => match parts.next() {
                    Some(part) => buffer.extend_from_slice(part),
                    None => return Err("it has no end".into()),
                },
            }
        }
    }

    #[test]
    fn data_and_trailers_come_out_however_they_come_in() {
        let body =
            b"3\r\nabc\r\n0A;x=\"y\" \r\n0123456789\r\n1 \r\n!\r\n00\r\nX: y\r\nZ:\r\n\r\nrest";
        for at_once in 1..=body.len() {
            let (data, trailers, rest) = taken(body, at_once).unwrap();
            assert_eq!(data, b"abc0123456789!");
            assert_eq!(trailers, ["x: y", "z: "]);
            assert_eq!(rest, b"rest");
        }
    }

    #[test]
    fn the_last_data_are_known_to_be_the_last() {
        let mut buffer = BytesMut::from(&b"3\r\nabc\r\n0\r\n\r\n"[..]);
        let mut chunked = Chunked::new(LIMITS);
        assert!(matches!(chunked.next(&mut buffer), Ok(Part::Data(_))));
        assert!(chunked.has_ended() && buffer.is_empty());
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for body in [
            "\r\n",
            "x\r\n",
            "1\n",
            "-1\r\na",
            "+1\r\na",
            "0x1\r\na",
            " 1\r\na",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1 2\r\n",
            "1;\n",
            "1;a\rb\r\n",
            "1;\0\r\n",
            "0\r\n\n",
            "0\r\nX: y\n\r\n",
            "0\r\nX y\r\n\r\n",
            "0\r\nX: y\r\n z\r\n\r\n",
            "0\r\nX : y\r\n\r\n",
            "11111111111111111\r\n",
            "00000000000000001\r\na",
        ] {
            for at_once in [1, 2, 100] {
                let fault = taken(body.as_bytes(), at_once).unwrap_err();
                assert!(fault.starts_with("malformed chunk"), "{body:?}: {fault}");
            }
        }
    }

    #[test]
    fn extensions_and_trailers_have_limits() {
        let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(EXTENSIONS_MAX));
        assert!(taken(long.as_bytes(), 1000).is_ok());
        let longer = format!("1;{}\r\na\r\n0;x\r\n\r\n", "x".repeat(EXTENSIONS_MAX));
        let fault = taken(longer.as_bytes(), 1000).unwrap_err();
        assert_eq!(fault, "chunk extensions over our limit");
        let large = format!("0\r\nx: {}\r\n\r\n", "y".repeat(64));
        let many = "0\r\na:\r\na:\r\na:\r\na:\r\n\r\n";
        for at_once in [1, 9, 100] {
            for trailers in [large.as_str(), many] {
                let fault = taken(trailers.as_bytes(), at_once).unwrap_err();
                assert_eq!(fault, "trailers over our limit");
            }
        }
    }

    proptest! {
        #[test]
        fn a_body_is_the_same_however_it_comes(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            bytes in prop::collection::vec(any::<u8>(), 0..20),
            at in 0..200_usize,
            at_once in 1..60_usize,
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\nx: y\r\n\r\n");
            let (data, trailers, rest) = taken(&body, at_once).unwrap();
            prop_assert_eq!(data, chunks.concat());
            prop_assert_eq!(trailers, ["x: y"]);
            prop_assert!(rest.is_empty());
            // Broken at some place, it is broken in the same way.
            let at = at.min(body.len());
            body.splice(at..at, bytes);
            prop_assert_eq!(taken(&body, at_once), taken(&body, usize::MAX));
        }
    }
}
