//! A breaker that a flow builds by hand out of an object store.

use std::sync::Arc;

use super::app::{Site, StoreDeclaration};

/// A breaker that a flow builds by hand out of an object store.
#[derive(Debug, Clone, PartialEq)]
pub struct Circuit {
    /// `STORE/KEY` of the entry that holds its state.
    pub name: Arc<str>,
    /// Where the flow asks for its state.
    pub site: Site,
    /// The store; `None`: the application's default one.
    pub store: Option<Arc<StoreDeclaration>>,
}
