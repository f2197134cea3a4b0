//! A running gateway: started from a plan, reloaded with another, drained at the end.

use std::any::Any;
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use fusebox_breaker::Timestamp;
use fusebox_plan::Diagnostic;
use fusebox_plan::plan::{Listener, Plan};
use fusebox_store::{Limits as StoreLimits, MemoryStore, ObjectStore, SystemClock};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::downstream::accepting;
use crate::downstream::accepting::Command;
use crate::ground::access_log::AccessLog;
use crate::ground::clock::Clock;
use crate::ground::listen::{self, ListenerKey};
use crate::ground::series::Progress;
use crate::ground::stores::{StoreHandle, Stores};
use crate::host::announcer::Announcer;
use crate::host::certificates::{self, Renewals, RunningWatch};
use crate::host::endpoint_records::EndpointRecords;
use crate::host::membership::Membership;
use crate::host::options::{GatewayError, Options};
use crate::host::records::{self, RENEWED_EVERY};
use crate::live::changes::Reloaded;
use crate::live::live_builder::{BuildContext, LiveBuilder};
use crate::live::live_plan::Live;
use crate::live::shared::Shared;
use crate::request::worker::Worker;
use crate::upstream::breakers::LiveBreaker;
use crate::upstream::events::{Events, News, ReloadResult};
use crate::upstream::health_checks::{self, RunningChecks};
use crate::upstream::last_good::key::Salt;
use crate::upstream::permits::Permits;
use crate::upstream::resolving::{self, Arrivals, RunningLookups};

/// The time between two sweeps of expired objects from the stores while they find some, and the most objects of one.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
const SWEEP_BUDGET: usize = 1_000;

/// The longest time between two such sweeps; each that finds nothing doubles it. A sweep frees memory alone: an object
/// ends by its time.
const SWEEP_EVERY_MAX: Duration = Duration::from_secs(8);

/// The time between two searches for connections to upstreams that have been idle for too long.
const IDLE_LOOKED_EVERY: Duration = Duration::from_secs(5);

/// The time between two searches for idle breakers whose memory can be freed.
const RESTED_EVERY: Duration = Duration::from_secs(60);

/// The time limit for the store's last writes to become durable.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// The time that a drain waits beyond its limit for the workers' reports.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// The most that a reload waits for the workers to close the sockets that it gives up; a busy worker closes them later.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// A running gateway. Its handles are clones; dropping the last one does not stop it: [`Gateway::drain`] does.
#[derive(Debug, Clone)]
pub struct Gateway(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub shared: Arc<Shared>,
    pub announcer: Arc<Announcer>,
    /// The latest events.
    pub events: Arc<Events>,
    pub stores: Stores,
    /// The membership in a fleet, if any.
    pub membership: Option<Membership>,
    /// The store of objects that are kept in memory alone.
    volatile: StoreHandle,
    /// The worker of the tasks beside requests.
    background: Arc<Worker>,
    /// The own work of the present plan's application; dropping it stops new work.
    started: Mutex<Option<Box<dyn Any + Send>>>,
    /// The health checks of the present plan's endpoints, and the lookups of their names.
    checks: Mutex<(RunningChecks, RunningLookups)>,
    /// The watch over the files of the present plan's certificates.
    watch: Mutex<RunningWatch>,
    /// The permits of programs that call by themselves.
    pub permits: Permits,
    /// Counts of the files that it found changed.
    pub renewals: Arc<Renewals>,
    builder: LiveBuilder,
    workers: usize,
    commands: Vec<mpsc::UnboundedSender<Command>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// The bound address of each listener; one reload at a time changes it.
    bound: Mutex<HashMap<ListenerKey, BoundListener>>,
    tasks: Mutex<Vec<tokio::task::AbortHandle>>,
    pub draining: AtomicBool,
    reloading: Mutex<()>,
    pub reloads: AtomicU64,
    pub reload_failures: AtomicU64,
    pub last_reload: AtomicU64,
    /// The progress of the sampler of rates, if there is one.
    pub sampling: Progress,
    /// The start of this gateway, on its clock.
    pub started_at: Timestamp,
    pub log_lines_dropped: Arc<AtomicU64>,
}

#[derive(Debug, Clone)]
struct BoundListener {
    name: Arc<str>,
    addr: SocketAddr,
}

