//! Applications of several files, with their properties and bindings.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io;

use fusebox_mule::app::Compat;
use fusebox_mule::read;
use fusebox_plan::{Loader, Plan, Source};

/// A machine with the properties and bindings of a command line.
#[derive(Default)]
struct Machine {
    bindings: Vec<(&'static str, &'static str)>,
    compat: Compat,
}

impl Loader for Machine {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &str) -> io::Result<String> {
        match path {
            "stock.xml" => Ok(STOCK.to_owned()),
            "broken.xml" => Ok("<flow name='x'>\n<logger>\n</flow>".to_owned()),
            "app.properties" => Ok("port=8081".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn bindings(&self) -> Vec<(String, String)> {
        let owned = |(name, url): &(&str, &str)| ((*name).to_owned(), (*url).to_owned());
        self.bindings.iter().map(owned).collect()
    }

    fn is_strict(&self) -> bool {
        self.compat == Compat::Strict
    }
}

const ORDERS: &str = "<flow name='orders'><http:listener config-ref='Public' path='/orders'/><flow-ref name='stock'/></flow>";
const STOCK: &str = "<sub-flow name='stock'><set-payload value='1'/></sub-flow>";
const PUBLIC: (&str, &str) = ("Public", "http://127.0.0.1:8081");

/// The plan, and the diagnostics.
fn reading(files: &[(&str, &str)], machine: &Machine) -> (Option<Plan>, String) {
    let sources: Vec<Source<'_>> = files
        .iter()
        .map(|(name, text)| Source {
            name,
            text: text.as_bytes(),
        })
        .collect();
    let reading = read(&sources, machine);
    let told = reading
        .diagnostics
        .iter()
        .map(|diagnostic| format!("{diagnostic}\n"))
        .collect();
    (reading.plan, told)
}

#[track_caller]
fn check(files: &[(&str, &str)], machine: &Machine, expected: &str) {
    let (_, told) = reading(files, machine);
    assert_eq!(told.trim(), expected.trim());
}

#[test]
fn several_files_are_one_application() {
    let machine = Machine {
        bindings: vec![PUBLIC],
        ..Machine::default()
    };
    let (plan, told) = reading(&[("a/orders.xml", ORDERS), ("stock.txt", STOCK)], &machine);
    assert_eq!(told, "");
    let app = plan.unwrap().program::<fusebox_mule::app::App>().unwrap();
    assert_eq!(&*app.name, "orders");
    assert!(app.find("orders").is_some() && app.find("stock").is_some());
}

#[test]
fn an_imported_file_is_part_of_the_application() {
    let machine = Machine {
        bindings: vec![PUBLIC],
        ..Machine::default()
    };
    let orders = format!("<import file='stock.xml'/>{ORDERS}");
    let (plan, told) = reading(&[("orders.xml", &orders)], &machine);
    assert_eq!(told, "");
    assert!(
        plan.unwrap()
            .program::<fusebox_mule::app::App>()
            .unwrap()
            .find("stock")
            .is_some()
    );
    let orders = format!("<import file='broken.xml'/>{ORDERS}{STOCK}");
    check(
        &[("a/orders.xml", &orders)],
        &machine,
        "a/broken.xml:2:1: error: `<logger>` is not closed before `</flow>` in line 3; add `</logger>`, or end the tag with `/>`",
    );
}

#[test]
fn properties_reach_the_application_and_its_expressions() {
    let text = format!(
        "<configuration-properties file='app.properties'/><http:listener-config name='Public'><http:listener-connection host='127.0.0.1' port='${{port}}'/></http:listener-config>{ORDERS}{STOCK}"
    );
    let (plan, told) = reading(&[("orders.xml", &text)], &Machine::default());
    assert_eq!(told, "");
    let plan = plan.unwrap();
    assert_eq!(plan.listeners[0].addr.port(), 8081);
    assert_eq!(
        &*plan.program::<fusebox_mule::app::App>().unwrap().properties["port"],
        "8081"
    );
}

#[test]
fn every_file_that_is_not_xml_is_told_with_its_name() {
    check(
        &[("a.xml", "<flow name='a'>"), ("b.xml", "<flow name='b'></flo>")],
        &Machine::default(),
        "
a.xml:1:1: error: `<flow>` is not closed before the file ends; add `</flow>`, or end the tag with `/>`
b.xml:1:16: error: `</flo>` does not close `<flow>` of line 1; write `</flow>`, or remove it",
    );
}

const CALLS: &str = "<http:request-config name='Stock'><http:request-connection host='a' port='1'/></http:request-config>
<http:request-config name='Slow' responseTimeout='60000'><http:request-connection host='a' port='2'/></http:request-config>
<flow name='f'><http:listener config-ref='Public' path='/f'/><http:request config-ref='Stock' path='/' responseTimeout='25000'/>
<http:request config-ref='Slow' path='/' responseTimeout='#[vars.t]'/></flow>";

#[test]
fn native_files_beside_an_application_stand_before_its_requests() {
    let machine = Machine {
        bindings: vec![PUBLIC],
        ..Machine::default()
    };
    let files = [
        ("one.yaml", "upstreams: { Stock: { breaker: {} } }\n"),
        ("app.xml", CALLS),
        (
            "two.yaml",
            "upstreams: { s: { applies_to: Slow, breaker: {} } }\n",
        ),
    ];
    let (plan, told) = reading(&files, &machine);
    assert_eq!(told, "");
    let plan = plan.unwrap();
    let of = |at: usize| {
        let guard = &plan.guards[at];
        let probe = guard.breaker.settings.half_open.probe_timeout.as_secs();
        (&*guard.name, &*guard.targets[0], probe)
    };
    // The longest that a request waits for; where an expression says it, the default.
    assert_eq!((of(0), of(1)), (("Stock", "Stock", 25), ("s", "Slow", 30)));
    let app: std::sync::Arc<fusebox_mule::app::App> = plan.program().unwrap();
    assert_eq!(&*app.name, "app");
}

#[test]
fn a_name_that_no_request_goes_by_is_told_with_the_one_that_was_meant() {
    let machine = Machine {
        bindings: vec![PUBLIC],
        ..Machine::default()
    };
    check(
        &[
            ("a.xml", CALLS),
            (
                "g.yaml",
                "upstreams:\n  x: { applies_to: Stok, breaker: {} }\n",
            ),
        ],
        &machine,
        "g.yaml:2:20: error: the application makes no requests by the name `Stok`; did you mean `Stock`?",
    );
    check(
        &[
            ("a.xml", ORDERS),
            ("b.xml", STOCK),
            ("g.yaml", "upstreams:\n  x: { breaker: {} }\n"),
        ],
        &machine,
        "g.yaml:2:3: error: no request of the application has a name, so there is nothing to stand before; give its requests an `http:request-config` or a rest service, or remove the upstream",
    );
    check(
        &[(
            "g.yaml",
            "listen: 127.0.0.1:1\nupstreams:\n  x: { applies_to: Stock, breaker: {} }\nroutes: [{ path: /, upstream: x }]\n",
        )],
        &Machine::default(),
        "g.yaml:3:20: error: the upstream `x` applies to an application's requests, and there is no application; name the application's file beside this one, as in `fusebox run orders.xml guards.yaml`, or give a `url` instead",
    );
}

#[test]
fn an_address_for_a_name_that_nothing_has_is_refused_with_the_name_that_was_meant() {
    let machine = Machine {
        bindings: vec![PUBLIC, ("Publik", "http://127.0.0.1:1")],
        ..Machine::default()
    };
    let (plan, told) = reading(&[("a.xml", ORDERS), ("b.xml", STOCK)], &machine);
    assert!(plan.is_none());
    assert!(
        told.contains("`--bind Publik=http://127.0.0.1:1` binds nothing"),
        "{told}"
    );
    assert!(told.contains("did you mean `Public`?"), "{told}");
}

#[test]
fn strict_refuses_what_intent_reads_with_a_warning() {
    let orders = ORDERS.replace("name='orders'", "name=orders");
    let files: [(&str, &str); 2] = [("a.xml", &orders), ("b.xml", STOCK)];
    let machine = |compat| Machine {
        bindings: vec![PUBLIC],
        compat,
    };
    let (plan, told) = reading(&files, &machine(Compat::Intent));
    assert!(plan.is_some(), "{told}");
    assert_eq!(
        told,
        "a.xml:1:12: warning: the value of `name` has no quotes, which is not XML; it is read as written; put it in quotes\n"
    );
    check(
        &files,
        &machine(Compat::Strict),
        "a.xml:1:12: error: the value of `name` has no quotes, which is not XML; put it in quotes",
    );
}

#[test]
fn an_application_is_told_by_its_content() {
    let text = "<?xml version=\"1.0\"?>\n<mule><flow name=\"f\"/></mule>\n";
    check(
        &[("a.xml", text)],
        &Machine {
            bindings: Vec::new(),
            compat: Compat::Intent,
        },
        "a.xml:1:1: warning: nothing starts: no flow has a source; add an `http:listener`, a `scheduler` or a `vm:listener` to a flow, or add the file that has one",
    );
}

#[test]
fn a_guard_cannot_have_the_name_of_a_circuit_that_a_flow_builds() {
    let orders = include_str!("../../../examples/mule/orders.xml");
    let guards = "upstreams:\n  circuit-breaker-store/circuit-state: { applies_to: Order_Service, breaker: {} }\n";
    let machine = Machine {
        bindings: vec![
            ("HTTP_Listener", "http://127.0.0.1:0"),
            ("Order_Service", "http://127.0.0.1:1"),
        ],
        ..Machine::default()
    };
    let (plan, told) = reading(&[("orders.xml", orders), ("g.yaml", guards)], &machine);
    assert!(plan.is_none());
    assert!(
        told.contains("g.yaml:2:3: error: a breaker of the upstream `circuit-breaker-store/circuit-state` could have the name of another breaker"),
        "{told}"
    );
}
