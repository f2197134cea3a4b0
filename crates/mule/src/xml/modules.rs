//! Which module a prefix means.

use std::sync::Arc;

/// What the namespaces of Mule's modules begin with.
const MULE: &str = "http://www.mulesoft.org/schema/mule/";
/// The modules that are known here by a prefix of their own, so that the prefix cannot mean another.
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

/// A name as it is conventionally written.
pub(super) fn title(module: &str, name: &str) -> String {
    if module.is_empty() {
        name.to_owned()
    } else {
        format!("{module}:{name}")
    }
}

/// A name and its prefix, which may be empty.
pub(super) fn split(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

/// Which prefixes are bound to which addresses, from the outermost element inwards.
#[derive(Default)]
pub(super) struct Bindings(Vec<(Arc<str>, Arc<str>)>);

/// The address that a prefix is bound to, though the prefix is a module's and the address is not.
#[derive(Debug, PartialEq)]
pub(super) struct Foreign {
    pub address: Arc<str>,
    /// What the prefix should be bound to.
    pub expected: String,
}

impl Bindings {
    pub fn bind(&mut self, prefix: &str, address: &str) {
        self.0.push((prefix.into(), address.into()));
    }

    /// How many bindings there are; [`leave`](Bindings::leave) goes back to as many.
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    pub fn leave(&mut self, depth: usize) {
        self.0.truncate(depth);
    }

    /// The module that a prefix means: by its address where it is bound, else by its own name, as in a
    /// snippet.
    pub fn module(&self, prefix: &str) -> Result<Arc<str>, Foreign> {
        let bound = self.0.iter().rev().find(|(bound, _)| &**bound == prefix);
        let Some((_, address)) = bound else {
            return Ok(prefix.into());
        };
        match address.strip_prefix(MULE) {
            Some("core") => Ok("".into()),
            Some("ee/core") => Ok("ee".into()),
            Some("documentation") => Ok("doc".into()),
            Some(module) if !module.is_empty() => Ok(module.into()),
            _ if &**address == "http://www.w3.org/2001/XMLSchema-instance" => Ok("xsi".into()),
            // `xmlns=""` takes the default namespace back.
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
