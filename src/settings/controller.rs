//! Settings of the service: resolved once, all mistakes at once.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::model::problem::Problem;
use crate::model::wire;
use crate::settings::typed::{address, choice, kept, typed};
use crate::settings::{Common, LogFormat, ProcessEnvironment};

/// Where the chart mounts the key classes.
const KEYS: &str = "/etc/osier/keys";
/// Reconciles at once: more than this waits for the API server, not for us.
const MAX_CONCURRENCY: usize = 64;
/// Written and removed again, to see whether the directory can be written.
const PROBE: &str = ".osier-can-write";

/// Arguments of `osier controller`, as typed: what is wrong with them is said at once, not one by one.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Environments to serve: `protected`, `branches` or `all`.
    #[arg(long, value_name = "LANE", default_value = "all")]
    pub lane: String,
    /// Name of this cluster; environments that name another are left alone.
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Namespace of the Leases [default: that of the service account or of the kubeconfig's context].
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Directory for mirrors of the repositories.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/osier")]
    pub data: PathBuf,
    /// Address of `/livez`, `/readyz` and `/metrics`.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Environments to reconcile at the same time.
    #[arg(long, value_name = "N", default_value = "8")]
    pub concurrency: String,
    /// Watch kinds per `namespace`, or all but Secrets for the whole `cluster`.
    #[arg(long, value_name = "SCOPE", default_value = "namespace")]
    pub watch: String,
    /// Write logs as `text` or `json`.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: String,
}

impl Arguments {
    /// The format of logs, which begin before the settings are resolved; text if it is not known.
    pub fn log_format(&self) -> LogFormat {
        LogFormat::from_str(&self.log_format, false).unwrap_or_default()
    }
}

/// Which environments a process serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lane {
    /// Those of `osier.yaml`.
    Protected,
    /// Those that live and die with a branch.
    Branches,
    /// Both.
    All,
}

impl Lane {
    /// The lanes that it is, each with the Lease that has to be held to write for it.
    pub fn leases(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Lane::Protected => &[("protected", wire::LEASE_PROTECTED)],
            Lane::Branches => &[("branches", wire::LEASE_BRANCHES)],
            Lane::All => &[("protected", wire::LEASE_PROTECTED), ("branches", wire::LEASE_BRANCHES)],
        }
    }

    /// As it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Lane::Protected => "protected",
            Lane::Branches => "branches",
            Lane::All => "all",
        }
    }
}

/// How much one watch sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WatchScope {
    /// One watch a namespace and kind.
    Namespace,
    /// One watch a kind for all namespaces, but for Secrets.
    Cluster,
}

/// Settings of the service, as they hold until it ends. None of them is a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerSettings {
    /// Path of the kubeconfig; `None` as kubectl would find it, or from within a pod.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    pub context: Option<String>,
    /// Longest time for one request to the API server.
    pub request_timeout: Duration,
    /// Which environments.
    pub lane: Lane,
    /// The one Repository to serve; all without it.
    pub repository: Option<String>,
    /// Name of this cluster.
    pub cluster: Option<String>,
    /// osier's own namespace.
    pub namespace: String,
    /// Directory of key classes.
    pub keys: PathBuf,
    /// Directory for mirrors.
    pub data: PathBuf,
    /// Address of the probes.
    pub listen: SocketAddr,
    /// Reconciles at once.
    pub concurrency: usize,
    /// How much one watch sees.
    pub watch: WatchScope,
    /// How logs are written.
    pub log_format: LogFormat,
    /// Which logs, in the language of `OSIER_LOG`.
    pub log: Option<String>,
    /// Name of the machine or pod.
    pub machine: String,
}

impl ControllerSettings {
    /// Resolves the arguments. `namespace` is what the configuration of the cluster says, if that was asked.
    ///
    /// # Errors
    /// All that cannot be used, each with what to do; the path of each is the argument.
    pub fn resolve(
        common: &Common,
        process: &ProcessEnvironment,
        arguments: &Arguments,
        namespace: Result<Option<String>, Problem>,
    ) -> Result<Self, Vec<Problem>> {
        let Arguments { lane, cluster, namespace: named, data, listen, concurrency, watch, log_format } = arguments;
        let keys = common.keys.clone().unwrap_or_else(|| PathBuf::from(KEYS));
        let mut problems = Vec::new();
        let namespace = namespace.map(|found| named.clone().or(found));
        let resolved = (
            kept(&mut problems, choice::<Lane>("--lane", lane)),
            kept(&mut problems, namespace.and_then(own_namespace)),
            kept(&mut problems, address("--listen", listen)),
            kept(&mut problems, number(concurrency)),
            kept(&mut problems, choice::<WatchScope>("--watch", watch)),
            kept(&mut problems, choice::<LogFormat>("--log-format", log_format)),
            kept(&mut problems, named_cluster(cluster.as_deref())),
            kept(&mut problems, keys_directory(&keys)),
            kept(&mut problems, data_directory(data)),
        );
        let (
            Some(lane),
            Some(namespace),
            Some(listen),
            Some(concurrency),
            Some(watch),
            Some(log_format),
            Some(()),
            Some(()),
            Some(()),
        ) = resolved
        else {
            return Err(problems);
        };
        Ok(Self {
            kubeconfig: common.kubeconfig.clone(),
            context: common.context.clone(),
            request_timeout: Duration::from_secs(common.request_timeout),
            lane,
            repository: common.repository.clone(),
            cluster: cluster.clone(),
            namespace,
            keys,
            data: data.clone(),
            listen,
            concurrency,
            watch,
            log_format,
            log: process.get("OSIER_LOG").map(str::to_owned),
            machine: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        })
    }

