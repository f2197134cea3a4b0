//! What a gateway keeps things in: its breakers' records, the objects of flows, and what a fleet agrees on.

use std::sync::Arc;

use fusebox_store::{ObjectStore, records::SharedRecords};

/// The stores of a gateway.
#[derive(Clone)]
pub struct Stores {
    /// Breaker records: always on this machine, so that a breaker is what it was after a restart while a server is
    /// away.
    pub records: Arc<dyn ObjectStore>,
    /// The objects of flows.
    pub objects: Arc<dyn ObjectStore>,
    /// What the processes of a fleet agree on; `None`: this one is alone.
    pub shared: Option<Shared>,
}

/// A place that all processes of a fleet reach.
#[derive(Clone)]
pub struct Shared {
    /// The records that they change together.
    pub records: Arc<dyn SharedRecords>,
    /// Where that is, as people may read it.
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

    /// Each store of objects once.
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

/// The store, which has no `Debug` of its own.
#[derive(Clone)]
pub struct StoreHandle(pub Arc<dyn ObjectStore>);

impl std::fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}
