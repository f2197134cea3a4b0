//! The state's location: selects the stores from options and file, and opens them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use fusebox_gateway::{Shared, Stores};
use fusebox_plan::plan::{Store, Valkey};
use fusebox_store::{
    EmbeddedOptions, EmbeddedStore, Limits, MemoryStore, ObjectStore, Opened, SystemClock,
    ValkeyOptions, ValkeyStore, records::ValkeyRecords,
};

use crate::args::{RunArgs, StoreUrl};

/// The default directory of the embedded store.
pub const DATA: &str = "./fusebox-data";

/// Selects the store: from `--store`, else `--data`, else the file, else the default. Besides a server, `--data` sets
/// the directory of the breakers' records.
pub fn wanted(args: &RunArgs, file: Option<&Store>) -> Store {
    let data = || args.data.clone();
    match &args.store {
        Some(StoreUrl::Memory) => Store::Memory,
        Some(StoreUrl::Embedded(path)) => {
            let path = path.clone().or_else(data).unwrap_or(DATA.into());
            Store::Embedded { path }
        }
        Some(StoreUrl::Valkey(url)) => Store::Valkey(Valkey {
            url: url.clone(),
            prefix: None,
            timeout: None,
            path: data().or_else(|| path_of(file?)),
        }),
        None => match (data(), file) {
            (path @ Some(_), Some(Store::Valkey(server))) => Store::Valkey(Valkey {
                path,
                ..server.clone()
            }),
            (Some(path), _) => Store::Embedded { path },
            (None, Some(store)) => store.clone(),
            (None, None) => Store::Embedded { path: DATA.into() },
        },
    }
}

/// The data directory of a store in the file, if it has one.
fn path_of(store: &Store) -> Option<PathBuf> {
    match store {
        Store::Memory => None,
        Store::Embedded { path } => Some(path.clone()),
        Store::Valkey(server) => server.path.clone(),
    }
}

/// The options for connecting to a server.
///
/// # Errors
/// If its URL is invalid; the message does not contain the password.
pub fn server(wanted: &Valkey) -> anyhow::Result<ValkeyOptions> {
    let mut options = ValkeyOptions::parse(wanted.url.reveal()).context("store: url")?;
    if let Some(prefix) = &wanted.prefix {
        options.prefix.clone_from(prefix);
    }
    if let Some(timeout) = wanted.timeout {
        options.timeout = timeout;
    }
    Ok(options)
}

/// Opens the stores. A server need not be reachable.
pub fn open(store: &Store) -> anyhow::Result<Stores> {
    match store {
        Store::Memory => Ok(Stores::alone(Arc::new(MemoryStore::new(
            Limits::default(),
            Arc::new(SystemClock),
        )))),
        Store::Embedded { path } => Ok(Stores::alone(embedded(path)?)),
        Store::Valkey(wanted) => {
            let options = server(wanted)?;
            let place = options.place();
            let cannot = || format!("cannot use the store at {place}");
            let path = wanted.path.as_deref().unwrap_or(Path::new(DATA));
            let objects = ValkeyStore::open(options.clone()).with_context(cannot)?;
            let shared = ValkeyRecords::open(options).with_context(cannot)?;
            Ok(Stores {
                records: embedded(path)?,
                objects: Arc::new(objects),
                shared: Some(Shared {
                    records: Arc::new(shared),
                    place,
                }),
            })
        }
    }
}

/// Opens the store in a directory. A damaged file is renamed, and that is logged.
fn embedded(path: &Path) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let (store, opened) = EmbeddedStore::open(path, EmbeddedOptions::default())
        .with_context(|| format!("cannot open the store in {}", path.display()))?;
    match opened {
        Opened::SetAside { path, why, .. } => {
            tracing::error!(kept = %path.display(), %why, "the store was damaged; it was set aside and a new one created");
        }
        opened => tracing::debug!(?opened, "store opened"),
    }
    Ok(Arc::new(store))
}
