//! Colours and signs. Neither carries a meaning that words beside it do not carry, too.

use ratatui_core::style::{Color, Modifier, Style};

use super::row::{Look, Row};

/// The tone of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Text as it is.
    Plain,
    /// Less important text.
    Faint,
    /// A state as it should be.
    Good,
    /// A state that may become worse or better.
    Warning,
    /// A state in which calls are refused, or a fault.
    Bad,
    /// A state that an operator has ordered.
    Held,
    /// Heads and keys.
    Strong,
}

/// The look of the program on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    /// True if colours may be used.
    pub colours: bool,
    /// True if the terminal shows more than ASCII.
    pub unicode: bool,
}

impl Theme {
    /// The theme of the environment: `NO_COLOR` forbids colours, and a locale without UTF-8 signs beyond ASCII.
    pub fn of_environment() -> Theme {
        let variable = |name: &str| {
            let value = std::env::var(name).ok();
            value.filter(|value| !value.is_empty())
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(variable);
        let locale = locale.unwrap_or_default().to_lowercase();
        Theme {
            colours: variable("NO_COLOR").is_none(),
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// The style of a tone.
    pub fn style(self, tone: Tone) -> Style {
        let (colour, modifier) = match tone {
            Tone::Plain => (Color::Reset, Modifier::empty()),
            Tone::Faint => (Color::Reset, Modifier::DIM),
            Tone::Good => (Color::Green, Modifier::empty()),
            Tone::Warning => (Color::Yellow, Modifier::empty()),
            Tone::Bad => (Color::Red, Modifier::BOLD),
            Tone::Held => (Color::Magenta, Modifier::empty()),
            Tone::Strong => (Color::Reset, Modifier::BOLD),
        };
        let style = Style::new().add_modifier(modifier);
        if self.colours {
            style.fg(colour)
        } else {
            style
        }
    }

    /// The sign of a row's state.
    pub fn sign(self, row: &Row) -> &'static str {
        let (sign, ascii) = match row.look() {
            Look::Open => ("■", "!"),
            Look::HalfOpen => ("◐", "?"),
            Look::HeldOpen | Look::HeldClosed => ("◆", "#"),
            Look::Ramp => ("▲", "^"),
            Look::Failing => ("●", "*"),
            Look::Closed => ("○", "."),
            Look::Disabled => ("·", "-"),
        };
        if self.unicode { sign } else { ascii }
    }

    /// The mark of a text that is cut off.
    pub fn cut(self) -> &'static str {
        if self.unicode { "…" } else { "~" }
    }

    /// The last minute of a row in `width` bars: the height is the calls with the refused ones, the busiest bar the highest.
    pub fn bars(self, row: &Row, width: usize) -> String {
        let levels: &[char] = if self.unicode {
            &[' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
        } else {
            &[' ', '.', ':', '-', '=', '+', '*', '#']
        };
        let minute = row.minute.as_deref().unwrap_or_default();
        if minute.is_empty() || width == 0 {
            return String::new();
        }
        let each = minute.len().div_ceil(width);
        let sums = minute.chunks(each);
        let sums = sums.map(|seconds| seconds.iter().flatten().sum());
        let sums: Vec<u64> = sums.collect();
        let most = sums.iter().copied().max().unwrap_or_default().max(1);
        let top = levels.len() as u64 - 1;
        let level = |sum: u64| (sum * top).div_ceil(most).min(top) as usize;
        sums.into_iter().map(|sum| levels[level(sum)]).collect()
    }
}

/// The tone of a row's state.
pub fn tone(row: &Row) -> Tone {
    match row.look() {
        Look::Open => Tone::Bad,
        Look::HalfOpen | Look::Ramp => Tone::Warning,
        Look::HeldOpen | Look::HeldClosed => Tone::Held,
        Look::Failing => Tone::Plain,
        Look::Closed => Tone::Good,
        Look::Disabled => Tone::Faint,
    }
}
