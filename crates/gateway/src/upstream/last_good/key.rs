//! The key of an entry: salted digests of the URI, the credential and the fields that `Vary` names.
//!
//! Nothing of a request is stored but its digests and the path that a purge names. The salt is random and stays beside
//! the entries, so a digest says nothing about the credential of which it was made. A URI is no secret, and every
//! request has one: its digest is a SipHash under the salt, which no client can make collide, at a tenth of the cost.

use std::fmt;
use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use fusebox_store::{NewObject, ObjectStore, Put, StoreError, When};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// Bytes of a digest: the first half of a SHA-256, or a SipHash of 128 bits.
pub type Digest = [u8; 16];

/// The partition and the key of the salt.
const SALT_PARTITION: &str = "last_good";
const SALT_KEY: &str = "salt";

/// The time for which a start waits for the salt.
const SALT_MAX: Duration = Duration::from_secs(2);

/// The purpose of a digest, so that digests of different things never meet.
#[derive(Debug, Clone, Copy)]
enum Of {
    Private = 2,
    Variant = 3,
    Path = 4,
    Content = 5,
}

/// The salt of all digests of one store.
#[derive(Clone)]
pub struct Salt {
    bytes: [u8; 32],
    is_durable: bool,
}

impl Salt {
    /// Reads the salt of a store, or gives the store one. A store that does not answer in time gets none: then this
    /// process keeps last good answers in memory alone.
    pub async fn load(store: &Arc<dyn ObjectStore>) -> Salt {
        let why = match tokio::time::timeout(SALT_MAX, Salt::read_or_make(store)).await {
            Ok(Ok(salt)) => return salt,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the store took longer than {SALT_MAX:?}"),
        };
        tracing::warn!(
            error = %why,
            "last good answers stay in memory until the next start, because their store cannot be read"
        );
        Salt::volatile()
    }

    /// A salt for this process alone; entries made with it are not kept on disk.
    pub fn volatile() -> Salt {
        Salt {
            bytes: random(),
            is_durable: false,
        }
    }

    async fn read_or_make(store: &Arc<dyn ObjectStore>) -> Result<Salt, StoreError> {
        // At most one other process can be faster, and its salt is then found by the second turn.
        for _ in 0..2 {
            if let Some(object) = store.get(SALT_PARTITION, SALT_KEY).await? {
                if let Ok(bytes) = <[u8; 32]>::try_from(&object.value[..]) {
                    return Ok(Salt {
                        bytes,
                        is_durable: true,
                    });
                }
                // A torn salt: entries made with it are lost, and do not match their checksums.
                store
                    .remove(SALT_PARTITION, SALT_KEY, When::Version(object.version))
                    .await?;
            }
            let bytes = random();
            let object = NewObject::new(bytes.to_vec(), "application/octet-stream");
            let put = store
                .put(SALT_PARTITION, SALT_KEY, object, When::Absent)
                .await?;
            if let Put::Stored { .. } = put {
                return Ok(Salt {
                    bytes,
                    is_durable: true,
                });
            }
        }
        Err(StoreError::NotAvailable {
            why: "the salt changes while it is read; let one process use the store".to_owned(),
        })
    }

    /// True if the store has the salt, so that entries made with it can be found after a restart.
    pub fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// The digest of a path, by which a purge finds its entries.
    pub fn path(&self, path: &str) -> Digest {
        self.digest(Of::Path).with(path.as_bytes()).end()
    }

    /// The digest of an entry's content, by which a change or a damage is noticed.
    pub fn content<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
        let digest = self.digest(Of::Content);
        parts.into_iter().fold(digest, Hashing::with).end()
    }

    /// The key of a request.
    pub fn key(
        &self,
        target: &PathAndQuery,
        host: Option<&HeaderValue>,
        private: Option<Private<'_>>,
    ) -> Key {
        let host = host.map_or(&[][..], HeaderValue::as_bytes);
        let mut uri = SipHasher24::new_with_key(&self.of_uris());
        uri.write_usize(host.len());
        uri.write(host);
        uri.write(target.as_str().as_bytes());
        let uri = uri.finish128().as_bytes();
        let private = private.map_or(Digest::default(), |private| {
            let digest = self.digest(Of::Private).with(&private.scope.0);
            with_fields(digest, private.fields, private.headers).end()
        });
        Key { uri, private }
    }

    /// The digest of the fields that an answer's `Vary` names, in a request. Empty names give zeros.
    pub fn variant(&self, vary: &[HeaderName], headers: &HeaderMap) -> Digest {
        if vary.is_empty() {
            return Digest::default();
        }
        with_fields(self.digest(Of::Variant), vary, headers).end()
    }

    /// The part of the salt that is the key of the URIs' digests.
    fn of_uris(&self) -> [u8; 16] {
        let mut key = [0; 16];
        key.copy_from_slice(&self.bytes[..16]);
        key
    }

    fn digest(&self, of: Of) -> Hashing {
        let mut context = Context::new(&SHA256);
        context.update(&self.bytes);
        context.update(&[of as u8]);
        Hashing(context)
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Salt")
            .field("is_durable", &self.is_durable)
            .finish_non_exhaustive()
    }
}

/// A digest in the making. Each part is preceded by its length, so that no two lists of parts look alike.
struct Hashing(Context);

