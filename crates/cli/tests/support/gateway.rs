//! The real program, started with a file, watched through its log, steered by signals.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use super::waiting::{PATIENCE, until};
use super::wire::{Client, Response};

/// How the program is started.
pub struct Setup {
    yaml: String,
    /// Further files beside it, by name.
    files: Vec<(String, String)>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    /// Without the options that keep a test to itself.
    bare: bool,
    /// Whether nobody reads the log once it serves.
    unread: bool,
    /// How many files it may have open.
    nofile: Option<u32>,
}

impl Setup {
    /// With a configuration.
    pub fn new(yaml: impl Into<String>) -> Setup {
        Setup {
            yaml: yaml.into(),
            files: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            bare: false,
            unread: false,
            nofile: None,
        }
    }

    /// With a log that nobody reads once the gateway serves, until [`Gateway::read_log`].
    pub fn unread(mut self) -> Setup {
        self.unread = true;
        self
    }

    /// With a limit on open files that it cannot raise.
    pub fn nofile(mut self, count: u32) -> Setup {
        self.nofile = Some(count);
        self
    }

    /// With no options but those that the test gives: the admin API and the data are then where
    /// the file, the environment or the defaults say.
    pub fn bare(mut self) -> Setup {
        self.bare = true;
        self
    }

    /// With one more file of the configuration.
    pub fn beside(mut self, name: &str, text: &str) -> Setup {
        self.files.push((name.into(), text.into()));
        self.arg(name)
    }

    /// With one more argument.
    pub fn arg(mut self, arg: impl Into<String>) -> Setup {
        self.args.push(arg.into());
        self
    }

    /// With a variable of the environment.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Setup {
        self.env.push((name.into(), value.into()));
        self
    }

    /// With a number of worker threads; one where a test counts pooled connections.
    pub fn workers(self, count: usize) -> Setup {
        self.arg("--workers").arg(count.to_string())
    }

    /// Starts it and waits until it serves.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn start(self) -> Gateway {
        let dir = TempDir::new().expect("a directory for the test");
        let config = dir.path().join("fusebox.yaml");
        std::fs::write(&config, &self.yaml).expect("the configuration can be written");
        for (name, text) in &self.files {
            std::fs::write(dir.path().join(name), text).expect("the file can be written");
        }
        let running = launch(&self, dir.path(), &config);
        let gateway = Gateway {
            setup: self,
            config,
            running,
            dir,
        };
        gateway.await_start();
        gateway
    }
}

/// A running gateway, killed when it is dropped.
pub struct Gateway {
    setup: Setup,
    config: PathBuf,
    running: Running,
    dir: TempDir,
}

struct Running {
    child: Mutex<Child>,
    pid: u32,
    log: Arc<Log>,
    /// Dropped, it has an unread log read on.
    unread: Mutex<Option<mpsc::Sender<()>>>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Default)]
struct Lines {
    all: Vec<String>,
    ended: bool,
}

impl Gateway {
    /// Starts the program with a configuration, an admin API and a data directory of its own.
    ///
    /// # Panics
    /// If it does not serve soon.
    #[track_caller]
    pub fn run(yaml: impl Into<String>) -> Gateway {
        Setup::new(yaml).start()
    }

    #[track_caller]
    fn await_start(&self) {
        // The last line of a start.
        let off = |text: &String| text == "off";
        let admin_off = self.setup.args.iter().any(off);
        let last = if admin_off { "listening" } else { "admin API" };
        self.log_line(|line| line["message"] == last);
    }

    /// Where the first listener listens.
    ///
    /// # Panics
    /// If it has not said so.
    #[track_caller]
    pub fn addr(&self) -> SocketAddr {
        addr_of(&self.log_line(|line| line["message"] == "listening"))
    }

    /// Where a listener listens.
    ///
    /// # Panics
    /// If it has not said so.
    #[track_caller]
    pub fn addr_of(&self, listener: &str) -> SocketAddr {
        addr_of(
            &self.log_line(|line| line["message"] == "listening" && line["listener"] == listener),
        )
    }

