//! The records of endpoints that come and leave with the addresses of their upstream's names.

use std::pin::Pin;
use std::sync::Arc;

use fusebox_breaker::Breaker;
use fusebox_store::ObjectStore;

use crate::ground::clock::Clock;
use crate::host::records::{self, Changed};
use crate::upstream::resolving::Arrivals;

/// The records of endpoints that come and leave while the gateway runs, with the addresses of their names.
pub struct EndpointRecords {
    /// The breakers to be written.
    pub changed: Arc<Changed>,
    /// The store of records.
    pub store: Arc<dyn ObjectStore>,
    /// The gateway's clock.
    pub clock: Arc<Clock>,
}

impl Arrivals for EndpointRecords {
    fn came(&self, breaker: Breaker) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if let Err(error) = records::recall(&breaker, &self.store, &self.clock).await {
                let name = breaker.name();
                tracing::warn!(breaker = %name, %error, "the endpoint's record cannot be read; it begins closed");
            }
            self.changed.mark(&breaker);
        })
    }

    fn left(&self, breaker: &Arc<str>) {
        self.changed.forget(breaker);
    }
}
