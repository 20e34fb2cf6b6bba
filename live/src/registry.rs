//! A registry of runtimes, such as Flowhub's, where editors find this one.

use std::time::Duration;

use reqwest::Client;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often the registry is told that the runtime is there.
const PERIOD: Duration = Duration::from_secs(600);
/// Time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is told of a runtime.
#[derive(Clone)]
pub struct Entry {
    /// Address of the registry: `http://api.flowhub.io`.
    pub registry: String,
    /// Whose runtime it is.
    pub user: String,
    /// Tells it from others.
    pub id: Uuid,
    /// Name for people.
    pub label: String,
    /// What editors connect to: `ws://host:port`.
    pub address: String,
    /// What they give; empty where nothing is asked for.
    pub secret: String,
}

/// Announces a runtime until `shutdown`. A registry that does not answer is tried again.
pub async fn announce(entry: Entry, shutdown: CancellationToken) {
    // Set up once a process; later calls find it in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = match Client::builder().timeout(PATIENCE).build() {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "the runtime cannot be announced"),
    };
    let mut known = false;
    loop {
        let told = if known { alive(&client, &entry).await } else { register(&client, &entry).await };
        match told {
            Ok(()) => {
                if !known {
                    tracing::info!(id = %entry.id, registry = entry.registry, "the runtime is announced");
                }
                known = true;
            }
            Err(error) => tracing::warn!(%error, "the registry was not told of the runtime"),
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

fn url(entry: &Entry) -> String {
    format!("{}/runtimes/{}", entry.registry, entry.id)
}

async fn register(client: &Client, entry: &Entry) -> Result<(), reqwest::Error> {
    let body = json!({
        "type": "imgflo",
        "protocol": "websocket",
        "user": entry.user,
        "id": entry.id.to_string(),
        "secret": entry.secret,
        "label": entry.label,
        "address": entry.address,
    });
    let request = client.put(url(entry)).header("content-type", "application/json").body(body.to_string());
    request.send().await?.error_for_status()?;
    alive(client, entry).await
}

async fn alive(client: &Client, entry: &Entry) -> Result<(), reqwest::Error> {
    let request = client.post(url(entry)).header("content-type", "application/json").body("{}");
    request.send().await?.error_for_status().map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::http::{Method, StatusCode, Uri};

    use super::*;

    #[tokio::test]
    async fn a_runtime_is_announced_and_again_after_a_failure() {
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&heard);
        let registry = Router::new().fallback(move |method: Method, uri: Uri, body: String| {
            noted.lock().expect("no panic").push(format!("{method} {} {body}", uri.path()));
            async { StatusCode::OK }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, registry).await });
        let entry = Entry {
            registry: format!("http://{address}"),
            user: "u".into(),
            id: Uuid::nil(),
            label: "l".into(),
            address: "ws://h:1".into(),
            secret: "s".into(),
        };
        let shutdown = CancellationToken::new();
        let announcing = tokio::spawn(announce(entry, shutdown.clone()));
        for _ in 0..500 {
            if heard.lock().expect("no panic").len() >= 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        shutdown.cancel();
        announcing.await.expect("it ends");
        let heard = heard.lock().expect("no panic").clone();
        let path = "/runtimes/00000000-0000-0000-0000-000000000000";
        assert!(heard[0].starts_with(&format!("PUT {path} ")) && heard[0].contains(r#""user":"u""#), "{heard:?}");
        assert_eq!(heard[1], format!("POST {path} {{}}"));
    }
}
