//! TLS towards clients: a listener's certificates, and the rule for those of its clients.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use fusebox_plan::CertificateFacts;
use fusebox_plan::plan::{ListenerTls, TlsVersion};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::Ticketer;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::ground::certificate;
use crate::ground::key_pair::{FileFault, certified_key};
use crate::live::sni::{Certificates, Choice};
use crate::upstream::own_trust::client_verifier;

/// The TLS of a listener. Its certificates may be renewed while it runs; open connections keep theirs.
#[derive(Debug)]
pub struct LiveTls {
    current: ArcSwap<ServedTls>,
}

/// A listener's TLS between two renewals.
pub struct ServedTls {
    /// The plan's settings, with the content of their files.
    pub settings: ListenerTls,
    /// The protocols that are offered (ALPN).
    pub protocols: Vec<Vec<u8>>,
    /// The facts of the certificates that are shown, the first one first.
    pub certificates: Vec<CertificateFacts>,
    acceptor: TlsAcceptor,
    choice: Arc<Choice>,
}

impl std::fmt::Debug for ServedTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServedTls")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl LiveTls {
    /// The TLS of a listener that offers these protocols.
    ///
    /// # Errors
    /// The file that cannot be used.
    pub fn new(settings: ListenerTls, protocols: &[&[u8]]) -> Result<LiveTls, FileFault> {
        let served = ServedTls::new(settings, protocols)?;
        Ok(LiveTls {
            current: ArcSwap::from_pointee(served),
        })
    }

    /// The present state.
    pub fn current(&self) -> arc_swap::Guard<Arc<ServedTls>> {
        self.current.load()
    }

    /// True if the present state is that of these settings.
    pub fn serves(&self, settings: &ListenerTls, protocols: &[&[u8]]) -> bool {
        let current = self.current.load();
        let offered = current.protocols.iter().map(Vec::as_slice);
        current.settings == *settings && offered.eq(protocols.iter().copied())
    }

    /// Takes other settings over for connections from now on; the protocols stay.
    ///
    /// # Errors
    /// The file that cannot be used; nothing has changed then.
    pub fn renew(&self, settings: ListenerTls) -> Result<(), FileFault> {
        let protocols = self.current.load().protocols.clone();
        let protocols: Vec<&[u8]> = protocols.iter().map(Vec::as_slice).collect();
        let served = ServedTls::new(settings, &protocols)?;
        self.current.store(Arc::new(served));
        Ok(())
    }

    /// The acceptor that takes a connection over into TLS.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.current.load().acceptor.clone()
    }
}

impl ServedTls {
    fn new(settings: ListenerTls, protocols: &[&[u8]]) -> Result<ServedTls, FileFault> {
        let (mut keys, mut certificates) = (Vec::new(), Vec::new());
        for pair in settings.pairs() {
            let fault = |fault| FileFault::of_pair(pair, fault);
            let key = certified_key(&pair.certificates, pair.key.reveal()).map_err(fault)?;
            keys.push(Arc::new(key));
            let facts = certificate::facts(&pair.certificates);
            let facts = facts.map_err(|why| FileFault::new(&pair.certificate_file, why))?;
            certificates.extend(facts.into_iter().next());
        }
        let choice = Arc::new(Choice::among(certificates.iter().map(|it| &it.dns_names)));
        let versions: &[_] = match settings.min {
            TlsVersion::V12 => &[&TLS13, &TLS12],
            TlsVersion::V13 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_protocol_versions(versions);
        let builder = match &settings.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let authorities = &clients.authorities;
                let verifier = client_verifier(&authorities.pem, clients.is_required);
                let verifier = verifier.map_err(|why| FileFault::new(&authorities.file, why))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(Certificates {
            keys,
            choice: choice.clone(),
        }));
        config.alpn_protocols = protocols.iter().map(|it| it.to_vec()).collect();
        // Sessions are in tickets, under keys that change by themselves; without 0-RTT, which could be replayed. A
        // ticket also stands for the client's certificate, so it ends with the settings.
        match Ticketer::new() {
            Ok(ticketer) => config.ticketer = ticketer,
            Err(error) => tracing::warn!(%error, "TLS sessions cannot be resumed by tickets"),
        }
        Ok(ServedTls {
            protocols: config.alpn_protocols.clone(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
            settings,
            certificates,
            choice,
        })
    }

    /// True if a request for `host` came over a connection that shows the certificate of another name.
    pub fn is_misdirected(&self, asked_for: &str, host: &str) -> bool {
        self.choice.of(asked_for) != self.choice.of(host)
    }

    /// The files that can be read again.
    pub fn files(settings: &ListenerTls) -> Vec<&Path> {
        let pairs = settings
            .pairs()
            .flat_map(|it| [&it.certificate_file, &it.key_file]);
        let authorities = settings.clients.iter().map(|it| &it.authorities.file);
        let files = pairs.chain(authorities);
        let files = files.filter(|it| it.is_pem());
        files.map(|it| it.on_disk.as_path()).collect()
    }
}
