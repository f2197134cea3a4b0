//! `fusebox demo`: shows a breaker at work, in one process and with plain text.
//!
//! A gateway with an embedded store, a flaky order service behind it and steady traffic in front of it. The service
//! fails and recovers on a schedule; everything else is real: the sockets, the breaker, the last good answers, the
//! dashboard.

mod service;
mod traffic;
mod view;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use fusebox_admin::config::{Config, Loaded, ReloadError};
use fusebox_gateway::{Gateway, Options, Stores};
use fusebox_plan::{Loader, Source, read};
use fusebox_store::{EmbeddedOptions, EmbeddedStore};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::args::DemoArgs;
use crate::demo::service::Service;
use crate::demo::view::{Seen, View};

/// The time limit of a round with `--once`.
const ROUND_MAX: Duration = Duration::from_secs(35);
/// The time for which the service is healthy at the start of a round, and for which it is down.
const HEALTHY_FOR: Duration = Duration::from_secs(4);
const DOWN_FOR: Duration = Duration::from_secs(9);
/// The time for which a round continues after everything has been seen, to show the recovery.
const CONTINUE_FOR: Duration = Duration::from_secs(3);

/// Runs the demo.
pub async fn demo(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let service = Service::start()
        .await
        .context("the demo's order service cannot start")?;
    let data = DataDir::new()?;
    let (store, _) = EmbeddedStore::open(&data.0, EmbeddedOptions::default())?;
    let text = configuration(service.addr);
    let gateway = start(&text, store).await?;
    let (_, addr) = gateway
        .addresses()
        .into_iter()
        .next()
        .context("the demo's gateway listens")?;
    let admin = serve_admin(&gateway, args.admin).await?;
    view::introduce(&text, service.addr, addr, admin);

    let (results, mut seen_by_clients) = mpsc::channel(1024);
    let traffic = traffic::begin(addr, results);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut view = View::new(gateway.clone());
    let rounds = async {
        loop {
            let seen = round(&service, &mut view, &mut seen_by_clients).await;
            if args.once {
                return seen;
            }
        }
    };
    let ended = tokio::select! {
        seen = rounds => Some(seen),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    traffic.abort();
    gateway.drain().await;
    match ended {
        None => Ok(ExitCode::SUCCESS),
        Some(seen) => Ok(view::conclude(&seen)),
    }
}

/// Runs one round: the service is healthy, fails and recovers; ends after the breaker's recovery.
async fn round(
    service: &Service,
    view: &mut View,
    results: &mut mpsc::Receiver<traffic::Call>,
) -> Seen {
    let began = Instant::now();
    view.begin_round();
    service.mend();
    let mut until = began + HEALTHY_FOR;
    let mut stage = 0;
    loop {
        match timeout_at(until, results.recv()).await {
            Ok(Some(call)) => view.call(&call),
            Ok(None) => return view.seen().clone(),
            Err(_) => {
                stage += 1;
                match stage {
                    1 => {
                        service.break_down();
                        view.say(
                            "the order service fails: it closes connections without an answer",
                        );
                        until = Instant::now() + DOWN_FOR;
                    }
                    2 => {
                        service.mend();
                        view.say("the order service is healthy again");
                        until = began + ROUND_MAX;
                    }
                    _ => {
                        view.end_runs();
                        return view.seen().clone();
                    }
                }
            }
        }
        if stage == 2 && view.seen().is_complete() {
            until = until.min(Instant::now() + CONTINUE_FOR);
        }
    }
}

/// The demo's configuration: the shortest useful file, with a cooldown short enough to watch.
fn configuration(service: SocketAddr) -> String {
    format!(
        "listen: 127.0.0.1:0\n\
         upstreams:\n\
         \x20 orders:\n\
         \x20   url: http://{service}\n\
         \x20   breaker: {{ trip: {{ consecutive_failures: 5 }}, cooldown: {{ base: 2s, factor: 2, max: 8s, jitter: 10% }} }}\n\
         \x20   fallback: [{{ last_good: 1h }}]\n\
         routes:\n\
         \x20 - path: \"/api/{{*rest}}\"\n\
         \x20   upstream: orders\n"
    )
}

struct NoFiles;

impl Loader for NoFiles {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> std::io::Result<String> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

async fn start(text: &str, store: EmbeddedStore) -> anyhow::Result<Gateway> {
    let reading = read(
        &[Source {
            name: "demo.yaml",
            text: text.as_bytes(),
        }],
        &NoFiles,
    );
    let Some(plan) = reading.plan else {
        bail!(
            "the demo's configuration is invalid: {:?}",
            reading.diagnostics
        );
    };
    let options = Options {
        workers: 1,
        ..Options::default()
    };
    Ok(Gateway::start(plan, Stores::alone(Arc::new(store)), options).await?)
}

/// Serves the admin API on the requested address, or on a free port if that is taken.
async fn serve_admin(gateway: &Gateway, asked: SocketAddr) -> anyhow::Result<SocketAddr> {
    let socket = bind(asked)
        .await
        .context("the demo's admin API cannot listen")?;
    let addr = socket.local_addr()?;
    // The task ends with the process.
    tokio::spawn(fusebox_admin::serve(
        gateway.clone(),
        fusebox_admin::Options {
            token: None,
            read_token: None,
            service_token: None,
            config: Arc::new(Fixed),
        },
        vec![socket.into()],
        std::future::pending(),
    ));
    Ok(addr)
}

/// The demo's configuration, which is in no file.
struct Fixed;

impl Config for Fixed {
    fn loaded(&self) -> Loaded {
        Loaded {
            file: "demo.yaml".to_owned(),
            hash: String::new(),
        }
    }

    fn store_kind(&self) -> &'static str {
        "embedded"
    }

    fn reload(&self) -> Result<Vec<String>, ReloadError> {
        let why = "the demo's configuration is in no file";
        Err(ReloadError::Failed(why.to_owned()))
    }
}

/// A temporary directory for the demo's store, removed on drop.
struct DataDir(std::path::PathBuf);

impl DataDir {
    fn new() -> anyhow::Result<DataDir> {
        let path = std::env::temp_dir().join(format!("fusebox-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(DataDir(path))
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // If it cannot be removed, the system cleans its temporary directory.
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Listens on an address, or on a free port if that is taken.
async fn bind(asked: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(asked).await {
        Ok(socket) => Ok(socket),
        Err(_) => TcpListener::bind("127.0.0.1:0").await,
    }
}