    /// All of them, for people and programs.
    pub fn json(&self) -> Value {
        let Self { kubeconfig, context, lane, cluster, namespace, keys, data, listen, concurrency, .. } = self;
        let Self { watch, log_format, log, machine, request_timeout, .. } = self;
        let leases: Vec<&str> = lane.leases().iter().map(|(_, lease)| *lease).collect();
        json!({
            "kubeconfig": kubeconfig, "context": context, "requestTimeout": request_timeout.as_secs(),
            "lane": lane.as_str(), "leases": leases, "repository": self.repository, "cluster": cluster, "namespace": namespace,
            "keys": keys, "data": data, "listen": listen, "concurrency": concurrency,
            "watch": typed(watch), "logFormat": typed(log_format), "log": log, "machine": machine,
        })
    }
}

fn own_namespace(found: Option<String>) -> Result<String, Problem> {
    let hint = "pass --namespace NAME: where osier itself runs, the same for all of its controllers";
    let namespace =
        found.ok_or_else(|| Problem::new("--namespace", "osier's own namespace is not known").hint(hint))?;
    if is_label(&namespace) {
        return Ok(namespace);
    }
    Err(Problem::new("--namespace", format!("`{namespace}` is no name of a namespace")).hint(hint))
}

fn named_cluster(name: Option<&str>) -> Result<(), Problem> {
    match name {
        Some(name) if name.trim().is_empty() => Err(Problem::new("--cluster", "the name is empty")
            .hint("leave it out, or give the name that `cluster:` has in osier.yaml")),
        _ => Ok(()),
    }
}

fn number(text: &str) -> Result<usize, Problem> {
    let parsed = text.parse().ok().filter(|number| (1..=MAX_CONCURRENCY).contains(number));
    parsed.ok_or_else(|| {
        Problem::new("--concurrency", format!("`{text}` is no number that can be used"))
            .hint(format!("from 1 to {MAX_CONCURRENCY}"))
    })
}

fn keys_directory(directory: &Path) -> Result<(), Problem> {
    let hint = "mount a Secret there with a file `<class>.txt` for each key class: osier's own keys, not yours";
    let problem = |message: String| Problem::new("--keys", message).hint(hint);
    let place = directory.display();
    let entries = fs::read_dir(directory).map_err(|error| problem(format!("cannot read `{place}`: {error}")))?;
    let is_class = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.ends_with(".txt") && !name.starts_with('.')
        })
    };
    if entries.into_iter().any(is_class) {
        return Ok(());
    }
    Err(problem(format!("no key class in `{place}`")))
}

fn data_directory(directory: &Path) -> Result<(), Problem> {
    let place = directory.display();
    let probe = directory.join(PROBE);
    let written = fs::write(&probe, "").and_then(|()| fs::remove_file(&probe));
    written.map_err(|error| {
        Problem::new("--data", format!("cannot write in `{place}`: {error}"))
            .hint("name a directory that osier may write in, best on a volume that outlives the pod")
    })
}

/// A DNS label, which names of namespaces are.
fn is_label(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= 63 && name.bytes().all(letters) && !name.starts_with('-') && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(keys: &Path, data: &Path) -> (Common, Arguments) {
        let arguments = Arguments {
            lane: "protected".to_owned(),
            cluster: Some("prod-eu".to_owned()),
            namespace: None,
            data: data.to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            concurrency: "4".to_owned(),
            watch: "namespace".to_owned(),
            log_format: "json".to_owned(),
        };
        (Common { keys: Some(keys.to_owned()), ..Common::default() }, arguments)
    }

    #[test]
    fn good_settings_are_resolved_and_leave_nothing_behind() {
        let (keys, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(keys.path().join("staging.txt"), "").unwrap();
        let (common, arguments) = arguments(keys.path(), data.path());
        let process = ProcessEnvironment::default();
        let settings =
            ControllerSettings::resolve(&common, &process, &arguments, Ok(Some("osier-system".to_owned()))).unwrap();
        assert_eq!(
            (settings.lane, settings.concurrency, settings.namespace.as_str()),
            (Lane::Protected, 4, "osier-system")
        );
        assert_eq!(settings.lane.leases(), [("protected", "osier-protected")]);
        assert_eq!(settings.json()["logFormat"], "json");
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 0);
    }

    #[test]
    fn all_mistakes_are_said_at_once_each_with_what_to_do() {
        let nowhere = Path::new("/nonexistent/osier");
        let (common, mut arguments) = arguments(nowhere, nowhere);
        arguments.lane = "everything".to_owned();
        arguments.cluster = Some(String::new());
        arguments.listen = "8080".to_owned();
        arguments.concurrency = "0".to_owned();
        arguments.watch = "pods".to_owned();
        arguments.log_format = "xml".to_owned();
        let process = ProcessEnvironment::default();
        let problems = ControllerSettings::resolve(&common, &process, &arguments, Ok(None)).unwrap_err();
        let mut named: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        named.sort_unstable();
        let all = [
            "--cluster",
            "--concurrency",
            "--data",
            "--keys",
            "--lane",
            "--listen",
            "--log-format",
            "--namespace",
            "--watch",
        ];
        assert_eq!(named, all);
        assert!(problems.iter().all(|problem| !problem.hint.is_empty()), "{problems:?}");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", "-a", "a-", "A", "a.b", &"a".repeat(64)] {
            assert!(own_namespace(Some(name.to_owned())).is_err(), "{name}");
        }
    }

    #[test]
    fn keys_without_a_class_are_refused() {
        let keys = tempfile::tempdir().unwrap();
        fs::write(keys.path().join("README"), "").unwrap();
        assert!(keys_directory(keys.path()).unwrap_err().message.contains("no key class"));
    }
}
