//! Decryption of single values: the algorithms and modes of secure properties.
//!
//! As in Java's `ALGORITHM/MODE/PKCS5Padding`. The initial vector is the key's first block, or with random vectors the
//! first block of the value. Source: [secure configuration
//! properties](https://docs.mulesoft.com/mule-runtime/latest/secure-configuration-properties).

use cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

/// The algorithms that are decrypted here.
pub(super) const ALGORITHMS: &[&str] = &[
    "AES", "Blowfish", "DES", "DESede", "Camellia", "CAST5", "CAST6", "Rijndael", "Serpent",
    "Twofish", "RC2",
];
/// The algorithms of Mule that are not.
pub(super) const UNKNOWN: &[&str] = &["Noekeon", "SEED", "Skipjack", "TEA", "XTEA", "RC5", "RC6"];
/// The modes of block ciphers.
pub(super) const MODES: &[&str] = &["CBC", "CFB", "ECB", "OFB"];

/// A block cipher with its key.
trait Cipher {
    /// The length of a block in bytes.
    fn size(&self) -> usize;
    /// Encrypts a block in place.
    fn encrypt(&self, block: &mut [u8]);
    /// Decrypts a block in place.
    fn decrypt(&self, block: &mut [u8]);
}

struct Keyed<C>(C);

impl<C: BlockCipherEncrypt + BlockCipherDecrypt> Cipher for Keyed<C> {
    fn size(&self) -> usize {
        C::block_size()
    }

    fn encrypt(&self, block: &mut [u8]) {
        if let Ok(block) = <&mut Block<C>>::try_from(block) {
            self.0.encrypt_block(block);
        }
    }

    fn decrypt(&self, block: &mut [u8]) {
        if let Ok(block) = <&mut Block<C>>::try_from(block) {
            self.0.decrypt_block(block);
        }
    }
}

fn keyed<C>(key: &[u8]) -> Option<Box<dyn Cipher>>
where
    C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt + 'static,
{
    let cipher = C::new_from_slice(key).ok()?;
    Some(Box::new(Keyed(cipher)))
}

/// The cipher of an algorithm with a key.
///
/// # Errors
/// The lengths of its keys in bytes.
fn cipher(algorithm: &str, key: &[u8]) -> Result<Box<dyn Cipher>, &'static str> {
    let (cipher, lengths) = match algorithm {
        "Blowfish" => (keyed::<blowfish::Blowfish>(key), "4 to 56"),
        "DES" => (keyed::<des::Des>(key), "8"),
        "DESede" => (keyed::<des::TdesEde3>(key), "24"),
        "Camellia" => {
            let cipher = match key.len() {
                16 => keyed::<camellia::Camellia128>(key),
                24 => keyed::<camellia::Camellia192>(key),
                _ => keyed::<camellia::Camellia256>(key),
            };
            (cipher, "16, 24 or 32")
        }
        "CAST5" => (keyed::<cast5::Cast5>(key), "5 to 16"),
        "CAST6" => (keyed::<cast6::Cast6>(key), "16, 20, 24, 28 or 32"),
        "Serpent" => (keyed::<serpent::Serpent>(key), "16 to 32"),
        "Twofish" => (keyed::<twofish::Twofish>(key), "16, 24 or 32"),
        "RC2" => (keyed::<rc2::Rc2>(key), "1 to 128"),
        _ => {
            let cipher = match key.len() {
                16 => keyed::<aes::Aes128>(key),
                24 => keyed::<aes::Aes192>(key),
                _ => keyed::<aes::Aes256>(key),
            };
            (cipher, "16, 24 or 32")
        }
    };
    cipher.ok_or(lengths)
}

/// The reason why a value cannot be decrypted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The algorithm's keys have other lengths, in bytes.
    KeyLength(&'static str),
    /// The value is not made of whole blocks.
    Blocks,
    /// The key, the algorithm, the mode or the vector is another one than that of the encryption.
    Garbage,
}

