//! The variables of the environment that are settings, and those that only look like some.

use std::collections::BTreeMap;

use imgflo_runtime::nearest;

use super::all;

/// The environment as the settings see it; tests give their own.
pub type Environment = BTreeMap<String, String>;

/// Begins the names of our own variables.
const PREFIX: &str = "IMGFLO_";
/// Variables of ours that are no settings of the server.
const OTHER_VARIABLES: &[&str] = &["IMGFLO_SERVER", "IMGFLO_BLESS", "IMGFLO_ALLOW_SLOW_JPEG"];
/// Prefix of the variables that the tests have for themselves.
const TESTS: &str = "IMGFLO_TEST_";

/// True for what the kubelet sets in each container for a Service whose name begins with `imgflo`: the links of Docker.
fn is_service_link(name: &str, value: &str) -> bool {
    const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return true;
    }
    // NAME_PORT=tcp://10.0.0.1:80
    let scheme = value.split_once("://").map(|(scheme, _)| scheme.to_uppercase());
    if name.ends_with("_PORT") && scheme.is_some_and(|scheme| PROTOCOLS.contains(&scheme.as_str())) {
        return true;
    }
    // NAME_PORT_80_TCP and what follows from it; NAME may hold the word, too.
    name.match_indices("_PORT").filter_map(|(at, word)| name[at + word.len()..].strip_prefix('_')).any(
        |rest| match rest.split('_').collect::<Vec<_>>().as_slice() {
            [port, protocol] | [port, protocol, "PROTO" | "PORT" | "ADDR"] => {
                is_number(port) && PROTOCOLS.contains(protocol)
            }
            _ => false,
        },
    )
}

/// Returns a fault for each variable that begins with `IMGFLO_` and is unknown.
pub fn unknown(environment: &Environment) -> Vec<String> {
    let known: Vec<String> = all().into_iter().flat_map(|s| s.variables).collect();
    environment
        .iter()
        .filter(|&(name, value)| {
            name.starts_with(PREFIX)
                && !name.starts_with(TESTS)
                && !known.contains(name)
                && !OTHER_VARIABLES.contains(&name.as_str())
                && !is_service_link(name, value)
        })
        .map(|(name, _)| {
            // The prefix that all have in common does not count as likeness.
            let own = name.strip_prefix(PREFIX).unwrap_or(name);
            let near = nearest(own, known.iter().filter_map(|known| known.strip_prefix(PREFIX)));
            let meant = near.map(|near| format!("; did you mean {PREFIX}{near}?"));
            format!("{name}: no such setting{}", meant.as_deref().unwrap_or("; `imgflo settings` lists all"))
        })
        .collect()
}
