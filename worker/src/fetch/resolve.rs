//! Names to addresses, with the guard in between: whatever a name leads to, only guarded addresses are connected to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::{Guard, Refusal};

/// Looks up a host name.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Asks the system.
pub fn system() -> Lookup {
    Arc::new(|host| Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) }))
}

/// Why a name gave no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    /// The name leads to refused addresses only.
    #[error("{0}")]
    Refused(Refusal),
    /// The name is not known, or the name server did not answer.
    #[error("{0}")]
    Unknown(io::Error),
}

/// The resolver that the HTTP client asks before each connection.
pub(super) struct GuardedResolver {
    pub guard: Arc<Guard>,
    pub lookup: Lookup,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, found) = (Arc::clone(&self.guard), (self.lookup)(name.as_str().to_owned()));
        Box::pin(async move {
            let found = found.await.map_err(ResolveError::Unknown)?;
            let mut refused = None;
            let mut open = Vec::new();
            for address in found {
                match guard.check(address.ip()) {
                    Ok(()) => open.push(address),
                    Err(refusal) => refused = Some(refusal),
                }
            }
            if open.is_empty() {
                let none = || ResolveError::Unknown(io::Error::new(io::ErrorKind::NotFound, "no address"));
                return Err(refused.map_or_else(none, ResolveError::Refused).into());
            }
            Ok(Box::new(open.into_iter()) as Addrs)
        })
    }
}
