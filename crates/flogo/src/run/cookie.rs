//! Formats a reply's cookie as a `Set-Cookie` field (RFC 6265, section 4.1).

use http::HeaderValue;

use crate::language::functions::http::{is_token, pair};
use crate::{Map, Value};

/// The field's value for a cookie: a text unchanged, or an object by its members. `None` for a cookie without a valid
/// name, which is omitted.
///
/// # Errors
/// The fault of the cookie, for the log and the client.
pub fn set_cookie_value(cookie: &Value) -> Result<Option<HeaderValue>, String> {
    let text = match cookie {
        Value::Str(text) => text.to_string(),
        Value::Object(_) | Value::Params(_) => {
            let members = cookie.to_object().map_err(|error| error.message)?;
            of_members(&members)?
        }
        other => return Err(format!("unsupported cookie format: {}", other.to_text())),
    };
    if text.is_empty() {
        return Ok(None);
    }
    match HeaderValue::from_str(&text) {
        Ok(value) => Ok(Some(value)),
        Err(_) => Err("a cookie has characters that a field cannot have".into()),
    }
}

fn of_members(members: &Map) -> Result<String, String> {
    let member = |key: &str| {
        let mut members = members.iter();
        let found = members.find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value)
    };
    let text = |name: &str| match member(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::Str(text)) => Ok(text.to_string()),
        Some(_) => Err(format!("a cookie's `{name}` must be a text")),
    };
    let flag = |name: &str| {
        let flag = member(name).map_or(Ok(false), Value::to_bool);
        flag.map_err(|error| error.message)
    };
    let name = text("name")?;
    if !is_token(&name) {
        return Ok(String::new());
    }
    let value = member("value").map(Value::to_text).unwrap_or_default();
    let mut cookie = pair(&name, &value);
    for (name, shown) in [
        ("path", "Path"),
        ("domain", "Domain"),
        ("expires", "Expires"),
    ] {
        let value = text(name)?;
        let value: String = value.chars().filter(|char| in_attribute(*char)).collect();
        if !value.is_empty() {
            cookie.push_str(&format!("; {shown}={value}"));
        }
    }
    let age = member("maxAge").map_or(Ok(0), Value::to_int);
    match age.map_err(|error| error.message)? {
        0 => {}
        age => cookie.push_str(&format!("; Max-Age={}", age.max(0))),
    }
    if flag("httpOnly")? {
        cookie.push_str("; HttpOnly");
    }
    if flag("secure")? {
        cookie.push_str("; Secure");
    }
    // A number is Go's constant of the mode: 2 lax, 3 strict, 4 none.
    let same_site = member("sameSite").map(Value::to_text).unwrap_or_default();
    match same_site.to_ascii_lowercase().as_str() {
        "lax" | "2" => cookie.push_str("; SameSite=Lax"),
        "strict" | "3" => cookie.push_str("; SameSite=Strict"),
        "4" => cookie.push_str("; SameSite=None"),
        _ => {}
    }
    Ok(cookie)
}

/// True if an attribute may contain the character. Other characters are dropped, as in the original, so that no value
/// can add an attribute.
fn in_attribute(char: char) -> bool {
    matches!(char, ' '..='~') && char != ';'
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(json: &serde_json::Value) -> Result<Option<String>, String> {
        let cookie = set_cookie_value(&Value::from_json(json))?;
        Ok(cookie.map(|cookie| cookie.to_str().unwrap().to_owned()))
    }

    #[test]
    fn a_cookie_is_a_text_or_an_object() {
        let whole = json!({
            "Name": "a", "value": 1, "path": "/", "maxAge": 60, "secure": true, "httponly": "true",
            "sameSite": "strict", "other": 1,
        });
        let hostile = json!({
            "name": "a", "value": "x; Domain=y\r\n\"é", "path": "/; HttpOnly", "domain": "b\n; Secure",
        });
        let strict = "a=1; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Strict";
        let harmless = "a=\"x Domain=y\"; Path=/ HttpOnly; Domain=b Secure";
        for (cookie, expected) in [
            (whole, Some(strict)),
            (json!("a=b"), Some("a=b")),
            (hostile, Some(harmless)),
            (json!({"name": "a=b;c", "value": "x"}), None),
            (json!({"value": "x"}), None),
        ] {
            assert_eq!(of(&cookie).unwrap().as_deref(), expected);
        }
        assert!(of(&json!(5)).is_err());
        assert!(of(&json!("a\nb")).is_err());
    }
}
