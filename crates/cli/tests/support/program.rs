//! The real program, run to its end: what it says, and how it ends.

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::waiting::PATIENCE;

/// A run of the program in a directory of its own.
pub struct Program {
    dir: TempDir,
    env: Vec<(String, String)>,
    stdin: String,
    patience: Duration,
}

/// How a run ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code.
    pub code: Option<i32>,
    /// What it wrote.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Program {
    /// In an empty directory, without any of our variables.
    pub fn new() -> Program {
        Program {
            dir: TempDir::new().expect("a directory for the test"),
            env: Vec::new(),
            stdin: String::new(),
            patience: PATIENCE,
        }
    }

    /// With a file in its directory.
    pub fn file(self, name: &str, text: &str) -> Program {
        std::fs::write(self.dir.path().join(name), text).expect("the file can be written");
        self
    }

    /// With a variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Program {
        self.env.push((name.into(), value.into()));
        self
    }

    /// With something to read.
    pub fn stdin(mut self, text: &str) -> Program {
        self.stdin = text.into();
        self
    }

    /// With more time to end than [`PATIENCE`].
    pub fn patience(mut self, patience: Duration) -> Program {
        self.patience = patience;
        self
    }

    /// Its directory.
    pub fn dir(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Runs it with arguments to its end.
    ///
    /// # Panics
    /// If it does not end in time.
    #[track_caller]
    pub fn run<A: AsRef<Path>>(&self, args: impl IntoIterator<Item = A>) -> Finished {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fusebox"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FUSEBOX_")) {
            command.env_remove(name);
        }
        let mut child = command
            .env_remove("RUST_LOG")
            .current_dir(self.dir.path())
            .args(args.into_iter().map(|arg| arg.as_ref().to_owned()))
            .envs(self.env.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let stdout = collect(child.stdout.take().expect("it is piped"));
        let stderr = collect(child.stderr.take().expect("it is piped"));
        let mut stdin = child.stdin.take().expect("it is piped");
        // A program that does not read is no fault.
        stdin.write_all(self.stdin.as_bytes()).ok();
        drop(stdin);
        let code = wait(&mut child, self.patience);
        Finished {
            code,
            stdout: stdout.join().expect("its output is read"),
            stderr: stderr.join().expect("its output is read"),
        }
    }
}

#[track_caller]
fn wait(child: &mut Child, patience: Duration) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return status.code();
        }
        if start.elapsed() > patience {
            child.kill().ok();
            child.wait().ok();
            panic!("the program did not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).ok();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
