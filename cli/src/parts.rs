//! What front ends and workers are wired of: the same store, claims and broker for both.

use std::sync::Arc;

use imgflo_cache::{
    Claims, IndexOptions, IndexedStore, LocalClaims, LocalStore, RedisClaims, RedisLink, S3Store, Store,
};
use imgflo_job::key::Keeping;
use imgflo_msgflo::{InProcess, Transport, connect_with};
use imgflo_runtime::{COperations, Catalogue, Library, NativeEngine};
use imgflo_server::Report;
use imgflo_worker::{FetchSettings, Worker, WorkerParts};
use serde_json::json;

use crate::catalogue::{self, operations};
use crate::settings::Settings;
use crate::{Failure, isolated, version};

/// What our keys in Redis begin with.
pub const REDIS_PREFIX: &str = "imgflo_";

/// The services that front ends and workers share.
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub claims: Arc<dyn Claims>,
    pub transport: Arc<dyn Transport>,
    pub catalogue: Arc<Catalogue>,
    /// Operations in C, where there may be any.
    pub operations: Option<Arc<COperations>>,
    redis: Option<Arc<RedisLink>>,
}

impl Parts {
    /// Opens them. A service that is away is no failure: it is tried again when it is needed.
    pub async fn open(settings: &Settings, name: &str) -> Result<Parts, Failure> {
        let redis = settings.redis.as_deref().map(RedisLink::open).transpose();
        let redis = redis.map_err(|error| vec![error.to_string()])?;
        let mut store: Arc<dyn Store> = match &settings.s3 {
            Some(options) => {
                let store = S3Store::open(options.clone()).await.map_err(|error| vec![error.to_string()])?;
                let spool = settings.data_dir.join("spool");
                Arc::new(
                    store
                        .with_cache_control(|key| Keeping::of(key).cache_control())
                        .with_spool(spool, settings.cache_bytes),
                )
            }
            None => {
                if settings.broker.is_some() {
                    tracing::warn!(
                        folder = %settings.data_dir.display(),
                        "results are kept in a folder, which all front ends and workers must share; set IMGFLO_S3_BUCKET where they are on several machines"
                    );
                }
                let store = LocalStore::open(&settings.data_dir.join("cache"), settings.cache_bytes);
                Arc::new(store.map_err(|error| vec![format!("{}: {error}", settings.data_dir.display())])?)
            }
        };
        let mut claims: Arc<dyn Claims> = Arc::new(LocalClaims::default());
        if let Some(link) = &redis {
            // A folder on a disk is asked as quickly as Redis, and is right also when blobs go: evicted, or lost with the
            // power.
            if settings.s3.is_some() {
                let options = IndexOptions { ttl: settings.redis_ttl, ..IndexOptions::default() };
                store = Arc::new(IndexedStore::new(Arc::clone(link), store, options));
            }
            claims = Arc::new(RedisClaims::new(Arc::clone(link), REDIS_PREFIX));
        }
        let transport: Arc<dyn Transport> = match &settings.broker {
            Some(url) => {
                if !settings.fleet_secrets.refuses() {
                    tracing::warn!(
                        "messages are not checked: whoever may use the broker can have images made; set IMGFLO_FLEET_SECRET to the same secret for all front ends and workers"
                    );
                }
                connect_with(url, name, settings.broker_timeout).await.map_err(|error| vec![error.to_string()])?
            }
            None => InProcess::new(),
        };
        let mut catalogue = catalogue::of(settings);
        let mut c = None;
        let code = settings.edit.as_ref().is_some_and(|edit| edit.code);
        if settings.ops.is_some() || settings.live_secret.is_some() || code {
            let tell = |fault: &str| tracing::warn!("{fault}");
            let loaded = operations(settings.ops.as_deref(), &settings.children, settings.gegl_gpl, tell)?;
            catalogue = catalogue.with_c(Arc::clone(&loaded));
            c = Some(loaded);
        }
        Ok(Parts { store, claims, transport, catalogue: Arc::new(catalogue), operations: c, redis })
    }

    /// What `/readyz` tells of them beside the broker and the store.
    pub fn reports(&self) -> Vec<(&'static str, Report)> {
        let Some(link) = self.redis.clone() else { return Vec::new() };
        let redis: Report = Box::new(move || json!({ "up": link.is_up(), "failures": link.failures() }));
        vec![("redis", redis)]
    }

    /// A worker of them. `library`: the graphs of jobs that hold none, if any are there.
    pub fn worker(&self, settings: &Settings, library: Option<Arc<Library>>) -> Worker {
        Worker::new(WorkerParts {
            store: Arc::clone(&self.store),
            claims: Arc::clone(&self.claims),
            catalogue: Arc::clone(&self.catalogue),
            engine: Arc::new(NativeEngine::new(settings.workers)),
            limits: settings.limits.clone(),
            fetch: FetchSettings {
                allow_addresses: settings.allow_addresses.clone(),
                user_agent: format!("imgflo/{}", version::short()),
            },
            files: settings.files.clone(),
            library,
            // In one process nobody else could do a job: one more fetches its input or stores its result while others
            // render.
            slots: settings.workers + usize::from(settings.broker.is_none()),
            memory_budget: settings.memory_bytes,
            quality: settings.quality,
            background: settings.background,
            accept_cut: settings.accept_cut_inputs,
            secrets: settings.fleet_secrets.clone(),
            isolation: settings.broker.is_some().then(isolated::command),
        })
    }
}
