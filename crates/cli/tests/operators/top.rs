//! `fusebox top`: a running gateway, seen and steered in a real terminal of 80 by 24 cells, and printed once.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Dial, Gateway, PATIENCE, Program, Setup, Upstream, eventually, orders};
use serde_json::Value;
use tempfile::TempDir;

/// A terminal with a shell in it, in a server of its own that ends with the test.
struct Tmux(TempDir);

impl Tmux {
    fn start() -> Tmux {
        let tmux = Tmux(TempDir::new().unwrap());
        tmux.run(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            "sh",
        ]);
        tmux.shell("PS1='READY '");
        tmux.sees("READY");
        tmux
    }

    fn run(&self, args: &[&str]) -> String {
        let ended = Command::new("tmux")
            .arg("-S")
            .arg(self.0.path().join("socket"))
            .args(args)
            .env_remove("TMUX")
            .env_remove("NO_COLOR")
            .env("LC_ALL", "C.UTF-8")
            .env("USER", "ann")
            .output()
            .expect("tmux can be run");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "tmux {args:?}: {said}");
        String::from_utf8_lossy(&ended.stdout).into_owned()
    }

    /// Writes a line as an operator would.
    fn shell(&self, line: &str) {
        self.write(line);
        self.press("Enter");
    }

    fn write(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
    }

    fn press(&self, key: &str) {
        self.run(&["send-keys", key]);
    }

    /// The cells of the screen.
    fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    #[track_caller]
    fn sees(&self, text: &str) {
        self.shows(text, true);
    }

    /// Waits until a text is on the screen, or is not.
    #[track_caller]
    fn shows(&self, text: &str, wanted: bool) {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if screen.contains(text) == wanted {
                return;
            }
            let waited = began.elapsed() > PATIENCE;
            assert!(!waited, "waited for {text:?} ({wanted}):\n{screen}");
            // Each look starts a process.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts the program before a gateway, and waits until it has drawn.
    #[track_caller]
    fn top(&self, admin: &str) {
        let program = Path::new(env!("CARGO_BIN_EXE_fusebox"));
        let log = self.0.path().join("pid");
        // The shell's own number stays with the program that replaces it.
        let line = format!(
            "sh -c 'echo $$ > {}; exec {} top --admin {admin}'",
            log.display(),
            program.display()
        );
        self.run(&["clear-history"]);
        self.shell(&line);
        self.sees("q quit");
        assert_eq!(self.flag("alternate_on"), "1");
    }

    fn flag(&self, name: &str) -> String {
        let shown = self.run(&["display-message", "-p", &format!("#{{{name}}}")]);
        shown.trim().to_owned()
    }

    /// Waits until the program has ended, and looks at what it has left of the terminal.
    #[track_caller]
    fn is_restored(&self) {
        eventually("the screen that stays", || self.flag("alternate_on") == "0");
        assert_eq!(self.flag("cursor_flag"), "1", "the cursor is shown");
        self.shell("clear; stty -a | tr ';' ' '; echo END=$?");
        self.sees("END=0");
        let settings = self.screen();
        for setting in [" icanon", " echo ", " isig", " opost", " icrnl"] {
            let settings = settings.replace('\n', " ");
            assert!(settings.contains(setting), "{setting} in {settings}");
        }
        self.shell("clear");
        self.shows("END=0", false);
    }

    fn signal(&self, name: &str) {
        let pid = std::fs::read_to_string(self.0.path().join("pid")).unwrap();
        let kill = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(pid.trim())
            .status();
        assert!(kill.unwrap().success(), "SIG{name} was sent");
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

/// A gateway with one breaker, which an upstream's failure trips.
fn gateway() -> (Gateway, Upstream, Dial) {
    let status = Dial::at(200);
    let upstream = Upstream::dialled(&status);
    let breaker = "{ trip: { consecutive_failures: 1 }, cooldown: 600s }";
    let gateway = Gateway::run(orders(&upstream, breaker));
    (gateway, upstream, status)
}

fn admin(gateway: &Gateway) -> String {
    format!("http://{}", gateway.admin_addr())
}

#[test]
fn an_operator_reads_holds_releases_and_quits() {
    let (gateway, _upstream, status) = gateway();
    let tmux = Tmux::start();
    tmux.top(&admin(&gateway));
    tmux.sees("The breaker is closed.");
    let before = gateway.breaker("orders")["generation"].clone();

    status.set(503);
    assert_eq!(gateway.get("/a").status, 503);
    tmux.sees("1 of 1 breakers is open: orders (");
    tmux.sees("tries again in 9 min 5");
    tmux.sees("■ open");
    tmux.sees("failed ");

    tmux.write("o");
    tmux.sees("Reason:");
    tmux.write("a drill");
    tmux.press("Enter");
    tmux.sees("For how long [10m; or `without end`]:");
    tmux.press("Enter");
    tmux.sees("will be refused for 10m.");
    tmux.write("y");
    tmux.sees("orders is open, held open until");
    tmux.sees("◆ held open");
    let hold = gateway.breaker("orders")["hold"].clone();
    assert_eq!(
        (&hold["kind"], &hold["by"]),
        (&"open".into(), &"ann".into())
    );
    assert_eq!(hold["reason"], "a drill");

    tmux.write("r");
    tmux.sees("Reason (may be empty):");
    tmux.press("Enter");
    tmux.sees("Do it? y/N");
    tmux.write("y");
    tmux.shows("◆ held open", false);
    assert_eq!(gateway.breaker("orders")["hold"], Value::Null);
    assert_ne!(gateway.breaker("orders")["generation"], before);

    tmux.press("Enter");
    tmux.sees("Esc back");
    tmux.press("Escape");
    tmux.sees("f filter");
    tmux.write("q");
    tmux.is_restored();
}

#[test]
fn signals_end_it_and_the_terminal_is_as_before() {
    let (gateway, _upstream, _) = gateway();
    let tmux = Tmux::start();
    for signal in ["TERM", "INT", "HUP"] {
        tmux.top(&admin(&gateway));
        tmux.signal(signal);
        tmux.is_restored();
    }
    tmux.top(&admin(&gateway));
    tmux.press("C-c");
    tmux.is_restored();
}

#[test]
fn a_gateway_that_comes_back_is_found_again() {
    let (first, upstream, _) = gateway();
    let tmux = Tmux::start();
    tmux.top(&admin(&first));
    first.kill9();
    tmux.sees("CONNECTION LOST ");
    let yaml = orders(&upstream, "{}").replace("orders", "parcels");
    let addr = first.admin_addr().to_string();
    let _second = Setup::new(yaml).bare().arg("--admin").arg(addr).start();
    tmux.sees("○ closed       parcels");
    tmux.shows("CONNECTION LOST ", false);
    tmux.sees("the gateway has started anew");
}

#[test]
fn without_a_terminal_it_prints_one_table() {
    let (gateway, _upstream, status) = gateway();
    status.set(503);
    gateway.get("/a");
    let admin = admin(&gateway);
    for args in [
        &["top", "--admin", &admin][..],
        &["top", "--once", "--admin", &admin],
    ] {
        let ended = Program::new().run(args);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        let lines: Vec<_> = ended.stdout.lines().collect();
        let [verdict, "", head, row] = lines[..] else {
            panic!("{}", ended.stdout);
        };
        assert!(
            verdict.starts_with("1 of 1 breakers is open: orders ("),
            "{verdict}"
        );
        assert!(head.starts_with("STATE  NAME    MODE"), "{head}");
        assert!(row.starts_with("open   orders  enforce"), "{row}");
    }
    let ended = Program::new().run(["top", "--json", "--admin", &admin]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let rows: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["name"], &rows[0]["state"]),
        (&"orders".into(), &"open".into())
    );
}

#[test]
fn a_gateway_that_does_not_answer_is_an_error_at_the_start() {
    let (gateway, _upstream, _) = gateway();
    let admin = admin(&gateway);
    gateway.kill9();
    for more in [None, Some("--once"), Some("--json")] {
        let args = ["top", "--admin", &admin].into_iter().chain(more);
        let ended = Program::new().run(args);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
        assert!(
            ended
                .stderr
                .starts_with("fusebox: no gateway answers at 127.0.0.1:"),
            "{}",
            ended.stderr
        );
    }
}
