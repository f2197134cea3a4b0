//! Verifies JSON Web Tokens in the compact form (RFC 7519), signed with a shared key, in the order and with the
//! messages of the microgateway's `jwt`.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};

use crate::{Fault, Map, NilKind, Numbers, Struct, Value};

/// The scheme before a token in `Authorization`; its length is dropped from the field unseen.
const SCHEME: &str = "Bearer ";

/// Decoding as lenient as Go's: padding is optional, and superfluous bits are ignored.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The required properties of a token.
#[derive(Debug, Clone, Default)]
pub struct Requirements {
    /// The shared key, as UTF-8.
    pub key: Arc<str>,
    /// The required method, `hmac`, `rsa`, `rsapss` or `ecdsa` in any case; empty: any.
    pub signing_method: Arc<str>,
    /// The required issuer, `iss`; empty: any.
    pub issuer: Arc<str>,
    /// The required audience, `aud`; empty: any.
    pub audience: Arc<str>,
    /// The required subject, `sub`; empty: any.
    pub subject: Arc<str>,
}

/// A verified token, with its parts decoded.
struct Token {
    header: Arc<Map>,
    claims: Arc<Map>,
    algorithm: Arc<str>,
    signature: String,
}

/// Checks the field that a client sent as its token. `now` is in seconds since the Unix epoch. Returns the activity's
/// outputs; an invalid token is an output and not a fault.
///
/// # Errors
/// Fails if the field is too short for a token, or if the token's `id` is not a text.
pub fn check(sent: &str, required: &Requirements, now: i64) -> Result<Map, Fault> {
    // By characters and not bytes, so that any text can be cut.
    let text = match sent.char_indices().nth(SCHEME.len()) {
        Some((at, _)) => &sent[at..],
        None => return Err(Fault::plain("token should be longer")),
    };
    let (token, message) = match read(text, required, now) {
        Ok(token) => (Some(token), String::new()),
        Err(message) => (None, message),
    };
    let valid = token.is_some();
    let (claims, header, signature, method) = match token {
        None => {
            let unproved = Value::Nil(NilKind::Unproved);
            (unproved.clone(), unproved, "".into(), "".into())
        }
        Some(token) => {
            let claims = match token.claims.get("id") {
                None => Map::new(),
                Some(id @ Value::Str(_)) => Map::from([("id".into(), id.clone())]),
                Some(id) => {
                    let kind = id.kind();
                    let what = format!("the token's claim `id` must be a string, found {kind}");
                    return Err(Fault::plain(what));
                }
            };
            let header = Value::Object(token.header);
            (claims.into(), header, token.signature, token.algorithm)
        }
    };
    let shown = Struct {
        go_type: "jwt.ParsedToken",
        fields: vec![
            ("claims", claims),
            ("signature", signature.into()),
            ("signingMethod", method.into()),
            ("header", header),
        ],
    };
    Ok(Map::from([
        ("valid".into(), valid.into()),
        ("token".into(), shown.into()),
        ("validationMessage".into(), message.into()),
        ("error".into(), false.into()),
        ("errorMessage".into(), "".into()),
    ]))
}

