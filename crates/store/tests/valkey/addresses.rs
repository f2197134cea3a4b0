//! The Valkey store with each kind of address: cluster, Sentinel, Unix socket, TLS, database, user.

use crate::common::{patient, wait};
use bytes::Bytes;
use fusebox_store::testing::Server;
use fusebox_store::{
    NewObject, ObjectStore, StoreError, ValkeyStore, When,
    records::{Change, Changed, Push, SharedRecords, ValkeyRecords},
};
use std::time::{Duration, Instant};

fn open(url: &str) -> ValkeyStore {
    ValkeyStore::open(patient(url)).unwrap()
}

/// Opens a store with short timeouts, for tests in which calls must fail.
fn hasty(url: &str) -> ValkeyStore {
    let mut options = patient(url);
    options.timeout = Duration::from_millis(300);
    ValkeyStore::open(options).unwrap()
}

fn put(store: &ValkeyStore, partition: &str) -> Result<(), StoreError> {
    wait(store.put(partition, "k", NewObject::text("v"), When::Always)).map(drop)
}

fn has(store: &ValkeyStore, partition: &str) -> bool {
    wait(store.get(partition, "k")).unwrap().is_some()
}

/// Repeats an operation until it succeeds, for at most a minute.
#[allow(clippy::disallowed_methods, reason = "waits for an event with a limit")]
fn comes_back<T>(mut call: impl FnMut() -> Result<T, StoreError>) -> T {
    let start = Instant::now();
    loop {
        match call() {
            Ok(answer) => return answer,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(60), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn cluster_url(servers: &[Server]) -> String {
    format!("redis+cluster://127.0.0.1:{}", servers[0].port())
}

#[test]
fn a_clusters_partitions_live_on_all_its_nodes() {
    let servers = Server::cluster(2);
    let store = open(&cluster_url(&servers));
    for n in 0..20 {
        put(&store, &format!("p{n}")).unwrap();
    }
    for n in 0..20 {
        assert!(has(&store, &format!("p{n}")));
        assert_eq!(wait(store.keys(&format!("p{n}"), "", 9)).unwrap(), ["k"]);
    }
    for server in &servers {
        assert_ne!(server.ask("DBSIZE"), "0");
    }
    wait(store.flush()).unwrap();
    assert_eq!(wait(store.sweep(100)).unwrap(), 0);
}

#[test]
fn a_cluster_without_a_node_for_a_slot_is_named_and_used_again_afterwards() {
    let servers = Server::cluster(1);
    let store = hasty(&cluster_url(&servers));
    comes_back(|| put(&store, "p"));
    let slot = servers[0].ask("CLUSTER KEYSLOT p");
    servers[0].ask(&format!("CLUSTER DELSLOTS {slot}"));
    servers[0].wait_until("CLUSTER INFO", &["cluster_state:fail"]);
    let error = put(&store, "p").unwrap_err();
    assert!(matches!(error, StoreError::NotAvailable { .. }), "{error}");
    servers[0].ask(&format!("CLUSTER ADDSLOTS {slot}"));
    comes_back(|| put(&store, "p"));
}

#[test]
fn a_clusters_node_that_was_killed_is_used_again_afterwards() {
    let mut servers = Server::cluster(1);
    let store = hasty(&cluster_url(&servers));
    comes_back(|| put(&store, "p"));
    servers[0].kill();
    assert!(put(&store, "p").is_err());
    servers[0].restart();
    comes_back(|| put(&store, "p"));
}

#[test]
fn a_slot_that_went_to_another_node_is_followed() {
    let servers = Server::cluster(2);
    let store = open(&cluster_url(&servers));
    comes_back(|| put(&store, "p"));
    let slot: u16 = servers[0].ask("CLUSTER KEYSLOT moving").parse().unwrap();
    let [from, to] = if slot < 8_192 { [0, 1] } else { [1, 0] }.map(|n: usize| &servers[n]);
    let id = to.ask("CLUSTER MYID");
    for server in [to, from] {
        server.ask(&format!("CLUSTER SETSLOT {slot} NODE {id}"));
    }
    put(&store, "moving").unwrap();
    assert!(has(&store, "moving"));
    assert_eq!(to.ask("EXISTS fusebox:v1:objects:{moving}:values"), "1");
}

#[test]
fn a_single_address_of_a_clusters_node_is_an_error_with_the_right_url() {
    let servers = Server::cluster(2);
    let store = open(&servers[0].url());
    let said = (0..20)
        .find_map(|n| put(&store, &format!("p{n}")).err())
        .unwrap();
    assert!(said.to_string().contains("redis+cluster://"), "{said}");
}

#[test]
fn news_in_a_cluster_come_from_the_records_own_nodes() {
    const SET: Change = Change {
        name: "set",
        lua: "return args[1], 60000, true",
        rust: |_, args, _| Changed::Written {
            record: args[0].clone(),
            live_for: Duration::from_secs(60),
            push: true,
        },
    };
    let servers = Server::cluster(2);
    let records = ValkeyRecords::open(patient(&cluster_url(&servers))).unwrap();
    let keys: Vec<_> = (0..10).map(|n| format!("breaker {n}")).collect();
    let mut pushes = wait(records.subscribe()).unwrap();
    for key in &keys {
        pushes.follow(key);
    }
    let set = |key: &str, value: &'static str| wait(records.apply(key, &SET, &[value.into()]));
    for key in &keys {
        set(key, "before").unwrap();
    }
    // Each key is followed only after some gap; after the last gap all of them are.
    let mut heard_of = |value: &'static str| {
        for key in &keys {
            loop {
                set(key, value).unwrap();
                let next = wait(pushes.next());
                if matches!(&next, Push::Record { key: of, record } if of == key && record == value)
                {
                    break;
                }
            }
        }
    };
    heard_of("one");
    let read = wait(records.read(&keys.iter().map(String::as_str).collect::<Vec<_>>())).unwrap();
    assert_eq!(read.records, vec![Some(Bytes::from("one")); keys.len()]);
    for server in &servers {
        let channels = server.ask("PUBSUB SHARDCHANNELS");
        assert!(channels.contains("fusebox:v1:records"), "{channels}");
    }
    for server in &servers {
        server.ask("CLIENT KILL TYPE pubsub");
    }
    heard_of("two");
}

#[test]
fn sentinels_lead_to_the_new_primary_after_a_failover() {
    let (mut primary, replica) = (Server::start(), Server::start());
    replica.ask(&format!("REPLICAOF 127.0.0.1 {}", primary.port()));
    replica.wait_until("INFO replication", &["master_link_status:up"]);
    let sentinel = Server::sentinel(&primary, "main");
    let store = open(&format!(
        "redis+sentinel://127.0.0.1:{}/main",
        sentinel.port()
    ));
    comes_back(|| put(&store, "p"));
    primary.wait_until("INFO replication", &["slave0:"]);
    sentinel.wait_until("SENTINEL REPLICAS main", &[&replica.port().to_string()]);
    replica.wait_until("EXISTS fusebox:v1:objects:{p}:values", &["1"]);
    primary.kill();
    comes_back(|| put(&store, "q"));
    assert!(has(&store, "p"));
    replica.wait_until("ROLE", &["master"]);
}

#[test]
fn a_master_that_sentinels_do_not_know_is_named() {
    let primary = Server::start();
    let sentinel = Server::sentinel(&primary, "main");
    let store = open(&format!(
        "redis+sentinel://127.0.0.1:{}/other",
        sentinel.port()
    ));
    let said = comes_back(|| match put(&store, "p") {
        Err(error) => Ok(error.to_string()),
        Ok(()) => Err(StoreError::NotAvailable {
            why: "it knew".into(),
        }),
    });
    assert!(said.contains("master's name"), "{said}");
}

#[test]
fn a_unix_socket_is_an_address() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let socket = socket.to_str().unwrap();
    let _server = Server::with(&["--unixsocket", socket]);
    let store = open(&format!("redis+unix://{socket}?db=3"));
    put(&store, "p").unwrap();
    assert!(has(&store, "p"));
}

#[test]
fn databases_and_prefixes_keep_stores_apart() {
    let server = Server::start();
    let url = server.url();
    let stores = [
        open(&url),
        open(&format!("{url}/1")),
        open(&format!("{url}?prefix=other:")),
    ];
    put(&stores[0], "p").unwrap();
    assert!(has(&open(&url), "p"));
    assert!(!has(&stores[1], "p") && !has(&stores[2], "p"));
    assert_eq!(wait(stores[2].clear("p")).unwrap(), 0);
    assert!(has(&stores[0], "p"));
}

#[test]
fn a_user_with_the_rights_that_the_manual_names_can_do_everything() {
    let server = Server::start();
    server.ask(
        "ACL SETUSER gateway on >secret ~fusebox:* &fusebox:* -@all +@scripting +@hash \
         +@sortedset +@set +@string +@pubsub +@connection +exists +type +del +unlink +time",
    );
    let url = server.url().replace("redis://", "redis://gateway:secret@");
    let store = open(&url);
    put(&store, "p").unwrap();
    wait(store.increment("p", "n", 1, Some(Duration::from_millis(1)))).unwrap();
    wait(store.keys("p", "", 9)).unwrap();
    wait(store.sweep(9)).unwrap();
    wait(store.remove("p", "k", When::Always)).unwrap();
    wait(store.clear("p")).unwrap();
    wait(store.flush()).unwrap();
}

#[test]
fn tls_trusts_the_configured_certificate_and_presents_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let cert = write("cert.pem", pair.cert.pem());
    let key = write("key.pem", pair.signing_key.serialize_pem());
    let server = Server::with(&[
        "--tls-port",
        "%port%",
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &cert,
    ]);
    let url = format!("rediss://localhost:{}", server.second_port());
    let shown = open(&format!("{url}?ca={cert}&cert={cert}&key={key}"));
    put(&shown, "p").unwrap();
    assert!(has(&shown, "p"));

    let nothing_shown = open(&format!("{url}?ca={cert}"));
    assert!(put(&nothing_shown, "p").is_err());
    let another = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let another = write("another.pem", another.cert.pem());
    let trusts_another = open(&format!("{url}?ca={another}&cert={cert}&key={key}"));
    let said = put(&trusts_another, "p").unwrap_err().to_string();
    assert!(said.contains("certificate"), "{said}");
    let missing = ValkeyStore::open(patient(&format!("{url}?ca=/no/such.pem"))).unwrap_err();
    assert!(matches!(missing, StoreError::Io { .. }), "{missing}");
}
