//! `fusebox run`: runs the gateway, its store and its admin API, until a signal ends it.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use fusebox_admin::config::Config as _;
use fusebox_admin::{Socket, UnixSocket};
use fusebox_gateway::{Gateway, Options};
use fusebox_plan::plan::{Plan, Secret};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::args::RunArgs;
use crate::args::admin_addr::{AdminAddr, AdminAddrs};
use crate::banner::{AdminAt, Banner};
use crate::descriptors::{self, Need};
use crate::dialects;
use crate::files::{self, read_hashed};
use crate::log::Log;
use crate::printable::with_causes;
use crate::reload::Reloader;
use crate::state;

/// The longest wait for the end of the admin API.
const ADMIN_END: Duration = Duration::from_secs(1);

/// The default address of the admin API.
const ADMIN: &str = "127.0.0.1:9900";

/// Runs the gateway. Errors after the start of the log are logged.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let log = Log::start(args.log).context("the log cannot be written")?;
    let code = crate::control(serve(args, &log)).unwrap_or_else(|error| {
        log.fault(&with_causes(&error));
        ExitCode::FAILURE
    });
    Ok(code)
}

async fn serve(args: &RunArgs, log: &Log) -> anyhow::Result<ExitCode> {
    // Before any externally visible action: once the gateway listens, it may receive a signal.
    let signals = Signals::listen()?;
    let Some((plan, hash)) = load(args, log)? else {
        return Ok(ExitCode::FAILURE);
    };
    let workers = args
        .workers
        .map_or_else(|| Options::default().workers, NonZeroUsize::get);
    let allowed = descriptors::raise();
    let need = Need::of(&plan, workers);
    need.compare(allowed);
    let wanted = state::wanted(args, plan.store.as_ref());
    let admin = admin_settings(args, &plan)?;
    // All sockets are bound before any state is touched, so that a second start of the same gateway fails harmlessly.
    let (sockets, places) = bind(&admin.addrs).await?;
    let stores = state::open(&wanted)?;
    let options = Options {
        workers,
        apps: dialects::apps(),
        connections_max: need.clients_max(allowed),
        log_lines_dropped: log.lines_dropped(),
    };
    let gateway = Gateway::start(plan, stores, options).await?;
    let banner = Banner {
        gateway: &gateway,
        files: files::names(&args.files),
        store: &wanted,
        admin: &places,
    };
    if !log.text(|| banner.text()) {
        banner.log();
    }
    let (stop_admin, admin_stopped) = oneshot::channel::<()>();
    let reloader = Arc::new(Reloader::new(
        gateway.clone(),
        args.clone(),
        workers,
        allowed,
        &wanted,
        hash,
    ));
    let stopped = async {
        admin_stopped.await.ok();
    };
    let serving = (!sockets.is_empty()).then(|| {
        tokio::spawn(fusebox_admin::serve(
            gateway.clone(),
            fusebox_admin::Options {
                token: admin.token,
                read_token: admin.read_token,
                service_token: admin.service_token,
                config: reloader.clone(),
            },
            sockets,
            stopped,
        ))
    });
    // What went wrong is in the log.
    let reload = || drop(reloader.reload());
    signals.handle(&gateway, reload).await;
    drop(stop_admin);
    if let Some(serving) = serving {
        // Open client connections to the admin API do not keep the process alive, except for the ends of their streams.
        tokio::time::timeout(ADMIN_END, serving).await.ok();
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the plan, logs its diagnostics, and returns it with the hash of its files.
fn load(args: &RunArgs, log: &Log) -> anyhow::Result<Option<(Plan, String)>> {
    let (reading, hash) = read_hashed(&args.files, &args.reading)?;
    for diagnostic in &reading.diagnostics {
        log.diagnostic(diagnostic);
    }
    Ok(reading.plan.map(|plan| (args.applied_to(plan), hash)))
}

struct AdminSettings {
    /// The addresses; empty if the admin API is off.
    addrs: Vec<AdminAddr>,
    token: Option<Secret>,
    read_token: Option<Secret>,
    service_token: Option<Secret>,
}

fn admin_settings(args: &RunArgs, plan: &Plan) -> anyhow::Result<AdminSettings> {
    let addrs = match (&args.admin, &plan.admin) {
        (Some(AdminAddrs(addrs)), _) => addrs.clone(),
        (None, Some(admin)) => vec![AdminAddr::Tcp(admin.addr)],
        (None, None) => vec![ADMIN.parse().map_err(anyhow::Error::msg)?],
    };
    let admin = plan.admin.as_ref();
    let token = admin.and_then(|admin| admin.token.clone());
    for addr in &addrs {
        if let AdminAddr::Tcp(addr) = addr
            && token.is_none()
            && !addr.ip().is_loopback()
        {
            bail!(
                "the admin API on {addr}, which is not loopback, requires a token; set admin.token in the configuration"
            );
        }
    }
    Ok(AdminSettings {
        addrs,
        token,
        read_token: admin.and_then(|admin| admin.read_token.clone()),
        service_token: admin.and_then(|admin| admin.service_token.clone()),
    })
}

/// Binds the sockets of the admin API, and says where they are.
async fn bind(addrs: &[AdminAddr]) -> anyhow::Result<(Vec<Socket>, Vec<AdminAt>)> {
    let (mut sockets, mut places) = (Vec::new(), Vec::new());
    for addr in addrs {
        match addr {
            AdminAddr::Tcp(addr) => {
                let bound = TcpListener::bind(addr).await.with_context(|| {
                    format!(
                        "the admin API cannot listen on {addr}; choose another address with --admin, or off"
                    )
                })?;
                places.push(AdminAt::Tcp(bound.local_addr()?));
                sockets.push(Socket::Tcp(bound));
            }
            AdminAddr::Unix(path) => {
                let bound = UnixSocket::bind(path).with_context(|| {
                    format!(
                        "the admin API cannot listen on unix:{}; choose another path with --admin",
                        path.display()
                    )
                })?;
                places.push(AdminAt::Unix(path.clone()));
                sockets.push(Socket::Unix(bound));
            }
        }
    }
    Ok((sockets, places))
}

/// The signals that the process handles.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    reopen: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Signals> {
        // Handled and ignored, because their default action would end the process.
        for nothing in [SignalKind::user_defined2(), SignalKind::alarm()] {
            drop(signal(nothing)?);
        }
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }

    /// Reloads on request until a signal to end, then leaves and drains.
    async fn handle(mut self, gateway: &Gateway, reload: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => reload(),
                _ = self.reopen.recv() => {
                    if !gateway.reopen_access_log() {
                        tracing::info!("nothing to reopen: the log goes to standard error, and no access log to a file");
                    }
                }
                () = end(&mut self.terminate, &mut self.interrupt, &mut self.quit) => break,
            }
        }
        let delay = gateway.leave();
        if !delay.is_zero() {
            tracing::info!(
                ?delay,
                "leaving: not ready, but requests are still accepted; a second signal starts the drain"
            );
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = end(&mut self.terminate, &mut self.interrupt, &mut self.quit) => {}
            }
        }
        tracing::info!("draining; one more signal ends at once");
        tokio::select! {
            cut = gateway.drain() => tracing::info!(cut, "drained"),
            () = end(&mut self.terminate, &mut self.interrupt, &mut self.quit) => {
                tracing::warn!("ended before the drain was complete");
                gateway.finish_access_log().await;
            }
        }
    }
}

/// Waits for a signal that ends the process.
async fn end(terminate: &mut Signal, interrupt: &mut Signal, quit: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = quit.recv() => {}
    }
}
