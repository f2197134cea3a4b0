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
        other.contains(
            "app/orders.xml:1:33: error: the property file `config/live.yaml` is missing"
        ),
        "{other}"
    );
}

const GLOBAL: &str = "<mule><configuration-properties file='tea.properties'/>
<http:listener-config name='In'><http:listener-connection host='127.0.0.1' port='${tea.port}'/></http:listener-config></mule>";
const MAIN: &str = "<mule><flow name='tea'><http:listener config-ref='In' path='/cup'/><set-payload value='${tea.kind}'/></flow></mule>";

fn project() -> Program {
    let program = Program::new();
    for folder in [
        "p/src/main/mule/common",
        "p/src/main/resources",
        "elsewhere",
    ] {
        std::fs::create_dir_all(program.dir().join(folder)).unwrap();
    }
    program
        .file("p/src/main/mule/common/global.xml", GLOBAL)
        .file("p/src/main/mule/main.xml", MAIN)
        .file(
            "p/src/main/resources/tea.properties",
            "tea.port=8081\ntea.kind=oolong\n",
        )
}

#[test]
fn a_project_is_its_folder_and_the_order_of_its_files_changes_nothing() {
    let (global, main) = (
        "p/src/main/mule/common/global.xml",
        "p/src/main/mule/main.xml",
    );
    for files in [
        vec!["p"],
        vec!["p/"],
        vec!["p/src/main/mule"],
        vec![global, main],
        vec![main, global],
    ] {
        let ended = project().run([vec!["check"], files.clone()].concat());
        assert_eq!(ended.code, Some(0), "{files:?}: {}", ended.stdout);
        assert!(
            ended.stdout.contains("ok: 1 listener, 1 route"),
            "{}",
            ended.stdout
        );
    }
    let converted = project().run(["convert", "p"]);
    assert!(
        !converted.stderr.contains("cannot read"),
        "{}",
        converted.stderr
    );
    let nothing = project().run(["check", "elsewhere"]);
    assert_ne!(nothing.code, Some(0));
    assert!(
        nothing.stderr.contains("a folder without flows"),
        "{}",
        nothing.stderr
    );
}

#[test]
fn check_says_when_schedules_run_next_and_what_blocks_by_construct() {
    let app = "<mule><flow name='nightly'><scheduler><scheduling-strategy><cron expression='0 0 3 1 1 ? 2099' timeZone='Asia/Tokyo'/></scheduling-strategy></scheduler><logger/></flow>
<flow name='once'><scheduler><scheduling-strategy><fixed-frequency frequency='99999' timeUnit='DAYS'/></scheduling-strategy></scheduler><logger/><logger/></flow></mule>";
    let ended = Program::new().file("a.xml", app).run(["check", "a.xml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    for line in [
        "schedule nightly: next at 2099-01-01T03:00:00+09:00\n",
        "runs: logger 3, flow 2, scheduler 2\n",
        "ok: 0 listeners, 0 routes, 0 upstreams\n",
    ] {
        assert!(ended.stdout.contains(line), "{line}{}", ended.stdout);
    }
    assert!(ended.stdout.contains("schedule once: next at 20"));
    let wrong = app
        .replace(
            "<logger/><logger/>",
            "<db:select/><db:select/><logger level='LOUD'/>",
        )
        .replace("0 0 3 1 1 ? 2099", "0 0 3 1 1 2");
    let program = Program::new().file("a.xml", &wrong);
    let ended = program.run(["check", "a.xml"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stdout.contains(
            "a.xml:1:78: error: the day of the month and the day of the week are both given"
        ),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.ends_with("blocks: db:select 2, other 2\n"),
        "{}",
        ended.stdout
    );
    let json = program.run(["check", "--json", "a.xml"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["ok"], false);
    assert_eq!(json["blocks"][0]["construct"], "db:select");
    assert_eq!(json["blocks"][0]["count"], 2);
    assert_eq!(json["runs"][0]["construct"], "flow");
    assert_eq!(json["diagnostics"][0]["line"], 1);
}

#[test]
fn a_secret_is_in_no_message_and_in_no_conversion() {
    let app = "<mule><secure-properties:config name='Safe' file='safe.yaml' key='${k}'/>
<http:listener-config name='In'><http:listener-connection host='127.0.0.1' port='PORT'/></http:listener-config>
<flow name='tea'><http:listener config-ref='In' path='/cup'/><set-payload value='${secure::tea.token}'/></flow></mule>";
    let program = Program::new()
        .file("good.xml", &app.replace("PORT", "8081"))
        .file("wrong.xml", &app.replace("PORT", "${secure::tea.token}"));
    let set = ["--set", "secure::tea.token=oolong\"7\""];
    let converted = program.run(["convert", "good.xml"].into_iter().chain(set));
    assert_eq!(converted.code, Some(0), "{}", converted.stderr);
    assert!(
        converted.stdout.contains("${TEA_TOKEN}"),
        "{}",
        converted.stdout
    );
    let refused = program.run(["check", "wrong.xml"].into_iter().chain(set));
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stdout.contains("`port` is `***`"),
        "{}",
        refused.stdout
    );
    for text in [converted.stdout, converted.stderr, refused.stdout] {
        assert!(!text.contains("oolong"), "{text}");
    }
}
