//! A real Valkey or Redis server for a test, which can be frozen, killed and restarted.

use redis::Value;
use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

/// The usable server programs, the preferred one first.
const PROGRAMS: [&str; 2] = ["valkey-server", "redis-server"];
/// The interval and the number of polls of a server that is starting.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const LOOKS_MAX: u32 = 4_000;
/// The longest wait for an answer of the server.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most ports to try: a free port may be taken before the server binds it.
const PORTS_MAX: usize = 10;
/// Number of slots in a cluster.
const SLOTS: u16 = 16_384;

/// An empty Valkey or Redis server on its own local port. It saves nothing to disk and ends when dropped.
#[derive(Debug)]
pub struct Server {
    directory: TempDir,
    port: u16,
    second_port: u16,
    settings: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// Starts a server with default settings.
    ///
    /// # Panics
    /// If neither `valkey-server` nor `redis-server` is installed, or it does not come up.
    pub fn start() -> Server {
        Server::with(&[])
    }

    /// Starts a server with settings as on its command line: `&["--requirepass", "secret"]`. A setting `%port%` is
    /// replaced by the [`second_port`](Server::second_port).
    ///
    /// # Panics
    /// As [`start`](Server::start).
    pub fn with(settings: &[&str]) -> Server {
        let mut server = Server {
            directory: tempfile::tempdir().expect("a directory for a server's files"),
            port: 0,
            second_port: 0,
            settings: settings.iter().map(|text| (*text).to_owned()).collect(),
            child: None,
        };
        for _ in 0..PORTS_MAX {
            server.port = free_port();
            server.second_port = free_port();
            if server.try_up() {
                return server;
            }
        }
        panic!("no server came up; {}", server.log());
    }

    /// Starts a cluster of `count` servers, which share the slots evenly.
    ///
    /// # Panics
    /// As [`start`](Server::start), and if the cluster does not form.
    pub fn cluster(count: u16) -> Vec<Server> {
        let settings = ["--cluster-enabled", "yes"];
        let servers: Vec<_> = (0..count).map(|_| Server::with(&settings)).collect();
        let slots_each = SLOTS.div_ceil(count);
        for (server, nth) in servers.iter().zip(0..) {
            for other in &servers {
                server.ask(&format!("CLUSTER MEET 127.0.0.1 {}", other.port));
            }
            let first = nth * slots_each;
            let end = SLOTS.min(first + slots_each);
            let slots: Vec<_> = (first..end).map(|slot| slot.to_string()).collect();
            server.ask(&format!("CLUSTER ADDSLOTS {}", slots.join(" ")));
        }
        for server in &servers {
            let known = format!("cluster_known_nodes:{count}");
            server.wait_until("CLUSTER INFO", &["cluster_state:ok", &known]);
        }
        servers
    }

    /// Starts a single Sentinel that monitors a primary under a name, and fails over 200 ms after the primary went
    /// silent.
    ///
    /// # Panics
    /// As [`start`](Server::start).
    pub fn sentinel(primary: &Server, name: &str) -> Server {
        let sentinel = Server::with(&["--sentinel"]);
        sentinel.ask(&format!(
            "SENTINEL MONITOR {name} 127.0.0.1 {} 1",
            primary.port
        ));
        sentinel.ask(&format!("SENTINEL SET {name} down-after-milliseconds 200"));
        sentinel
    }

    /// Repeats a command until its reply contains all these parts.
    ///
    /// # Panics
    /// If no reply ever does.
    pub fn wait_until(&self, command: &str, parts: &[&str]) {
        for _ in 0..LOOKS_MAX {
            let reply = self.ask(command);
            if parts.iter().all(|part| reply.contains(part)) {
                return;
            }
            sleep(LOOK_EVERY);
        }
        panic!("no reply to {command} contained {parts:?}; {}", self.log());
    }

    /// The URL of the server, without a password.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The server's port, the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A second reserved port, for a setting such as `&["--tls-port", "%port%"]`.
    pub fn second_port(&self) -> u16 {
        self.second_port
    }

