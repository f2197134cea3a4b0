//! Where state is kept: which store the options and the file ask for, opened.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use fusebox_plan::plan::Store;
use fusebox_store::{
    EmbeddedOptions, EmbeddedStore, Limits, MemoryStore, ObjectStore, Opened, SystemClock,
};

use crate::args::{RunArgs, StoreUrl};

/// Where the embedded store is, unless somebody says otherwise.
const DATA: &str = "./fusebox-data";

/// The store that is asked for: by `--store`, else `--data`, else the file, else the default.
///
/// # Errors
/// If `--store` names one that is not supported yet.
pub fn wanted(args: &RunArgs, file: Option<&Store>) -> anyhow::Result<Store> {
    let data = || args.data.clone();
    match &args.store {
        Some(StoreUrl::Memory) => Ok(Store::Memory),
        Some(StoreUrl::Embedded(path)) => {
            let path = path.clone().or_else(data).unwrap_or(DATA.into());
            Ok(Store::Embedded { path })
        }
        Some(StoreUrl::Valkey) => {
            bail!("--store: Valkey and Redis are not supported yet; use embedded:PATH")
        }
        None => match (data(), file) {
            (Some(path), _) => Ok(Store::Embedded { path }),
            (None, Some(store)) => Ok(store.clone()),
            (None, None) => Ok(Store::Embedded { path: DATA.into() }),
        },
    }
}

/// Opens a store; a damaged file is set aside and said.
///
/// # Errors
/// If the store cannot be opened.
pub fn open(store: &Store) -> anyhow::Result<Arc<dyn ObjectStore>> {
    match store {
        Store::Memory => Ok(Arc::new(MemoryStore::new(
            Limits::default(),
            Arc::new(SystemClock),
        ))),
        Store::Embedded { path } => {
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
    }
}