    /// Where the admin API listens.
    ///
    /// # Panics
    /// If it has not said so.
    #[track_caller]
    pub fn admin_addr(&self) -> SocketAddr {
        addr_of(&self.log_line(|line| line["message"] == "admin API"))
    }

    /// A new connection to the first listener.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::to(self.addr())
    }

    /// `GET` on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.client().get(path)
    }

    /// A new connection to the admin API, which wants to be called by its address.
    #[track_caller]
    pub fn admin(&self) -> Client {
        let addr = self.admin_addr();
        let mut client = Client::to(addr);
        client.host = addr.to_string();
        client
    }

    /// `GET` of the admin API.
    #[track_caller]
    pub fn admin_get(&self, path: &str) -> Response {
        self.admin().get(path)
    }

    /// `POST` of JSON to the admin API.
    #[track_caller]
    pub fn admin_post(&self, path: &str, body: &Value) -> Response {
        let lines = "Content-Type: application/json\r\n";
        self.admin().request("POST", path, lines, &body.to_string())
    }

    /// A breaker as the admin API shows it.
    ///
    /// # Panics
    /// If there is none of that name.
    #[track_caller]
    pub fn breaker(&self, name: &str) -> Value {
        let path = format!("/api/v1/breakers/{}", percent_encoded(name));
        let response = self.admin_get(&path);
        assert_eq!(response.status, 200, "breaker {name}: {}", response.text());
        response.json()
    }

    /// The names of all breakers.
    #[track_caller]
    pub fn breakers(&self) -> Vec<String> {
        let all = self.admin_get("/api/v1/breakers").json();
        let all = all["breakers"].as_array().expect("a list of breakers");
        let names = all.iter().map(|it| it["name"].as_str());
        names.map(|name| name.expect("a name").to_owned()).collect()
    }

    /// `closed`, `open` or `half_open`.
    #[track_caller]
    pub fn state(&self, breaker: &str) -> String {
        self.breaker(breaker)["state"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// One of a breaker's counts: `success`, `failure`, `ignored`, `rejected`, …
    #[track_caller]
    pub fn count(&self, breaker: &str, what: &str) -> u64 {
        self.breaker(breaker)["counts"][what]
            .as_u64()
            .expect("a count")
    }

    /// A breaker's counts of success, failure and ignored calls.
    #[track_caller]
    pub fn outcomes(&self, breaker: &str) -> (u64, u64, u64) {
        let counts = &self.breaker(breaker)["counts"];
        let count = |what: &str| counts[what].as_u64().expect("a count");
        (count("success"), count("failure"), count("ignored"))
    }

    /// The value of a metric, by its name with labels as the exposition writes them.
    #[track_caller]
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.admin_get("/metrics").text();
        let line = text.lines().find(|line| {
            line.strip_prefix(series)
                .is_some_and(|rest| rest.starts_with(' '))
        })?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// The first line of the log, parsed, for which `wanted` holds; waits for it.
    ///
    /// # Panics
    /// If it does not come, or the program ends before.
    #[track_caller]
    pub fn log_line(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        match self.running.log.find(&wanted) {
            Ok(line) => line,
            Err(all) => panic!("no such line in the log:\n{}", all.join("\n")),
        }
    }

    /// Has a log read on that was left unread.
    pub fn read_log(&self) {
        let unread = self.running.unread.lock();
        drop(unread.unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Everything in the log so far.
    pub fn log(&self) -> Vec<String> {
        self.running.log.lock().all.clone()
    }

    /// Overwrites the configuration; [`Gateway::sighup`] has it read.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn rewrite(&self, yaml: &str) {
        std::fs::write(&self.config, yaml).expect("the configuration can be written");
    }

    /// Overwrites a file beside the configuration.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn rewrite_beside(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).expect("the file can be written");
    }

    /// Where the configuration is.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Where the store's data are.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.running.pid
    }

    /// Has it read its configuration again.
    pub fn sighup(&self) {
        self.signal("HUP");
    }

    /// Has it drain and end.
    pub fn sigterm(&self) {
        self.signal("TERM");
    }

    /// Sends a signal to this process and no other.
    ///
    /// # Panics
    /// If there is no `kill`.
    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.running.pid.to_string())
            .status();
        assert!(
            kill.expect("kill can be run").success(),
            "SIG{name} was sent"
        );
    }

    /// Kills it at once, as a power cut would, and waits until it is gone.
    pub fn kill9(&self) {
        let mut child = self.running.lock();
        child.kill().ok();
        child.wait().ok();
    }

    /// Starts it again with the same configuration and data, after it has ended; ports may differ.
    ///
    /// # Panics
    /// If it does not serve soon.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill9();
        self.running = launch(&self.setup, self.dir.path(), &self.config);
        self.await_start();
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// If it does not.
    #[track_caller]
    pub fn wait(&self) -> ExitStatus {
        until("the program ends", || {
            self.running.lock().try_wait().ok().flatten()
        })
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        matches!(self.running.lock().try_wait(), Ok(None))
    }

    /// Resident memory now, in bytes.
    #[track_caller]
    pub fn rss(&self) -> u64 {
        self.memory("VmRSS")
    }

    /// The most resident memory that it ever had, in bytes.
    #[track_caller]
    pub fn rss_most(&self) -> u64 {
        self.memory("VmHWM")
    }

    #[track_caller]
    fn memory(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.pid))
            .expect("the program runs");
        let line = status.lines().find(|line| line.starts_with(what));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.expect("the system says how much memory a process has") * 1024
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("the gateway's log:\n{}", self.log().join("\n"));
        }
    }
}

