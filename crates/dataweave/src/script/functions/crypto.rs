//! The module `dw::Crypto`: hashes, with a secret key or without.
//! ([Crypto](https://docs.mulesoft.com/dataweave/latest/dw-crypto))

use std::sync::Arc;

use hmac::digest::{Digest, KeyInit};
use hmac::{Hmac, Mac};
use md2::Md2;
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};

use super::binaries::bytes;
use super::{Builtin, plain};
use crate::script::EvalFault;
use crate::script::coerce::{self, Coerced};
use crate::script::run::Run;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Builtin] = &[
    plain("MD5", 1, |run, args| {
        let content = bytes(run, "MD5", &args[0])?;
        Ok(hex(&Md5::digest(&content)).into())
    }),
    plain("SHA1", 1, |run, args| {
        let content = bytes(run, "SHA1", &args[0])?;
        Ok(hex(&Sha1::digest(&content)).into())
    }),
    plain("hashWith", 1, |run, args| {
        let content = bytes(run, "hashWith", &args[0])?;
        let algorithm = algorithm(args.get(1), "SHA-1")?;
        hash(&algorithm, &content).map(Value::bytes)
    })
    .up_to(2),
    plain("HMACBinary", 2, |run, args| {
        authenticated(run, args).map(Value::bytes)
    })
    .up_to(3),
    plain("HMACWith", 2, |run, args| {
        authenticated(run, args).map(|code| hex(&code).into())
    })
    .up_to(3),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn algorithm(name: Option<&Value>, default: &str) -> Coerced<Arc<str>> {
    name.map_or_else(|| Ok(default.into()), coerce::text)
}

fn hash(algorithm: &str, content: &[u8]) -> Coerced<Vec<u8>> {
    Ok(match algorithm.to_ascii_uppercase().as_str() {
        "MD2" => Md2::digest(content).to_vec(),
        "MD5" => Md5::digest(content).to_vec(),
        "SHA-1" | "SHA1" | "SHA" => Sha1::digest(content).to_vec(),
        "SHA-224" => Sha224::digest(content).to_vec(),
        "SHA-256" => Sha256::digest(content).to_vec(),
        "SHA-384" => Sha384::digest(content).to_vec(),
        "SHA-512" => Sha512::digest(content).to_vec(),
        _ => {
            return Err(EvalFault::new(format!(
                "unknown hash {algorithm:?}; expected MD2, MD5, SHA-1, SHA-224, SHA-256, SHA-384 or SHA-512"
            )));
        }
    })
}

/// The authentication code of a content, the second argument, by a secret, the first one.
fn authenticated(run: &mut Run<'_>, args: &[Value]) -> Coerced<Vec<u8>> {
    let (secret, content) = (
        bytes(run, "HMACWith", &args[0])?,
        bytes(run, "HMACWith", &args[1])?,
    );
    let algorithm = algorithm(args.get(2), "HmacSHA1")?;
    match algorithm.to_ascii_lowercase().as_str() {
        "hmacmd5" => code::<Hmac<Md5>>(&secret, &content),
        "hmacsha1" => code::<Hmac<Sha1>>(&secret, &content),
        "hmacsha224" => code::<Hmac<Sha224>>(&secret, &content),
        "hmacsha256" => code::<Hmac<Sha256>>(&secret, &content),
        "hmacsha384" => code::<Hmac<Sha384>>(&secret, &content),
        "hmacsha512" => code::<Hmac<Sha512>>(&secret, &content),
        "hmacsha512/224" => code::<Hmac<Sha512_224>>(&secret, &content),
        "hmacsha512/256" => code::<Hmac<Sha512_256>>(&secret, &content),
        _ => Err(EvalFault::new(format!(
            "unknown algorithm {algorithm:?}; expected HmacMD5, HmacSHA1, HmacSHA224, HmacSHA256, HmacSHA384 or HmacSHA512"
        ))),
    }
}

fn code<M: Mac + KeyInit>(secret: &[u8], content: &[u8]) -> Coerced<Vec<u8>> {
    let made = <M as KeyInit>::new_from_slice(secret);
    let mut code = made.map_err(|_| EvalFault::new("the secret has a wrong length"))?;
    code.update(content);
    Ok(code.finalize().into_bytes().to_vec())
}
