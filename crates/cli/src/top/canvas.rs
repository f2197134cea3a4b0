//! The cells of the screen, written line by line.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::{Position, Rect};
use ratatui_core::style::{Modifier, Style};

use super::columns::{cells, fitted};
use super::theme::{Theme, Tone};
use crate::printable::printable;

/// A text in a tone.
pub type Piece = (Tone, String);

/// A screen that is being drawn.
#[derive(Debug)]
pub struct Canvas<'a> {
    buffer: &'a mut Buffer,
    /// The look of everything drawn.
    pub theme: Theme,
}

impl Canvas<'_> {
    /// The whole of a buffer.
    pub fn new(buffer: &mut Buffer, theme: Theme) -> Canvas<'_> {
        buffer.reset();
        Canvas { buffer, theme }
    }

    /// The number of cells of a line.
    pub fn width(&self) -> usize {
        self.buffer.area.width.into()
    }

    /// The number of lines.
    pub fn height(&self) -> usize {
        self.buffer.area.height.into()
    }

    /// Writes a line from pieces, cut off at the end of the line. Texts are made harmless for the terminal.
    pub fn line(&mut self, y: usize, pieces: &[Piece]) {
        let mut x = 0;
        for (tone, text) in pieces {
            let text = printable(text);
            let rest = self.width().saturating_sub(x);
            let taken = cells(&text);
            if taken > rest {
                self.put(x, y, &fitted(&text, rest, false, self.theme), *tone);
                return;
            }
            self.put(x, y, &text, *tone);
            x += taken;
        }
    }

    /// Writes a line of one tone.
    pub fn text(&mut self, y: usize, tone: Tone, text: &str) {
        self.line(y, &[(tone, text.to_owned())]);
    }

    /// Shows a line as selected.
    pub fn select(&mut self, y: usize) {
        if let Some(area) = self.area(y) {
            let style = Style::new().add_modifier(Modifier::REVERSED);
            self.buffer.set_style(area, style);
        }
    }

    /// The position of a cell, if the screen has it.
    pub fn position(&self, x: usize, y: usize) -> Option<Position> {
        let x = u16::try_from(x.min(self.width().saturating_sub(1))).ok()?;
        Some(Position::new(x, self.area(y)?.y))
    }

    fn put(&mut self, x: usize, y: usize, text: &str, tone: Tone) {
        let (Ok(x), Some(area)) = (u16::try_from(x), self.area(y)) else {
            return;
        };
        let style = self.theme.style(tone);
        self.buffer
            .set_stringn(x, area.y, text, self.width(), style);
    }

    fn area(&self, y: usize) -> Option<Rect> {
        let whole = self.buffer.area;
        let y = u16::try_from(y).ok().filter(|y| *y < whole.height)?;
        Some(Rect::new(0, y, whole.width, 1))
    }
}
