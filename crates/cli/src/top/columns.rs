//! The columns of the table: their texts, and which of them a width has room for.

use std::time::SystemTime;

use ratatui_core::text::Span;

use super::row::{Rates, Row};
use super::theme::Theme;
use super::words::{NOTHING, look_word, next, percent, rate, took, why};
use crate::printable::printable;

/// The cells between two columns.
const GAP: usize = 2;
/// The least cells for a name.
const NAME_MIN: usize = 12;
/// The most cells for a name, while there are reasons to show.
const NAME_MAX: usize = 32;
/// The least cells for a reason.
const WHY_MIN: usize = 8;

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The state, with its sign.
    State,
    /// The breaker's name.
    Name,
    /// The breaker's mode.
    Mode,
    /// Calls in a second.
    Calls,
    /// The share that failed.
    Failed,
    /// Refusals in a second.
    Refused,
    /// Answers by a fallback in a second.
    Fallback,
    /// The median duration.
    P50,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
    /// The last minute in bars.
    Minute,
    /// The time until the next change.
    Next,
    /// The endpoints in use.
    Endpoints,
    /// The state's cause.
    Why,
}

/// All columns in their order.
pub const ALL: [Column; 14] = [
    Column::State,
    Column::Name,
    Column::Mode,
    Column::Calls,
    Column::Failed,
    Column::Refused,
    Column::Fallback,
    Column::P50,
    Column::P95,
    Column::P99,
    Column::Minute,
    Column::Next,
    Column::Endpoints,
    Column::Why,
];

impl Column {
    /// The column's head.
    pub fn head(self) -> &'static str {
        match self {
            Column::State => "STATE",
            Column::Name => "NAME",
            Column::Mode => "MODE",
            Column::Calls => "CALLS/S",
            Column::Failed => "FAIL",
            Column::Refused => "REFUSE/S",
            Column::Fallback => "FALLBK/S",
            Column::P50 => "P50",
            Column::P95 => "P95",
            Column::P99 => "P99",
            Column::Minute => "LAST MINUTE",
            Column::Next => "NEXT IN",
            Column::Endpoints => "ENDP",
            Column::Why => "WHY",
        }
    }

    /// True for numbers, which stand at the right.
    pub fn is_number(self) -> bool {
        !matches!(
            self,
            Column::State
                | Column::Name
                | Column::Mode
                | Column::Minute
                | Column::Next
                | Column::Why
        )
    }

    /// The text of a row, in a form that cannot steer a terminal.
    pub fn text(self, row: &Row, now: SystemTime, theme: Theme) -> String {
        let rates = row.rates.as_ref();
        let number = |of: fn(&Rates) -> Option<f64>, word: fn(f64) -> String| {
            rates.and_then(of).map_or_else(|| NOTHING.into(), word)
        };
        let text = match self {
            Column::State => format!("{} {}", theme.sign(row), look_word(row)),
            Column::Name => row.name.clone(),
            Column::Mode => row.mode.clone(),
            Column::Calls => number(|it| Some(it.calls_per_s), rate),
            Column::Failed => number(|it| it.failed_ratio, percent),
            Column::Refused => number(|it| Some(it.refused_per_s), rate),
            Column::Fallback => number(|it| Some(it.fallback_per_s), rate),
            Column::P50 => number(|it| it.p50_ms, took),
            Column::P95 => number(|it| it.p95_ms, took),
            Column::P99 => number(|it| it.p99_ms, took),
            Column::Minute => theme.bars(row, self.width()),
            Column::Next => next(row, now),
            Column::Endpoints => match row.endpoints {
                Some(ends) => format!("{}/{}", ends.in_use, ends.of),
                None => NOTHING.into(),
            },
            Column::Why => why(row),
        };
        printable(&text).into_owned()
    }

    /// The cells of the column; the least of them for names and reasons.
    fn width(self) -> usize {
        match self {
            Column::State => 13,
            Column::Name => NAME_MIN,
            Column::Mode => 8,
            Column::Calls => 7,
            Column::Refused | Column::Fallback => 8,
            Column::Failed | Column::P50 | Column::P95 | Column::P99 => 5,
            Column::Minute => 20,
            Column::Next => 11,
            Column::Endpoints => 5,
            Column::Why => WHY_MIN,
        }
    }

    /// The least width of the table with which the column is shown.
    fn from(self) -> usize {
        match self {
            Column::State | Column::Name => 0,
            Column::Next => 40,
            Column::Failed => 48,
            Column::Calls => 56,
            Column::Refused => 66,
            Column::P99 => 73,
            Column::Fallback => 84,
            Column::Why => 100,
            Column::Endpoints => 108,
            Column::Minute => 130,
            Column::P50 => 138,
            Column::P95 => 146,
            Column::Mode => 160,
        }
    }
}

