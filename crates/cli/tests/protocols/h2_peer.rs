//! The HTTP/2 service of the tests: `h2_upstream.py`, with what it has seen.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::{eventually, python};

/// A running service, which ends with this.
pub struct Peer {
    child: Child,
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    /// Starts the service with those options.
    pub fn start(options: &[&str]) -> Peer {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/protocols/h2_upstream.py");
        let mut child = Command::new(python::program("python3"))
            .arg(script)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let notes = seen.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                notes.lock().unwrap().push(line);
            }
        });
        Peer { child, port, seen }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL without TLS.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The lines that begin so.
    pub fn seen(&self, beginning: &str) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let lines = seen.iter().filter(|line| line.starts_with(beginning));
        lines.cloned().collect()
    }

    /// Waits until that many lines begin so.
    pub fn sees(&self, beginning: &str, times: usize) {
        let what = format!("{times} lines `{beginning}`");
        eventually(&what, || self.seen(beginning).len() >= times);
    }

    /// Holds that so many connections have been made.
    #[track_caller]
    pub fn had_connections(&self, count: usize) {
        self.sees("connection", count);
        let seen = self.seen("connection");
        assert_eq!(seen.len(), count, "{seen:?}");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
