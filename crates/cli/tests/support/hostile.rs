//! Clients that mean ill, and an upstream that never fails of its own before them.
//!
//! A sequence is what one client does on one connection: mutations of well-formed requests, cut into
//! pieces, with half-closes, resets and clients that do not read. It is made from its number alone, so
//! that one that fails can be played again.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::upstream::Call;

/// An upstream that does everything that a good one may do, by the first letter of the path: it
/// answers early, ends its connections, and loses patience with those who do not send or read.
pub fn well(call: &mut Call) {
    let path = call.seen.target.clone();
    let impatient = Duration::from_millis(150);
    if call.seen.method == "HEAD" {
        // Bytes behind such an answer would be its own fault.
        return call.respond(200, "answered");
    }
    match path.as_bytes().get(1) {
        Some(b'a') => call.respond(200, "answered"),
        Some(b'b') => {
            call.body();
            call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n");
        }
        Some(b'c') => {
            call.body();
            call.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end");
            call.close();
        }
        Some(b'd') => call.respond(404, "nothing"),
        // Refuses from the head, and closes under the upload.
        Some(b'e') => {
            call.send(
                "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge",
            );
            call.close();
        }
        // Waits for a body only so long.
        Some(b'f') => {
            call.wire().socket().set_read_timeout(Some(impatient)).ok();
            let whole = {
                let fields = call.seen.fields.clone();
                call.wire().read_body(&fields, false).is_ok()
            };
            if whole {
                call.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            } else {
                call.close();
            }
        }
        // Waits for a reader only so long.
        Some(b'g') => {
            call.body();
            call.wire().socket().set_write_timeout(Some(impatient)).ok();
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n");
            let block = vec![b'x'; 100_000];
            if !(0..300).all(|_| call.send(&block)) {
                call.close();
            }
        }
        // Sends back what it was asked for, in a field too long for us.
        Some(b'l') => {
            let long = "l".repeat(200_000);
            call.send(format!(
                "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /{long}\r\n\r\n"
            ));
        }
        // Keeps its connections for one answer each, without a word.
        Some(b'h') => {
            call.respond(200, "last");
            call.close();
        }
        _ => call.respond(204, ""),
    }
}

/// A small generator of numbers: SplitMix64 (Steele, Lea, Flood, 2014).
pub struct Numbers(pub u64);

impl Numbers {
    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).expect("below a usize")
    }

    /// One of several.
    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// It reads until the gateway ends the connection, or for a moment.
    Reads,
    /// It closes its side and reads.
    HalfCloses,
    /// It closes without reading.
    Closes,
    /// It resets.
    Resets,
    /// It reads nothing for a while, then all.
    Stalls,
}

/// What one client does on one connection.
pub struct Sequence {
    /// What it is made from.
    pub number: u64,
    pieces: Vec<Vec<u8>>,
    leaving: Leaving,
}

impl std::fmt::Debug for Sequence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\n{} {:?}", self.number, self.leaving)?;
        for piece in &self.pieces {
            let text = piece.escape_ascii().to_string();
            // Bodies are many of the same byte.
            let text = text.replace(&"x".repeat(50), "…").replace("……", "");
            write!(f, "\n  {} bytes: {}", piece.len(), text)?;
        }
        Ok(())
    }
}

impl Sequence {
    /// The sequence of a number.
    pub fn of(number: u64) -> Sequence {
        let mut numbers = Numbers(number);
        let mut bytes = Vec::new();
        for _ in 0..=numbers.below(3) {
            bytes.extend(request(&mut numbers));
        }
        for _ in 0..numbers.below(5) {
            mutate(&mut bytes, &mut numbers);
        }
        let mut pieces = Vec::new();
        let count = 1 + numbers.below(4);
        for at in 0..count {
            let size = bytes.len() / (count - at);
            let rest = bytes.split_off(size.min(bytes.len()));
            pieces.push(std::mem::replace(&mut bytes, rest));
        }
        let leaving = *numbers.one_of(&[
            Leaving::Reads,
            Leaving::Reads,
            Leaving::HalfCloses,
            Leaving::Closes,
            Leaving::Resets,
            Leaving::Stalls,
        ]);
        Sequence {
            number,
            pieces,
            leaving,
        }
    }
}

