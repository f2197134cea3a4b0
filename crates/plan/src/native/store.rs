//! The `store:` and `fleet:` sections: the place of state, and this process's name in a fleet.

use std::time::Duration;

use super::draft::{Draft, DraftFleet, DraftStore, Reader, StoreKind};
use super::share::DraftShare;
use crate::diagnostic::{Notes, place_of, value_of};
use crate::fields::Fields;
use crate::plan::{Fleet, Secret, Store, Valkey};

/// The default directory of an embedded store.
const STORE_PATH: &str = "./fusebox-data";
/// The longest time that an operation on a server may take.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// The longest name of a node, in bytes.
const NODE_MAX: usize = 128;
/// The schemes of a server's URL.
const SCHEMES: [&str; 2] = ["redis", "valkey"];

impl Reader<'_> {
    pub(super) fn store(&mut self, file: &Fields<'_>) -> Option<DraftStore> {
        let store = file.section("store", self.notes)?;
        let kind = match store.place("kind") {
            None => Some(StoreKind::Embedded),
            Some(_) => store.word("kind", self.notes).map(|word| {
                [StoreKind::Memory, StoreKind::Embedded, StoreKind::Valkey][word.value]
            }),
        };
        Some(DraftStore {
            at: store.at,
            kind,
            path: store.text("path", self.notes),
            url: store
                .text("url", self.notes)
                .map(|url| url.map(Secret::new)),
            has_url: store.place("url").is_some(),
            prefix: store.text("prefix", self.notes),
            timeout: store.duration("timeout", self.notes),
        })
    }

    pub(super) fn fleet(&mut self, file: &Fields<'_>) -> Option<DraftFleet> {
        let fleet = file.section("fleet", self.notes)?;
        Some(DraftFleet {
            node: fleet.text("node", self.notes),
        })
    }
}

/// The store of the draft; reports its faults.
pub(super) fn check_store(draft: &Draft, notes: &mut Notes) -> Option<Store> {
    let store = draft.store.as_ref()?;
    let kind = store.kind?;
    if let Some(path) = &store.path {
        if kind == StoreKind::Memory {
            notes.error(
                path.at,
                "a store in memory has no path",
                "remove it, or use `kind: embedded`",
            );
        } else if path.value.is_empty() {
            notes.error(
                store.at,
                "the store's path is empty",
                "name a directory, such as `./fusebox-data`",
            );
        }
    }
    let path = store.path.as_ref().map(|path| path.value.as_str().into());
    match kind {
        StoreKind::Valkey => {
            check_server(store, notes);
            Some(Store::Valkey(Valkey {
                url: store.url.as_ref()?.value.clone(),
                prefix: value_of(&store.prefix),
                timeout: value_of(&store.timeout),
                path,
            }))
        }
        StoreKind::Memory | StoreKind::Embedded => {
            let places = [
                ("url", place_of(&store.url)),
                ("prefix", place_of(&store.prefix)),
                ("timeout", place_of(&store.timeout)),
            ];
            for (key, at) in places {
                if let Some(at) = at {
                    notes.error(
                        at,
                        format!("`{key}` belongs to a store on a Valkey server"),
                        "remove it, or use `kind: valkey`",
                    );
                }
            }
            Some(match kind {
                StoreKind::Memory => Store::Memory,
                _ => Store::Embedded {
                    path: path.unwrap_or_else(|| STORE_PATH.into()),
                },
            })
        }
    }
}

fn check_server(store: &DraftStore, notes: &mut Notes) {
    match &store.url {
        None if !store.has_url => notes.error(
            store.at,
            "a store on a Valkey server needs its `url`",
            "add `url: redis://127.0.0.1:6379`",
        ),
        // The URL may contain a password, so no message shows it.
        Some(url) if !names_a_server(url.value.reveal()) => notes.error(
            url.at,
            "the store's URL is not a Valkey server's",
            "write one such as `redis://127.0.0.1:6379`, or `rediss://` for TLS",
        ),
        _ => {}
    }
    if let Some(prefix) = &store.prefix
        && prefix.value.contains(['{', '}'])
    {
        notes.error(
            prefix.at,
            "the prefix has a brace, which would set its hash slot in a cluster",
            "remove the brace",
        );
    }
    if let Some(timeout) = &store.timeout
        && (timeout.value.is_zero() || timeout.value > TIMEOUT_MAX)
    {
        notes.error(
            timeout.at,
            "the store's `timeout` must be above 0 and at most a minute",
            "write `250ms`",
        );
    }
}

fn names_a_server(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let (scheme, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    let plain = scheme == "unix"
        || SCHEMES
            .iter()
            .any(|known| scheme == *known || scheme.strip_suffix('s') == Some(known));
    plain && ["", "unix", "sentinel", "cluster"].contains(&kind) && !rest.is_empty()
}

/// The fleet of the draft; reports its faults.
pub(super) fn check_fleet(draft: &Draft, notes: &mut Notes) -> Option<Fleet> {
    let fleet = draft.fleet.as_ref()?;
    if let Some(node) = &fleet.node
        && (node.value.is_empty()
            || node.value.len() > NODE_MAX
            || node.value.chars().any(char::is_control))
    {
        notes.error(
            node.at,
            format!("a node's name has 1 to {NODE_MAX} bytes and no control characters"),
            "write one such as `gateway-1`, or remove the key",
        );
    }
    Some(Fleet {
        node: value_of(&fleet.node),
    })
}

fn has_server(draft: &Draft) -> bool {
    let store = draft.store.as_ref();
    // An unreadable kind has been reported already.
    store.is_some_and(|store| store.kind.is_none_or(|kind| kind == StoreKind::Valkey))
}

/// Warns about every shared breaker if no server is configured to share it through.
pub(super) fn check_shares(draft: &Draft, notes: &mut Notes) {
    if has_server(draft) {
        return;
    }
    let breakers = draft
        .upstreams
        .iter()
        .flat_map(|upstream| &upstream.breaker);
    let services = draft.services.iter().flat_map(|service| &service.breaker);
    let breakers = breakers.flatten().chain(services);
    let shares = breakers.filter_map(|breaker| breaker.share());
    for DraftShare { at, .. } in shares.filter(|share| share.is_shared()) {
        notes.warn(
            *at,
            "the breaker is shared through a Valkey server, but the file configures none",
            "add `store: { kind: valkey, url: redis://127.0.0.1:6379 }`, or run with `--store redis://…`; else each process decides alone",
        );
    }
}