impl Gateway {
    /// Starts a gateway: breakers are restored from the store, the fleet is joined, then the listeners open. The
    /// fleet's store need not answer. Must be called within a runtime, which then runs the gateway's tasks beside the
    /// data path.
    ///
    /// # Errors
    /// The unavailable resource; nothing is left running then.
    pub async fn start(
        plan: Plan,
        stores: Stores,
        options: Options,
    ) -> Result<Gateway, GatewayError> {
        let workers = options.workers.max(1);
        let clock = Arc::new(Clock::default());
        let started_at = clock.exact();
        let events = Arc::new(Events::default());
        let announcer = Arc::new(Announcer::default());
        let volatile = MemoryStore::new(StoreLimits::default(), Arc::new(SystemClock));
        let volatile = StoreHandle(Arc::new(volatile));
        let (membership, driver) = Membership::begin(&stores, plan.fleet.as_ref(), &clock, &events)
            .await?
            .unzip();
        let fleet = membership.as_ref().map(|here| here.fleet.clone());
        let builder = LiveBuilder::new(BuildContext {
            workers,
            clock: clock.clone(),
            listener: announcer.clone(),
            events: events.clone(),
            fleet,
            apps: options.apps,
            durable: StoreHandle(stores.objects.clone()),
            volatile: volatile.clone(),
            salt: Salt::load(&stores.records).await,
            records: StoreHandle(stores.records.clone()),
        });
        let (live, _) = builder.build(plan, None).map_err(GatewayError::Plan)?;
        announcer.changed.set_homes(&live);
        let restored = records::restore(&live, &stores.records, &clock).await?;
        if restored > 0 {
            tracing::info!(restored, "breakers took up the state that they had before");
        }
        let listeners = live.plan.listeners.clone();
        let bound = bind_all(&listeners, workers, &[])?;
        let dropped = options.log_lines_dropped.clone();
        let access_log = Arc::new(AccessLog::new(clock.clone(), workers, dropped));
        let log = access_log.prepare(live.plan.access_log.as_ref());
        access_log.switch(log.map_err(GatewayError::Plan)?);
        let shared = Arc::new(Shared::new(
            live,
            clock.clone(),
            access_log,
            workers,
            options.connections_max,
        ));
        let mut commands = Vec::new();
        let mut threads = Vec::new();
        for index in 0..workers {
            let (sender, receiver) = mpsc::unbounded_channel();
            threads.push(accepting::start(index, shared.clone(), receiver)?);
            commands.push(sender);
        }
        let inner = Inner {
            shared: shared.clone(),
            announcer,
            events,
            stores,
            membership,
            volatile,
            background: shared.worker(workers),
            started: Mutex::default(),
            checks: Mutex::default(),
            watch: Mutex::default(),
            permits: Permits::draw().map_err(GatewayError::Plan)?,
            renewals: Arc::default(),
            builder,
            workers,
            commands,
            threads: Mutex::new(threads),
            bound: Mutex::default(),
            tasks: Mutex::default(),
            draining: AtomicBool::new(false),
            reloading: Mutex::default(),
            reloads: AtomicU64::new(0),
            reload_failures: AtomicU64::new(0),
            last_reload: AtomicU64::new(clock.wall_millis()),
            sampling: Progress::default(),
            started_at,
            log_lines_dropped: options.log_lines_dropped,
        };
        let gateway = Gateway(Arc::new(inner));
        gateway.0.open(bound);
        gateway.0.begin_tasks();
        if let Some(driver) = driver {
            gateway
                .0
                .keep_task(tokio::spawn(driver.run()).abort_handle());
        }
        gateway.0.start_flows();
        gateway.0.mark_all();
        Ok(gateway)
    }

    /// Runs another plan from now on. Requests in flight finish under the old one; breakers, connections and listeners
    /// that still fit are kept (I10).
    ///
    /// # Errors
    /// The unavailable resource; the old plan continues unchanged then.
    pub fn reload(&self, plan: Plan) -> Result<Reloaded, GatewayError> {
        let result = self.0.reload(plan);
        match &result {
            Ok(reloaded) => {
                self.0.reloads.fetch_add(1, Ordering::Relaxed);
                self.0
                    .last_reload
                    .store(self.0.shared.clock.wall_millis(), Ordering::Relaxed);
                let changed = reloaded.changes.names();
                self.publish_reload(ReloadResult::Ok, changed, Vec::new());
            }
            Err(_) => self.reload_failed(),
        }
        result
    }

    /// Counts a reload that failed for a reason outside the files' content.
    pub fn reload_failed(&self) {
        self.0.reload_failures.fetch_add(1, Ordering::Relaxed);
        self.publish_reload(ReloadResult::Failed, Vec::new(), Vec::new());
    }

