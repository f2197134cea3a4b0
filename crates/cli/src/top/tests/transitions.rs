//! The laws of the transitions.

use serde_json::json;

use super::*;
use crate::top::app::{Entry, Link, View};
use crate::top::prompt::{Action, Order};
use crate::top::row::{Look, Phase};

const SECOND: Duration = Duration::from_secs(1);

fn is_command(effect: &Effect) -> bool {
    matches!(effect, Effect::Send(_))
}

/// Keys in an order without a pattern, the same in every run.
fn keys(seed: u64, count: usize) -> Vec<Key> {
    let words = "jkocrxfs /q\u{1b}\nyNYg9m";
    let chars: Vec<_> = words.chars().collect();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let key = |number: usize| match number % (chars.len() + 6) {
        0 => Key::Up,
        1 => Key::Down,
        2 => Key::PageDown,
        3 => Key::Home,
        4 => Key::End,
        5 => Key::Backspace,
        at => match chars[at - 6] {
            '\n' => Key::Enter,
            '\u{1b}' => Key::Escape,
            char => Key::Char(char),
        },
    };
    (0..count).map(|_| key(next())).collect()
}

#[test]
fn whatever_is_pressed_a_command_needs_a_yes_and_a_row_is_selected() {
    let mut commands = 0;
    for seed in 1..200 {
        let mut app = app();
        for key in keys(seed, 300) {
            let confirms = matches!(&app.entry, Entry::Prompt(prompt)
                if prompt.step == crate::top::prompt::Step::Confirm);
            let says_yes = confirms && matches!(key, Key::Char('y' | 'Y'));
            let effects = take(&mut app, [Input::Key(key)]);
            assert_eq!(effects.iter().any(is_command), says_yes, "{key:?}");
            commands += usize::from(says_yes);
            let names: Vec<_> = app.rows().iter().map(|row| row.name.clone()).collect();
            match &app.selected {
                Some(name) => assert!(names.contains(name), "{name} in {names:?}"),
                None => assert!(names.is_empty(), "{names:?}"),
            }
        }
    }
    assert!(commands > 10, "{commands}");
}

#[test]
fn requests_of_one_kind_are_never_on_their_way_together() {
    let mut app = app();
    let (mut states, mut breakers) = (0, 0);
    for round in 0..100 {
        let event = json!({
            "type": "transition", "breaker": "users", "to": "open", "id": format!("b-{}", 10 + round),
            "at": "2026-11-30T03:00:01.000Z",
        });
        let mut effects = take(&mut app, [Input::Event(event)]);
        effects.extend(later(&mut app, Duration::from_millis(100)));
        states += effects
            .iter()
            .filter(|it| **it == Effect::ReadState)
            .count();
        let reads = |it: &&Effect| matches!(it, Effect::ReadBreaker(_));
        breakers += effects.iter().filter(reads).count();
    }
    assert_eq!((states, breakers), (1, 1), "none was answered");
    let state = snapshot(&state());
    let mut effects = take(&mut app, [Input::State(Ok(Box::new(state)))]);
    effects.extend(later(&mut app, SECOND));
    assert_eq!(
        effects,
        [Effect::ReadState],
        "it is old by now, and read again"
    );
}

#[test]
fn a_burst_of_events_reads_everything_at_most_twice_a_second() {
    let mut app = app();
    let mut states = 0;
    for round in 0..1_000_u64 {
        let event = json!({ "type": "health", "id": format!("b-{}", 10 + round) });
        let mut effects = take(&mut app, [Input::Event(event)]);
        effects.extend(later(&mut app, Duration::from_millis(10)));
        if effects.contains(&Effect::ReadState) {
            states += 1;
            take(&mut app, [Input::State(Err("away".into()))]);
        }
    }
    assert!((15..=21).contains(&states), "{states} in ten seconds");
}

