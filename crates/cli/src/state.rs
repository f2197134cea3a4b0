//! Where state is kept: which store the options and the file ask for, opened.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use fusebox_plan::plan::Store;
use fusebox_store::{
    EmbeddedOptions, EmbeddedStore, Limits, MemoryStore, ObjectStore, Opened, SystemClock,
};

use crate::args::RunArgs;

/// Where the embedded store is, unless somebody says otherwise.
const DATA: &str = "./fusebox-data";

/// The store that is asked for: by `--store`, else `--data`, else the file, else the default.
///
/// # Errors
/// If `--store` is no store that is supported.
pub fn wanted(args: &RunArgs, file: Option<&Store>) -> anyhow::Result<Store> {
    let data = || args.data.clone();
    match args.store.as_deref() {
        Some("memory:") => Ok(Store::Memory),
        Some(url) => {
            if let Some(path) = url.strip_prefix("embedded:") {
                let path = if path.is_empty() {
                    data().unwrap_or(DATA.into())
                } else {
                    PathBuf::from(path)
                };
                Ok(Store::Embedded { path })
            } else if url.starts_with("redis://") || url.starts_with("rediss://") {
                bail!(
                    "--store {}: Valkey and Redis are not supported yet; use embedded:PATH",
                    scheme(url)
                )
            } else {
                bail!("--store takes memory: or embedded:PATH")
            }
        }
        None => match (data(), file) {
            (Some(path), None | Some(Store::Embedded { .. })) => Ok(Store::Embedded { path }),
            (_, Some(store)) => Ok(store.clone()),
            (None, None) => Ok(Store::Embedded { path: DATA.into() }),
        },
    }
}

/// A URL without what may be secret in it.
fn scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(scheme, _)| scheme)
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