impl Running {
    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn lock(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, wanted: &dyn Fn(&Value) -> bool) -> Result<Value, Vec<String>> {
        let start = Instant::now();
        let mut lines = self.lock();
        let mut looked = 0;
        loop {
            for line in &lines.all[looked..] {
                if let Ok(line) = serde_json::from_str(line)
                    && wanted(&line)
                {
                    return Ok(line);
                }
            }
            looked = lines.all.len();
            let left = PATIENCE.saturating_sub(start.elapsed());
            if lines.ended || left.is_zero() {
                return Err(lines.all.clone());
            }
            lines = self
                .more
                .wait_timeout(lines, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

fn launch(setup: &Setup, dir: &Path, config: &Path) -> Running {
    let program = env!("CARGO_BIN_EXE_fusebox");
    let mut command = match setup.nofile {
        None => Command::new(program),
        Some(count) => {
            let mut shell = Command::new("sh");
            let limit = format!("ulimit -n {count} && exec \"$0\" \"$@\"");
            shell.args(["-c", &limit, program]);
            shell
        }
    };
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FUSEBOX_")) {
        command.env_remove(name);
    }
    command
        .env_remove("RUST_LOG")
        .current_dir(dir)
        .args(["run", "--log", "json"])
        .arg(config);
    if !setup.bare {
        command.args(["--admin", "127.0.0.1:0", "--data"]);
        command.arg(dir.join("data"));
    }
    command
        .args(&setup.args)
        .envs(setup.env.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be started");
    let pid = child.id();
    let stderr = child.stderr.take().expect("its log is piped");
    let log = Arc::new(Log::default());
    let shared = log.clone();
    let (unread, read_on) = mpsc::channel::<()>();
    let unread = Some(unread).filter(|_| setup.unread);
    let mut waits = unread.is_some();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let serves = line.contains("\"admin API\"");
            shared.lock().all.push(line);
            shared.more.notify_all();
            if serves && std::mem::take(&mut waits) {
                read_on.recv().ok();
            }
        }
        shared.lock().ended = true;
        shared.more.notify_all();
    });
    Running {
        child: Mutex::new(child),
        pid,
        log,
        unread: Mutex::new(unread),
    }
}

#[track_caller]
fn addr_of(line: &Value) -> SocketAddr {
    let addr = line["addr"].as_str().and_then(|addr| addr.parse().ok());
    addr.expect("the line has an address")
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| match byte {
            byte if plain(byte) => (byte as char).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
