//! Laws that hold for any order of commands.

use crate::commands::{About, NODES, Sent, Server, rules, sent};
use fusebox_fleet::protocol::{
    Act, Command, Lease, NODES_MAX, Record, Stamp, State, Version, change,
};
use proptest::prelude::*;

fn no_words(sents: Vec<Sent>) -> Vec<Sent> {
    sents
        .into_iter()
        .filter(|sent| !sent.act.is_word())
        .collect()
}

fn trip(cooldown: u64, quorum: u32) -> Act {
    Act::Trip {
        cooldown,
        attempts: 1,
        why: "5 consecutive failures".to_owned(),
        quorum,
    }
}

fn from(node: usize, after: u64, act: Act) -> Sent {
    Sent {
        after,
        node,
        incarnation: 0,
        about: About::Current,
        again: false,
        act,
    }
}

fn batch(had_success: bool, row: u64, failures: u64) -> Act {
    Act::Batch {
        had_success,
        row,
        failures,
        rules: rules(),
        cooldown: 1_000,
    }
}

/// True if no node leads by the lease, because it was lost and only its end is known.
fn is_lost(lease: &Lease) -> bool {
    lease.incarnation.is_empty()
}

fn send(server: &mut Server, sent: Sent) -> bool {
    let command = server.command(&sent);
    server.obey(&command)
}

