//! What the scheduler says of its cluster, over the HTTP side of its port.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::Address;
use super::tls::Tls;
use crate::error::ClusterError;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Executors and jobs.
pub async fn look(scheduler: &Address, tls: Option<&Tls>) -> Result<Value, ClusterError> {
    let executors = ask(scheduler, tls, "/api/executors").await?;
    let jobs = ask(scheduler, tls, "/api/jobs").await?;
    let slots = slots(&executors);
    Ok(json!({ "scheduler": scheduler.to_string(), "slots": slots, "executors": executors, "jobs": jobs }))
}

/// Tasks that all executors run at a time.
pub async fn count_slots(scheduler: &Address, tls: Option<&Tls>) -> Result<usize, ClusterError> {
    Ok(slots(&ask(scheduler, tls, "/api/executors").await?))
}

fn slots(executors: &Value) -> usize {
    let of = |executor: &Value| executor["specification"]["task_slots"].as_u64().unwrap_or(0) as usize;
    executors.as_array().map_or(0, |executors| executors.iter().map(of).sum())
}

async fn ask(scheduler: &Address, tls: Option<&Tls>, path: &str) -> Result<Value, ClusterError> {
    let address = scheduler.to_string();
    let work = async {
        let body = match tls {
            Some(tls) => body(tls.connect(scheduler).await?, &address, path).await?,
            None => body(TcpStream::connect(&address).await?, &address, path).await?,
        };
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(serde_json::from_slice(&body)?)
    };
    let answer = tokio::time::timeout(PATIENCE, work).await;
    let problem = match answer {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    Err(ClusterError::Unreachable { address, problem })
}

async fn body<S>(stream: S, host: &str, path: &str) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", host).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if !response.status().is_success() {
        return Err(format!("{path}: {}", response.status()).into());
    }
    Ok(response.into_body().collect().await?.to_bytes())
}
