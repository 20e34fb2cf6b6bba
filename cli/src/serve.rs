//! `imgflo serve`: a front end; without a broker also queue and workers, in one process.

use std::sync::Arc;
use std::time::Duration;

use clap::{ArgMatches, Command};
use imgflo_apps::Directory;
use imgflo_runtime::{Catalogue, Library};
use imgflo_server::{Front, FrontParts, LiveCode, VersionInfo};
use imgflo_worker::Role;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::greeting::greet;
use crate::parts::Parts;
use crate::settings::{self, Settings};
use crate::{Failure, apps, isolated, limits, live_code, process, runtime, shipped, version};

/// How long the jobs at work may take to end after the last client has its answer; with the drain of the server this
/// is less than the 25 s after which platforms kill.
const DRAIN: Duration = Duration::from_secs(6);

pub fn command() -> Command {
    isolated::flag(settings::flags(
        Command::new("serve")
            .about("Serves images by URL; with no settings, on loopback and with nothing to set up")
            .after_help("Every setting is a flag and an environment variable; `imgflo settings` prints the table."),
        settings::Command::Serve,
    ))
}

pub fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let settings = settings::read(matches, &std::env::vars().collect(), settings::Command::Serve)?;
    let settings = shipped::settle(settings, settings::Command::Serve)?;
    if isolated::is_asked(matches) {
        return isolated::run(settings);
    }
    process::run(&settings, serve(&settings))
}

async fn serve(settings: &Settings) -> Result<(), Failure> {
    let parts = Parts::open(settings, "imgflo serve").await?;
    let live = live_code::open(settings, &parts.catalogue, parts.operations.as_ref())?;
    let library = load_library(settings, &parts.catalogue)?;
    let listener = TcpListener::bind(settings.bind)
        .await
        .map_err(|error| vec![format!("cannot listen on {}: {error}", settings.bind)])?;
    let bind = listener.local_addr().map_err(|error| vec![error.to_string()])?;

    let directory = apps::place(settings.database.as_deref(), &settings.data_dir);
    let directory = directory.map_err(|error| vec![error.to_string()])?;
    let directory = Directory::start(directory).await.map_err(|error| vec![error.to_string()])?;
    let directory = Arc::new(directory);

    let (shutdown, served) = (CancellationToken::new(), CancellationToken::new());
    let works = work(&parts, settings, Arc::clone(&library), served.clone());
    let front = Front::start(FrontParts {
        library: Arc::clone(&library),
        store: Arc::clone(&parts.store),
        claims: Arc::clone(&parts.claims),
        transport: Arc::clone(&parts.transport),
        workers_elsewhere: settings.broker.is_some(),
        secrets: settings.fleet_secrets.clone(),
        limits: settings.limits.clone(),
        files: settings.files.clone(),
        applications: settings.applications.clone(),
        directory: Some(Arc::clone(&directory)),
        open_when_empty: settings.open_when_empty,
        public_url: settings.public_url.clone(),
        origins: settings.origins.clone(),
        bind,
        version: VersionInfo { server: version::short().into(), runtime: format!("native {}", version::short()) },
        quality: settings.quality,
        background: settings.background,
        urgent_avif: settings.urgent_avif,
        live: live
            .clone()
            .zip(settings.live_secret.clone())
            .map(|(operations, secret)| LiveCode { operations, secret }),
        before_reading: live.clone().map(|live| {
            let settings = settings.clone();
            Box::new(move || live_code::take_in(&settings, &live)) as Box<dyn Fn() + Send + Sync>
        }),
        reports: parts.reports(),
        shutdown: shutdown.clone(),
        drain: imgflo_server::DRAIN,
    })
    .await
    .map_err(|error| vec![error.to_string()])?;

    let mut workers = tokio::spawn(works);
    if settings.edit.is_some() {
        let served = Arc::clone(&front);
        let revised = Box::new(move || {
            if let Err(error) = served.reload() {
                warn!(%error, "the graphs cannot be read; those that were are served");
            }
        });
        runtime::host(settings, &parts.catalogue, live, revised, shutdown.clone()).await?;
    }
    greet(bind, settings, &library, front.is_closed());
    tokio::spawn(process::stop_on_signal(shutdown.clone()));
    let server = imgflo_server::serve(listener, imgflo_server::router(front), shutdown);
    tokio::select! {
        ended = server => ended.map_err(|error| vec![error.to_string()])?,
        ended = &mut workers => {
            let reason = match ended {
                Ok(Ok(())) => "nobody asked them to".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            return Err(vec![format!("the workers stopped: {reason}")]);
        }
    }
    // Workers go on for as long as clients wait, and then finish what they have begun.
    served.cancel();
    process::drain(workers, DRAIN).await;
    directory.close().await;
    parts.transport.close().await;
    info!("stopped");
    Ok(())
}

/// The workers of this process, if it has any.
fn work(
    parts: &Parts,
    settings: &Settings,
    library: Arc<Library>,
    served: CancellationToken,
) -> impl Future<Output = Result<(), imgflo_worker::Error>> + use<> {
    let worker = (settings.workers > 0).then(|| parts.worker(settings, Some(library)));
    let transport = Arc::clone(&parts.transport);
    async move {
        match worker {
            Some(worker) => worker.run(transport, &[Role::Urgent, Role::Background], served).await,
            None => {
                served.cancelled().await;
                Ok(())
            }
        }
    }
}

fn load_library(settings: &Settings, catalogue: &Arc<Catalogue>) -> Result<Arc<Library>, Failure> {
    let library = Library::load(&settings.graphs, catalogue.clone(), &limits::library(&settings.limits))
        .map_err(|error| vec![format!("{}: {error}", settings.graphs.display())])?;
    Ok(Arc::new(library))
}
