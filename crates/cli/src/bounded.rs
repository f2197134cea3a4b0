//! Reads files whole, but never endless ones: at most so many bytes, and from a pipe or a device not for ever.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// How long a pipe or a device may take to give all that it has.
const TIME_MAX: Duration = Duration::from_secs(5);

/// All bytes of a file, if there are at most `max`.
///
/// # Errors
/// What the system says; a directory; more than `max` bytes; a pipe or a device that does not come to its end in time.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        let why = "it is a directory; name a file in it";
        return Err(io::Error::new(ErrorKind::IsADirectory, why));
    }
    if kind.is_file() {
        return up_to(File::open(path)?, max);
    }
    // To open a pipe waits for its other end, and so does to read it; whoever waits here can give up.
    let (sender, read) = mpsc::channel();
    let path = path.to_owned();
    std::thread::Builder::new()
        .name("fusebox-read".into())
        .spawn(move || {
            let bytes = File::open(path).and_then(|file| up_to(file, max));
            sender.send(bytes).ok();
        })?;
    read.recv_timeout(TIME_MAX).unwrap_or_else(|_| {
        let why = format!("it is no ordinary file, and its end did not come within {TIME_MAX:?}");
        Err(io::Error::new(ErrorKind::TimedOut, why))
    })
}

/// The text of a file, as [`read`] reads it.
///
/// # Errors
/// As [`read`]; text that is not UTF-8.
pub fn text(path: &Path, max: u64) -> io::Result<String> {
    utf8(read(path, max)?)
}

/// The text of a file, or of standard input where the path is `-`.
///
/// # Errors
/// As [`text`].
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
        let why = format!("it is too large: such a file has at most {max} bytes");
        return Err(io::Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

fn utf8(bytes: Vec<u8>) -> io::Result<String> {
    let no_text = |_| io::Error::new(ErrorKind::InvalidData, "it is no text in UTF-8");
    String::from_utf8(bytes).map_err(no_text)
}
