//! A tonic client behind a breaker. It asks a health service, because that needs no code to be generated.
//!
//! The layer reads `grpc-status`: only statuses that speak of the server are failures, such as `UNAVAILABLE`; `NOT_FOUND`
//! is the caller's own affair.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fusebox_breaker::{BreakerHttpLayer, Cooldown, Guard, Refused, Settings};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let broken = Arc::new(AtomicBool::new(false));
    let address = serve(broken.clone()).await?;
    let channel = Endpoint::from_shared(address)?
        .timeout(Duration::from_secs(1))
        .connect_lazy();
    let settings = Settings {
        cooldown: Cooldown::fixed(Duration::from_millis(200)),
        ..Settings::default()
    };
    let layer = BreakerHttpLayer::new(Guard::new("health", settings)?);
    let mut health = HealthClient::new(ServiceBuilder::new().layer(layer).service(channel));

    for (phase, is_broken) in [("well", false), ("broken", true), ("mended", false)] {
        broken.store(is_broken, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(250)).await;
        for service in ["", "", "", "unknown", "", "", ""] {
            let question = HealthCheckRequest {
                service: service.into(),
            };
            match health.check(question).await {
                Ok(answer) => println!("{phase}: {:?}", answer.get_ref().status()),
                Err(status) => match Refused::find_in(&status) {
                    Some(refused) => println!("{phase}: not asked: {refused}"),
                    None => println!("{phase}: {:?}", status.code()),
                },
            }
        }
    }
    Ok(())
}

/// A health service that can be broken.
async fn serve(broken: Arc<AtomicBool>) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let (_, health) = tonic_health::server::health_reporter();
    let check = move |request: Request<()>| match broken.load(Ordering::Relaxed) {
        true => Err(Status::unavailable("broken")),
        false => Ok(request),
    };
    let server = Server::builder()
        .layer(tonic::service::InterceptorLayer::new(check))
        .add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    Ok(address)
}