    /// Counts a reload that was refused before there was a plan to run, because of errors in the files.
    pub fn reload_refused(&self, diagnostics: Vec<Diagnostic>) {
        self.0.reload_failures.fetch_add(1, Ordering::Relaxed);
        self.publish_reload(ReloadResult::Refused, Vec::new(), diagnostics);
    }

    fn publish_reload(
        &self,
        result: ReloadResult,
        changed: Vec<String>,
        diagnostics: Vec<Diagnostic>,
    ) {
        let news = News::Reload {
            result,
            changed,
            diagnostics,
        };
        self.0.events.publish(self.0.shared.clock.exact(), news);
    }

    /// The addresses for clients, by listener.
    pub fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        let bound = self.0.bound.lock();
        let mut all: Vec<_> = bound
            .values()
            .map(|bound| (bound.name.clone(), bound.addr))
            .collect();
        all.sort();
        all
    }

    /// The scheme of a listener's URLs: `https` with TLS, otherwise `http`.
    pub fn scheme(&self, listener: &str) -> &'static str {
        let plan = self.plan();
        let found = plan.listeners.iter().find(|it| *it.name == *listener);
        match found.and_then(|it| it.tls.as_ref()) {
            Some(_) => "https",
            None => "http",
        }
    }

    /// Reports not ready from now on, so that load balancers send no more requests, while requests are still accepted.
    /// Returns the time that the plan wants that to last before the drain (`limits.drain_delay`).
    pub fn leave(&self) -> Duration {
        self.0.draining.store(true, Ordering::Release);
        self.plan().limits.drain_delay
    }

    /// Stops accepting connections, lets requests in flight finish within the plan's `limits.drain`, writes the
    /// breakers' records and ends. Returns the number of connections that had to be cut.
    pub async fn drain(&self) -> usize {
        let inner = &self.0;
        inner.draining.store(true, Ordering::Release);
        inner.events.close();
        let limit = inner.shared.live.load().plan.limits.drain_timeout;
        inner.stop_flows();
        let mut waiting = Vec::new();
        for commands in &inner.commands {
            let (done, drained) = oneshot::channel();
            if commands.send(Command::Drain(limit, done)).is_ok() {
                waiting.push(drained);
            }
        }
        let workers = async {
            let mut cut = 0;
            for drained in waiting {
                match tokio::time::timeout(limit + DRAIN_MARGIN, drained).await {
                    Ok(Ok(drained)) => cut += drained.cut,
                    _ => tracing::warn!(
                        "a worker did not drain: it does not run, its connections are cut"
                    ),
                }
            }
            cut
        };
        let (cut, background) = tokio::join!(workers, inner.background.wait_until_empty(limit));
        let cut = cut + background.cut;
        if let Some(membership) = &inner.membership {
            membership.end().await;
        }
        for thread in std::mem::take(&mut *inner.threads.lock()) {
            // A worker that has reported ends now; another one ends with the process.
            if thread.is_finished() {
                thread.join().ok();
            }
        }
        for task in inner.tasks.lock().drain(..) {
            task.abort();
        }
        let changed = &inner.announcer.changed;
        if let Err(error) =
            records::write_all(changed, &inner.stores.records, &inner.shared.clock).await
        {
            tracing::error!(%error, "the breakers' last state could not be written down");
        }
        for store in inner.stores.each() {
            match tokio::time::timeout(FLUSH_MAX, store.flush()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a store could not be flushed"),
                Err(_) => tracing::error!("a store took too long to be flushed"),
            }
        }
        self.finish_access_log().await;
        cut
    }

    /// Waits until the access log's lines are written, for a limited time.
    pub async fn finish_access_log(&self) {
        self.0.shared.access_log.finish().await;
    }

    /// Opens the access log's file anew, as after its rotation; false if the log is off or goes to a stream.
    pub fn reopen_access_log(&self) -> bool {
        self.0.shared.access_log.reopen()
    }
}

