//! A permit as text: the start of the process, a serial number, and a seal over both and the breaker's name.
//!
//! The seal is an HMAC with a key that this start of the process has drawn, so that no program can make a permit, or use
//! one with another breaker. A permit of another start cannot be verified; its start is readable, and it is late.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The bytes of a number.
const NUMBER: usize = 8;
/// The bytes of the seal that are kept.
const SEAL: usize = 16;
const BYTES: usize = 2 * NUMBER + SEAL;

/// The seal of one start of the process.
pub struct PermitSeal {
    start: [u8; NUMBER],
    key: hmac::Key,
}

/// The content of a permit's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// A permit of this start, with its serial number.
    Ours(u64),
    /// A permit of another start.
    OfAnotherStart,
    /// No permit: it has this start in it, and another seal.
    Forged,
    /// No permit at all.
    Unreadable,
}

impl PermitSeal {
    /// The seal of this start, with a key of its own.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn draw() -> Result<PermitSeal, aws_lc_rs::error::Unspecified> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let mut start = [0; NUMBER];
        aws_lc_rs::rand::SecureRandom::fill(&random, &mut start)?;
        Ok(PermitSeal {
            start,
            key: hmac::Key::generate(hmac::HMAC_SHA256, &random)?,
        })
    }

    /// The text of a permit.
    pub fn write(&self, breaker: &str, serial: u64) -> String {
        let mut bytes = [0; BYTES];
        bytes[..NUMBER].copy_from_slice(&self.start);
        bytes[NUMBER..2 * NUMBER].copy_from_slice(&serial.to_be_bytes());
        bytes[2 * NUMBER..].copy_from_slice(&self.seal(breaker, serial));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads the text of a permit of a breaker.
    pub fn read(&self, breaker: &str, text: &str) -> Sealed {
        let mut bytes = [0; BYTES];
        let read = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes);
        if read.ok() != Some(BYTES) {
            return Sealed::Unreadable;
        }
        let (start, rest) = bytes.split_at(NUMBER);
        if start != self.start {
            return Sealed::OfAnotherStart;
        }
        let (number, seal) = rest.split_at(NUMBER);
        let serial = u64::from_be_bytes(number.try_into().unwrap_or_default());
        let ours = self.seal(breaker, serial);
        match aws_lc_rs::constant_time::verify_slices_are_equal(&ours, seal) {
            Ok(()) => Sealed::Ours(serial),
            Err(_) => Sealed::Forged,
        }
    }

    fn seal(&self, breaker: &str, serial: u64) -> [u8; SEAL] {
        let mut sealed = hmac::Context::with_key(&self.key);
        sealed.update(&serial.to_be_bytes());
        sealed.update(breaker.as_bytes());
        let tag = sealed.sign();
        let mut seal = [0; SEAL];
        seal.copy_from_slice(&tag.as_ref()[..SEAL]);
        seal
    }
}

impl std::fmt::Debug for PermitSeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PermitSeal").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_reads_back_only_with_its_breaker_and_its_start() {
        let seal = PermitSeal::draw().unwrap();
        for serial in [0, 7, u64::MAX] {
            let text = seal.write("stripe", serial);
            assert_eq!(seal.read("stripe", &text), Sealed::Ours(serial));
            assert_eq!(seal.read("orders", &text), Sealed::Forged);
            let other = PermitSeal::draw().unwrap();
            assert_eq!(other.read("stripe", &text), Sealed::OfAnotherStart);
        }
    }

    #[test]
    fn no_changed_letter_gives_another_permit() {
        let seal = PermitSeal::draw().unwrap();
        let text = seal.write("stripe", 1);
        for at in 0..text.len() {
            let mut letters = text.clone().into_bytes();
            letters[at] = if letters[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(letters).unwrap();
            let read = seal.read("stripe", &changed);
            assert!(!matches!(read, Sealed::Ours(_)), "{at}: {read:?}");
        }
        for bad in ["", "x", "permit", &"A".repeat(200), "\u{e9}"] {
            assert_eq!(seal.read("stripe", bad), Sealed::Unreadable, "{bad}");
        }
    }
}
