//! Checks the names in a file, and reads the templates of breaker keys.

use http::HeaderName;

use crate::diagnostic::{Notes, Place, quote, suggest};
use crate::plan::{Key, KeyPart};

/// Checks a name, which must suit addresses, logs and metrics. `shown` is the name as messages show it.
pub(crate) fn check_name(text: &str, shown: &str, at: Place, notes: &mut Notes) {
    const CHARS_MAX: usize = 128;
    let complaint = if text.is_empty() {
        "a name is empty".to_owned()
    } else if text.chars().count() > CHARS_MAX {
        format!("a name has more than {CHARS_MAX} characters")
    } else if text.chars().any(char::is_control) || text.trim() != text {
        format!("the name {shown} has control characters, or spaces around it")
    } else {
        return;
    };
    notes.error(at, complaint, "use a short name such as `orders`");
}

/// Reads a breaker's key: `{upstream}`, or parts such as `{route}{header.x-tenant}` joined by `:` or `,`. On failure,
/// the fault and its mend.
pub(crate) fn read_key(text: &str) -> Result<Key, (String, String)> {
    const KNOWN: [&str; 6] = [
        "upstream",
        "endpoint",
        "route",
        "method",
        "header.NAME",
        "path.NAME",
    ];
    let example = "write parts such as `{route}` or `{header.x-tenant}`".to_owned();
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Some((inside, after)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'))
        else {
            return Err((
                format!("a key is made of parts in braces, found {}", quote(rest)),
                example,
            ));
        };
        let part = match inside.split_once('.') {
            Some(("header", name)) => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => KeyPart::Header(name),
                Err(_) => {
                    return Err((
                        format!("{} is not a field's name", quote(name)),
                        "use letters, digits and `-`, as in `{header.x-tenant}`".to_owned(),
                    ));
                }
            },
            Some(("path", name)) if !name.is_empty() => KeyPart::Path(name.to_owned()),
            _ => match inside {
                "upstream" => KeyPart::Upstream,
                "endpoint" => KeyPart::Endpoint,
                "route" => KeyPart::Route,
                "method" => KeyPart::Method,
                _ => {
                    return Err((
                        format!("unknown key part {}", quote(&format!("{{{inside}}}"))),
                        suggest(inside, KNOWN),
                    ));
                }
            },
        };
        if parts.contains(&part) {
            return Err((
                format!("the part {{{inside}}} appears twice"),
                "keep one of the two".to_owned(),
            ));
        }
        parts.push(part);
        rest = after.trim_start();
        if let Some(after) = rest.strip_prefix([':', ',', '/']) {
            rest = after.trim_start();
            if rest.is_empty() {
                return Err((
                    "a key ends in a separator".to_owned(),
                    "remove it".to_owned(),
                ));
            }
        }
    }
    if parts.is_empty() {
        return Err(("a key has no parts".to_owned(), example));
    }
    Ok(Key(parts))
}

/// Writes a key in the file's notation.
pub(crate) fn show_key(key: &Key) -> String {
    let part = |part: &KeyPart| match part {
        KeyPart::Upstream => "{upstream}".to_owned(),
        KeyPart::Endpoint => "{endpoint}".to_owned(),
        KeyPart::Route => "{route}".to_owned(),
        KeyPart::Method => "{method}".to_owned(),
        KeyPart::Header(name) => format!("{{header.{name}}}"),
        KeyPart::Path(name) => format!("{{path.{name}}}"),
    };
    key.0.iter().map(part).collect::<Vec<_>>().join(":")
}