    /// Kills the server at once, with its data, unless it is down.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The process may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Restarts the server, empty and on the same port, unless it is up.
    ///
    /// # Panics
    /// If the server does not come up.
    pub fn restart(&mut self) {
        if self.child.is_none() {
            assert!(self.try_up(), "no server came up again; {}", self.log());
        }
    }

    /// Freezes the server: its connections stay open but nothing answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen server continue.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends a command and returns the reply as text. The command is split at spaces: `server.ask("CONFIG SET maxmemory
    /// 1")`.
    ///
    /// # Panics
    /// If the server cannot be reached, or replies with an error.
    pub fn ask(&self, command: &str) -> String {
        self.try_ask(&command.split(' ').collect::<Vec<_>>())
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    fn try_ask(&self, words: &[&str]) -> Result<String, redis::RedisError> {
        let client = redis::Client::open(self.login())?;
        let mut command = redis::cmd(words.first().copied().unwrap_or("PING"));
        for word in words.iter().skip(1) {
            command.arg(*word);
        }
        // The socket itself has no timeout: a read with one fails with EINTR where the tests' process is stopped and
        // continued. A server that is silent costs a thread for as long as it is.
        let (answers, answer) = mpsc::channel();
        std::thread::spawn(move || {
            let asked = (client.get_connection_with_timeout(PATIENCE))
                .and_then(|mut connection| command.query(&mut connection));
            // The asker may have given up.
            let _ = answers.send(asked);
        });
        let silent = |_| io::Error::new(io::ErrorKind::TimedOut, "the server is silent");
        Ok(match answer.recv_timeout(PATIENCE).map_err(silent)?? {
            Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Value::SimpleString(text) => text,
            Value::Int(number) => number.to_string(),
            other => format!("{other:?}"),
        })
    }

    /// The server's URL, with the password from its settings.
    fn login(&self) -> String {
        let mut settings = self.settings.iter();
        match settings.find(|text| *text == "--requirepass") {
            Some(_) => format!(
                "redis://:{}@127.0.0.1:{}",
                settings.next().map_or("", String::as_str),
                self.port
            ),
            None => self.url(),
        }
    }

    /// Starts the process and waits until it answers. Returns false if the process ends instead.
    fn try_up(&mut self) -> bool {
        // A configuration file, because a Sentinel writes its state into one.
        let file = self.directory.path().join("server.conf");
        if !file.exists() {
            std::fs::write(&file, "").expect("a server's own file");
        }
        let mut command = Command::new(program());
        command
            .arg(file)
            .current_dir(self.directory.path())
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--logfile", "log"])
            .args(if self.settings.iter().any(|text| text == "--sentinel") {
                &[][..]
            } else {
                &["--save", "", "--appendonly", "no"]
            })
            .args(self.settings.iter().map(|text| match text.as_str() {
                "%port%" => self.second_port.to_string(),
                text => text.to_owned(),
            }))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut child = command.spawn().expect("a server that was just found");
        for _ in 0..LOOKS_MAX {
            let ended = child.try_wait().expect("the state of a child of ours");
            if ended.is_some() {
                return false;
            }
            if self.try_ask(&["PING"]).is_ok() {
                self.child = Some(child);
                return true;
            }
            sleep(LOOK_EVERY);
        }
        self.child = Some(child);
        self.kill();
        false
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("a server that is up");
        kill_process(Pid::from_child(child), signal).expect("a signal to a child of ours");
    }

    fn log(&self) -> String {
        let path = self.directory.path().join("log");
        match std::fs::read_to_string(path) {
            Ok(log) => format!("its log says:\n{log}"),
            Err(error) => format!("its log cannot be read: {error}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn program() -> &'static str {
    let runs = |program: &&&str| {
        Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    PROGRAMS.iter().find(runs).copied().unwrap_or_else(|| {
        panic!(
            "the tests need valkey-server or redis-server: install the package valkey-server or \
             redis-server (apt-get install redis-server)"
        )
    })
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}
