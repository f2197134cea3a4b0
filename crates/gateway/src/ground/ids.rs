//! Ids of requests and traces: unique within the process, and not guessable from one another.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

/// Makes ids: unique within the process, and not guessable from one another's digits.
#[derive(Debug)]
pub struct Ids {
    state: AtomicU64,
    process: u64,
}

impl Ids {
    /// A source of ids; different seeds give different ids.
    pub fn new(seed: u64) -> Ids {
        Ids {
            state: AtomicU64::new(seed),
            process: mix(seed ^ 0x9e37_79b9_7f4a_7c15),
        }
    }

    /// SplitMix64 (Steele, Lea, Flood, 2014): one add and a few multiplications, no lock.
    fn next(&self) -> u64 {
        mix(self
            .state
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed))
    }

    /// A new request id: 32 hex digits.
    pub fn request_id(&self) -> HeaderValue {
        let mut text = [0; 32];
        hex(self.process, &mut text[..16]);
        hex(self.next(), &mut text[16..]);
        HeaderValue::from_bytes(&text).expect("hex digits are a field value")
    }

    /// A new `traceparent` (W3C Trace Context), not sampled, since we record no span for it.
    pub fn traceparent(&self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex(self.process | 1, &mut text[3..19]);
        hex(self.next(), &mut text[19..35]);
        hex(self.next() | 1, &mut text[36..52]);
        HeaderValue::from_bytes(&text).expect("hex digits and dashes are a field value")
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Writes 16 digits.
fn hex(number: u64, text: &mut [u8]) {
    let (high, low) = text.split_at_mut(8);
    high.copy_from_slice(&digits(number >> 32));
    low.copy_from_slice(&digits(number & 0xffff_ffff));
}

/// The 8 digits of a number of 32 bits, all at once: each of its nibbles moves to a byte of its own.
fn digits(number: u64) -> [u8; 8] {
    let number = (number | (number << 16)) & 0x0000_ffff_0000_ffff;
    let number = (number | (number << 8)) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (number | (number << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 where a nibble is 10 or more, which is written as a letter.
    let letters = ((nibbles + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    let to_letters = u64::from(b'a' - b'0' - 10);
    (nibbles + 0x3030_3030_3030_3030 + letters * to_letters).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::fields;

    proptest::proptest! {
        #[test]
        fn a_number_is_written_in_hexadecimal(number: u64) {
            let mut text = [0; 16];
            hex(number, &mut text);
            proptest::prop_assert_eq!(std::str::from_utf8(&text), Ok(&*format!("{number:016x}")));
        }
    }

    #[test]
    fn ids_differ_and_traceparents_are_ones() {
        let ids = Ids::new(7);
        let (first, second) = (ids.request_id(), ids.request_id());
        assert_ne!(first, second);
        assert_eq!(first.len(), 32);
        let mut headers = http::HeaderMap::new();
        headers.insert(fields::TRACEPARENT, ids.traceparent());
        assert!(fields::has_traceparent(&headers));
    }
}