#[test]
fn a_hold_asks_for_a_reason_a_duration_and_a_yes() {
    let mut app = app();
    assert!(!press(&mut app, "o\n").iter().any(is_command));
    let Entry::Prompt(prompt) = &app.entry else {
        panic!("{:?}", app.entry);
    };
    assert!(prompt.fault.is_some(), "a reason is required");
    press(&mut app, "a drilx\u{8}l\nsoon\n");
    let Entry::Prompt(prompt) = &app.entry else {
        panic!("{:?}", app.entry);
    };
    let fault = prompt.fault.as_deref();
    assert_eq!(
        fault,
        Some("expected a duration such as 10m, or `without end`")
    );
    take(&mut app, [Input::Key(Key::Clear)]);
    let effects = press(&mut app, "\ny");
    let order = Order {
        action: Action::Open,
        name: "orders".into(),
        reason: "a drill".into(),
        duration: Some("10m".into()),
    };
    assert!(
        effects.contains(&Effect::Send(order.clone())),
        "{effects:?}"
    );
    assert_eq!(
        order.body("anna"),
        json!({ "by": "anna", "reason": "a drill", "for": "10m" })
    );
    assert_eq!(app.entry, Entry::Keys);
}

#[test]
fn no_is_the_answer_to_everything_but_yes() {
    for answer in ["\n", "n", "q", "\u{1b}"] {
        let mut app = app();
        let effects = press(&mut app, &format!("xa drill\n{answer}"));
        assert!(!effects.iter().any(is_command), "{answer:?}");
        assert_eq!(app.entry, Entry::Keys, "{answer:?}");
    }
}

#[test]
fn a_release_needs_a_hold_and_no_reason() {
    let mut app = app();
    press(&mut app, "r");
    assert_eq!(app.entry, Entry::Keys);
    assert_eq!(app.notice.as_ref().unwrap().text, "orders is not held");
    let effects = press(&mut app, "jjr\ny");
    let order = Order {
        action: Action::Release,
        name: "pay".into(),
        reason: String::new(),
        duration: None,
    };
    assert!(effects.contains(&Effect::Send(order)), "{effects:?}");
}

#[test]
fn a_token_that_may_only_read_asks_nothing() {
    let mut state = state();
    state["gateway"]["read_only"] = json!(true);
    for key in ["o", "c", "r", "x"] {
        let mut app = App::new(snapshot(&state));
        press(&mut app, key);
        assert_eq!(app.entry, Entry::Keys);
        assert_eq!(app.notice.unwrap().text, "this token may only read");
    }
}

#[test]
fn letters_are_text_while_text_is_asked_for() {
    let mut app = app();
    let effects = press(&mut app, "fqoxs");
    assert!(!effects.contains(&Effect::Quit));
    assert_eq!(app.filter, "qoxs");
    assert_eq!((app.rows().len(), &app.selected), (0, &None));
    press(&mut app, "\u{1b}");
    assert_eq!(app.filter, "");
    assert_eq!(app.selected.as_deref(), Some("orders"));
    press(&mut app, "G/half\n");
    assert_eq!(app.selected.as_deref(), Some("mail"));
    assert_eq!(app.entry, Entry::Keys);
    press(&mut app, "\u{1b}G/en");
    assert_eq!(
        app.selected.as_deref(),
        Some("orders"),
        "the first that fits"
    );
    assert_eq!(press(&mut app, "\nq"), [Effect::Quit]);
}

#[test]
fn the_selection_stays_on_its_breaker_wherever_that_goes() {
    let mut app = app();
    press(&mut app, "G");
    assert_eq!(app.selected.as_deref(), Some("users"));
    let event = json!({
        "type": "transition", "breaker": "users", "from": "closed", "to": "open", "reason": "a drill",
        "at": "2026-11-30T03:00:01.000Z", "retry_at": "2026-11-30T03:00:09.000Z", "id": "b-3",
    });
    take(&mut app, [Input::Event(event)]);
    let names: Vec<_> = app.rows().iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["orders", "users", "mail", "pay", "stock"]);
    assert_eq!(app.selected.as_deref(), Some("users"));
    let mut gone = state();
    gone["breakers"].as_array_mut().unwrap().pop();
    take(&mut app, [Input::State(Ok(Box::new(snapshot(&gone))))]);
    assert_eq!(
        app.selected.as_deref(),
        Some("mail"),
        "the one in its place"
    );
}

#[test]
fn a_pause_stops_what_is_shown_and_nothing_else() {
    let mut app = app();
    press(&mut app, " ");
    let hold = json!({
        "type": "hold", "breaker": "orders", "hold": "closed", "until": null, "reason": "a drill", "by": "eve",
        "at": "2026-11-30T03:00:01.000Z", "id": "b-3",
    });
    take(&mut app, [Input::Event(hold)]);
    later(&mut app, SECOND * 5);
    let look = |app: &App| app.shown().0.row("orders").unwrap().look();
    assert_eq!(look(&app), Look::Open);
    assert_eq!(app.shown().1, Duration::ZERO);
    press(&mut app, " ");
    assert_eq!(look(&app), Look::HeldClosed);
    assert_eq!(app.shown().1, SECOND * 5);
}

