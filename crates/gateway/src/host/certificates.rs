//! The watch over the files of certificates: what has changed on disk serves new connections a moment later.
//!
//! A look asks the system where each path leads and when that was written, so a symbolic link that leads elsewhere, as
//! Kubernetes moves one, is a change too. Files are read once they stay as they are for two looks, since a pair is often
//! written one file after the other. A change that cannot be used keeps what was there, and is reported once. There is no
//! watch where no plan names such a file.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusebox_plan::CertificateFacts;
use fusebox_plan::plan::{Authorities, KeyPair, ListenerTls, PemSource, Secret, UpstreamTls};
use tokio::task::AbortHandle;

use crate::ground::certificate;
use crate::ground::clock::Clock;
use crate::ground::key_pair::FileFault;
use crate::live::live_plan::Live;
use crate::live::tls::{LiveTls, ServedTls};
use crate::upstream::events::{Events, News, ReloadResult};
use crate::upstream::own_tls::OwnTls;

/// The time between two looks at the files.
const LOOKED_EVERY: Duration = Duration::from_secs(2);

/// The most bytes of a file.
const BYTES_MAX: u64 = 1 << 20;

/// A running watch, which ends when this is dropped.
#[derive(Debug, Default)]
pub struct RunningWatch(Option<AbortHandle>);

impl Drop for RunningWatch {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Numbers of renewals since the start.
#[derive(Debug, Default)]
pub struct Renewals {
    /// Changed files that are in use since.
    pub done: AtomicU64,
    /// Changed files that could not be used.
    pub failed: AtomicU64,
}

/// Begins to watch the files of a plan, on the present runtime.
pub fn begin(
    live: &Live,
    clock: &Arc<Clock>,
    events: &Arc<Events>,
    renewals: &Arc<Renewals>,
) -> RunningWatch {
    let listeners = live.listeners.values().filter_map(|listener| {
        let user = User::Listener(listener.tls.clone()?);
        Some(Watched::new(&listener.plan.name, user))
    });
    let upstreams = live.upstreams.iter().filter_map(|upstream| {
        let user = User::Upstream(upstream.own_tls.clone()?);
        Some(Watched::new(&upstream.plan.name, user))
    });
    let watched = listeners.chain(upstreams);
    let mut watched: Vec<_> = watched.filter(|it| !it.user.stamps().is_empty()).collect();
    if watched.is_empty() {
        return RunningWatch::default();
    }
    let (clock, events, renewals) = (clock.clone(), events.clone(), renewals.clone());
    let task = tokio::spawn(async move {
        let mut interval = tokio::time::interval(LOOKED_EVERY);
        loop {
            interval.tick().await;
            let (clock, events, renewals) = (clock.clone(), events.clone(), renewals.clone());
            // A disk may be slow to answer.
            let looked = tokio::task::spawn_blocking(move || {
                for one in &mut watched {
                    if let Some(result) = one.look(seconds(&clock)) {
                        report(one, result, &clock, &events, &renewals);
                    }
                }
                watched
            });
            match looked.await {
                Ok(back) => watched = back,
                Err(error) => {
                    tracing::error!(%error, "certificate files are watched no more");
                    return;
                }
            }
        }
    });
    RunningWatch(Some(task.abort_handle()))
}

fn seconds(clock: &Clock) -> i64 {
    i64::try_from(clock.wall_millis() / 1000).unwrap_or(i64::MAX)
}

fn report(
    watched: &Watched,
    result: Result<(), FileFault>,
    clock: &Clock,
    events: &Events,
    renewals: &Renewals,
) {
    let (name, kind) = (&watched.name, watched.user.kind());
    let (result, changed) = match result {
        Ok(()) => {
            renewals.done.fetch_add(1, Ordering::Relaxed);
            tracing::info!(
                kind,
                %name,
                "certificate files have changed: new connections of {kind} {name} use them"
            );
            (ReloadResult::Ok, vec![name.to_string()])
        }
        Err(fault) => {
            renewals.failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                kind,
                %name,
                file = %fault.file,
                "certificate files have changed and cannot be used, so {kind} {name} keeps those before: {fault}"
            );
            (ReloadResult::Failed, Vec::new())
        }
    };
    let news = News::Reload {
        result,
        changed,
        diagnostics: Vec::new(),
    };
    events.publish(clock.exact(), news);
}

/// The state of a file on disk: the place that its path leads to, and the time at which that was written. `None`: it
/// cannot be reached.
type Stamp = Option<(u64, u64, u64, (i64, i64), (i64, i64))>;

/// A listener or an upstream with files.
struct Watched {
    name: Arc<str>,
    user: User,
    /// The state of the files at the last look; `None`: there was none yet.
    seen: Option<Vec<Stamp>>,
    /// The state of the files when they were last read.
    read: Option<Vec<Stamp>>,
}

/// The user of the files.
enum User {
    Listener(Arc<LiveTls>),
    Upstream(Arc<OwnTls>),
}

