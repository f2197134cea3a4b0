//! The place of the access log's lines: a stream of the process, or a file.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use fusebox_plan::access_log::LogTarget;

/// The most bytes in one write where others write too, so that a pipe takes all of them in one piece.
const SHARED_WRITE_MAX: usize = 4096;

/// The most bytes in one write.
const WRITE_MAX: usize = 256 << 10;

/// The pause before a write is repeated for which there was no room.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// An open target.
#[derive(Debug)]
pub struct Target {
    to: LogTarget,
    file: File,
    /// True after a line of which only the beginning was written.
    is_torn: bool,
}

impl Target {
    /// Opens a target; a file is made, readable by its owner and group, and appended to.
    ///
    /// # Errors
    /// The system's error.
    pub fn open(to: &LogTarget) -> io::Result<Target> {
        Ok(Target {
            file: open(to)?,
            to: to.clone(),
            is_torn: false,
        })
    }

    /// True for a file, which can be opened anew.
    pub fn is_file(&self) -> bool {
        matches!(self.to, LogTarget::File(_))
    }

    /// Opens the file anew.
    ///
    /// # Errors
    /// The system's error; the old file stays in use then.
    pub fn reopen(&mut self) -> io::Result<()> {
        *self = Target::open(&self.to)?;
        Ok(())
    }

    /// Writes whole lines, and calls `wrote` after each write.
    ///
    /// # Errors
    /// The system's error, and the number of bytes that were written before it.
    pub fn write(&mut self, lines: &[u8], wrote: impl Fn()) -> Result<(), (io::Error, usize)> {
        if self.is_torn {
            // What follows is a line of its own.
            self.write_all(b"\n", &wrote)
                .map_err(|(error, _)| (error, 0))?;
            self.is_torn = false;
        }
        let size_max = match self.to {
            LogTarget::Stderr => SHARED_WRITE_MAX,
            LogTarget::Stdout | LogTarget::File(_) => WRITE_MAX,
        };
        let mut done = 0;
        while done < lines.len() {
            let rest = &lines[done..];
            let piece = whole_lines(rest, size_max);
            let result = self.write_all(piece, &wrote);
            let bytes = result
                .as_ref()
                .map_or_else(|(_, bytes)| *bytes, |()| piece.len());
            done += bytes;
            if let Err((error, _)) = result {
                self.is_torn = done > 0 && lines[done - 1] != b'\n';
                return Err((error, done));
            }
        }
        Ok(())
    }

    fn write_all(&self, piece: &[u8], wrote: &impl Fn()) -> Result<(), (io::Error, usize)> {
        let mut done = 0;
        while done < piece.len() {
            match (&self.file).write(&piece[done..]) {
                Ok(0) => return Err((ErrorKind::WriteZero.into(), done)),
                Ok(bytes) => {
                    done += bytes;
                    wrote();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another process that shares the stream has made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(RETRY_AFTER);
                }
                Err(error) => return Err((error, done)),
            }
        }
        Ok(())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to.fmt(f)
    }
}

/// The whole lines at the beginning of a text that fit into `size_max` bytes; one line, if that is longer.
fn whole_lines(text: &[u8], size_max: usize) -> &[u8] {
    if text.len() <= size_max {
        return text;
    }
    let end = memchr::memrchr(b'\n', &text[..size_max]);
    let end = end.or_else(|| memchr::memchr(b'\n', text));
    &text[..end.map_or(text.len(), |end| end + 1)]
}

/// Opens a stream without the locks of [`io::Stdout`] and [`io::Stderr`], which a blocked write would hold.
fn open(to: &LogTarget) -> io::Result<File> {
    let fd = match to {
        LogTarget::Stdout => io::stdout().as_fd().try_clone_to_owned()?,
        LogTarget::Stderr => io::stderr().as_fd().try_clone_to_owned()?,
        LogTarget::File(path) => return open_file(path),
    };
    Ok(File::from(fd))
}

fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640);
    // A named pipe without a reader would block an opening for writing alone.
    let is_pipe = path.metadata().is_ok_and(|it| it.file_type().is_fifo());
    options.read(is_pipe);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_ends_with_a_line() {
        let text = b"one\ntwo\nthree\n";
        assert_eq!(whole_lines(text, 100), text);
        assert_eq!(whole_lines(text, 9), b"one\ntwo\n");
        assert_eq!(whole_lines(text, 4), b"one\n");
        assert_eq!(whole_lines(&text[8..], 2), b"three\n");
    }

    #[test]
    fn a_line_after_a_torn_one_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut target = Target::open(&LogTarget::File(path.clone())).unwrap();
        target.write(b"{\"a\":", || ()).unwrap();
        target.is_torn = true;
        target.write(b"{}\n", || ()).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "{\"a\":\n{}\n");
    }
}
