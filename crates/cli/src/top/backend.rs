//! The cells of a screen as the sequences of a terminal.

use std::io::{self, BufWriter, Stdout, Write as _};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{Attribute, Color as Colour, Colors, Print, SetAttribute, SetColors};
use crossterm::terminal::{self, Clear};
use crossterm::{execute, queue};
use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};

/// The bytes of a frame that are written at once.
const FRAME: usize = 32 << 10;

/// A backend on standard output. A frame is written at once, so that no half of one is seen.
#[derive(Debug)]
pub struct Terminal(BufWriter<Stdout>);

impl Terminal {
    /// A backend with nothing written.
    pub fn new() -> Terminal {
        Terminal(BufWriter::with_capacity(FRAME, io::stdout()))
    }
}

impl Backend for Terminal {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut place = None;
        let mut look = None;
        for (x, y, cell) in content {
            if place != Some((x, y)) {
                queue!(self.0, MoveTo(x, y))?;
            }
            place = Some((x + 1, y));
            let wanted = (cell.fg, cell.bg, cell.modifier);
            if look != Some(wanted) {
                self.put_on(cell)?;
                look = Some(wanted);
            }
            queue!(self.0, Print(cell.symbol()))?;
        }
        queue!(self.0, SetAttribute(Attribute::Reset))
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        execute!(self.0, Hide)
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        execute!(self.0, Show)
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        // The answer would come among the keys; a whole screen does not need it.
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        execute!(self.0, MoveTo(x, y))
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        let region = match region {
            ClearType::All => terminal::ClearType::All,
            ClearType::AfterCursor => terminal::ClearType::FromCursorDown,
            ClearType::BeforeCursor => terminal::ClearType::FromCursorUp,
            ClearType::CurrentLine => terminal::ClearType::CurrentLine,
            ClearType::UntilNewLine => terminal::ClearType::UntilNewLine,
        };
        execute!(self.0, Clear(region))
    }

    fn size(&self) -> io::Result<Size> {
        let (width, height) = terminal::size()?;
        Ok(Size { width, height })
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize {
            columns_rows: self.size()?,
            pixels: Size::ZERO,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Terminal {
    /// Begins the look of a cell, from none.
    fn put_on(&mut self, cell: &Cell) -> io::Result<()> {
        queue!(self.0, SetAttribute(Attribute::Reset))?;
        let attributes = [
            (Modifier::BOLD, Attribute::Bold),
            (Modifier::DIM, Attribute::Dim),
            (Modifier::REVERSED, Attribute::Reverse),
        ];
        for (modifier, attribute) in attributes {
            if cell.modifier.contains(modifier) {
                queue!(self.0, SetAttribute(attribute))?;
            }
        }
        if (cell.fg, cell.bg) != (Color::Reset, Color::Reset) {
            let colours = Colors::new(colour(cell.fg), colour(cell.bg));
            queue!(self.0, SetColors(colours))?;
        }
        Ok(())
    }
}

/// A colour of the theme; it has no others than these.
fn colour(colour: Color) -> Colour {
    match colour {
        Color::Red => Colour::DarkRed,
        Color::Green => Colour::DarkGreen,
        Color::Yellow => Colour::DarkYellow,
        Color::Magenta => Colour::DarkMagenta,
        _ => Colour::Reset,
    }
}
