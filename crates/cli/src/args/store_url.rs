//! The location of the state as `--store` has it.

use std::path::PathBuf;
use std::str::FromStr;

use fusebox_plan::plan::Secret;

/// The location of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `memory:`, in memory.
    Memory,
    /// `embedded:PATH`; without a path, the directory of `--data`.
    Embedded(Option<PathBuf>),
    /// A server: `redis://…`, `rediss://…` and similar.
    Valkey(Secret),
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<StoreUrl, String> {
        match text.split_once(':') {
            Some(("memory", "")) => Ok(StoreUrl::Memory),
            Some(("embedded", path)) => {
                Ok(StoreUrl::Embedded((!path.is_empty()).then(|| path.into())))
            }
            Some((scheme, rest)) if rest.starts_with("//") && is_server_scheme(scheme) => {
                // Checked when it is opened, because an error here would show the whole text with its password.
                Ok(StoreUrl::Valkey(Secret::new(text)))
            }
            _ => Err("expected memory:, embedded:PATH or redis://HOST:PORT".into()),
        }
    }
}

/// True if a URL of this scheme may name a Valkey or Redis server.
fn is_server_scheme(scheme: &str) -> bool {
    let known = ["redis", "rediss", "valkey", "valkeys", "unix"];
    known.contains(&scheme.split('+').next().unwrap_or_default())
}
