//! Finds the end of a chunked body (RFC 9112, section 7.1) without looking at its data.

/// Position within a chunked body.
#[derive(Debug)]
pub struct Chunks {
    at: Part,
    size: u64,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    /// A chunk's size, with the number of digits that have come.
    Size(u32),
    /// An extension behind the size.
    Extension,
    /// The `\n` behind the `\r` of a size.
    SizeEnd,
    Data(u64),
    /// The `\r` behind a chunk's data.
    DataCr,
    DataLf,
    /// The start of a line behind the last chunk.
    Line,
    /// The `\n` of an empty line.
    LastLf,
    Trailer,
}

/// Error for bytes that break the framing of chunks.
#[derive(Debug, PartialEq, Eq)]
pub struct NotChunks;

impl Default for Chunks {
    fn default() -> Chunks {
        Chunks {
            at: Part::Size(0),
            size: 0,
        }
    }
}

impl Chunks {
    /// Follows the body through the next bytes; `Some(n)` if it ends after `n` of them.
    ///
    /// # Errors
    /// If the bytes are not chunks; the position is lost then.
    pub fn see(&mut self, bytes: &[u8]) -> Result<Option<usize>, NotChunks> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let (next, passed) = match self.at {
                Part::Data(left) => {
                    let have = (bytes.len() - at) as u64;
                    let passed = have.min(left);
                    let next = if passed == left {
                        Part::DataCr
                    } else {
                        Part::Data(left - passed)
                    };
                    (next, usize::try_from(passed).unwrap_or(usize::MAX))
                }
                _ => (self.step(*byte)?, 1),
            };
            at += passed;
            if let (Part::LastLf, Part::Size(0)) = (self.at, next) {
                *self = Chunks::default();
                return Ok(Some(at));
            }
            self.at = next;
        }
        Ok(None)
    }

    fn step(&mut self, byte: u8) -> Result<Part, NotChunks> {
        Ok(match (self.at, byte) {
            (Part::Size(digits), _) if byte.is_ascii_hexdigit() && digits < 15 => {
                let digit = (byte as char).to_digit(16).ok_or(NotChunks)?;
                self.size = if digits == 0 { 0 } else { self.size * 16 } + u64::from(digit);
                Part::Size(digits + 1)
            }
            (Part::Size(1..) | Part::Extension, b'\r') => Part::SizeEnd,
            (Part::Size(1..), b';' | b' ' | b'\t') => Part::Extension,
            (Part::Extension, b'\n') => return Err(NotChunks),
            (Part::Extension, _) => Part::Extension,
            (Part::SizeEnd, b'\n') if self.size == 0 => Part::Line,
            (Part::SizeEnd, b'\n') => Part::Data(self.size),
            (Part::DataCr, b'\r') => Part::DataLf,
            (Part::DataLf, b'\n') => Part::Size(0),
            (Part::Line, b'\r') => Part::LastLf,
            (Part::Line, b'\n') => return Err(NotChunks),
            (Part::Trailer, b'\n') => Part::Line,
            (Part::Line | Part::Trailer, _) => Part::Trailer,
            (Part::LastLf, b'\n') => Part::Size(0),
            _ => return Err(NotChunks),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_ends_behind_its_trailers_however_it_comes() {
        let bodies: [&[u8]; 4] = [
            b"0\r\n\r\n",
            b"3\r\nabc\r\n00\r\n\r\n",
            b"A;x=\"y\" \r\n0\r\n\r\n12345\r\n1 \r\nx\r\n0\r\nX: y\r\nZ:\r\n\r\n",
            b"fF\t;\r\n",
        ];
        for (at, body) in bodies.iter().enumerate() {
            for at_once in 1..=body.len() {
                let mut chunks = Chunks::default();
                let mut seen = 0;
                let mut end = None;
                for part in body.chunks(at_once) {
                    assert_eq!(end, None);
                    end = chunks.see(part).unwrap().map(|end| seen + end);
                    seen += part.len();
                }
                assert_eq!(end, (at < 3).then_some(body.len()), "{at} {at_once}");
            }
        }
        let two = b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
        assert_eq!(Chunks::default().see(two), Ok(Some(11)));
    }

    #[test]
    fn what_is_no_chunk_is_told() {
        for bytes in [
            "\r\n",
            "x\r\n",
            "1\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "0\r\n\n",
            "1;\n",
            "1111111111111111\r\n",
        ] {
            assert_eq!(
                Chunks::default().see(bytes.as_bytes()),
                Err(NotChunks),
                "{bytes:?}"
            );
        }
    }
}
