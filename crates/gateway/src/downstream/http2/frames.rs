//! Finds the heads of HTTP/2 frames in one direction of a connection, however its bytes are cut.

/// Size in bytes of a frame's head.
const HEAD: usize = 9;

/// The connection preface of a client (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames (RFC 9113, section 6).
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

/// Flag of a DATA or HEADERS frame that ends its stream's direction.
pub const END_STREAM: u8 = 0x1;
/// Flag of a HEADERS or CONTINUATION frame that ends a field block.
pub const END_HEADERS: u8 = 0x4;
/// Flag of a DATA or HEADERS frame with padding.
pub const PADDED: u8 = 0x8;

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// The size of the payload in bytes.
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    /// The stream; 0: the connection.
    pub stream: u32,
}

impl FrameHead {
    fn read(bytes: [u8; HEAD]) -> FrameHead {
        let [a, b, c, kind, flags, stream @ ..] = bytes;
        FrameHead {
            length: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        }
    }

    /// True if the frame has one of these flags.
    pub fn has(self, flags: u8) -> bool {
        self.flags & flags != 0
    }
}

/// The position in one direction of a connection.
#[derive(Debug)]
pub struct FrameHeads {
    /// Bytes of the next head, and their number.
    head: [u8; HEAD],
    have: usize,
    /// Bytes to pass over until the next head.
    skip: usize,
}

impl FrameHeads {
    /// The beginning of a direction whose first frame is behind that many bytes.
    pub fn behind(bytes: usize) -> FrameHeads {
        FrameHeads {
            head: [0; HEAD],
            have: 0,
            skip: bytes,
        }
    }

    /// Reads the next bytes, and reports each head as it is complete.
    pub fn see(&mut self, mut bytes: &[u8], mut found: impl FnMut(FrameHead)) {
        loop {
            let passed = self.skip.min(bytes.len());
            self.skip -= passed;
            bytes = &bytes[passed..];
            if bytes.is_empty() {
                return;
            }
            let count = (HEAD - self.have).min(bytes.len());
            self.head[self.have..self.have + count].copy_from_slice(&bytes[..count]);
            self.have += count;
            bytes = &bytes[count..];
            if self.have < HEAD {
                return;
            }
            self.have = 0;
            let head = FrameHead::read(self.head);
            self.skip = head.length;
            found(head);
        }
    }

    /// True if the bytes so far end with a whole frame.
    pub fn is_between(&self) -> bool {
        self.have == 0 && self.skip == 0
    }
}

/// The frame that ends a connection because of a client's behaviour (ENHANCE_YOUR_CALM); `last` is its last stream.
pub fn calm_down(last: u32) -> [u8; HEAD + 8] {
    let mut frame = [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xb];
    frame[HEAD..HEAD + 4].copy_from_slice(&last.to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn heads_are_found_however_the_bytes_are_cut() {
        let mut bytes = PREFACE.to_vec();
        bytes.extend(frame(4, 0, 0, &[0; 12]));
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0; 300]));
        bytes.extend(frame(DATA, 0, 0x8000_0003, &[]));
        bytes.extend(frame(6, 0, 0, &[0; 8]));
        let expected = [(12, 4, 0, 0), (300, 1, 5, 1), (0, 0, 0, 3), (8, 6, 0, 0)];
        for size in [1, 2, 7, 9, 10, 64, bytes.len()] {
            let mut heads = FrameHeads::behind(PREFACE.len());
            let mut found = Vec::new();
            for part in bytes.chunks(size) {
                heads.see(part, |head| {
                    found.push((head.length, head.kind, head.flags, head.stream));
                });
            }
            assert_eq!(found, expected, "in parts of {size} bytes");
            assert!(heads.is_between());
        }
        let mut heads = FrameHeads::behind(PREFACE.len());
        heads.see(&bytes[..bytes.len() - 1], |_| {});
        assert!(!heads.is_between());
    }

    #[test]
    fn the_last_frame_is_one_that_clients_understand() {
        let mut heads = FrameHeads::behind(0);
        let mut found = None;
        let bytes = calm_down(7);
        heads.see(&bytes, |head| found = Some(head));
        let head = found.unwrap();
        assert_eq!((head.length, head.kind, head.stream), (8, GOAWAY, 0));
        assert!(heads.is_between());
        assert_eq!(bytes[9..], [0, 0, 0, 7, 0, 0, 0, 0xb]);
    }
}
