//! Decrypts `SECRET:…` in the values of an application.
//!
//! The format is that of Flogo's tools: base64 of a 16-byte initialisation vector and the text, encrypted with AES-256
//! in CFB mode under the SHA-256 of `FLOGO_DATA_SECRET_KEY`, or of `flogo` by default.

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cfb_mode::Decryptor;
use cfb_mode::cipher::KeyIvInit as _;
use fusebox_plan::dialect::{Kind, Loader, Node, Notes};
use sha2::{Digest as _, Sha256};

const MARK: &str = "SECRET:";
const KEY_VARIABLE: &str = "FLOGO_DATA_SECRET_KEY";
const KEY_DEFAULT: &str = "flogo";
const IV_BYTES: usize = 16;

/// Decrypts all secrets of a tree, and reports those that cannot be decrypted.
pub(crate) fn reveal(node: &mut Node, loader: &dyn Loader, notes: &mut Notes) {
    if let Kind::Scalar(scalar) = &mut node.kind
        && scalar.text.contains(MARK)
    {
        match reveal_value(&scalar.text, loader) {
            Ok(text) if text == scalar.text => {}
            Ok(text) => scalar.written = Some(std::mem::replace(&mut scalar.text, text)),
            Err(why) => notes.error(
                node.at,
                format!("the secret cannot be decrypted: {why}"),
                mend(),
            ),
        }
    }
    node.each_child(|child| reveal(child, loader, notes));
}

/// The mend for a secret that cannot be decrypted.
pub(crate) fn mend() -> String {
    format!("set {KEY_VARIABLE} to the key that it was encrypted with, or encrypt it anew")
}

/// Decrypts the secrets within a text.
///
/// # Errors
/// The reason why one cannot be decrypted.
pub(crate) fn reveal_value(text: &str, loader: &dyn Loader) -> Result<String, &'static str> {
    if !text.contains(MARK) {
        return Ok(text.to_owned());
    }
    let key = loader.env(KEY_VARIABLE).filter(|key| !key.is_empty());
    reveal_text(text, key.as_deref().unwrap_or(KEY_DEFAULT))
}

fn reveal_text(text: &str, key: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.find(MARK) {
        let (before, marked) = rest.split_at(found);
        out.push_str(before);
        let after = &marked[MARK.len()..];
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        let end = after.find(|c| !is_base64(c)).unwrap_or(after.len());
        if end == 0 {
            out.push_str(MARK);
        } else {
            out.push_str(&decrypt(&after[..end], key)?);
        }
        rest = &after[end..];
    }
    out.push_str(rest);
    Ok(out)
}

fn decrypt(written: &str, key: &str) -> Result<String, &'static str> {
    let bytes = STANDARD.decode(written).map_err(|_| "it is not base64")?;
    let (iv, text) = bytes
        .split_at_checked(IV_BYTES)
        .ok_or("it is shorter than its initialisation vector")?;
    let mut text = text.to_vec();
    Decryptor::<Aes256>::new_from_slices(&Sha256::digest(key), iv)
        .map_err(|_| "its initialisation vector is not 16 bytes long")?
        .decrypt(&mut text);
    String::from_utf8(text).map_err(|_| "it was encrypted with another key")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    /// Encrypts like Flogo's tools.
    pub fn encrypt(text: &str, key: &str) -> String {
        let iv = [7; IV_BYTES];
        let mut bytes = text.as_bytes().to_vec();
        cfb_mode::Encryptor::<Aes256>::new_from_slices(&Sha256::digest(key), &iv)
            .unwrap()
            .encrypt(&mut bytes);
        let whole = [&iv[..], &bytes].concat();
        format!("{MARK}{}", STANDARD.encode(whole))
    }

    #[test]
    fn a_secret_is_decrypted_within_its_text() {
        let secret = encrypt("pass wörd", "flogo");
        let text = format!("Basic {secret} and {secret}!");
        assert_eq!(
            reveal_text(&text, "flogo").unwrap(),
            "Basic pass wörd and pass wörd!"
        );
    }

    #[test]
    fn a_secret_of_another_program_is_read() {
        // From `openssl enc -aes-256-cfb`, with the SHA-256 of `flogo` as the key.
        assert_eq!(
            decrypt("AAECAwQFBgcICQoLDA0OD04EJz9nc4LNMD7J", "flogo"),
            Ok("hello world".to_owned())
        );
    }

    #[test]
    fn the_mark_alone_is_a_text_like_others() {
        assert_eq!(reveal_text("SECRET: none", "k").unwrap(), "SECRET: none");
    }

    #[test]
    fn failed_decryption_gives_its_reason() {
        assert_eq!(reveal_text("SECRET:abc", "k"), Err("it is not base64"));
        assert_eq!(
            reveal_text("SECRET:abcd", "k"),
            Err("it is shorter than its initialisation vector")
        );
        let other = encrypt("\u{fe}\u{ff}long enough to be no text by chance", "one");
        assert_eq!(
            reveal_text(&other, "two"),
            Err("it was encrypted with another key")
        );
    }
}
