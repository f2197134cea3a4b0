//! The dialects that this program was built with: who reads their files, and who runs their applications.

use std::sync::Arc;

use fusebox_gateway::app::AppBuilder;
use fusebox_plan::dialect::Dialect;

/// The dialects of configuration files beside the native form.
pub const DIALECTS: &[&dyn Dialect] = &[
    #[cfg(feature = "flogo")]
    &fusebox_flogo::Dialect,
    #[cfg(feature = "mule")]
    &fusebox_mule::Dialect,
];

/// The builders of applications, for one gateway.
pub fn apps() -> Vec<Arc<dyn AppBuilder>> {
    vec![
        #[cfg(feature = "flogo")]
        Arc::new(fusebox_flogo::Apps::default()),
        #[cfg(feature = "mule")]
        Arc::new(fusebox_mule::run::Apps),
    ]
}