impl Watched {
    fn new(name: &Arc<str>, user: User) -> Watched {
        Watched {
            name: name.clone(),
            user,
            seen: None,
            read: None,
        }
    }

    /// Looks at the files once at the time `now`, in seconds since 1970, and takes them over if they have changed and stay
    /// so; `None`: they have not.
    fn look(&mut self, now: i64) -> Option<Result<(), FileFault>> {
        // Whatever is written after this is seen by the next look.
        let stamps = self.user.stamps();
        if self.read.as_ref() == Some(&stamps) {
            return None;
        }
        let is_settled = self.seen.as_ref() == Some(&stamps);
        self.seen = Some(stamps);
        if !is_settled {
            return None;
        }
        self.read = self.seen.clone();
        match self.user.renew(now) {
            Ok(false) => None,
            Ok(true) => Some(Ok(())),
            Err(fault) => Some(Err(fault)),
        }
    }
}

impl User {
    fn kind(&self) -> &'static str {
        match self {
            User::Listener(_) => "listener",
            User::Upstream(_) => "upstream",
        }
    }

    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |path: &std::path::Path| -> Stamp {
            let found = fs::metadata(path).ok()?;
            let written = (found.mtime(), found.mtime_nsec());
            let changed = (found.ctime(), found.ctime_nsec());
            Some((found.dev(), found.ino(), found.size(), written, changed))
        };
        match self {
            User::Listener(tls) => {
                let files = tls.current();
                let files = ServedTls::files(&files.settings);
                files.into_iter().map(stamp).collect()
            }
            User::Upstream(tls) => {
                let files = tls.current();
                let files = OwnTls::files(&files.settings);
                files.into_iter().map(stamp).collect()
            }
        }
    }

    /// Reads the files and takes them over; false: their content is in use already.
    fn renew(&self, now: i64) -> Result<bool, FileFault> {
        match self {
            User::Listener(tls) => {
                let current = tls.current().settings.clone();
                let read = listener_tls(&current)?;
                if read == current {
                    return Ok(false);
                }
                for pair in read.pairs() {
                    check_validity(pair, now)?;
                }
                tls.renew(read)?;
            }
            User::Upstream(tls) => {
                let current = tls.current().settings.clone();
                let read = upstream_tls(&current)?;
                if read == current {
                    return Ok(false);
                }
                if let Some(pair) = &read.identity {
                    check_validity(pair, now)?;
                }
                tls.renew(read)?;
            }
        }
        Ok(true)
    }
}

fn listener_tls(current: &ListenerTls) -> Result<ListenerTls, FileFault> {
    let mut read = current.clone();
    read.pair = key_pair(&current.pair)?;
    for pair in &mut read.also {
        *pair = key_pair(pair)?;
    }
    if let Some(clients) = &mut read.clients {
        clients.authorities = authorities(&clients.authorities)?;
    }
    Ok(read)
}

fn upstream_tls(current: &UpstreamTls) -> Result<UpstreamTls, FileFault> {
    Ok(UpstreamTls {
        authorities: current.authorities.as_ref().map(authorities).transpose()?,
        identity: current.identity.as_ref().map(key_pair).transpose()?,
        name: current.name.clone(),
    })
}

fn key_pair(current: &KeyPair) -> Result<KeyPair, FileFault> {
    if !current.certificate_file.is_pem() {
        return Ok(current.clone());
    }
    Ok(KeyPair {
        certificates: text(&current.certificate_file)?,
        key: Secret::new(text(&current.key_file)?),
        certificate_file: current.certificate_file.clone(),
        key_file: current.key_file.clone(),
    })
}

fn authorities(current: &Authorities) -> Result<Authorities, FileFault> {
    if !current.file.is_pem() {
        return Ok(current.clone());
    }
    Ok(Authorities {
        pem: text(&current.file)?,
        file: current.file.clone(),
    })
}

/// Refuses a certificate that is not valid now: the one before it may be.
fn check_validity(pair: &KeyPair, now: i64) -> Result<(), FileFault> {
    let fault = |why: &str| Err(FileFault::new(&pair.certificate_file, why.to_owned()));
    let facts = certificate::facts(&pair.certificates);
    let own = facts.ok().and_then(|facts| facts.into_iter().next());
    match own {
        Some(CertificateFacts { not_after, .. }) if not_after < now => {
            fault("the certificate has expired")
        }
        Some(CertificateFacts { not_before, .. }) if not_before > now => {
            fault("the certificate is not yet valid")
        }
        _ => Ok(()),
    }
}

fn text(file: &PemSource) -> Result<String, FileFault> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        let opened = fs::File::open(&file.on_disk)?;
        let length = opened.take(BYTES_MAX + 1).read_to_string(&mut text)?;
        match length as u64 > BYTES_MAX {
            true => Err(io::Error::other("it is longer than 1 MiB")),
            false => Ok(text),
        }
    };
    read().map_err(|error| FileFault::new(file, format!("it cannot be read: {error}")))
}