/// The columns of a table of a width, each with its cells. `name` is the cells of the longest name.
pub fn fitting(width: usize, name: usize) -> Vec<(Column, usize)> {
    let shown = ALL.into_iter().filter(|column| column.from() <= width);
    let mut columns: Vec<_> = shown.map(|column| (column, column.width())).collect();
    let used: usize = columns.iter().map(|(_, cells)| cells + GAP).sum();
    let mut rest = (width + GAP).saturating_sub(used);
    let has_why = columns.iter().any(|(column, _)| *column == Column::Why);
    let name_max = if has_why { name.min(NAME_MAX) } else { name };
    for (column, cells) in &mut columns {
        if *column == Column::Name {
            let more = name_max.saturating_sub(NAME_MIN).min(rest);
            *cells += more;
            rest -= more;
        } else if *column == Column::Why {
            *cells += rest;
        }
    }
    columns
}

/// The cells that a text takes on a terminal.
pub fn cells(text: &str) -> usize {
    Span::raw(text).width()
}

/// A text in exactly `width` cells, cut off if it is longer.
pub fn fitted(text: &str, width: usize, is_number: bool, theme: Theme) -> String {
    let taken = cells(text);
    if taken <= width {
        let space = " ".repeat(width - taken);
        return match is_number {
            true => space + text,
            false => text.to_owned() + &space,
        };
    }
    let mut short = String::new();
    for char in text.chars() {
        short.push(char);
        if cells(&short) > width.saturating_sub(1) {
            short.pop();
            break;
        }
    }
    if width > 0 {
        short.push_str(theme.cut());
    }
    let space = width.saturating_sub(cells(&short));
    short + &" ".repeat(space)
}

/// A text as lines of at most `width` cells, broken between words where possible.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a first line");
        let space = usize::from(!line.is_empty());
        if line.is_empty() || cells(line) + space + cells(word) <= width {
            line.extend(std::iter::repeat_n(' ', space));
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEME: Theme = Theme {
        colours: false,
        unicode: true,
    };

    #[test]
    fn columns_fill_every_width_and_exceed_none() {
        for width in 30..400 {
            for name in [3, 12, 40, 120] {
                let columns = fitting(width, name);
                let gaps = GAP * (columns.len() - 1);
                let used = columns.iter().map(|(_, cells)| cells).sum::<usize>() + gaps;
                assert!(used <= width, "{used} of {width}: {columns:?}");
                let has_why = columns.iter().any(|(column, _)| *column == Column::Why);
                assert!(!has_why || used == width, "{used} of {width}: {columns:?}");
            }
        }
    }

    #[test]
    fn a_text_takes_exactly_its_cells() {
        for text in [
            "",
            "orders",
            "日本日本日本",
            "e\u{301}e\u{301}e\u{301}e\u{301}",
        ] {
            for width in 0..12 {
                for is_number in [true, false] {
                    let shown = fitted(text, width, is_number, THEME);
                    assert_eq!(cells(&shown), width, "{text} in {width}: {shown:?}");
                }
            }
        }
        assert_eq!(fitted("orders", 4, false, THEME), "ord…");
        assert_eq!(fitted("12", 4, true, THEME), "  12");
    }

    #[test]
    fn lines_break_between_words() {
        let lines = wrapped("5 failures in  a row", 10);
        assert_eq!(lines, ["5 failures", "in a row"]);
        assert_eq!(wrapped("", 10), [""]);
    }
}
