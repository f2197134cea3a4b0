//! The TLS of an upstream with settings of its own, which may be renewed while it runs.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use fusebox_plan::CertificateFacts;
use fusebox_plan::plan::UpstreamTls;
use tokio_rustls::rustls::ClientConfig;

use crate::ground::certificate;
use crate::ground::key_pair::{FileFault, certified_key};
use crate::upstream::own_trust::OwnTrust;

/// The TLS of an upstream. New connections use the present settings; open ones keep theirs.
#[derive(Debug)]
pub struct OwnTls {
    server_name: Option<String>,
    current: ArcSwap<Current>,
}

/// An upstream's TLS between two renewals.
#[derive(Debug)]
pub struct Current {
    /// The plan's settings, with the content of their files.
    pub settings: UpstreamTls,
    /// The facts of the certificate that we show; `None`: we have none.
    pub identity: Option<CertificateFacts>,
    config: Arc<ClientConfig>,
}

impl OwnTls {
    /// The TLS of an upstream with these settings.
    ///
    /// # Errors
    /// The file that cannot be used.
    pub fn new(settings: UpstreamTls) -> Result<OwnTls, FileFault> {
        Ok(OwnTls {
            server_name: settings.name.clone(),
            current: ArcSwap::from_pointee(Current::new(settings)?),
        })
    }

    /// The present state.
    pub fn current(&self) -> arc_swap::Guard<Arc<Current>> {
        self.current.load()
    }

    /// Takes other files over for connections from now on; the server's name stays.
    ///
    /// # Errors
    /// The file that cannot be used; nothing has changed then.
    pub fn renew(&self, settings: UpstreamTls) -> Result<(), FileFault> {
        self.current.store(Arc::new(Current::new(settings)?));
        Ok(())
    }

    /// The configuration for one connection.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.current.load().config.clone()
    }

    /// The name that the server's certificate must have; `None`: the host's.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The files that can be read again.
    pub fn files(settings: &UpstreamTls) -> Vec<&Path> {
        let authorities = settings.authorities.iter().map(|it| &it.file);
        let pair = settings.identity.iter();
        let pair = pair.flat_map(|it| [&it.certificate_file, &it.key_file]);
        let files = authorities.chain(pair);
        let files = files.filter(|it| it.is_pem());
        files.map(|it| it.on_disk.as_path()).collect()
    }
}

impl Current {
    fn new(settings: UpstreamTls) -> Result<Current, FileFault> {
        let authorities = settings.authorities.as_ref();
        if let Some(authorities) = authorities {
            let checked = certificate::chain(&authorities.pem);
            checked.map_err(|why| FileFault::new(&authorities.file, why))?;
        }
        let identity = settings.identity.as_ref();
        let facts = identity.map(|pair| {
            certified_key(&pair.certificates, pair.key.reveal())
                .map_err(|fault| FileFault::of_pair(pair, fault))?;
            let facts = certificate::facts(&pair.certificates);
            facts.map_err(|why| FileFault::new(&pair.certificate_file, why))
        });
        let facts = facts.transpose()?;
        let own = OwnTrust {
            verified: true,
            // Authorities of its own take the place of the system's.
            system_roots: authorities.is_none(),
            authorities: authorities.map(|it| it.pem.as_str()),
            identity: identity.map(|it| (it.certificates.as_str(), it.key.reveal())),
        };
        let file = authorities.map(|it| &it.file);
        let file = file.or(identity.map(|it| &it.certificate_file));
        let config = own.config().map_err(|why| match file {
            Some(file) => FileFault::new(file, why),
            None => FileFault {
                file: String::new(),
                why,
            },
        })?;
        Ok(Current {
            config,
            identity: facts.and_then(|facts| facts.into_iter().next()),
            settings,
        })
    }
}
