//! The stores of a gateway: breaker records, objects of flows, and the records that a fleet shares.

use std::sync::Arc;

use fusebox_store::{ObjectStore, records::SharedRecords};

/// The stores of a gateway.
#[derive(Clone)]
pub struct Stores {
    /// Breaker records. They are always on this machine, so that a breaker keeps its state over a restart while a
    /// server is away.
    pub records: Arc<dyn ObjectStore>,
    /// The objects of flows.
    pub objects: Arc<dyn ObjectStore>,
    /// The store of a fleet's records; `None`: no fleet.
    pub shared: Option<Shared>,
}

/// A store that all processes of a fleet reach.
#[derive(Clone)]
pub struct Shared {
    /// The records that the processes change together.
    pub records: Arc<dyn SharedRecords>,
    /// The store's address in readable form, without secrets.
    pub place: String,
}

impl Stores {
    /// One store for everything, and no fleet.
    pub fn alone(store: Arc<dyn ObjectStore>) -> Stores {
        Stores {
            records: store.clone(),
            objects: store,
            shared: None,
        }
    }

    /// The stores of objects, each of them once.
    pub(crate) fn each(&self) -> Vec<Arc<dyn ObjectStore>> {
        let mut all = vec![self.records.clone()];
        if !Arc::ptr_eq(&self.records, &self.objects) {
            all.push(self.objects.clone());
        }
        all
    }
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stores")
            .field("shared", &self.shared.as_ref().map(|shared| &shared.place))
            .finish_non_exhaustive()
    }
}

/// A store with a `Debug` form.
#[derive(Clone)]
pub struct StoreHandle(pub Arc<dyn ObjectStore>);

impl std::fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}
