//! Where state is kept: which stores the options and the file ask for, opened.

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

/// Where the embedded store is, unless somebody says otherwise.
const DATA: &str = "./fusebox-data";

/// The store that is asked for: by `--store`, else `--data`, else the file, else the default. Beside a server `--data`
/// says where breaker records are.
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

/// The data directory that a file names.
fn path_of(store: &Store) -> Option<PathBuf> {
    match store {
        Store::Memory => None,
        Store::Embedded { path } => Some(path.clone()),
        Store::Valkey(server) => server.path.clone(),
    }
}

/// How a server is reached.
///
/// # Errors
/// What is wrong with its URL, without the password in it.
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

/// Opens the stores; whether a server can be reached makes no difference.
///
/// # Errors
/// If one cannot be opened.
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

/// Opens the store in a directory; a damaged file is set aside and said.
fn embedded(path: &Path) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let (store, opened) = EmbeddedStore::open(path, EmbeddedOptions::default())
        .with_context(|| format!("cannot open the store in {}", path.display()))?;
    match opened {
        Opened::SetAside { path, why, .. } => {
            tracing::error!(kept = %path.display(), %why, "the store was damaged: it is set aside, a new one begun");
        }
        opened => tracing::debug!(?opened, "store opened"),
    }
    Ok(Arc::new(store))
}
