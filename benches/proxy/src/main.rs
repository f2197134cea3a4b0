//! The two proxies that the gateway is measured against, each of one thread: `hyper`, which joins hyper's server and
//! client and changes nothing, and `pump`, which copies bytes and reads none. What the gateway costs beyond the first is
//! ours; the second is the floor of any proxy on the machine.
//!
//! `fusebox-bench-proxy hyper|pump PORT ORIGIN`, both on 127.0.0.1; ends when it is killed.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

/// The idle connections to the origin.
type Idle = Rc<RefCell<Vec<SendRequest<Incoming>>>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, port, origin] = arguments.as_slice() else {
        bail!("usage: fusebox-bench-proxy hyper|pump PORT ORIGIN_PORT");
    };
    let local = |port: &str| {
        let port: u16 = port.parse().with_context(|| format!("no port: {port}"))?;
        Ok::<_, anyhow::Error>(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    };
    let (near, origin) = (local(port)?, local(origin)?);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_io().build()?;
    match kind.as_str() {
        "hyper" => LocalSet::new().block_on(&runtime, forward(near, origin)),
        "pump" => LocalSet::new().block_on(&runtime, pump(near, origin)),
        other => bail!("unknown proxy \"{other}\"; expected hyper or pump"),
    }
}

/// Serves each connection by hyper, and each request by hyper's client on an idle connection or a new one.
async fn forward(near: SocketAddr, origin: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(near).await?;
    let idle = Idle::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let idle = idle.clone();
        let service = service_fn(move |request| pass_on(request, origin, idle.clone()));
        let connection = server::Builder::new().serve_connection(TokioIo::new(stream), service);
        spawn_local(connection);
    }
}

async fn pass_on(
    request: Request<Incoming>,
    origin: SocketAddr,
    idle: Idle,
) -> Result<Response<Incoming>> {
    let mut sender = loop {
        let kept = idle.borrow_mut().pop();
        match kept {
            Some(sender) if sender.is_ready() => break sender,
            // The one that was used last is first here: its task may have a byte to read still.
            Some(mut sender) => {
                if sender.ready().await.is_ok() {
                    break sender;
                }
            }
            None => {
                let stream = TcpStream::connect(origin).await?;
                stream.set_nodelay(true)?;
                let (sender, connection) = client::handshake(TokioIo::new(stream)).await?;
                spawn_local(connection);
                break sender;
            }
        }
    };
    let response = sender.send_request(request).await?;
    idle.borrow_mut().push(sender);
    Ok(response)
}

/// Joins each connection to one of its own to the origin.
async fn pump(near: SocketAddr, origin: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(near).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        spawn_local(async move {
            let mut far = TcpStream::connect(origin).await?;
            stream.set_nodelay(true)?;
            far.set_nodelay(true)?;
            tokio::io::copy_bidirectional(&mut stream, &mut far).await
        });
    }
}
