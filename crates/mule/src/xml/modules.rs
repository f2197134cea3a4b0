//! The module of a prefix.

use std::sync::Arc;

/// The common prefix of the namespaces of Mule's modules.
const MULE: &str = "http://www.mulesoft.org/schema/mule/";
/// The modules with a fixed conventional prefix, which must not be bound to another module.
const CONVENTIONAL: [&str; 11] = [
    "",
    "doc",
    "ee",
    "http",
    "os",
    "scripting",
    "sockets",
    "tls",
    "validation",
    "vm",
    "xsi",
];

/// The modules whose namespaces a text names, which its application therefore has.
pub(crate) fn named_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(MULE).skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-/".contains(c)));
        let module = &rest[..end.unwrap_or(rest.len())];
        // The place of a schema is behind its module.
        let module = module.split("/current").next().unwrap_or(module);
        module.strip_prefix("mule-").unwrap_or(module)
    })
}

/// The conventional form of a name.
pub(super) fn title(module: &str, name: &str) -> String {
    if module.is_empty() {
        name.to_owned()
    } else {
        format!("{module}:{name}")
    }
}

/// Splits a name into its prefix, which may be empty, and the rest.
pub(super) fn split(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

/// The namespaces of prefixes, from the outermost element inwards.
#[derive(Default)]
pub(super) struct Bindings(Vec<(Arc<str>, Arc<str>)>);

/// An error: a module's prefix that is bound to a foreign namespace.
#[derive(Debug, PartialEq)]
pub(super) struct Foreign {
    pub address: Arc<str>,
    /// The namespace that the prefix should be bound to.
    pub expected: String,
}

impl Bindings {
    pub fn bind(&mut self, prefix: &str, address: &str) {
        self.0.push((prefix.into(), address.into()));
    }

    /// The number of bindings, for [`leave`](Bindings::leave).
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    pub fn leave(&mut self, depth: usize) {
        self.0.truncate(depth);
    }

    /// The module of a prefix: from its namespace if it is bound, otherwise the prefix itself, as in a snippet.
    pub fn module(&self, prefix: &str) -> Result<Arc<str>, Foreign> {
        let bound = self.0.iter().rev().find(|(bound, _)| &**bound == prefix);
        let Some((_, address)) = bound else {
            return Ok(prefix.into());
        };
        match address.strip_prefix(MULE) {
            Some("core") => Ok("".into()),
            Some("ee/core") => Ok("ee".into()),
            Some("documentation") => Ok("doc".into()),
            Some("mule-apikit") => Ok("apikit".into()),
            Some("http-policy-transform") => Ok("http-transform".into()),
            Some("ee/tracking") => Ok("tracking".into()),
            Some(module) if !module.is_empty() => Ok(module.into()),
            _ if &**address == "http://www.w3.org/2001/XMLSchema-instance" => Ok("xsi".into()),
            // `xmlns=""` resets the default namespace.
            _ if address.is_empty() => Ok("".into()),
            _ if CONVENTIONAL.contains(&prefix) => Err(Foreign {
                address: address.clone(),
                expected: match prefix {
                    "" => format!("{MULE}core"),
                    "ee" => format!("{MULE}ee/core"),
                    "doc" => format!("{MULE}documentation"),
                    module => format!("{MULE}{module}"),
                },
            }),
            _ => Ok(prefix.into()),
        }
    }
}
