//! The terminal as a screen: taken over, drawn on, read from, and given back in every case.

use std::io::{self, Write as _};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::Show;
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui_core::terminal::Terminal;

use super::app::App;
use super::backend;
use super::draw::draw;
use super::input::{Input, Key};
use super::link::Inputs;
use super::theme::Theme;

/// True once a thread has panicked, which has given the terminal back.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// The screen. A drop gives the terminal back, and so does a panic.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<backend::Terminal>,
    theme: Theme,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// If there is no terminal.
    pub fn enter(theme: Theme) -> io::Result<Screen> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                // First, so that the message is on the screen that stays.
                PANICKED.store(true, Ordering::SeqCst);
                give_back();
                before(panic);
            }));
        });
        let terminal = Terminal::new(backend::Terminal::new())?;
        enable_raw_mode()?;
        // From here on a drop gives back.
        let mut screen = Screen { terminal, theme };
        execute!(io::stdout(), EnterAlternateScreen)?;
        screen.terminal.clear()?;
        Ok(screen)
    }

    /// Draws a state.
    ///
    /// # Errors
    /// If the terminal is gone, or was given back in a panic.
    pub fn draw(&mut self, app: &App) -> io::Result<()> {
        if PANICKED.load(Ordering::SeqCst) {
            return Err(io::Error::other("a part of the program has panicked"));
        }
        let theme = self.theme;
        self.terminal.draw(|frame| {
            if let Some(cursor) = draw(app, frame.buffer_mut(), theme) {
                frame.set_cursor_position(cursor);
            }
        })?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back. Of a terminal that is gone nothing is left to restore.
fn give_back() {
    execute!(io::stdout(), LeaveAlternateScreen, Show).ok();
    disable_raw_mode().ok();
    io::stdout().flush().ok();
}

/// Reads keys on a thread of its own, until the program or the terminal ends.
///
/// # Errors
/// If the thread cannot be started.
pub fn read_keys(inputs: Inputs) -> io::Result<()> {
    let read = move || {
        while let Ok(event) = event::read() {
            let input = match event {
                Event::Key(event) if event.kind != KeyEventKind::Release => key(event),
                Event::Resize(..) => Some(Input::Resized),
                _ => None,
            };
            if input.is_some_and(|input| inputs.send(input).is_err()) {
                return;
            }
        }
        inputs.send(Input::Key(Key::Interrupt)).ok();
    };
    let thread = std::thread::Builder::new().name("fusebox-keys".into());
    thread.spawn(read)?;
    Ok(())
}

fn key(event: KeyEvent) -> Option<Input> {
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    let key = match event.code {
        KeyCode::Char('c') if control => Key::Interrupt,
        KeyCode::Char('u') if control => Key::Clear,
        KeyCode::Char(_) if control => return None,
        KeyCode::Char(char) => Key::Char(char),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    };
    Some(Input::Key(key))
}
