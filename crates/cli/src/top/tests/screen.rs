//! The screen of a state, cell by cell.

use ratatui_core::backend::TestBackend;
use ratatui_core::style::{Color, Modifier};
use ratatui_core::terminal::Terminal;
use serde_json::json;

use super::*;
use crate::top::draw::draw;

/// The lines of a screen, without the space at their ends.
fn lines(app: &App, width: u16, height: u16, theme: Theme) -> Vec<String> {
    let terminal = drawn(app, width, height, theme);
    let buffer = terminal.backend().buffer();
    let rows = buffer.content.chunks(usize::from(width));
    let line = |row: &[ratatui_core::buffer::Cell]| {
        let line: String = row.iter().map(|cell| cell.symbol()).collect();
        line.trim_end().to_owned()
    };
    rows.map(line).collect()
}

fn drawn(app: &App, width: u16, height: u16, theme: Theme) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let draw = |frame: &mut ratatui_core::terminal::Frame<'_>| {
        if let Some(cursor) = draw(app, frame.buffer_mut(), theme) {
            frame.set_cursor_position(cursor);
        }
    };
    terminal.draw(draw).unwrap();
    terminal
}

/// The program with `orders` read, and joined.
fn joined() -> App {
    let mut app = app();
    let read = Input::Breaker("orders".into(), Ok(breaker()));
    take(&mut app, [Input::Joined, read]);
    app
}