impl Inner {
    fn reload(&self, plan: Plan) -> Result<Reloaded, GatewayError> {
        let _one_at_a_time = self.reloading.lock();
        if self.draining.load(Ordering::Acquire) {
            return Err(GatewayError::Draining);
        }
        let (new, ours) = self.missing(&plan.listeners);
        let sockets = bind_all(&new, self.workers, &ours)?;
        let kept: HashMap<ListenerKey, Arc<str>> = plan
            .listeners
            .iter()
            .map(|listener| (ListenerKey::of(listener), listener.name.clone()))
            .collect();
        let log = self.shared.access_log.prepare(plan.access_log.as_ref());
        let log = log.map_err(GatewayError::Plan)?;
        let previous = self.shared.live.load_full();
        let own_before = previous.own_breakers();
        let (live, reloaded) = self
            .builder
            .build(plan, Some(&previous))
            .map_err(GatewayError::Plan)?;
        self.shared.access_log.switch(log);
        // The plan comes first, so that a new listener's first request finds its routes.
        self.shared.replace(live);
        self.start_flows();
        let mut gone = Vec::new();
        self.bound.lock().retain(|key, bound| match kept.get(key) {
            Some(name) => {
                bound.name = name.clone();
                true
            }
            None => {
                gone.push(key.clone());
                false
            }
        });
        let (closed, all_closed) = std::sync::mpsc::channel();
        for key in gone {
            self.tell(|| Command::Close(key.clone(), closed.clone()));
        }
        drop(closed);
        self.open(sockets);
        // A connection made after the report goes to the new sockets: one that a narrower address accepted at the very
        // moment of its close would be reset.
        all_closed.recv_timeout(CLOSED_WITHIN).ok();
        self.announcer.changed.set_homes(&self.shared.live.load());
        self.forget(&previous, &own_before);
        self.mark_all();
        Ok(reloaded)
    }

    /// Starts the own work of the present plan's application and the health checks; those of the previous plan have
    /// stopped.
    fn start_flows(&self) {
        let live = self.shared.live.load();
        let clock = &self.shared.clock;
        let arrivals: Arc<dyn Arrivals> = Arc::new(EndpointRecords {
            changed: self.announcer.changed.clone(),
            store: self.stores.records.clone(),
            clock: clock.clone(),
        });
        let lookups = resolving::begin(&live.upstreams, clock, &arrivals);
        let checks = health_checks::begin(&live.upstreams, clock, &self.events);
        *self.checks.lock() = (checks, lookups);
        *self.watch.lock() = certificates::begin(&live, clock, &self.events, &self.renewals);
        let app = live.app.clone();
        let tasks = app.and_then(|app| app.begin(&self.background));
        *self.started.lock() = tasks;
    }

    fn stop_flows(&self) {
        *self.started.lock() = None;
        *self.checks.lock() = Default::default();
        *self.watch.lock() = RunningWatch::default();
    }

    /// The listeners of a plan that are not open yet, and the addresses of all open ones.
    fn missing(&self, listeners: &[Arc<Listener>]) -> (Vec<Arc<Listener>>, Vec<SocketAddr>) {
        let bound = self.bound.lock();
        let missing = listeners
            .iter()
            .filter(|listener| !bound.contains_key(&ListenerKey::of(listener)))
            .cloned()
            .collect();
        (missing, bound.values().map(|bound| bound.addr).collect())
    }

    fn open(&self, sockets: Sockets) {
        for (listener, addr, sockets) in sockets {
            let key = ListenerKey::of(&listener);
            for (commands, socket) in self.commands.iter().zip(sockets) {
                // A worker is gone only when the gateway drains, which then takes no connection.
                commands.send(Command::Listen(key.clone(), socket)).ok();
            }
            let name = listener.name.clone();
            self.bound.lock().insert(key, BoundListener { name, addr });
        }
    }

    fn tell(&self, command: impl Fn() -> Command) {
        for commands in &self.commands {
            commands.send(command()).ok();
        }
    }

    /// Marks every breaker without a key to be written, so that its generation never goes back.
    fn mark_all(&self) {
        for upstream in &self.shared.live.load().guarded {
            if upstream.plan.breaker.key.is_upstream() {
                for live_breaker in upstream.breakers.all() {
                    self.announcer.changed.mark(&live_breaker.breaker);
                }
            }
        }
        for (_, live_breaker) in self.shared.live.load().own_breakers() {
            self.announcer.changed.mark(&live_breaker.breaker);
        }
    }

    /// Removes the records of a plan's breakers that the present plan does not have.
    fn forget(&self, previous: &Live, own_before: &[(Arc<str>, LiveBreaker)]) {
        let live = self.shared.live.load();
        for old in &previous.guarded {
            if live
                .guarded
                .iter()
                .any(|new| Arc::ptr_eq(&new.breakers, &old.breakers))
            {
                continue;
            }
            // Calls still on their way end under the old breakers, and must not affect the new ones.
            old.silence();
            for live_breaker in old.breakers.all() {
                self.announcer.changed.forget(live_breaker.breaker.name());
            }
            // Those that took their names may have changed already.
            let new = old.breakers.name().and_then(|name| live.guarded(name));
            for new in new.iter() {
                for live_breaker in new.breakers.all() {
                    self.announcer.changed.mark(&live_breaker.breaker);
                }
            }
        }
        for old in &previous.services {
            if live.service(&old.plan.name).is_none() {
                old.events.turn_off();
            }
        }
        for (_, live_breaker) in own_before {
            let name = live_breaker.breaker.name();
            if live.breaker(name).is_none() {
                self.announcer.changed.forget(name);
            }
        }
    }

