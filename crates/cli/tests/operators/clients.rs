//! The clients of a breaker as a service, by their own tests, before the program that was built.

use std::path::Path;
use std::process::Command;

/// Runs the tests of a client in its folder.
#[track_caller]
fn passes(client: &str, program: &str, args: &[&str], env: &[(&str, &str)]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = folder.join("../../clients").join(client);
    let done = Command::new(program)
        .args(args)
        .envs(env.iter().copied())
        .env("FUSEBOX_PROGRAM", env!("CARGO_BIN_EXE_fusebox"))
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("the clients' tests need {program}: {error}"));
    let said = [&done.stdout[..], &done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn the_client_for_python_passes_its_tests() {
    let args = ["-m", "unittest", "discover", "-s", "tests"];
    let env = [("PYTHONPATH", "src"), ("PYTHONDONTWRITEBYTECODE", "1")];
    passes("python", "python3", &args, &env);
}

#[test]
fn the_client_for_node_passes_its_tests() {
    passes("node", "node", &["--test", "test/breaker.test.mjs"], &[]);
}
