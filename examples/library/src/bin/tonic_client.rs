//! A tonic client behind a breaker. It asks a health service, because that needs no code to be generated.
//!
//! Only statuses that speak of the server are failures; `NOT_FOUND` is the caller's own affair.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fusebox_breaker::{CallError, Cooldown, Guard, Outcome, Settings};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

fn judge(result: &Result<Response<HealthCheckResponse>, Status>) -> Outcome {
    match result.as_ref().map_err(Status::code) {
        Ok(_) => Outcome::Success,
        Err(
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Unknown
            | Code::DataLoss,
        ) => Outcome::Failure,
        Err(_) => Outcome::Ignored,
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let broken = Arc::new(AtomicBool::new(false));
    let address = serve(broken.clone()).await?;
    let channel = Endpoint::from_shared(address)?
        .timeout(Duration::from_secs(1))
        .connect_lazy();
    let health = HealthClient::new(channel);
    let settings = Settings {
        cooldown: Cooldown::fixed(Duration::from_millis(200)),
        ..Settings::default()
    };
    let guard = Guard::new("health", settings)?.classifier(judge);

    for (phase, is_broken) in [("well", false), ("broken", true), ("mended", false)] {
        broken.store(is_broken, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(250)).await;
        for service in ["", "", "", "unknown", "", "", ""] {
            // A clone of the client shares its connections.
            let mut health = health.clone();
            let question = HealthCheckRequest {
                service: service.into(),
            };
            let answer = guard
                .call_async(|| async move { health.check(question).await })
                .await;
            match answer {
                Ok(answer) => println!("{phase}: {:?}", answer.get_ref().status()),
                Err(CallError::Failed(status)) => println!("{phase}: {:?}", status.code()),
                Err(CallError::Rejected(rejection)) => println!("{phase}: not asked: {rejection}"),
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
