//! The hash by which a registry finds a key.
//!
//! Clients may choose keys, so it is that of the standard library's maps: SipHash-1-3 with a random secret, here one
//! for each registry. Without the secret an attacker cannot make keys of one hash, however many answers and times it
//! sees; a hash that mixes by multiplication would find a key 3 ns sooner and promises less. A key is hashed alone, so
//! there is no mark at its end, which separates texts that are hashed one after the other: it would cost a second pass.

use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};

/// The secret of one registry, and the hashers by it.
#[derive(Default)]
pub(super) struct ByKey(RandomState);

/// The hasher of one key's text.
pub(super) struct KeyHasher(DefaultHasher);

impl BuildHasher for ByKey {
    type Hasher = KeyHasher;

    #[inline]
    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(self.0.build_hasher())
    }
}

impl Hasher for KeyHasher {
    #[inline]
    fn write(&mut self, text: &[u8]) {
        self.0.write(text);
    }

    /// The mark at the end of a text. Nothing else of a key is hashed as a single byte.
    #[inline]
    fn write_u8(&mut self, _: u8) {}

    #[inline]
    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Borrow;

    use super::*;
    use crate::breaker::Breaker;
    use crate::registry::Entry;
    use crate::settings::Settings;

    #[test]
    fn a_breaker_has_the_hash_of_its_key_and_another_in_each_registry() {
        let breaker = Breaker::builder("orders/tenant-7", Settings::default())
            .keyed_from(7)
            .build()
            .unwrap();
        let entry = Entry(breaker);
        let key: &str = entry.borrow();
        assert_eq!(key, "tenant-7");
        let (one, other) = (ByKey::default(), ByKey::default());
        assert_eq!(one.hash_one(&entry), one.hash_one(key));
        assert_ne!(one.hash_one(key), one.hash_one("tenant-8"));
        assert_ne!(one.hash_one(key), other.hash_one(key));
    }
}