proptest! {
    #[test]
    fn an_older_term_changes_nothing(
        sents in prop::collection::vec(sent(), 0..40),
        last in sent().prop_filter("an operator's word counts in any", |sent| !sent.act.is_word()),
    ) {
        let mut server = Server::new();
        for sent in sents {
            send(&mut server, sent);
        }
        prop_assume!(server.read().version.term > 0);
        let before = server.record.clone();
        let changed = send(&mut server, Sent { about: About::Older, ..last });
        prop_assert!(!changed);
        prop_assert_eq!(before, server.record);
    }

    #[test]
    fn versions_only_grow(sents in prop::collection::vec(sent(), 1..60)) {
        let mut server = Server::new();
        for sent in sents {
            let before = server.read();
            let changed = send(&mut server, sent);
            let after = server.read();
            let number = |record: &Record| (record.version.number(), record.revision);
            prop_assert_eq!(changed, number(&after) > number(&before));
            prop_assert_eq!(changed, after.revision == before.revision + 1);
            if after.state != before.state && before.hold.is_none() {
                prop_assert!(after.version.number() > before.version.number());
            }
        }
    }

    #[test]
    fn a_command_that_arrives_twice_counts_once(
        sents in prop::collection::vec(sent(), 0..40), last in sent(),
    ) {
        let mut server = Server::new();
        for sent in sents {
            send(&mut server, sent);
        }
        let command = server.command(&last);
        server.obey(&command);
        let once = server.read();
        server.obey(&command);
        let twice = server.read();
        // A vote or a lease requested twice at the same moment changes only the revision.
        prop_assert_eq!(Record { revision: once.revision, ..twice }, once);
    }

    /// The knowledge of several nodes about a lost record is merged into it, in any order; then the record is theirs.
    #[test]
    fn a_lost_record_is_made_anew_of_all_that_anybody_knew(
        terms in prop::collection::vec(0u64..9, 1..6),
        opened in 0u64..9, again in 0usize..6,
    ) {
        let mut server = Server::new();
        let told = |server: &mut Server, term: u64, node: usize| {
            // Nodes that know of the opening assert it as open, the others as closed.
            let act = Act::Assert {
                open_for: (term >= opened).then_some(1_000),
                led: None,
                attempts: 1,
                why: String::new(),
                by: String::new(),
                hold: None,
            };
            let about = Version { epoch: 0, term, since: 1 + term };
            let name = NODES[node % NODES.len()].to_owned();
            let from = Stamp { node: name, incarnation: "0".to_owned(), sequence: 1 };
            server.obey(&Command { about, from, act })
        };
        for (node, term) in terms.iter().enumerate() {
            told(&mut server, *term, node);
        }
        let record = server.read();
        let opened = terms.iter().any(|term| *term >= opened);
        prop_assert_eq!(record.state, if opened { State::Open } else { State::Closed });
        for term in &terms {
            let knew = Version { epoch: 0, term: *term, since: 1 + term };
            prop_assert!(!record.is_made_without(knew));
        }
        prop_assert!(!told(&mut server, terms[again % terms.len()], again), "it is lost no more");
    }

    /// I1: for any commands in any order, only an operator closes the fleet before the end of a cooldown.
    #[test]
    fn nothing_but_an_operator_closes_before_the_cooldown_ends(
        sents in prop::collection::vec(sent(), 1..60),
    ) {
        let mut server = Server::new();
        let mut closed_until = 0;
        for sent in no_words(sents) {
            // An assertion may bring a hold; a held state does not depend on the cooldown.
            let before = server.read();
            send(&mut server, sent);
            let after = server.read();
            if before.hold.is_some() || after.hold.is_some() {
                return Ok(());
            }
            // No node leads by a lost lease.
            let open = |record: &Record| {
                record.state == State::Open || record.lease.as_ref().is_some_and(is_lost)
            };
            if open(&after) {
                closed_until = after.until;
            }
            if !open(&after) && before.state != after.state {
                prop_assert!(server.now >= closed_until, "{:?} after {:?}", after, before);
            }
            if open(&before) && open(&after) {
                prop_assert!(after.until >= before.until);
            }
        }
    }

    /// I2: no other node gets a lease before it ends, and a new lease is a new term.
    #[test]
    fn one_node_leads_at_a_time(sents in prop::collection::vec(sent(), 1..60)) {
        let mut server = Server::new();
        for sent in no_words(sents) {
            let before = server.read();
            send(&mut server, sent);
            let after = server.read();
            if let (Some(old), Some(new)) = (&before.lease, &after.lease)
                && (&old.node, &old.incarnation) != (&new.node, &new.incarnation)
            {
                prop_assert!(server.now >= old.ends || (is_lost(new) && new.ends >= old.ends));
                prop_assert!(after.version.number() > before.version.number());
            }
            prop_assert_eq!(after.lease.is_some(), after.state == State::HalfOpen);
        }
    }

    /// I3 over the fleet: the count trips at exactly the threshold, whatever the batches.
    #[test]
    fn a_row_over_the_fleet_trips_at_exactly_the_threshold(
        calls in prop::collection::vec((0..NODES.len(), any::<bool>(), prop::bool::weighted(0.6)), 1..60),
    ) {
        let mut server = Server::new();
        let mut row = 0;
        let mut pending: Vec<(bool, u64)> = vec![(false, 0); NODES.len()];
        for (node, failed, send_now) in calls {
            let (had_success, failures) = &mut pending[node];
            if failed { *failures += 1 } else { (*had_success, *failures) = (true, 0) }
            if !send_now {
                continue;
            }
            let (had_success, failures) = std::mem::take(&mut pending[node]);
            row = if had_success { failures } else { row + failures };
            let rules = vec![rules()[0]];
            let act = Act::Batch { had_success, row: failures, failures, rules, cooldown: 1_000 };
            send(&mut server, from(node, 1, act));
            prop_assert_eq!(server.read().state == State::Open, row >= 5);
            if row >= 5 {
                return Ok(());
            }
        }
    }

    #[test]
    fn a_lost_record_is_made_anew_above_all_that_was_seen(
        sents in prop::collection::vec(sent(), 1..40), later in prop::collection::vec(sent(), 0..10),
        open_for in prop::option::of(1u64..2_000),
    ) {
        let mut server = Server::new();
        for sent in sents {
            send(&mut server, sent);
        }
        let Version { epoch, term, since } = server.read().version;
        let seen = Version { epoch, term: term + 20, since };
        server.record = None;
        for sent in no_words(later) {
            send(&mut server, Sent { about: About::Current, ..sent });
        }
        let found = server.read();
        prop_assume!(found.version.number() < seen.number());
        let act = Act::Assert { open_for, led: None, attempts: 1, why: "x".into(), by: "a".into(), hold: None };
        let stamp = Stamp { node: "a".into(), incarnation: "0".into(), sequence: 1 };
        let changed = server.obey(&Command { about: seen, from: stamp, act });
        prop_assert!(changed);
        let after = server.read();
        prop_assert!(after.version.number() > seen.number());
        prop_assert_eq!(after.state == State::Closed, open_for.is_none() && found.state == State::Closed);
        if after.state != State::Closed {
            prop_assert!(after.until >= server.now + open_for.unwrap_or(0));
        }
    }

    #[test]
    fn any_bytes_are_a_record_that_is_lost_or_not_ours(
        bytes in prop::collection::vec(any::<u8>(), 0..60), cut in 0usize..400, sent in sent(),
    ) {
        let mut server = Server::new();
        send(&mut server, from(0, 0, trip(1_000, 1)));
        let whole = server.record.clone().unwrap();
        for damaged in [bytes, whole[..cut.min(whole.len())].to_vec()] {
            server.record = Some(damaged);
            send(&mut server, sent.clone());
            let command = server.command(&sent);
            change(server.record.as_deref(), b"{", None, server.now);
            server.obey(&command);
        }
    }
}

