//! Mule applications, run for a test.

use super::gateway::Setup;

/// The flow of the object-store circuit breaker, as it was published.
pub const DOCUMENT: &str = include_str!(
    "../../../../conformance/recipes/error-handling/retry/circuit-breaker-object-store.xml"
);

/// An application whose listener configuration is `HTTP_Listener`, on a port that the system chooses,
/// and whose request configurations are bound to addresses.
pub fn setup(xml: impl Into<String>, upstreams: &[(&str, &str)]) -> Setup {
    let mut setup = Setup::new(xml).bind("HTTP_Listener", "http://127.0.0.1:0");
    for (name, url) in upstreams {
        setup = setup.bind(name, url);
    }
    setup
}

impl Setup {
    /// With an address for a configuration.
    pub fn bind(self, name: &str, url: &str) -> Setup {
        self.arg("--bind").arg(format!("{name}={url}"))
    }
}

/// A flow that listens on a path.
pub fn flow(name: &str, path: &str, inner: &str) -> String {
    format!(
        "<flow name=\"{name}\"><http:listener config-ref=\"HTTP_Listener\" path=\"{path}\"/>{inner}</flow>"
    )
}