/// A well-formed request.
fn request(numbers: &mut Numbers) -> Vec<u8> {
    let method = numbers.one_of(&["GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH"]);
    let path = *numbers.one_of(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "l"]);
    let fields = numbers.one_of(&[
        "",
        "Connection: close\r\n",
        "TE: trailers\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
        "Cookie: a=b\r\nX-Request-Id: 1\r\n",
    ]);
    let size = *numbers.one_of(&[0, 5, 300, 70_000, 400_000]);
    let body = vec![b'x'; size];
    let head = format!("{method} /{path} HTTP/1.1\r\nHost: gateway.test\r\n{fields}");
    match numbers.below(4) {
        0 => [head.as_bytes(), b"\r\n"].concat(),
        1 => [
            format!("{head}Content-Length: {size}\r\n\r\n").as_bytes(),
            &body,
        ]
        .concat(),
        2 => [
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n").as_bytes(),
            &body,
            if size > 0 { b"\r\n0\r\n\r\n" } else { b"\r\n" },
        ]
        .concat(),
        _ => [
            format!("{head}Content-Length: {size}\r\nExpect: 100-continue\r\n\r\n").as_bytes(),
            &body,
        ]
        .concat(),
    }
}

/// Changes bytes as a broken or a hostile client would.
fn mutate(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    if bytes.is_empty() {
        return;
    }
    // Mostly in the heads, where a byte means most.
    let reach = if numbers.below(3) > 0 {
        bytes.len().min(200)
    } else {
        bytes.len()
    };
    let at = numbers.below(reach);
    let end = (at + 1 + numbers.below(40)).min(bytes.len());
    match numbers.below(7) {
        0 => bytes[at] = u8::try_from(numbers.below(256)).expect("a byte"),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        3 => bytes.truncate(at),
        4 => {
            let token = *numbers.one_of(&[
                &b"\r\n"[..],
                b"\0",
                b"Content-Length: 5\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"0\r\n\r\n",
                b" ",
                b"Host: other\r\n",
                b"ffffffff\r\n",
                b"\xff",
                b"HTTP/1.0",
                b"%",
                b"//",
            ]);
            bytes.splice(at..at, token.iter().copied());
        }
        5 => bytes[at..end].reverse(),
        _ => bytes[at..end].make_ascii_uppercase(),
    }
}

/// Plays a sequence; whatever happens to it is the client's own affair.
pub fn play(addr: SocketAddr, sequence: &Sequence) {
    let Ok(mut socket) = TcpStream::connect(addr) else {
        panic!("sequence {}: the gateway does not listen", sequence.number);
    };
    socket.set_nodelay(true).ok();
    socket
        .set_write_timeout(Some(Duration::from_millis(300)))
        .ok();
    socket
        .set_read_timeout(Some(Duration::from_millis(40)))
        .ok();
    let mut scrap = vec![0; 64 * 1024];
    for piece in &sequence.pieces {
        if socket.write_all(piece).is_err() {
            break;
        }
        // A moment between the pieces, in which an answer may begin.
        if !matches!(sequence.leaving, Leaving::Stalls) {
            socket.set_read_timeout(Some(Duration::from_millis(3))).ok();
            drain_once(&mut socket, &mut scrap);
        }
    }
    match sequence.leaving {
        Leaving::Reads => drain(&mut socket, &mut scrap),
        Leaving::HalfCloses => {
            socket.shutdown(Shutdown::Write).ok();
            drain(&mut socket, &mut scrap);
        }
        Leaving::Closes => {}
        Leaving::Resets => {
            let socket = socket2::SockRef::from(&socket);
            socket.set_linger(Some(Duration::ZERO)).ok();
        }
        Leaving::Stalls => {
            // Longer than the upstream waits for a reader.
            std::thread::sleep(Duration::from_millis(400));
            drain(&mut socket, &mut scrap);
        }
    }
}

/// Reads what is there now, if anything is.
fn drain_once(socket: &mut TcpStream, scrap: &mut [u8]) -> usize {
    socket.read(scrap).unwrap_or_default()
}

fn drain(socket: &mut TcpStream, scrap: &mut [u8]) {
    socket
        .set_read_timeout(Some(Duration::from_millis(60)))
        .ok();
    while drain_once(socket, scrap) > 0 {}
}