#[test]
fn a_quorum_opens_at_its_last_vote_and_votes_end_with_their_cooldown() {
    let mut server = Server::new();
    send(&mut server, from(0, 0, trip(1_000, 3)));
    send(&mut server, from(1, 500, trip(1_000, 3)));
    // The first vote has expired by now.
    send(&mut server, from(2, 500, trip(1_000, 3)));
    assert_eq!(server.read().state, State::Closed);
    assert_eq!(server.read().votes.len(), 2);
    send(&mut server, from(0, 0, trip(700, 3)));
    let record = server.read();
    assert_eq!(
        (record.state, record.until),
        (State::Open, server.now + 700)
    );
    assert_eq!(record.by, "a");
}

#[test]
fn an_unused_lease_moves_when_another_node_has_wanted_it_for_its_length() {
    let lease = |used| Act::Lease { span: 1_000, used };
    let mut server = Server::new();
    send(&mut server, from(0, 0, trip(100, 1)));
    assert!(!send(&mut server, from(0, 99, lease(false))), "too early");
    assert!(send(&mut server, from(0, 1, lease(false))));
    send(&mut server, from(1, 100, lease(false)));
    assert_eq!(server.read().lease.unwrap().node, "a");
    assert!(
        send(&mut server, from(0, 800, lease(false))),
        "not yet for its length"
    );
    send(&mut server, from(1, 0, lease(false)));
    assert!(!send(&mut server, from(0, 900, lease(false))), "refused");
    assert!(send(&mut server, from(0, 0, lease(true))), "it is used");
    let ends = server.read().lease.unwrap().ends;
    let wait = ends - server.now;
    send(&mut server, from(1, wait, lease(false)));
    assert_eq!(server.read().lease.unwrap().node, "b");
}

#[test]
fn the_late_result_of_a_leader_that_was_replaced_changes_nothing() {
    let lease = Act::Lease {
        span: 1_000,
        used: false,
    };
    let mut server = Server::new();
    send(&mut server, from(0, 0, trip(100, 1)));
    send(&mut server, from(0, 100, lease.clone()));
    let close = from(
        0,
        0,
        Act::Close {
            why: "1 of 1 answered probes succeeded".into(),
        },
    );
    let late = server.command(&close);
    server.now += 1_001;
    assert!(!server.obey(&late), "its lease is over");
    send(&mut server, from(1, 0, lease));
    assert!(!server.obey(&late), "another leads");
    assert!(send(
        &mut server,
        from(1, 5, Act::Close { why: "well".into() })
    ));
    assert_eq!(server.read().state, State::Closed);
}

