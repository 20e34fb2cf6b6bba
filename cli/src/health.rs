//! `imgflo health`: asks a server how it is, for health checks of containers without another program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

use crate::{Failure, network};

/// Longest time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(4);

pub fn command() -> Command {
    Command::new("health")
        .about("Asks a server on this machine how it is: exits with 0 if it is well, else with 1")
        .after_help("Example, in a Dockerfile: HEALTHCHECK CMD [\"imgflo\", \"health\"]")
        .arg(
            Arg::new("ready")
                .long("ready")
                .action(ArgAction::SetTrue)
                .help("Asks whether it can serve requests (/readyz), not only whether it answers (/healthz)"),
        )
        .arg(
            Arg::new("bind")
                .long("bind")
                .env("IMGFLO_BIND")
                .value_name("ADDRESS")
                .value_parser(address)
                .help("Address and port that the server listens on, as of `imgflo serve` [default: 127.0.0.1:$PORT, or port 8080]"),
        )
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let address = text.replace("localhost:", "127.0.0.1:").parse::<SocketAddr>();
    address.map_err(|_| format!("must be an address and port (127.0.0.1:8080, [::1]:8080), got '{text}'"))
}

/// Returns the address at which this machine reaches what listens on `bind`.
pub fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bind.port())
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let bind = match (matches.get_one::<SocketAddr>("bind"), std::env::var("PORT").ok().filter(|port| !port.is_empty()))
    {
        (Some(bind), _) => *bind,
        (None, None) => SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
        (None, Some(port)) => {
            let number = port.parse::<u16>().map_err(|_| vec![format!("PORT: must be a port, got '{port}'")])?;
            SocketAddr::from((Ipv4Addr::LOCALHOST, number))
        }
    };
    let path = if matches.get_flag("ready") { "readyz" } else { "healthz" };
    let url = format!("http://{}/{path}", reachable(bind));
    network::block_on(async {
        let (status, body) = ask(&url).await.map_err(|error| vec![format!("{url}: {error}")])?;
        if status != 200 {
            return Err(vec![format!("{url}: {status}: {}", reasons(&body))]);
        }
        outln!("{url}: ok");
        Ok(())
    })
}

async fn ask(url: &str) -> Result<(u16, String), String> {
    let told = |error: reqwest::Error| {
        // The outermost text names the address only.
        let cause = std::iter::successors(std::error::Error::source(&error), |error| error.source()).last();
        cause.map_or_else(|| error.to_string(), ToString::to_string)
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().map_err(told)?;
    let answer = client.get(url).send().await.map_err(told)?;
    Ok((answer.status().as_u16(), answer.text().await.map_err(told)?))
}

/// The reasons in an answer of `/readyz`, or the answer's first line.
fn reasons(body: &str) -> String {
    let answer: Option<Value> = serde_json::from_str(body).ok();
    let reasons = answer.as_ref().and_then(|answer| answer["reasons"].as_array());
    let reasons = reasons.map(|reasons| reasons.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "));
    reasons.unwrap_or_else(|| body.lines().next().unwrap_or_default().chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_reached_on_loopback() {
        for (bind, at) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("127.0.0.2:1", "127.0.0.2:1"),
            ("10.1.2.3:8080", "10.1.2.3:8080"),
        ] {
            assert_eq!(reachable(bind.parse().unwrap()).to_string(), at);
        }
    }

    #[test]
    fn reasons_are_one_line() {
        assert_eq!(reasons(r#"{"ready": false, "reasons": ["a", "b"]}"#), "a; b");
        assert_eq!(reasons("<html>\nno"), "<html>");
        assert_eq!(reasons(""), "");
    }
}
