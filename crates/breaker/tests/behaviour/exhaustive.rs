//! Not random timelines but all of them, up to a length: the adversary's checks after each event, and at the end of every
//! timeline the way back to closed.
//!
//! Ten events in every order, four of them long; with `FUSEBOX_PROVE` set, six.

use fusebox_breaker::{Call, ForcedTrip, HoldKind, OnProbeTimeout, Outcome, Settings};

use crate::adversary::Adversary;
use crate::kit::{in_a_row, ms, probing};
use crate::ops::Op;

fn events() -> Vec<Op> {
    let record = |outcome| Op::Record {
        which: 0,
        call: Call::from(outcome),
    };
    vec![
        Op::Admit,
        record(Outcome::Failure),
        record(Outcome::Success),
        Op::Drop { which: 0 },
        Op::Forget { which: 0 },
        // Half of the longer times in `kit`, so that events fall before, at and after every end.
        Op::Wait(ms(500)),
        Op::Hold(HoldKind::Open, Some(ms(500))),
        Op::Hold(HoldKind::Closed, None),
        Op::Release,
        Op::Trip(ForcedTrip {
            by: "bea".into(),
            reason: "a drill".into(),
            cooldown: None,
        }),
    ]
}

/// Every timeline of that length, after a beginning that is the same for all.
fn play_all(settings: &Settings, beginning: &[Op], length: u32) {
    let events = events();
    let count = events.len().pow(length);
    for timeline in 0..count {
        let mut adversary = Adversary::new(settings.clone());
        let mut rest = timeline;
        let chosen = (0..length).map(|_| {
            let event = events[rest % events.len()].clone();
            rest /= events.len();
            event
        });
        let ops: Vec<Op> = beginning.iter().cloned().chain(chosen).collect();
        let played = ops.iter().try_for_each(|op| adversary.play(op.clone()));
        if let Err(broken) = played.and_then(|()| adversary.comes_back()) {
            panic!("{broken}, after {ops:?}");
        }
    }
}

fn length() -> u32 {
    if std::env::var_os("FUSEBOX_PROVE").is_some() {
        6
    } else {
        4
    }
}

#[test]
fn every_short_timeline_from_closed_keeps_the_invariants_and_comes_back() {
    play_all(&in_a_row(1), &[], length());
    play_all(&in_a_row(2), &[Op::Admit], length());
}

#[test]
fn every_short_timeline_from_half_open_keeps_the_invariants_and_comes_back() {
    let tripped = [
        Op::Admit,
        Op::Record {
            which: 0,
            call: Call::from(Outcome::Failure),
        },
        Op::Wait(ms(1_000)),
    ];
    let mut settings = probing(2, 2);
    settings.half_open.failures = 2;
    play_all(&settings, &tripped, length());
    settings.half_open.on_probe_timeout = OnProbeTimeout::Fail;
    play_all(&settings, &tripped, length());
}
