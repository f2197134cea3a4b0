//! An entry of one credential is never another's.

use super::*;
use proptest::prelude::*;

#[tokio::test]
async fn a_credential_switches_it_off() {
    let rig = Rig::new(Settings::default()).await;
    let credentials: [Fields<'_>; 2] = [&[("authorization", "ann")], &[("cookie", "user=ann")]];
    for sent in credentials {
        let request = (Method::GET, "/a", sent);
        let public: Fields<'_> = &[("cache-control", "public, max-age=60")];
        rig.answered_at(Duration::ZERO, request, (200, public, "ann's"));
        assert_eq!(rig.ask("/a", sent).await, Err(Skipped::Credential));
        assert_eq!(rig.asks("/a").await, Err(Skipped::None));
    }
    rig.get("/a", 200, &[], "everybody's");
    for sent in credentials {
        assert_eq!(rig.ask("/a", sent).await, Err(Skipped::Credential));
        // An answer to it says nothing about that of others.
        let request = (Method::GET, "/a", sent);
        let no_store: Fields<'_> = &[("cache-control", "no-store")];
        rig.answered_at(Duration::ZERO, request, (200, no_store, "ann's"));
    }
    assert_eq!(rig.asks("/a").await, ok("everybody's"));
}

#[tokio::test]
async fn a_named_credential_has_entries_of_its_own_that_may_be_private() {
    let rig = Rig::new(keyed(&["authorization"])).await;
    let (ann, bob) = ([("authorization", "ann")], [("authorization", "bob")]);
    let private: Fields<'_> = &[("cache-control", "private, max-age=60")];
    let request = (Method::GET, "/a", &ann[..]);
    rig.answered_at(Duration::ZERO, request, (200, private, "ann's"));
    assert_eq!(rig.ask("/a", &ann).await, ok("ann's"));
    assert_eq!(rig.ask("/a", &bob).await, Err(Skipped::None));
    assert_eq!(rig.asks("/a").await, Err(Skipped::None));
    // A cookie beside it is not named.
    let both: Fields<'_> = &[("authorization", "ann"), ("cookie", "a=b")];
    assert_eq!(rig.ask("/a", both).await, Err(Skipped::Credential));
    // Without a credential an answer is everybody's, so it must not be private.
    rig.get("/b", 200, private, "whose?");
    assert_eq!(rig.asks("/b").await, Err(Skipped::None));
    // no-store holds for a credential too.
    let no_store: Fields<'_> = &[("cache-control", "private, no-store")];
    let request = (Method::GET, "/a", &ann[..]);
    rig.answered_at(Duration::ZERO, request, (200, no_store, "ann's"));
    assert_eq!(rig.ask("/a", &ann).await, Err(Skipped::None));
}

#[tokio::test]
async fn nothing_of_a_credential_or_a_query_is_stored() {
    let store = memory_store();
    let rig = Rig::on(keyed(&["authorization"]), store.clone()).await;
    let sent: Fields<'_> = &[
        ("authorization", "Bearer t0psecret"),
        ("accept", "t0psecret"),
    ];
    let vary: Fields<'_> = &[("vary", "authorization, accept")];
    let request = (Method::GET, "/a?key=t0psecret", sent);
    rig.answered_at(Duration::ZERO, request, (200, vary, "body"));
    rig.last_good.flush().await;
    let partition = "last_good/orders";
    let keys = store.keys(partition, "", 10).await.unwrap();
    assert_eq!(keys.len(), 1);
    let object = store.get(partition, &keys[0]).await.unwrap().unwrap();
    let holds = |text: &[u8]| text.windows(9).any(|part| part == b"t0psecret");
    assert!(!holds(&object.value) && !holds(keys[0].as_bytes()));
    assert_eq!(rig.ask("/a?key=t0psecret", sent).await, ok("body"));
}

/// A step of a run: an answer for a user, or a restart.
#[derive(Debug, Clone)]
enum Step {
    Answer {
        user: usize,
        target: usize,
        control: usize,
        vary: usize,
        status: u16,
    },
    Write(usize, usize),
    Restart,
}

const TARGETS: [&str; 3] = ["/a", "/a?b", "/b"];
const CONTROLS: [&str; 5] = ["public", "private", "max-age=60", "no-store", "no-cache"];
const VARIES: [&str; 4] = ["accept", "authorization", "x-key, accept", "*"];

/// Users that differ by a field that `key` names, or by their order and number.
const USERS: [Fields<'static>; 8] = [
    &[],
    &[("authorization", "a")],
    &[("authorization", "b")],
    &[("authorization", "a"), ("authorization", "b")],
    &[("x-key", "a")],
    &[("x-key", "a"), ("authorization", "b")],
    &[("x-key", "b"), ("authorization", "a")],
    &[("authorization", "ab")],
];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let answer = (
        0..USERS.len(),
        0..TARGETS.len(),
        0..6usize,
        0..5usize,
        any::<bool>(),
    );
    let answer = answer.prop_map(|(user, target, control, vary, is_ok)| Step::Answer {
        user,
        target,
        control,
        vary,
        status: if is_ok { 200 } else { 404 },
    });
    let write = (0..USERS.len(), 0..TARGETS.len());
    let step = prop_oneof![
        12 => answer,
        1 => write.prop_map(|(user, target)| Step::Write(user, target)),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

async fn run(steps: Vec<Step>) {
    // A memory of a few entries, so that many come from the disk.
    let settings = || Settings {
        memory_max: 2_000,
        ..keyed(&["authorization", "x-key"])
    };
    let store = memory_store();
    let mut rig = Rig::on(settings(), store.clone()).await;
    for (number, step) in steps.into_iter().enumerate() {
        let at = Duration::from_millis(number as u64);
        match step {
            Step::Answer {
                user,
                target,
                control,
                vary,
                status,
            } => {
                let mut headers = Vec::new();
                headers.extend(CONTROLS.get(control).map(|it| ("cache-control", *it)));
                headers.extend(VARIES.get(vary).map(|it| ("vary", *it)));
                let request = (Method::GET, TARGETS[target], USERS[user]);
                rig.answered_at(at, request, (status, &headers, &user.to_string()));
            }
            Step::Write(user, target) => {
                let request = (Method::PUT, TARGETS[target], USERS[user]);
                rig.answered_at(at, request, (200, &[], ""));
            }
            Step::Restart => {
                rig.last_good.flush().await;
                rig.kill().await;
                rig = Rig::on(settings(), store.clone()).await;
            }
        }
        for (user, sent) in USERS.iter().enumerate() {
            for target in TARGETS {
                if let Ok((_, body)) = rig.ask(target, sent).await {
                    assert_eq!(body, user.to_string(), "{sent:?} got another's answer");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_credential_is_ever_served_anothers_answer(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(run(steps));
    }
}
