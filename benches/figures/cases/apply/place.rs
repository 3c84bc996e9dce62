//! An API server with a Repository, its keys and its namespaces, and the git repository behind it.

use std::fmt::Write;
use std::path::PathBuf;

use http::Method;
use osier::cluster::{Cluster, admission, crds};
use osier::git::credentials::Credentials;
use osier::git::mirror::Mirror;
use osier::git::remotes::Remotes;
use osier::keys::{self, Keyring};
use osier::reconcile::world::World;
use serde_json::{Value, json};

use crate::cases::Size;
use crate::cases::apply::seen::Seen;
use crate::repository::Repository;
use crate::support::control_plane::User;
use crate::support::server::{self, Server};
use crate::workload::Workload;

const HOME: &str = "osier-home";
const REPOSITORY: &str = "figures";

/// Where a case happens.
pub struct Place {
    pub server: Server,
    /// Environments of the same layers, for first applies.
    pub environments: usize,
    workload: Workload,
    repository: Repository,
    folder: tempfile::TempDir,
}

/// Name of an environment, and of its namespace.
pub fn name(environment: usize) -> String {
    format!("env-{environment}")
}

/// Namespace of the bare client's copy of an environment.
pub fn bare_name(environment: usize) -> String {
    format!("bare-{environment}")
}

/// The user whose requests are counted.
pub fn osier() -> User {
    User::powerful("figures-osier")
}

impl Place {
    pub async fn new(objects: usize, environments: usize, size: Size) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a repository");
        for name in ["remote", "keys"] {
            std::fs::create_dir(folder.path().join(name)).expect("there is room for a directory");
        }
        let (identity, recipient) = keys::generate();
        std::fs::write(folder.path().join("keys/figures.txt"), identity.expose()).expect("there is room for keys");
        let recipient = recipient.parse().expect("osier makes a recipient of age");
        let workload = Workload { objects, directories: 1, recipient };
        let mut repository = Repository::new(&folder.path().join("remote"));
        let config = ("osier.yaml".to_owned(), config(environments).into_bytes());
        repository.commit(workload.files().chain([config]));
        repository.seed(&folder.path().join("mirror"));
        let server = match size {
            Size::Small => Server::sandbox().await,
            Size::Full => Server::real(),
        };
        let place = Self { server, environments, workload, repository, folder };
        place.install().await;
        place
    }

    /// A pass's surroundings, as `osier apply` makes them in a new process with a mirror that is there.
    pub async fn world(&self) -> World {
        let cluster = Cluster::connect(Some(&self.server.kubeconfig(&osier())), None).await.expect("a kubeconfig");
        cluster.ensure_crds_present().await.expect("the custom resources are installed");
        let repository = cluster.repository(REPOSITORY).await.expect("the Repository is there");
        let fingerprint_key = cluster.fingerprint_key(HOME).await.expect("the key can be made");
        let remotes = Remotes::new(&self.repository.url(), &[], Credentials::default()).expect("a path is a place");
        let mirror = Mirror::open(&self.path("mirror"), remotes).await.expect("a mirror opens");
        let (keyring, errors) = Keyring::from_directory(&self.path("keys"));
        assert!(errors.is_empty(), "{errors:?}");
        World::new(cluster, repository, mirror, keyring, fingerprint_key, jiff::Timestamp::now)
    }

    /// A commit that changes `count` objects of all environments.
    pub fn commit(&mut self, count: usize, version: usize) {
        self.repository.commit(self.workload.changed(count, version).into_iter());
    }

    /// osier's requests so far.
    pub async fn seen(&self) -> Seen {
        Seen::of(&self.server, &osier()).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the platform engineer does.
    async fn install(&self) {
        let client = self.server.client(&User::admin()).await;
        let post = async |path: &str, body: Value| {
            let answer =
                server::request(&client, Method::POST, path, &[("content-type", "application/json")], body.to_string())
                    .await;
            assert_eq!(answer.status, 201, "{path}: {:?}", answer.body);
        };
        for definition in crds::crds() {
            post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).await;
        }
        // the sandbox evaluates no policies
        for policy in admission::admission().into_iter().filter(|_| self.server.is_real()) {
            let kind = policy["kind"].as_str().unwrap_or_default().to_lowercase();
            let plural = kind.strip_suffix('y').map_or(format!("{kind}s"), |stem| format!("{stem}ies"));
            post(&format!("/apis/admissionregistration.k8s.io/v1/{plural}"), policy).await;
        }
        for plural in ["repositories", "environments", "records"] {
            served(&client, plural).await;
        }
        let labelled =
            (0..self.environments).map(|environment| (name(environment), json!({"osier.dev/repository": REPOSITORY})));
        let others = (0..self.environments).map(bare_name).chain([HOME.to_owned()]).map(|name| (name, json!({})));
        for (name, labels) in labelled.chain(others) {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
            post("/api/v1/namespaces", body).await;
        }
        let namespaces: Vec<String> = (0..self.environments).map(name).collect();
        let grant = json!({"apiVersion": "osier.dev/v1alpha1", "kind": "Repository", "metadata": {"name": REPOSITORY},
            "spec": {"url": self.repository.url(), "home": HOME, "namespaces": namespaces,
                "keys": [{"class": "figures", "environments": namespaces}],
                "caps": {"files": 200_000, "bytes": 1 << 30}}});
        post("/apis/osier.dev/v1alpha1/repositories", grant).await;
    }
}

/// Waits until the server serves a new kind.
async fn served(client: &kube::Client, plural: &str) {
    let path = format!("/apis/osier.dev/v1alpha1/{plural}");
    for _ in 0..600 {
        if server::request(client, Method::GET, &path, &[], String::new()).await.status == 200 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the server does not serve {plural}");
}

fn config(environments: usize) -> String {
    let mut text = "apiVersion: osier.dev/v1alpha1\nkind: Config\nenvironments:\n".to_owned();
    for name in (0..environments).map(name) {
        let layers = Workload::layers(0).join(", ");
        writeln!(text, "  {name}: {{namespace: {name}, layers: [{layers}], keys: figures}}").expect("a text grows");
    }
    text
}