/// Verifies a token, or returns the message for an invalid one.
fn read(text: &str, required: &Requirements, now: i64) -> Result<Token, String> {
    let parts: Vec<&str> = text.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        return Err("token contains an invalid number of segments".into());
    };
    let begin = text.as_bytes().get(..SCHEME.len());
    if begin.is_some_and(|begin| begin.eq_ignore_ascii_case(SCHEME.as_bytes())) {
        return Err("tokenstring should not contain 'bearer '".into());
    }
    let message = &text[..header.len() + 1 + claims.len()];
    let header = object(header)?;
    let claims = object(claims)?;
    let Some(Value::Str(algorithm)) = header.get("alg") else {
        return Err("signing method (alg) is unspecified.".into());
    };
    let family = match algorithm.split_at_checked(2) {
        _ if &**algorithm == "none" => Family::None,
        Some(("HS", "256" | "384" | "512")) => Family::Hmac,
        Some(("RS", "256" | "384" | "512")) => Family::Rsa,
        Some(("PS", "256" | "384" | "512")) => Family::RsaPss,
        Some(("ES", "256" | "384" | "512")) => Family::Ecdsa,
        _ => return Err("signing method (alg) is unavailable.".into()),
    };
    expected(family, algorithm, &required.signing_method)?;
    for (name, value) in [
        ("iss", &required.issuer),
        ("aud", &required.audience),
        ("sub", &required.subject),
    ] {
        if !value.is_empty() && !matches!(claims.get(name), Some(Value::Str(has)) if has == value) {
            return Err(format!("{name} claims do not match"));
        }
    }
    signed(family, algorithm, message, signature, &required.key)?;
    in_time(&claims, now)?;
    Ok(Token {
        algorithm: algorithm.clone(),
        header,
        claims,
        signature: signature.to_owned(),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    None,
    Hmac,
    Rsa,
    RsaPss,
    Ecdsa,
}

fn expected(family: Family, algorithm: &str, required: &str) -> Result<(), String> {
    let required_family = match &*required.to_lowercase() {
        "" => return Ok(()),
        "hmac" => Family::Hmac,
        "rsa" => Family::Rsa,
        "rsapss" => Family::RsaPss,
        "ecdsa" => Family::Ecdsa,
        _ => return Err(format!("Unknown signing method expected: {required}")),
    };
    match family == required_family {
        true => Ok(()),
        false => Err(format!("Unexpected signing method: {algorithm}")),
    }
}

/// Decodes a part of a token to an object.
fn object(part: &str) -> Result<Arc<Map>, String> {
    let bytes = decoded(part)?;
    let text = String::from_utf8_lossy(&bytes);
    match Value::from_json_text(&text, Numbers::Float) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(Value::Null) => Ok(Arc::default()),
        Ok(other) => Err(format!(
            "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            other.kind()
        )),
        Err(fault) => Err(fault.to_string()),
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, String> {
    use base64::DecodeError::{InvalidByte, InvalidLastSymbol};
    LENIENT.decode(part).map_err(|error| {
        let at = match error {
            InvalidByte(at, _) | InvalidLastSymbol { offset: at, .. } => at,
            _ => part.len(),
        };
        format!("illegal base64 data at input byte {at}")
    })
}

/// Verifies the signature. Only a shared key can be configured, so only signatures by a shared key can be valid.
fn signed(
    family: Family,
    algorithm: &str,
    message: &str,
    signature: &str,
    key: &str,
) -> Result<(), String> {
    if family == Family::None {
        return Err("'none' signature type is not allowed".into());
    }
    let signature = decoded(signature)?;
    let algorithm = match algorithm {
        "HS256" => Algorithm::HS256,
        "HS384" => Algorithm::HS384,
        "HS512" => Algorithm::HS512,
        _ => return Err("key is of invalid type".into()),
    };
    let key = DecodingKey::from_secret(key.as_bytes());
    // The library reads only the strict form.
    let signature = URL_SAFE_NO_PAD.encode(signature);
    match jsonwebtoken::crypto::verify(&signature, message.as_bytes(), &key, algorithm) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err("signature is invalid".into()),
    }
}

/// Checks `exp`, `iat` and `nbf`, if they are numbers; the last failed check gives the message.
fn in_time(claims: &Map, now: i64) -> Result<(), String> {
    let time = |name| match claims.get(name) {
        // Go truncates a claim's fraction; numbers beyond its range are beyond any time.
        Some(Value::Float(seconds)) => Some(*seconds as i64),
        _ => None,
    };
    let late = time("nbf").is_some_and(|from| now < from);
    let unissued = time("iat").is_some_and(|from| now < from);
    let expired = time("exp").is_some_and(|until| now > until);
    let wrong = match (late, unissued, expired) {
        (true, _, _) => "Token is not valid yet",
        (_, true, _) => "Token used before issued",
        (_, _, true) => "Token is expired",
        _ => return Ok(()),
    };
    Err(wrong.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    const NOW: i64 = 1_600_000_000;

    fn required() -> Requirements {
        Requirements {
            key: "qwertyuiopasdfghjklzxcvbnm123456".into(),
            signing_method: "HMAC".into(),
            issuer: "Mashling".into(),
            audience: "www.mashling.io".into(),
            subject: "tempuser@mail.com".into(),
        }
    }

    fn claims(change: impl FnOnce(&mut serde_json::Value)) -> serde_json::Value {
        let mut claims = json!({
            "iss": "Mashling", "aud": "www.mashling.io", "sub": "tempuser@mail.com",
            "id": "7", "exp": NOW + 10, "iat": NOW - 10, "nbf": NOW - 10, "other": 1,
        });
        change(&mut claims);
        claims
    }

    fn bearer(claims: &serde_json::Value, algorithm: Algorithm, key: &str) -> String {
        let key = EncodingKey::from_secret(key.as_bytes());
        let token = encode(&Header::new(algorithm), claims, &key).unwrap();
        format!("Bearer {token}")
    }

    fn validated(sent: &str) -> (bool, String) {
        let outputs = check(sent, &required(), NOW).unwrap();
        let Value::Bool(valid) = outputs["valid"] else {
            panic!("{outputs:?}")
        };
        (valid, outputs["validationMessage"].to_text())
    }

    #[test]
    fn a_good_token_shows_its_id_and_no_other_claim() {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let sent = bearer(&claims(|_| ()), algorithm, &required().key);
            let outputs = check(&sent, &required(), NOW).unwrap();
            let shown = Value::from(outputs).to_json_text().unwrap();
            let method = format!(r#""signingMethod":"{algorithm:?}""#);
            for part in [r#""claims":{"id":"7"}"#, r#""valid":true"#, &method] {
                assert!(shown.contains(part), "{shown}");
            }
        }
    }

    #[test]
    fn a_tokens_parts_are_in_the_originals_order_and_null_if_it_is_not_valid() {
        let sent = bearer(&claims(|_| ()), Algorithm::HS256, &required().key);
        let token = |sent: &str| check(sent, &required(), NOW).unwrap()["token"].clone();
        let shown = token(&sent).to_json_text().unwrap();
        let begin = r#"{"claims":{"id":"7"},"signature":""#;
        assert!(shown.starts_with(begin), "{shown}");
        let end = r#"","signingMethod":"HS256","header":{"alg":"HS256","typ":"JWT"}}"#;
        assert!(shown.ends_with(end), "{shown}");
        let shown = token("Bearer a.b.c").to_json_text().unwrap();
        assert_eq!(
            shown,
            r#"{"claims":null,"signature":"","signingMethod":"","header":null}"#
        );
    }

    #[test]
    fn a_tokens_fault_is_reported_in_the_originals_words() {
        for (claim, value, expected) in [
            ("other", json!(1), ""),
            ("iss", json!("x"), "iss claims do not match"),
            ("aud", json!(["www.mashling.io"]), "aud claims do not match"),
            ("sub", json!(1), "sub claims do not match"),
            ("exp", json!(NOW - 1), "Token is expired"),
            ("exp", json!(NOW), ""),
            ("iat", json!(NOW + 1), "Token used before issued"),
            ("nbf", json!(NOW + 1), "Token is not valid yet"),
        ] {
            let claims = claims(|claims| claims[claim] = value);
            let found = validated(&bearer(&claims, Algorithm::HS256, &required().key));
            assert_eq!(found, (expected.is_empty(), expected.to_owned()), "{claim}");
        }
        let forged = bearer(&claims(|_| ()), Algorithm::HS256, "another key");
        assert_eq!(validated(&forged).1, "signature is invalid");
        let good = bearer(&claims(|_| ()), Algorithm::HS256, &required().key);
        assert_eq!(validated(&format!("{good}=")), (true, String::new()));
        for shorter in 1..4 {
            let cut = &good[..good.len() - shorter];
            assert!(!validated(cut).0, "{cut}");
        }
        for (token, expected) in [
            (
                "<Access_Token>",
                "token contains an invalid number of segments",
            ),
            ("!!.e30.x", "illegal base64 data at input byte 0"),
            ("e30.e30.x", "signing method (alg) is unspecified."),
        ] {
            assert_eq!(validated(&format!("Bearer {token}")).1, expected);
        }
    }

    #[test]
    fn a_method_that_needs_another_kind_of_key_never_passes() {
        let head = |alg: &str| URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}"}}"#));
        let of = |alg: &str, method: &str| {
            let any = Requirements {
                signing_method: method.into(),
                ..Requirements::default()
            };
            let sent = format!("Bearer {}.e30.AAAA", head(alg));
            check(&sent, &any, NOW).unwrap()["validationMessage"].to_text()
        };
        assert_eq!(of("none", ""), "'none' signature type is not allowed");
        assert_eq!(of("RS256", ""), "key is of invalid type");
        assert_eq!(of("XS256", ""), "signing method (alg) is unavailable.");
        assert_eq!(of("RS256", "hmac"), "Unexpected signing method: RS256");
        assert_eq!(of("HS256", "md5"), "Unknown signing method expected: md5");
        assert_eq!(of("HS256", ""), "signature is invalid");
    }

    #[test]
    fn a_field_without_a_token_is_a_fault() {
        for sent in ["", "Bearer ", "ééééééé"] {
            let fault = check(sent, &required(), NOW).unwrap_err();
            assert_eq!(&*fault.message, "token should be longer");
        }
        let claims = claims(|claims| claims["id"] = json!(7));
        let sent = bearer(&claims, Algorithm::HS256, &required().key);
        let fault = check(&sent, &required(), NOW).unwrap_err();
        assert!(fault.message.contains("`id`"));
    }
}