    fn begin_tasks(self: &Arc<Inner>) {
        let keeper = tokio::spawn(records::keep(
            self.announcer.changed.clone(),
            self.stores.records.clone(),
            self.shared.clock.clone(),
            self.events.clone(),
        ));
        let mut stores = self.stores.each();
        stores.push(self.volatile.0.clone());
        let sweeper = tokio::spawn(sweep(stores));
        // The tasks end with the gateway; this one must not keep it alive.
        let weak = Arc::downgrade(self);
        let renewer = tokio::spawn(async move {
            let mut interval = tokio::time::interval(RENEWED_EVERY);
            loop {
                interval.tick().await;
                let Some(inner) = weak.upgrade() else { return };
                for (_, live_breaker) in inner.shared.live.load().breakers() {
                    inner.announcer.changed.renew(&live_breaker.breaker);
                }
            }
        });
        let ends = self.announcer.hold_ends.clone();
        let now = self.shared.clock.exact();
        // Holds that outlived the process before were placed without a word.
        for (_, live_breaker) in self.shared.live.load().breakers() {
            ends.note(&live_breaker.breaker, now);
        }
        let clock = self.shared.clock.clone();
        let hold_ends = tokio::spawn(async move { ends.run(clock).await });
        let shared = self.shared.clone();
        let pools = tokio::spawn(async move {
            let mut interval = tokio::time::interval(IDLE_LOOKED_EVERY);
            loop {
                interval.tick().await;
                // Each look at a socket counts as work of the task, and beyond 128 all of them would seem open.
                tokio::task::unconstrained(async { shared.sweep() }).await;
            }
        });
        let shared = self.shared.clone();
        let weak = Arc::downgrade(self);
        let rester = tokio::spawn(async move {
            let mut interval = tokio::time::interval(RESTED_EVERY);
            loop {
                interval.tick().await;
                let now = shared.clock.tick();
                let live = shared.live.load();
                for upstream in &live.guarded {
                    upstream.breakers.rest(now);
                }
                live.settle_endpoints(now);
                let Some(inner) = weak.upgrade() else { return };
                inner.permits.sweep(now);
            }
        });
        for task in [&keeper, &sweeper, &renewer, &hold_ends, &pools, &rester] {
            self.keep_task(task.abort_handle());
        }
    }

    /// Lets a task end with the gateway.
    fn keep_task(&self, task: tokio::task::AbortHandle) {
        let mut tasks = self.tasks.lock();
        tasks.push(task);
    }
}

/// Sweeps expired objects from stores, and logs it once when a store cannot be swept.
async fn sweep(stores: Vec<Arc<dyn ObjectStore>>) {
    let mut failing = vec![false; stores.len()];
    let mut wait = SWEEP_EVERY;
    loop {
        tokio::time::sleep(wait).await;
        wait = (2 * wait).min(SWEEP_EVERY_MAX);
        for (store, failing) in stores.iter().zip(&mut failing) {
            match store.sweep(SWEEP_BUDGET).await {
                Ok(removed) => {
                    *failing = false;
                    if removed > 0 {
                        wait = SWEEP_EVERY;
                    }
                }
                Err(error) if !std::mem::replace(failing, true) => {
                    tracing::warn!(%error, "expired objects cannot be swept; trying again within seconds");
                }
                Err(_) => {}
            }
        }
    }
}

type Sockets = Vec<(Arc<Listener>, SocketAddr, Vec<TcpListener>)>;

fn bind_all(
    listeners: &[Arc<Listener>],
    workers: usize,
    ours: &[SocketAddr],
) -> Result<Sockets, GatewayError> {
    let bind = |listener: &Arc<Listener>| {
        let (addr, sockets) = listen::bind(listener.addr, workers, ours).map_err(|error| {
            let mend = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "; another program has it: stop that one or choose another port"
                }
                io::ErrorKind::PermissionDenied => {
                    "; ports below 1024 need a privilege: choose a higher one"
                }
                io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
                _ => "",
            };
            GatewayError::Listen {
                name: listener.name.clone(),
                addr: listener.addr,
                error,
                mend,
            }
        })?;
        Ok((listener.clone(), addr, sockets))
    };
    listeners.iter().map(bind).collect()
}