#[test]
fn the_screen_at_three_in_the_morning() {
    let expected = "
2 of 5 breakers are open: orders (refuses 118 calls/s, tries again in 12 s),
mail (half-open, single calls try it), pay (held open by anna for 8 min more: m…
gw-1  fusebox 0.1.0  up 3 h  fleet 2 of 3  by attention
STATE          NAME          CALLS/S   FAIL  REFUSE/S    P99  NEXT IN
■ open         orders              0      -       118      -  12 s
◐ half-open    mail              2.0     0%         0   40ms  now
◆ held open    pay               2.0     0%         0   40ms  8 min
● closed       stock             2.0     0%         0   40ms  -
○ closed       users             2.0     0%         0   40ms  -
── orders ──────────────────────────────────────────────────────────────────────
Open since 02:59:40 after 5 consecutive failures; tries again in 12s.
failed 20 s ago       503  41 ms  http://10.0.0.7:80  req-9
failed 21 s ago       timeout  2 s
Events
02:59:40Z  orders open: 5 consecutive failures
02:59:00Z  configuration reloaded: orders







Enter detail  o open  c close  r release  x reset  f filter  s sort  q quit";
    let shown = lines(&joined(), 80, 24, FULL).join("\n");
    assert_eq!(shown, expected.trim_start(), "\n{shown}");
}

#[test]
fn a_hold_is_asked_for_in_the_last_lines() {
    let mut app = joined();
    press(&mut app, "oa drill\n");
    let shown = lines(&app, 80, 24, FULL);
    assert_eq!(
        shown[22..],
        ["Hold open: orders", "For how long [10m; or `without end`]:"]
    );
    press(&mut app, "5m\n");
    let terminal = drawn(&app, 80, 24, FULL);
    let shown = lines(&app, 80, 24, FULL);
    assert_eq!(
        shown[22..],
        [
            "Hold open: orders: 118 calls/s to orders will be refused for 5m.",
            "Do it? y/N",
        ]
    );
    assert_eq!(terminal.backend().cursor_position(), (11, 23).into());
}

#[test]
fn a_lost_connection_is_said_in_words_with_the_next_try() {
    let mut app = joined();
    let why = "no gateway answers at 127.0.0.1:9900";
    take(&mut app, [Input::Lost(why.into(), Duration::from_secs(5))]);
    later(&mut app, Duration::from_secs(2));
    let shown = lines(&app, 100, 24, FULL);
    let line = format!("CONNECTION LOST 2 s ago, next try in 3 s: {why}");
    assert!(shown.contains(&line), "{shown:#?}");
}

#[test]
fn every_size_can_be_drawn_in_every_view() {
    let mut asked = joined();
    press(&mut asked, "oa drill\n5m\n");
    let mut detailed = joined();
    press(&mut detailed, "\n");
    let mut filtered = joined();
    press(&mut filtered, "fnothing has this");
    for app in [joined(), asked, detailed, filtered] {
        for width in [1, 2, 3, 5, 8, 13, 27, 28, 41, 60, 80, 132, 200] {
            for height in [1, 2, 3, 4, 5, 8, 13, 14, 15, 24, 60] {
                let shown = lines(&app, width, height, FULL);
                assert_eq!(shown.len(), usize::from(height));
            }
        }
    }
}

#[test]
fn a_wide_screen_says_why_and_shows_the_last_minute() {
    let shown = lines(&joined(), 160, 24, FULL).join("\n");
    for part in [
        "WHY",
        "LAST MINUTE",
        "████████████████████",
        "3/4",
        "anna: moving",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}

#[test]
fn without_colours_and_utf_8_words_and_ascii_say_the_same() {
    let plain = Theme {
        colours: false,
        unicode: false,
    };
    let app = joined();
    let terminal = drawn(&app, 160, 24, plain);
    let buffer = terminal.backend().buffer();
    for cell in &buffer.content {
        assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
        assert!(cell.symbol().is_ascii(), "{}", cell.symbol());
    }
    let shown = lines(&app, 160, 24, plain).join("\n");
    for part in [
        "! open",
        "? half-open",
        "# held open",
        "* closed",
        ". closed",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    let reversed = buffer.content.iter();
    let reversed = reversed.filter(|cell| cell.modifier.contains(Modifier::REVERSED));
    assert_eq!(reversed.count(), 160, "one line is selected");
}

#[test]
fn names_and_reasons_cannot_steer_the_terminal() {
    let mut state = state();
    let evil = "a\u{1b}[2J\u{9b}31m\u{202e}b";
    state["breakers"][0]["name"] = json!(evil);
    state["breakers"][2]["hold"]["reason"] = json!(evil);
    state["events"][1]["reason"] = json!(evil);
    state["gateway"]["node"] = json!(evil);
    let mut app = App::new(snapshot(&state));
    let mut answer = breaker();
    answer["explanation"]["text"] = json!(evil);
    answer["last_failures"][0]["request_id"] = json!(evil);
    take(&mut app, [Input::Breaker(evil.into(), Ok(answer))]);
    for keys in ["", "o", "\u{1b}f\u{9b}", "\n\n"] {
        press(&mut app, keys);
        let shown = lines(&app, 132, 30, FULL).join("\n");
        let bad = |char: char| char != '\n' && char.is_control() || char == '\u{202e}';
        assert!(!shown.contains(bad), "{shown:?}");
    }
    let table = crate::top::plain::table(&app.model);
    assert!(
        !table.contains(['\u{1b}', '\u{9b}', '\u{202e}']),
        "{table:?}"
    );
}

#[test]
fn the_plain_table_has_every_row_and_number() {
    let expected = "
2 of 5 breakers are open: orders (refuses 118 calls/s, tries again in 12 s), \
mail (half-open, single calls try it), pay (held open by anna for 8 min more: moving).

STATE      NAME    MODE     CALLS/S  FAIL  REFUSE/S  FALLBK/S   P50   P95   P99  NEXT IN  ENDP  WHY
open       orders  enforce        0     -       118         0     -     -     -  12 s        -  5 consecutive failures
half-open  mail    enforce      2.0    0%         0         0  10ms  20ms  40ms  now         -  probing: the cooldown ended
held open  pay     enforce      2.0    0%         0         0  10ms  20ms  40ms  8 min       -  anna: moving
closed     stock   enforce      2.0    0%         0         0  10ms  20ms  40ms  -         3/4
closed     users   enforce      2.0    0%         0         0  10ms  20ms  40ms  -           -
";
    let shown = crate::top::plain::table(&app().model);
    assert_eq!(shown, expected.trim_start(), "\n{shown}");
}
