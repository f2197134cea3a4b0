//! The TLS of a REST service: its trust in servers, and its own certificate.

use fusebox_gateway::parts::{OwnTrust, Trust};

use crate::RestTls;

/// The trust of a service; `system` if it uses only the system's authorities and has no certificate.
///
/// # Errors
/// The PEM text that is invalid.
pub fn trust(tls: &RestTls, system: &Trust) -> Result<Trust, String> {
    let identity = tls.identity.as_ref();
    let own = OwnTrust {
        verified: tls.verified,
        system_roots: tls.system_roots,
        authorities: tls.authorities.as_deref(),
        identity: identity.map(|own| (own.certificates.as_str(), own.key.as_str())),
    };
    own.trust(system)
}
