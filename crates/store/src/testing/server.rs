//! A real server of a test's own, which can be stopped, frozen, killed and started again.

use redis::Value;
use rustix::process::{Pid, Signal, kill_process};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use tempfile::TempDir;

/// The programs that will do, the better first.
const PROGRAMS: [&str; 2] = ["valkey-server", "redis-server"];
/// How often a server is asked whether it is up, and how many times.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const LOOKS_MAX: u32 = 4_000;
/// Ports that may turn out to be taken by the time the server asks for them.
const PORTS_MAX: usize = 10;
/// The slots of a cluster.
const SLOTS: u16 = 16_384;

/// A Valkey or Redis server on a port of its own on this machine, with nothing in it. It writes
/// nothing to disk, and ends with its owner.
#[derive(Debug)]
pub struct Server {
    directory: TempDir,
    port: u16,
    second_port: u16,
    settings: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// Starts a server.
    ///
    /// # Panics
    /// If neither `valkey-server` nor `redis-server` is installed, or it does not come up.
    pub fn start() -> Server {
        Server::with(&[])
    }

    /// Starts a server with settings as on its command line: `&["--requirepass", "secret"]`.
    /// A setting `%port%` stands for its [`second_port`](Server::second_port).
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

    /// Starts a cluster of so many servers, which share the slots evenly.
    ///
    /// # Panics
    /// As [`start`](Server::start), and if they do not find together.
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

    /// Starts a Sentinel that watches a primary under a name, alone, and replaces it soon after it
    /// went silent.
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

    /// Asks until the reply has all these parts.
    ///
    /// # Panics
    /// If it never has.
    pub fn wait_until(&self, command: &str, parts: &[&str]) {
        for _ in 0..LOOKS_MAX {
            let reply = self.ask(command);
            if parts.iter().all(|part| reply.contains(part)) {
                return;
            }
            sleep(LOOK_EVERY);
        }
        panic!("{command} never answered {parts:?}; {}", self.log());
    }

    /// The server's URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port that it listens on, also while it is down.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A second port that is its own, if a setting names it: `&["--tls-port", "%port%"]`.
    pub fn second_port(&self) -> u16 {
        self.second_port
    }

    /// Kills it with what it holds, at once, unless it is down.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, empty, at the same port, unless it is up.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&mut self) {
        if self.child.is_none() {
            assert!(self.try_up(), "no server came up again; {}", self.log());
        }
    }

    /// Freezes it: its connections stay open, and nothing answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends a command and answers the reply as text. Words are split at spaces:
    /// `server.ask("CONFIG SET maxmemory 1")`.
    ///
    /// # Panics
    /// If it cannot be reached, or answers with an error.
    pub fn ask(&self, command: &str) -> String {
        self.try_ask(&command.split(' ').collect::<Vec<_>>())
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    fn try_ask(&self, words: &[&str]) -> Result<String, redis::RedisError> {
        let client = redis::Client::open(self.login())?;
        let timeout = Duration::from_secs(10);
        let mut connection = client.get_connection_with_timeout(timeout)?;
        connection.set_read_timeout(Some(timeout))?;
        let mut command = redis::cmd(words.first().copied().unwrap_or("PING"));
        for word in words.iter().skip(1) {
            command.arg(*word);
        }
        Ok(match command.query(&mut connection)? {
            Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Value::SimpleString(text) => text,
            Value::Int(number) => number.to_string(),
            other => format!("{other:?}"),
        })
    }

    /// Its URL with the password that its settings name.
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

    /// Starts the process and waits until it answers; answers false if it ends instead.
    fn try_up(&mut self) -> bool {
        // A file, because a Sentinel writes down what it learns.
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
