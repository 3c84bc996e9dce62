//! `osier sandbox`: an in-memory Kubernetes API on this machine, until Ctrl-C.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use http::header::CONTENT_TYPE;
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::failure::{Failure, Finding};
use crate::cli::output;
use crate::cluster::crds;
use crate::sandbox::Sandbox;
use crate::settings::{Output, Settings};

/// Where custom resources are defined.
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Serve an in-memory Kubernetes API on this machine, with osier's custom resources.
///
/// Nothing runs in it: workloads are stored, and said to be ready at once. Admission policies are not evaluated.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier sandbox --port 6440")]
pub struct Args {
    /// Port on 127.0.0.1 [default: one that is free].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// File for the kubeconfig, removed at the end.
    #[arg(long, value_name = "FILE", default_value = "sandbox.kubeconfig")]
    pub kubeconfig_out: PathBuf,
}

/// Serves until Ctrl-C.
///
/// # Errors
/// The port is taken, or the kubeconfig exists or cannot be written.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await;
    let listener = listener
        .with_context(|| format!("cannot serve at 127.0.0.1:{}", args.port))
        .map_err(|error| Failure::general(error, "run: osier sandbox, without --port, for a port that is free"))?;
    let address = listener.local_addr().map_err(|error| Failure::general(error, "try again"))?;
    let sandbox = with_definitions().await?;
    let kubeconfig = settings.directory.join(&args.kubeconfig_out);
    write_new(&kubeconfig, &Sandbox::kubeconfig(address))?;
    announce(settings.common.output, address, &kubeconfig);
    let ended = tokio::select! {
        ended = sandbox.serve(listener) => ended,
        ended = tokio::signal::ctrl_c() => ended,
        ended = terminated() => ended,
    };
    let removed = fs::remove_file(&kubeconfig);
    ended.and(removed).map_err(|error| Failure::general(error, "run it again"))?;
    Ok(Finding::Nothing)
}

/// An empty cluster that knows osier's custom resources.
///
/// # Errors
/// The sandbox refuses one of them, which is a mistake of ours.
pub async fn with_definitions() -> Result<Sandbox, Failure> {
    let sandbox = Sandbox::new().with_workloads();
    for definition in crds::crds() {
        let request = http::Request::post(DEFINITIONS)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(definition.to_string())))
            .expect("path and header are constants");
        let status = sandbox.handle(request).await.status();
        if !status.is_success() {
            let message = format!("the sandbox refuses {}: {status}", definition["metadata"]["name"]);
            return Err(Failure::general(message, "this is a mistake in osier; please report it"));
        }
    }
    Ok(sandbox)
}

/// Never overwrites: the path might be that of a real kubeconfig.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write `{}`", path.display())).map_err(|error| {
        Failure::general(error, "remove it if an earlier sandbox left it, or pass --kubeconfig-out FILE")
    })
}

async fn terminated() -> std::io::Result<()> {
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

fn announce(format: Output, address: SocketAddr, kubeconfig: &Path) {
    let kubeconfig = kubeconfig.display();
    if format != Output::Text {
        let server = format!("http://{address}");
        return output::data(
            format,
            &json!({"kind": "Sandbox", "server": server, "kubeconfig": kubeconfig.to_string()}),
        );
    }
    anstream::println!(
        "An empty cluster is served at http://{address}. Nothing runs in it; Ctrl-C ends it.\n\n\
         Try, in another terminal:\n  \
         export KUBECONFIG={kubeconfig}\n  \
         echo '{{apiVersion: v1, kind: Namespace, metadata: {{name: shop-staging}}}}' | kubectl create -f -\n  \
         kubectl get namespaces -w\n  \
         kubectl explain environment.spec.hold\n  \
         kubectl get repositories,environments,records -A"
    );
}
