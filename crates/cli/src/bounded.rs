//! Reads whole files within limits: a maximum size, and a time limit for pipes and devices.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// The time limit for reading a pipe or a device to its end.
const TIME_MAX: Duration = Duration::from_secs(5);

/// Reads all bytes of a file, at most `max`.
///
/// # Errors
/// An error of the system; a directory; more than `max` bytes; a pipe or a device that does not end in time.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        let why = "it is a directory; name a file in it";
        return Err(io::Error::new(ErrorKind::IsADirectory, why));
    }
    if kind.is_file() {
        return up_to(File::open(path)?, max);
    }
    // Opening and reading a pipe wait for its other end, so a separate thread does that and may be abandoned.
    let (sender, read) = mpsc::channel();
    let path = path.to_owned();
    std::thread::Builder::new()
        .name("fusebox-read".into())
        .spawn(move || {
            let bytes = File::open(path).and_then(|file| up_to(file, max));
            sender.send(bytes).ok();
        })?;
    read.recv_timeout(TIME_MAX).unwrap_or_else(|_| {
        let why = format!("it is not a regular file, and did not end within {TIME_MAX:?}");
        Err(io::Error::new(ErrorKind::TimedOut, why))
    })
}

/// Reads the text of a file like [`read`].
///
/// # Errors
/// As [`read`]; text that is not UTF-8.
pub fn text(path: &Path, max: u64) -> io::Result<String> {
    utf8(read(path, max)?)
}

/// Reads the text of a file, or of standard input if the path is `-`.
pub fn text_or_stdin(path: &Path, max: u64) -> io::Result<String> {
    if path == Path::new("-") {
        return utf8(up_to(io::stdin(), max)?);
    }
    text(path, max)
}

fn up_to(source: impl Read, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        let why = format!("it has more than the {max} bytes allowed for such a file");
        return Err(io::Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

fn utf8(bytes: Vec<u8>) -> io::Result<String> {
    let not_utf8 = |_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8 text");
    String::from_utf8(bytes).map_err(not_utf8)
}