impl Hashing {
    fn with(mut self, part: &[u8]) -> Hashing {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    fn end(self) -> Digest {
        let digest = self.0.finish();
        let mut half = Digest::default();
        half.copy_from_slice(&digest.as_ref()[..16]);
        half
    }
}

fn with_fields(mut digest: Hashing, names: &[HeaderName], headers: &HeaderMap) -> Hashing {
    for name in names {
        digest = digest.with(name.as_str().as_bytes());
        let values = headers.get_all(name);
        digest = digest.with(&values.iter().count().to_le_bytes());
        for value in values {
            digest = digest.with(value.as_bytes().trim_ascii());
        }
    }
    digest
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    // The system's generator fails only where nothing else would work either; zeros would still tell credentials apart.
    // The crypto library's own would cost a tenth of a second of processor time before its first byte.
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    if filled.is_err() {
        tracing::error!("the system gives no random bytes, so digests of credentials have no salt");
    }
    bytes
}

/// A digest of the fields that a route sets on its requests. Routes that set different fields may get different answers
/// at the same URI, and never share an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scope(Digest);

impl Scope {
    /// The scope of a route that sets these fields. No fields: the default scope.
    pub fn of<'a>(set: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>) -> Scope {
        let mut fields = set.into_iter().peekable();
        if fields.peek().is_none() {
            return Scope::default();
        }
        let digest = Hashing(Context::new(&SHA256));
        let digest = fields.fold(digest, |digest, (name, value)| {
            digest.with(name.as_str().as_bytes()).with(value.as_bytes())
        });
        Scope(digest.end())
    }

    /// The same scope for the requests that carry this client's subject alone.
    pub fn of_client(self, subject: Option<&HeaderValue>) -> Scope {
        let Some(subject) = subject.filter(|subject| !subject.is_empty()) else {
            return self;
        };
        let digest = Hashing(Context::new(&SHA256));
        Scope(digest.with(&self.0).with(subject.as_bytes()).end())
    }
}

/// The facts to which an entry is private.
#[derive(Debug, Clone, Copy)]
pub struct Private<'a> {
    /// The scope of the route.
    pub scope: Scope,
    /// The fields that the settings name.
    pub fields: &'a [HeaderName],
    /// The request's fields.
    pub headers: &'a HeaderMap,
}

/// The key of a request: what all variants of its answer have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The digest of the URI as the upstream sees it.
    pub uri: Digest,
    /// The digest of the credential and the scope; zeros for a public entry.
    pub private: Digest,
}

/// The key of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spot {
    /// The key of the request.
    pub key: Key,
    /// The digest of the fields that the answer's `Vary` names; zeros without `Vary`.
    pub variant: Digest,
}

impl Spot {
    /// The key in the store: 96 hexadecimal digits, those of the URI first.
    pub fn to_text(self) -> String {
        use fmt::Write as _;
        let mut text = String::with_capacity(96);
        for byte in [self.key.uri, self.key.private, self.variant].as_flattened() {
            // Writing to a string never fails.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// The entry of a key in the store; `None`: it is not one of ours.
    pub fn from_text(text: &str) -> Option<Spot> {
        let digits = text.as_bytes();
        if digits.len() != 96 {
            return None;
        }
        let mut bytes = [[0; 16]; 3];
        for (byte, pair) in bytes.as_flattened_mut().iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        let [uri, private, variant] = bytes;
        Some(Spot {
            key: Key { uri, private },
            variant,
        })
    }
}

impl Key {
    /// The smallest and the largest entry of this key.
    pub fn spots(self) -> std::ops::RangeInclusive<Spot> {
        let spot = |variant| Spot { key: self, variant };
        spot([0; 16])..=spot([u8::MAX; 16])
    }

    /// The smallest and the largest entry of a URI.
    pub fn spots_of(uri: Digest) -> std::ops::RangeInclusive<Spot> {
        let spot = |byte| Spot {
            key: Key {
                uri,
                private: [byte; 16],
            },
            variant: [byte; 16],
        };
        spot(0)..=spot(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusebox_store::{Limits, MemoryStore, SystemClock};

    #[test]
    fn a_key_in_the_store_round_trips() {
        let spot = Spot {
            key: Key {
                uri: [1; 16],
                private: [0xab; 16],
            },
            variant: [3; 16],
        };
        assert_eq!(Spot::from_text(&spot.to_text()), Some(spot));
        assert_eq!(Spot::from_text("salt"), None);
        assert_eq!(Spot::from_text(&"é".repeat(48)), None);
    }

    #[test]
    fn parts_that_join_to_the_same_text_have_different_digests() {
        let salt = Salt::volatile();
        let content = |parts: &[&str]| salt.content(parts.iter().map(|part| part.as_bytes()));
        assert_ne!(content(&["ab", "c"]), content(&["a", "bc"]));
        assert_ne!(content(&["ab"]), content(&["ab", ""]));
    }

    #[tokio::test]
    async fn a_store_keeps_its_salt() {
        let store: Arc<dyn ObjectStore> =
            Arc::new(MemoryStore::new(Limits::default(), Arc::new(SystemClock)));
        let (one, other) = (Salt::load(&store).await, Salt::load(&store).await);
        assert!(one.is_durable());
        assert_eq!(one.path("/a"), other.path("/a"));
        assert_ne!(one.path("/a"), Salt::volatile().path("/a"));
    }

    #[tokio::test]
    async fn a_torn_salt_gives_way_to_a_new_one() {
        let store: Arc<dyn ObjectStore> =
            Arc::new(MemoryStore::new(Limits::default(), Arc::new(SystemClock)));
        let torn = NewObject::new(vec![1; 16], "application/octet-stream");
        store
            .put(SALT_PARTITION, SALT_KEY, torn, When::Always)
            .await
            .unwrap();
        assert!(Salt::load(&store).await.is_durable());
    }
}