#[test]
fn failures_within_a_time_are_forgotten_after_it() {
    let mut server = Server::new();
    for _ in 0..3 {
        send(&mut server, from(0, 100, batch(true, 0, 2)));
    }
    assert_eq!(server.read().counted(1, 900, server.now), 6);
    send(&mut server, from(1, 800, batch(true, 0, 1)));
    assert_eq!(server.read().counted(1, 900, server.now), 3);
    assert_eq!(server.read().state, State::Closed);
    send(&mut server, from(1, 0, batch(true, 0, 4)));
    assert_eq!(server.read().state, State::Open);
    assert_eq!(
        server.read().why,
        "7 failures over the fleet, the limit is 7"
    );
}

#[test]
fn an_operators_word_counts_in_any_term_and_only_once() {
    let mut server = Server::new();
    send(&mut server, from(0, 0, trip(60_000, 1)));
    let mut reset = from(1, 0, Act::Reset { by: "op".into() });
    reset.about = About::Older;
    let command = server.command(&reset);
    assert!(server.obey(&command));
    assert!(server.read().by_operator);
    send(&mut server, from(0, 0, trip(60_000, 1)));
    assert!(!server.obey(&command), "it has been carried out");
    assert_eq!(server.read().state, State::Open);
}

#[test]
fn a_hold_freezes_all_beneath_until_it_ends() {
    let mut server = Server::new();
    let hold = Act::Hold {
        open: true,
        span: Some(1_000),
        why: "deploy".into(),
        by: "op".into(),
    };
    send(&mut server, from(0, 0, hold));
    assert!(!send(&mut server, from(1, 10, trip(100, 1))));
    let lease = Act::Lease {
        span: 1_000,
        used: false,
    };
    assert!(!send(&mut server, from(1, 10, lease.clone())));
    assert!(
        send(&mut server, from(1, 980, lease)),
        "held open goes on half-open"
    );
    assert_eq!(server.read().state, State::HalfOpen);
    assert!(server.read().hold.is_none());
}

#[test]
fn fields_of_a_newer_version_are_preserved() {
    let mut server = Server::new();
    send(&mut server, from(0, 0, trip(100, 1)));
    let mut value: serde_json::Value = serde_json::from_slice(&server.record.unwrap()).unwrap();
    value["new"] = serde_json::json!({"x": [1, "y"]});
    server.record = Some(value.to_string().into_bytes());
    send(
        &mut server,
        from(
            0,
            100,
            Act::Lease {
                span: 100,
                used: false,
            },
        ),
    );
    assert_eq!(server.read().other["new"]["x"][1], "y");
    value["v"] = 2.into();
    server.record = Some(value.to_string().into_bytes());
    assert!(!send(
        &mut server,
        from(0, 0, Act::Reset { by: "op".into() })
    ));
    assert_eq!(
        server.read().version,
        Version::default(),
        "not ours to read"
    );
}

#[test]
fn a_record_stays_small_however_many_nodes_vote_and_count() {
    let mut server = Server::new();
    for node in 0..2 * NODES_MAX as u64 {
        for act in [trip(100_000_000, 10_000), batch(false, 0, 0)] {
            let mut command = server.command(&from(0, 1, act));
            command.from.node = format!("node-{node}");
            server.obey(&command);
        }
    }
    for _ in 0..2_000 {
        let act = Act::Batch {
            had_success: false,
            row: 0,
            failures: 1,
            rules: vec![fusebox_fleet::protocol::CountRule {
                threshold: 10_000,
                within: 900_000,
                row: false,
            }],
            cooldown: 1_000,
        };
        send(&mut server, from(0, 500, act));
    }
    let record = server.read();
    assert_eq!(record.votes.len(), NODES_MAX);
    let counted = record.counted(0, 900_000, server.now);
    assert!(
        (1_740..=1_800).contains(&counted),
        "a part off at the most: {counted}"
    );
    assert!(server.record.unwrap().len() < 32 * 1024);
}
