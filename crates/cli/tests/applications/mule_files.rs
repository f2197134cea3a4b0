//! Mule applications on the command line: their files, addresses, properties and how they are understood.

use crate::support::Program;

const ORDERS: &str = "<configuration-properties file='config/${stage}.yaml'/>
<flow name='orders'>
    <http:listener config-ref='Public' path='${path}'/>
    <http:request config-ref='Stock' path='/stock'/>
    <logger message=#[payload] />
</flow>
";

fn program() -> Program {
    let program = Program::new();
    std::fs::create_dir_all(program.dir().join("app/config")).unwrap();
    program
        .file("app/orders.xml", ORDERS)
        .file("app/config/test.yaml", "path: /orders\n")
}

const PUBLIC: &str = "Public=http://127.0.0.1:8081";
const STOCK: &str = "Stock=http://127.0.0.1:8082";

#[test]
fn what_an_application_leaves_open_comes_from_the_command_line() {
    let ended = program().run([
        "check",
        "app/orders.xml",
        "--bind",
        PUBLIC,
        "--bind",
        STOCK,
        "--set",
        "stage=test",
    ]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("ok: 1 listener, 1 route"),
        "{}",
        ended.stdout
    );
}

#[test]
fn what_an_application_leaves_open_comes_from_the_environment() {
    let ended = program()
        .env("FUSEBOX_BIND", &format!("{PUBLIC},{STOCK}"))
        .env("FUSEBOX_SET", "stage=test")
        .run(["check", "app/orders.xml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    let strict = program()
        .env("FUSEBOX_BIND", &format!("{PUBLIC},{STOCK}"))
        .env("FUSEBOX_SET", "stage=test")
        .env("FUSEBOX_COMPAT", "strict")
        .run(["check", "app/orders.xml"]);
    assert_eq!(strict.code, Some(1));
    assert!(
        strict
            .stdout
            .contains("app/orders.xml:5:21: error: the value of `message` has no quotes"),
        "{}",
        strict.stdout
    );
}

#[test]
fn a_name_that_nothing_gives_names_the_option_that_mends_it() {
    let told = |args: &[&str]| {
        let args = ["check", "app/orders.xml"].iter().chain(args);
        let ended = program().run(args);
        assert_eq!(ended.code, Some(1));
        ended.stdout
    };
    let unset = told(&["--bind", PUBLIC, "--bind", STOCK]);
    assert!(unset.contains("app/orders.xml:1:40: error: the property `stage` has no value; set it: `--set stage=VALUE`"), "{unset}");
    // What that file has is not asked for, too.
    assert!(!unset.contains("`path`"), "{unset}");
    let unbound = told(&["--bind", PUBLIC, "--set", "stage=test"]);
    assert!(unbound.contains("app/orders.xml:4:"), "{unbound}");
    assert!(unbound.contains("--bind Stock="), "{unbound}");
    let other = told(&["--bind", PUBLIC, "--bind", STOCK, "--set", "stage=live"]);
    assert!(
        other.contains("app/orders.xml:1:33: error: there is no file `config/live.yaml`"),
        "{other}"
    );
}
