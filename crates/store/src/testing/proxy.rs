//! A TCP proxy in front of a server, which can delay, drop or refuse traffic.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Forwards connections to a server, with configurable faults.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    harm: Arc<Mutex<Harm>>,
}

#[derive(Debug, Default)]
struct Harm {
    delay: Duration,
    swallows: bool,
    open: Vec<TcpStream>,
    refuses: bool,
}

impl Proxy {
    /// Starts a proxy in front of the server at this local port.
    ///
    /// # Panics
    /// If no port is free to listen on.
    pub fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("the address just bound");
        let harm = Arc::new(Mutex::new(Harm::default()));
        let shared = harm.clone();
        // The thread ends with the process, which is a short-lived test.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if lock(&shared).refuses {
                    continue;
                }
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
                    continue;
                };
                pass(&shared, &client, &server);
                pass(&shared, &server, &client);
                lock(&shared).open.extend([client, server]);
            }
        });
        Proxy { address, harm }
    }

    /// The proxy's own URL.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Delays all traffic, in both directions, by this duration.
    pub fn delay(&self, by: Duration) {
        lock(&self.harm).delay = by;
    }

    /// Reads all traffic but forwards nothing, like a line that was cut silently. A direction that has lost bytes so
    /// forwards nothing ever after, since TCP never skips bytes; other connections work again after `false`.
    pub fn swallow(&self, yes: bool) {
        lock(&self.harm).swallows = yes;
    }

    /// Closes all connections, and each new one at once.
    pub fn refuse(&self, yes: bool) {
        let mut harm = lock(&self.harm);
        harm.refuses = yes;
        for stream in harm.open.drain(..) {
            // The connection may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn lock(harm: &Mutex<Harm>) -> MutexGuard<'_, Harm> {
    harm.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forwards traffic in one direction until either side closes.
fn pass(harm: &Arc<Mutex<Harm>>, from: &TcpStream, to: &TcpStream) {
    let mut from = from.try_clone().expect("a second handle on a socket");
    let mut to = to.try_clone().expect("a second handle on a socket");
    let harm = harm.clone();
    thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        let mut lost = false;
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let (delay, swallows) = {
                let harm = lock(&harm);
                (harm.delay, harm.swallows)
            };
            lost |= swallows;
            if lost {
                continue;
            }
            thread::sleep(delay);
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
