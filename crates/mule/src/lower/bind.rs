//! The bindings of the command line: `--bind NAME=URL`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use fusebox_plan::dialect::{quote, read_url, suggest};
use fusebox_plan::plan::Endpoint;

use super::Lowering;
use crate::xml::start_of;

/// The URLs by name, each with a mark that is set once it is used.
pub(super) struct Bindings<'a>(BTreeMap<&'a str, (&'a str, Cell<bool>)>);

/// An invalid binding: the problem and the remedy.
pub(super) type Problem = (String, String);

impl<'a> Bindings<'a> {
    pub fn of(bindings: &'a [(String, String)]) -> Bindings<'a> {
        let unused =
            |(name, url): &'a (String, String)| (name.as_str(), (url.as_str(), Cell::new(false)));
        Bindings(bindings.iter().map(unused).collect())
    }

    /// Returns the URL of a name and marks it as used.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let (url, used) = self.0.get(name)?;
        used.set(true);
        Some(url)
    }
}

/// Reads a URL to listen on, as address and base path.
pub(super) fn listening(url: &str) -> Result<(SocketAddr, String), Problem> {
    let example = "write it as `http://127.0.0.1:8081` or `http://0.0.0.0:8081/base`";
    let Some(rest) = url.strip_prefix("http://") else {
        let what = format!("{} is not an address to listen on", quote(url));
        return Err((what, example.to_owned()));
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let addr = authority
        .rsplit_once(':')
        .and_then(|(host, port)| address(host, port.parse().ok()?));
    let what = || format!("{} is not an IP address with a port", quote(authority));
    let addr = addr.ok_or_else(|| (what(), example.to_owned()))?;
    Ok((addr, path.trim_end_matches('/').to_owned()))
}

/// The address of a host and a port. The host is an IP address or `localhost`.
pub(super) fn address(host: &str, port: u16) -> Option<SocketAddr> {
    let host = host.trim();
    if host.eq_ignore_ascii_case("localhost") {
        return Some((Ipv4Addr::LOCALHOST, port).into());
    }
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    Some(SocketAddr::new(bare.parse().ok()?, port))
}

/// Reads a URL to send requests to.
pub(super) fn calling(url: &str) -> Result<Endpoint, Problem> {
    read_url(url).map_err(|(what, mend)| (format!("{what}: {}", quote(url)), mend))
}

impl Lowering<'_> {
    /// Reports bindings that are not used.
    pub fn refuse_idle_bindings(&mut self) {
        let start = start_of(0);
        let bindings = self.bindings.0.iter();
        let (used, idle): (Vec<_>, Vec<_>) = bindings.partition(|(_, (_, used))| used.get());
        for (name, (url, _)) in idle {
            self.notes.error(
                start,
                format!(
                    "`--bind {name}={url}` binds nothing: no listener, request or flow-ref names {}",
                    quote(name)
                ),
                suggest(name, used.iter().map(|(name, _)| **name)),
            );
        }
    }
}
