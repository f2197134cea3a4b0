//! Reads maps of a message's fields, and changes to them: `headers:`, `request:`, `response:`.

use http::{HeaderName, HeaderValue};

use super::draft::Reader;
use crate::diagnostic::{At, Place, quote};
use crate::fields::{self, Fields};
use crate::plan::FieldChanges;
use crate::tree::{Kind, Node, Scalar};

/// A field in the file; its value is known to be one.
pub(super) struct Field<'n> {
    pub name: HeaderName,
    pub value: HeaderValue,
    pub scalar: &'n Scalar,
    /// The place of its value.
    pub at: Place,
}

/// The value that stands for the subject of the client's certificate.
const CLIENT_SUBJECT: &str = "{client_subject}";

impl Reader<'_> {
    /// The fields in the map of a key. `own` names fields that have no place there, each with the reason and the mend.
    pub(super) fn header_fields<'n>(
        &mut self,
        of: &Fields<'n>,
        key: &'static str,
        own: &[(&str, &str, &str)],
    ) -> Vec<Field<'n>> {
        let mut found: Vec<Field<'n>> = Vec::new();
        let Some((_, node)) = of.get(key) else {
            return found;
        };
        let Kind::Map(entries) = &node.kind else {
            self.notes.error(
                node.at,
                format!(
                    "`{key}` must be a map from names to texts, found {}",
                    node.describe()
                ),
                format!("write `{key}: {{ cache-control: no-store }}`"),
            );
            return found;
        };
        for entry in entries {
            let Some(name) = self.field_name(&entry.key, entry.at, own) else {
                continue;
            };
            let Some(scalar) = fields::scalar(&entry.value, name.as_str(), "a text", self.notes)
            else {
                continue;
            };
            match HeaderValue::from_str(scalar.text.trim()) {
                Ok(_) if found.iter().any(|other| other.name == name) => self.notes.error(
                    entry.at,
                    format!("the field `{name}` is given twice"),
                    "remove one of the two",
                ),
                Ok(value) => found.push(Field {
                    name,
                    value,
                    scalar,
                    at: entry.value.at,
                }),
                Err(_) => self.notes.error(
                    entry.value.at,
                    format!(
                        "the value of `{name}` has characters that a field's value cannot have"
                    ),
                    "use visible ASCII characters and spaces, on one line",
                ),
            }
        }
        found
    }

    fn field_name(
        &mut self,
        text: &str,
        at: Place,
        own: &[(&str, &str, &str)],
    ) -> Option<HeaderName> {
        let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
            self.notes.error(
                at,
                format!("{} is not a field's name", quote(text)),
                "use letters, digits and `-`",
            );
            return None;
        };
        if is_framing(&name) {
            self.notes.error(
                at,
                format!("the field `{name}` belongs to the connection, and the gateway sets it"),
                "remove it",
            );
            return None;
        }
        if let Some((_, what, mend)) = own.iter().find(|(own, ..)| name == *own) {
            self.notes.error(at, *what, *mend);
            return None;
        }
        Some(name)
    }

    /// The names of fields in the list of a key.
    pub(super) fn field_names(
        &mut self,
        of: &Fields<'_>,
        key: &'static str,
        own: &[(&str, &str, &str)],
    ) -> Vec<HeaderName> {
        let mut names = Vec::new();
        let items = of
            .get(key)
            .and_then(|(_, node)| fields::items(node, key, self.notes));
        for item in items.unwrap_or_default() {
            let Some(scalar) = fields::scalar(item, key, "a field's name", self.notes) else {
                continue;
            };
            match self.field_name(&scalar.text, item.at, own) {
                Some(name) if names.contains(&name) => self.notes.error(
                    item.at,
                    format!("the field `{name}` is listed twice"),
                    "remove one of them",
                ),
                Some(name) => names.push(name),
                None => {}
            }
        }
        names
    }

    /// Changes to a request's or an answer's fields.
    pub(super) fn field_changes(
        &mut self,
        of: &Fields<'_>,
        key: &'static str,
    ) -> Option<At<FieldChanges>> {
        const HOST: [(&str, &str, &str); 1] = [(
            "host",
            "the field `host` says which service is meant, and the gateway sets it",
            "remove it",
        )];
        let changes = of.section(key, self.notes)?;
        let set = self.header_fields(&changes, "set", &HOST);
        // A field that is set for a service is for it alone, and an API key's may have any name.
        let is_private = key == "request";
        let (of_client, set): (Vec<_>, Vec<_>) =
            set.into_iter().partition(|it| it.says_client_subject());
        for field in &of_client {
            self.check_client_subject(field, is_private);
        }
        let subject: Vec<_> = of_client.into_iter().map(|field| field.name).collect();
        let set = set.into_iter().map(Field::guarded);
        let set = set.map(|(name, mut value)| {
            value.set_sensitive(is_private || value.is_sensitive());
            (name, value)
        });
        let set: Vec<_> = set.collect();
        let remove = self.field_names(&changes, "remove", &HOST);
        if let Some(name) = remove
            .iter()
            .find(|name| set.iter().any(|it| it.0 == **name) || subject.contains(name))
        {
            self.notes.error(
                changes.place("remove").unwrap_or(changes.at),
                format!("the field `{name}` is both set and removed"),
                "keep it in `set`, which takes the place of all fields of its name",
            );
        }
        let changed = FieldChanges {
            set,
            subject,
            remove,
        };
        Some(At::new(changed, changes.at))
    }

    /// Refuses a client's subject beside other text, where a part of it could be taken for the subject, and in answers.
    fn check_client_subject(&mut self, field: &Field<'_>, is_request: bool) {
        let (what, mend) = if !is_request {
            (
                "`{client_subject}` is for requests: an answer goes to the client itself",
                "remove it here; `request: { set: … }` may have it",
            )
        } else if field.scalar.text.trim() != CLIENT_SUBJECT {
            (
                "`{client_subject}` must be all of a value, so that no subject can look like another text",
                "write `\"{client_subject}\"` alone",
            )
        } else {
            return;
        };
        self.notes.error(field.at, what, mend);
    }

    /// The methods in the list of a key.
    pub(super) fn method_name(
        &mut self,
        item: &Node,
        key: &'static str,
        seen: &[http::Method],
    ) -> Option<http::Method> {
        let scalar = fields::scalar(item, key, "a method such as `GET`", self.notes)?;
        let upper = scalar.text.to_ascii_uppercase();
        if matches!(upper.as_str(), "CONNECT" | "TRACE") {
            self.notes.error(
                item.at,
                format!("the method {} is never forwarded", scalar.shown()),
                "remove it",
            );
            return None;
        }
        match http::Method::from_bytes(scalar.text.as_bytes()) {
            Ok(method) if seen.contains(&method) => {
                let what = format!("the method {} is listed twice", scalar.shown());
                self.notes.error(item.at, what, "remove one of them");
                None
            }
            Ok(_) if upper != scalar.text => {
                let what = format!(
                    "the method {} is not in capitals, and methods are compared letter by letter",
                    scalar.shown()
                );
                let mend = format!("write {}", quote(&upper));
                fields::refuse(item.at, scalar, what, mend, self.notes)
            }
            Ok(method) => Some(method),
            Err(_) => {
                self.notes.error(
                    item.at,
                    format!("{} is not a method", scalar.shown()),
                    "write one such as `GET` or `POST`",
                );
                None
            }
        }
    }

    /// The methods in the list of a key; `empty` is the error and the mend for a list of none.
    pub(super) fn method_list(
        &mut self,
        of: &Fields<'_>,
        key: &'static str,
        (what, mend): (&str, &str),
    ) -> Option<Vec<http::Method>> {
        let (_, node) = of.get(key)?;
        let items = fields::items(node, key, self.notes)?;
        if items.is_empty() {
            self.notes.error(node.at, what, mend);
        }
        let mut methods = Vec::new();
        for item in items {
            methods.extend(self.method_name(item, key, &methods));
        }
        Some(methods)
    }
}

impl Field<'_> {
    /// True for a value with `{client_subject}` in it; not for one from a variable or a file, which is no template.
    fn says_client_subject(&self) -> bool {
        !self.scalar.is_filled() && self.scalar.text.contains(CLIENT_SUBJECT)
    }

    /// Name and value; a secret value is marked as sensitive.
    pub fn guarded(mut self) -> (HeaderName, HeaderValue) {
        self.value.set_sensitive(is_secret(&self));
        (self.name, self.value)
    }
}

/// True for a value that no plan shows: one from a variable or a file, or a credential by the field's name.
fn is_secret(field: &Field<'_>) -> bool {
    const CREDENTIALS: [&str; 6] = ["auth", "cookie", "key", "password", "secret", "token"];
    let name = field.name.as_str();
    field.scalar.is_filled() || CREDENTIALS.iter().any(|part| name.contains(part))
}

/// True for fields that frame a message or apply to the next hop alone (RFC 9110, section 7.6.1).
fn is_framing(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content-length"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}
