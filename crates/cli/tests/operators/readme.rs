//! The README's five minutes of use: every command is run, every shown output is compared.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of a test fails its test by panicking"
)]

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A fenced block: its language and its text.
type Block = (String, String);

fn blocks(markdown: &str, heading: &str) -> Vec<Block> {
    let section = markdown.split(heading).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in section.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Three ports that nobody has. They lie below those that systems give to whoever asks for any, so that no connection
/// takes one before the commands do.
fn free_ports() -> [u16; 3] {
    let from = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let mut free = (from..32_000).filter_map(|port| {
        let socket = std::net::TcpListener::bind(("127.0.0.1", port)).ok()?;
        Some(socket.local_addr().unwrap().port())
    });
    std::array::from_fn(|_| free.next().unwrap())
}

/// Whether a line is as expected; `…` stands for any text.
fn fits(line: &str, expected: &str) -> bool {
    let mut rest = line.trim();
    for (at, part) in expected.trim().split('…').map(str::trim).enumerate() {
        match rest.find(part) {
            Some(0) => rest = &rest[part.len()..],
            Some(found) if at > 0 => rest = &rest[found + part.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || expected.ends_with('…')
}

#[test]
fn the_five_minutes_go_as_the_readme_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let blocks = blocks(&readme, "## Five minutes of use");
    let [gateway, service, admin] = free_ports();
    let ports = [("8080", gateway), ("8081", service), ("9900", admin)];
    let here = |text: &str| {
        ports.iter().fold(text.to_owned(), |text, (port, free)| {
            text.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{free}"))
                .replace(
                    &format!("http.server {port}"),
                    &format!("http.server {free}"),
                )
        })
    };
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("examples")).unwrap();
    let shown = &blocks
        .iter()
        .find(|(language, _)| language == "yaml")
        .unwrap()
        .1;
    let example = std::fs::read_to_string(root.join("examples/orders.yaml")).unwrap();
    let bare: String = example
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(
        &bare, shown,
        "the README shows another file than examples/orders.yaml"
    );
    std::fs::write(dir.path().join("examples/orders.yaml"), here(shown)).unwrap();

    let mut script = String::from("trap 'kill -9 $SERVICE $FUSEBOX 2>/dev/null' EXIT\n");
    for (at, (_, text)) in blocks
        .iter()
        .enumerate()
        .filter(|(_, (language, _))| language == "sh")
    {
        let text = here(text).replace(
            "cargo build --release && export PATH=\"$PWD/target/release:$PATH\"",
            ":",
        );
        script.push_str(&format!("{text}echo; echo '@@ {at}'\n"));
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_fusebox"));
    let path = format!(
        "{}:{}",
        binary.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    // A command that waits for what does not come must not hold everything up.
    let output = Command::new("timeout")
        .args(["120", "bash", "-c", &script])
        .current_dir(dir.path())
        .env("PATH", path)
        .env("FUSEBOX_ADMIN", format!("127.0.0.1:{}", ports[2].1))
        .env(
            "FUSEBOX_ADMIN_URL",
            format!("http://127.0.0.1:{}", ports[2].1),
        )
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let log = std::fs::read_to_string(dir.path().join("fusebox.log")).unwrap_or_default();

    for (at, (_, expected)) in blocks
        .iter()
        .enumerate()
        .filter(|(_, (language, _))| language == "text")
    {
        let command = at - 1;
        let from = said
            .find(&format!("@@ {command}\n"))
            .unwrap_or_else(|| panic!("block {command} did not end\n{said}\n{errors}\n{log}"));
        let begin = said[..from]
            .rfind("@@ ")
            .map_or(0, |mark| mark + said[mark..].find('\n').unwrap());
        let mut lines = said[begin..from].lines();
        for wanted in expected.lines() {
            assert!(
                lines.any(|line| fits(line, wanted)),
                "after\n{}\nthere is no line `{wanted}` in\n{}\n{errors}\n{log}",
                blocks[command].1,
                &said[begin..from],
            );
        }
    }
}

#[test]
fn the_first_screen_shows_a_whole_configuration_in_nine_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let blocks = blocks(&readme, "# Fusebox");
    let (_, shown) = blocks
        .iter()
        .find(|(language, _)| language == "yaml")
        .unwrap();
    assert_eq!(shown.lines().count(), 9);
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("fusebox.yaml"), shown).unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_fusebox"))
        .args(["check", "fusebox.yaml"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&checked.stdout),
        "ok: 1 listener, 1 route, 1 upstream\n"
    );
}

#[test]
fn an_ellipsis_stands_for_any_text() {
    assert!(fits(
        "orders is open until 9 (generation 7)",
        "orders is open until … (generation …)"
    ));
    assert!(!fits("orders is closed", "orders is open…"));
    assert!(!fits("502 502", "502"));
}

#[test]
fn the_program_in_rust_is_the_one_that_the_package_shows() {
    // The package's page is tested as documentation; this one lies outside of the packages.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let package = std::fs::read_to_string(root.join("crates/breaker/README.md")).unwrap();
    let ours = blocks(&readme, "## In a Rust program");
    let theirs = blocks(&package, "# fusebox-breaker");
    assert_eq!(ours[0], theirs[0]);
}
