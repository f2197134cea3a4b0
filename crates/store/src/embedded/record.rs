//! Encodes one object as bytes on disk, in format 1.
//!
//! ```text
//! form u8 (bit 0: chunked, bit 1: expires) | version u64 | [expires_at u64]
//! | media type length u16 | media type | value, or its length u64 if it is chunked
//! ```
//! Numbers are little-endian.

use crate::WallTime;

const CHUNKED: u8 = 1;
const EXPIRES: u8 = 2;

/// An object's row: its value inline, or the value's length if the value is stored in chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) version: u64,
    pub(super) expires_at: Option<WallTime>,
    pub(super) media_type: &'a str,
    pub(super) content: Content<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Inline(&'a [u8]),
    Chunked { len: u64 },
}

impl<'a> Record<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut form = 0;
        if matches!(self.content, Content::Chunked { .. }) {
            form |= CHUNKED;
        }
        if self.expires_at.is_some() {
            form |= EXPIRES;
        }
        let mut out = vec![form];
        out.extend(self.version.to_le_bytes());
        if let Some(end) = self.expires_at {
            out.extend(end.0.to_le_bytes());
        }
        let length = u16::try_from(self.media_type.len())
            .expect("the limits hold a media type below 65,536 bytes");
        out.extend(length.to_le_bytes());
        out.extend(self.media_type.as_bytes());
        match self.content {
            Content::Inline(value) => out.extend(value),
            Content::Chunked { len } => out.extend(len.to_le_bytes()),
        }
        out
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let (&[form], rest) = split::<1>(bytes)?;
        if form & !(CHUNKED | EXPIRES) != 0 {
            return Err("its record has unknown flags");
        }
        let (version, mut rest) = split::<8>(rest)?;
        let mut expires_at = None;
        if form & EXPIRES != 0 {
            let (end, after) = split::<8>(rest)?;
            expires_at = Some(WallTime(u64::from_le_bytes(*end)));
            rest = after;
        }
        let (length, rest) = split::<2>(rest)?;
        let (media_type, rest) = rest
            .split_at_checked(usize::from(u16::from_le_bytes(*length)))
            .ok_or(CUT)?;
        let content = if form & CHUNKED != 0 {
            let (len, rest) = split::<8>(rest)?;
            if !rest.is_empty() {
                return Err("its record is too long");
            }
            Content::Chunked {
                len: u64::from_le_bytes(*len),
            }
        } else {
            Content::Inline(rest)
        };
        Ok(Record {
            version: u64::from_le_bytes(*version),
            expires_at,
            media_type: std::str::from_utf8(media_type)
                .map_err(|_| "its media type is not text")?,
            content,
        })
    }
}

const CUT: &str = "its record is cut short";

fn split<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), &'static str> {
    bytes.split_first_chunk::<N>().ok_or(CUT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_reads_back_as_it_was_written(
            version: u64, end: Option<u64>, media_type in ".{0,40}", value: Vec<u8>, len: u64, chunked: bool,
        ) {
            let content = if chunked { Content::Chunked { len } } else { Content::Inline(&value) };
            let record = Record { version, expires_at: end.map(WallTime), media_type: &media_type, content };
            let bytes = record.encode();
            prop_assert_eq!(Record::decode(&bytes), Ok(record));
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes: Vec<u8>) {
            let _ = Record::decode(&bytes);
        }
    }
}
