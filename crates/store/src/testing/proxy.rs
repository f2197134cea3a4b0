//! A way to a server that can be slow, cut, or swallow what is said.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Passes connections on to a server, and harms them as it is told.
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
    /// A way to the server at this port of this machine.
    ///
    /// # Panics
    /// If it can listen nowhere.
    pub fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("the address just bound");
        let harm = Arc::new(Mutex::new(Harm::default()));
        let shared = harm.clone();
        // Ends with the process: a test's, which is short.
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

    /// The URL of the way.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Holds back everything, in both directions, by this much.
    pub fn delay(&self, by: Duration) {
        lock(&self.harm).delay = by;
    }

    /// Reads everything and passes nothing on, as a line that was cut without a word.
    pub fn swallow(&self, yes: bool) {
        lock(&self.harm).swallows = yes;
    }

    /// Ends all connections, and every new one at once.
    pub fn refuse(&self, yes: bool) {
        let mut harm = lock(&self.harm);
        harm.refuses = yes;
        for stream in harm.open.drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn lock(harm: &Mutex<Harm>) -> MutexGuard<'_, Harm> {
    harm.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes on in one direction until either side ends.
fn pass(harm: &Arc<Mutex<Harm>>, from: &TcpStream, to: &TcpStream) {
    let mut from = from.try_clone().expect("a second handle on a socket");
    let mut to = to.try_clone().expect("a second handle on a socket");
    let harm = harm.clone();
    thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let (delay, swallows) = {
                let harm = lock(&harm);
                (harm.delay, harm.swallows)
            };
            if swallows {
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