#[test]
fn a_lost_connection_reads_nothing_until_it_is_joined_again() {
    let mut app = app();
    take(&mut app, [Input::Joined]);
    take(&mut app, [Input::Breaker("orders".into(), Ok(breaker()))]);
    take(&mut app, [Input::Lost("refused".into(), SECOND)]);
    later(&mut app, SECOND);
    take(&mut app, [Input::Lost("refused again".into(), SECOND * 2)]);
    let lost = Link::Lost {
        why: "refused again".into(),
        since: Duration::ZERO,
        again: SECOND * 3,
    };
    assert_eq!(app.link, lost, "it is lost since the first time");
    assert_eq!(later(&mut app, SECOND * 60), []);
    let effects = take(&mut app, [Input::Joined]);
    let expected = [Effect::ReadState, Effect::ReadBreaker("orders".into())];
    assert_eq!(effects, expected);
    assert_eq!(app.link, Link::Live);
}

#[test]
fn a_time_to_try_again_that_passes_reads_everything_once() {
    let mut app = app();
    let twelve = later(&mut app, SECOND * 12);
    assert!(twelve.contains(&Effect::ReadState), "{twelve:?}");
    take(&mut app, [Input::State(Err("away".into()))]);
    assert!(!later(&mut app, SECOND).contains(&Effect::ReadState));
}

#[test]
fn events_and_pulses_change_their_rows() {
    let mut app = app();
    let transition = json!({
        "type": "transition", "breaker": "orders", "from": "open", "to": "half_open", "reason": "the cooldown ended",
        "at": "2026-11-30T03:00:12.000Z", "retry_at": null, "id": "b-3",
    });
    let pulse = json!({
        "type": "pulse", "breakers": { "users": { "rates": rates(7.0, Some(0.5), 0.0, Some(9.0)), "second": [3, 4, 0] } },
    });
    let again = transition.clone();
    let inputs = [transition, pulse, again].map(Input::Event);
    take(&mut app, inputs);
    let orders = app.model.row("orders").unwrap();
    assert_eq!((orders.state, orders.retry_at), (Phase::HalfOpen, None));
    let users = app.model.row("users").unwrap();
    assert_eq!(users.rates.as_ref().unwrap().calls_per_s, 7.0);
    let minute = users.minute.as_ref().unwrap();
    assert_eq!((minute.len(), minute[59]), (60, [3, 4, 0]));
    assert_eq!(app.model.events.len(), 3, "an event is told once");
}

#[test]
fn the_answer_to_a_command_is_told_and_everything_read() {
    let mut app = app();
    later(&mut app, SECOND);
    let order = Order {
        action: Action::Reset,
        name: "orders".into(),
        reason: "a drill".into(),
        duration: None,
    };
    let effects = take(&mut app, [Input::Done(order.clone(), Ok(breaker()))]);
    assert!(effects.contains(&Effect::ReadState), "{effects:?}");
    assert_eq!(
        app.notice.as_ref().unwrap().text,
        "orders is open (generation 3)"
    );
    take(&mut app, [Input::Done(order, Err("409 Conflict".into()))]);
    let text = &app.notice.as_ref().unwrap().text;
    assert_eq!(text, "Reset of orders failed: 409 Conflict");
    later(&mut app, SECOND * 12);
    assert_eq!(app.notice, None, "it goes by itself");
    press(&mut app, "rj");
    assert_eq!(app.notice, None, "and with the next key");
}

#[test]
fn a_detail_scrolls_within_its_text_and_closes() {
    let mut app = app();
    take(&mut app, [Input::Breaker("orders".into(), Ok(breaker()))]);
    press(&mut app, "\n");
    assert_eq!(app.view, View::Detail { scroll: 0 });
    let lines = app.detail_text().lines().count();
    press(&mut app, &"j".repeat(lines + 5));
    assert_eq!(app.view, View::Detail { scroll: lines - 1 });
    press(&mut app, "g\u{1b}");
    assert_eq!(app.view, View::Table);
}
