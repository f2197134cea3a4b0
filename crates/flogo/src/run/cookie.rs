//! Formats a reply's cookie as a `Set-Cookie` field (RFC 6265, section 4.1).

use http::HeaderValue;

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
    let value = HeaderValue::from_str(&text);
    value
        .map(Some)
        .map_err(|_| "a cookie has characters that a field cannot have".into())
}

fn of_members(members: &Map) -> Result<String, String> {
    let member = |key: &str| {
        let found = members
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value)
    };
    let text = |name: &str| match member(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::Str(text)) => Ok(text.to_string()),
        Some(_) => Err(format!("a cookie's `{name}` must be a text")),
    };
    let flag = |name: &str| member(name).map_or(Ok(false), Value::to_bool);
    let name = text("name")?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return Ok(String::new());
    }
    let value = member("value").map(Value::to_text).unwrap_or_default();
    let value: String = value.chars().filter(|char| in_value(*char)).collect();
    let mut cookie = if value.contains([' ', ',']) {
        format!("{name}=\"{value}\"")
    } else {
        format!("{name}={value}")
    };
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
    if flag("httpOnly").map_err(|error| error.message)? {
        cookie.push_str("; HttpOnly");
    }
    if flag("secure").map_err(|error| error.message)? {
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

/// True if a name may contain the byte (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// True if an attribute may contain the character. Other characters are dropped, as in the original, so that no value
/// can add an attribute.
fn in_attribute(char: char) -> bool {
    matches!(char, ' '..='~') && char != ';'
}

/// True if a value may contain the character; blanks and commas put the value in quotes.
fn in_value(char: char) -> bool {
    in_attribute(char) && !matches!(char, '"' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &serde_json::Value) -> Result<Option<String>, String> {
        let cookie = set_cookie_value(&Value::from_json(json))?;
        Ok(cookie.map(|cookie| cookie.to_str().unwrap().to_owned()))
    }

    #[test]
    fn a_cookie_is_a_text_or_an_object() {
        let json = serde_json::json!({
            "Name": "a", "value": 1, "path": "/", "maxAge": 60, "secure": true, "httponly": "true",
            "sameSite": "strict", "other": 1,
        });
        assert_eq!(
            of(&json).unwrap().unwrap(),
            "a=1; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Strict"
        );
        assert_eq!(of(&"a=b".into()).unwrap().unwrap(), "a=b");
        let hostile = serde_json::json!({
            "name": "a", "value": "x; Domain=y\r\n\"é", "path": "/; HttpOnly", "domain": "b\n; Secure",
        });
        assert_eq!(
            of(&hostile).unwrap().unwrap(),
            "a=\"x Domain=y\"; Path=/ HttpOnly; Domain=b Secure"
        );
        assert_eq!(
            of(&serde_json::json!({"name": "a=b;c", "value": "x"})),
            Ok(None)
        );
        assert_eq!(of(&serde_json::json!({"value": "x"})), Ok(None));
        assert!(of(&5.into()).is_err());
        assert!(of(&"a\nb".into()).is_err());
    }
}
