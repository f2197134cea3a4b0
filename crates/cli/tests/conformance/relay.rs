//! Relays between plain sockets and TLS, so that what speaks raw bytes meets a gateway over TLS.
//!
//! A relay changes nothing but the wrapping: the end of one side's bytes is `close_notify` and a FIN on the other, and a
//! reset stays a reset.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::tls::trusting;

/// An address whose plain bytes go to a server over TLS, and back, until the process ends.
pub fn to_tls(server: SocketAddr, trusted: &CertifiedKey<KeyPair>) -> SocketAddr {
    let connector = TlsConnector::from(trusting(trusted));
    serve(move |plain| {
        let connector = connector.clone();
        async move {
            let tcp = connected(server).await?;
            let name = "localhost".try_into().expect("a name");
            let secured = connector.connect(name, tcp).await?;
            carry(plain, secured, |secured| secured.get_ref().0).await
        }
    })
}

/// An address that speaks TLS, whose bytes go to a plain server, and back, until the process ends.
pub fn to_plain(server: SocketAddr, own: &CertifiedKey<KeyPair>) -> SocketAddr {
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], PrivateKeyDer::from(key));
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("a certificate")));
    serve(move |tcp| {
        let acceptor = acceptor.clone();
        async move {
            let secured = acceptor.accept(tcp).await?;
            let plain = connected(server).await?;
            carry(plain, secured, |secured| secured.get_ref().0).await
        }
    })
}

async fn connected(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Carries bytes both ways; an error of one side resets both.
async fn carry<S: AsyncRead + AsyncWrite + Unpin>(
    mut plain: TcpStream,
    mut secured: S,
    tcp: impl Fn(&S) -> &TcpStream,
) -> io::Result<()> {
    let carried = tokio::io::copy_bidirectional(&mut plain, &mut secured).await;
    if carried.is_err() {
        for stream in [&plain, tcp(&secured)] {
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
        }
    }
    carried.map(drop)
}

/// Gives every connection to a new address to `relay`, on a thread of its own.
fn serve<F>(relay: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.set_nonblocking(true).expect("a socket's option");
    let addr = socket.local_addr().expect("a bound socket has an address");
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let socket = TcpListener::from_std(socket).expect("a socket");
            while let Ok((stream, _)) = socket.accept().await {
                stream.set_nodelay(true).ok();
                tokio::spawn(relay(stream));
            }
        });
    });
    addr
}