/// Decrypts a text.
///
/// # Errors
/// Of a value that gives no text: bytes that are no UTF-8, control characters, or a wrong padding.
pub(super) fn decrypt(
    algorithm: &str,
    mode: &str,
    random_vector: bool,
    key: &str,
    encrypted: &[u8],
) -> Result<String, Fault> {
    let key = key.as_bytes();
    let cipher = cipher(algorithm, key).map_err(Fault::KeyLength)?;
    let size = cipher.size();
    let (vector, data) = match (mode, random_vector) {
        ("ECB", _) => (vec![0; size], encrypted),
        (_, true) if encrypted.len() < size => return Err(Fault::Blocks),
        (_, true) => (encrypted[..size].to_vec(), &encrypted[size..]),
        (_, false) => {
            let mut vector = key[..key.len().min(size)].to_vec();
            vector.resize(size, 0);
            (vector, encrypted)
        }
    };
    if data.is_empty() || data.len() % size != 0 {
        return Err(Fault::Blocks);
    }
    let mut plain = data.to_vec();
    let mut before = vector;
    for (block, from) in plain.chunks_mut(size).zip(data.chunks(size)) {
        match mode {
            "CFB" | "OFB" => {
                cipher.encrypt(&mut before);
                mix(block, &before);
                if mode == "CFB" {
                    before.copy_from_slice(from);
                }
            }
            "ECB" => cipher.decrypt(block),
            _ => {
                cipher.decrypt(block);
                mix(block, &before);
                before.copy_from_slice(from);
            }
        }
    }
    let padding = usize::from(plain.last().copied().unwrap_or_default());
    let length = plain.len().checked_sub(padding).filter(|_| padding > 0);
    let length = length.filter(|_| padding <= size).ok_or(Fault::Garbage)?;
    if plain[length..]
        .iter()
        .any(|byte| usize::from(*byte) != padding)
    {
        return Err(Fault::Garbage);
    }
    plain.truncate(length);
    let text = String::from_utf8(plain).map_err(|_| Fault::Garbage)?;
    match text
        .chars()
        .any(|c| c.is_control() && !"\n\r\t".contains(c))
    {
        true => Err(Fault::Garbage),
        false => Ok(text),
    }
}

fn mix(block: &mut [u8], with: &[u8]) {
    for (one, other) in block.iter_mut().zip(with) {
        *one ^= other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, Engine as _};

    fn open(algorithm: &str, mode: &str, key: &str, text: &str) -> Result<String, Fault> {
        let bytes = BASE64_STANDARD.decode(text).unwrap();
        decrypt(algorithm, mode, false, key, &bytes)
    }

    #[test]
    fn the_examples_of_the_page_are_decrypted() {
        for (text, plain) in [
            ("8q5e1+jy0cND2iV2WPThahmz6XsDwB6Z", "some value to encrypt"),
            ("qCReIPK3jcqD7WR84ISSIQ==", "Muleman is here"),
            ("En8lII21ZHrdIaINw0+mSA==", "Max the mule"),
        ] {
            assert_eq!(
                open("Blowfish", "CBC", "mulesoft", text).as_deref(),
                Ok(plain)
            );
        }
    }

    #[test]
    fn a_wrong_key_is_an_error_and_never_garbage() {
        let text = "8q5e1+jy0cND2iV2WPThahmz6XsDwB6Z";
        for number in 0..2_000 {
            let key = format!("wrong{number}");
            assert_eq!(
                open("Blowfish", "CBC", &key, text),
                Err(Fault::Garbage),
                "{key}"
            );
        }
        assert_eq!(
            open("AES", "CBC", "short", text),
            Err(Fault::KeyLength("16, 24 or 32"))
        );
        assert_eq!(
            open("Blowfish", "CBC", "mulesoft", "AAAA"),
            Err(Fault::Blocks)
        );
    }

    #[test]
    fn every_algorithm_and_mode_gives_back_what_was_encrypted() {
        for algorithm in ALGORITHMS {
            for mode in MODES {
                for random in [false, true] {
                    let key = match *algorithm {
                        "DES" => "12345678",
                        "DESede" => "123456781234567812345678",
                        _ => "1234567890123456",
                    };
                    let bytes = encrypt(algorithm, mode, random, key, "some value to encrypt");
                    let plain = decrypt(algorithm, mode, random, key, &bytes);
                    assert_eq!(
                        plain.as_deref(),
                        Ok("some value to encrypt"),
                        "{algorithm} {mode}"
                    );
                }
            }
        }
    }

    fn encrypt(algorithm: &str, mode: &str, random: bool, key: &str, text: &str) -> Vec<u8> {
        let cipher = cipher(algorithm, key.as_bytes()).unwrap_or_else(|_| panic!("{algorithm}"));
        let size = cipher.size();
        let mut vector = match random {
            true => vec![7; size],
            false => key.as_bytes()[..size].to_vec(),
        };
        let mut out = match random && mode != "ECB" {
            true => vector.clone(),
            false => Vec::new(),
        };
        let padding = size - text.len() % size;
        let mut plain = text.as_bytes().to_vec();
        plain.resize(text.len() + padding, u8::try_from(padding).unwrap());
        for block in plain.chunks_mut(size) {
            match mode {
                "ECB" => cipher.encrypt(block),
                "CBC" => {
                    mix(block, &vector);
                    cipher.encrypt(block);
                    vector.copy_from_slice(block);
                }
                _ => {
                    cipher.encrypt(&mut vector);
                    mix(block, &vector);
                    if mode == "CFB" {
                        vector.copy_from_slice(block);
                    }
                }
            }
            out.extend_from_slice(block);
        }
        out
    }
}
