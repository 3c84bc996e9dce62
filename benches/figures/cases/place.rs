//! An API server with a Repository, its keys and its namespaces, and the git repository behind it.

use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Method;
use osier::cluster::{Cluster, admission, crds};
use osier::git::credentials::Credentials;
use osier::git::mirror::Mirror;
use osier::git::remotes::Remotes;
use osier::keys::{self, Keyring};
use osier::reconcile::world::World;
use serde_json::{Value, json};

use crate::cases::Size;
use crate::cases::seen::Seen;
use crate::repository::Repository;
use crate::support::control_plane::User;
use crate::support::server::{self, Answer, Server};
use crate::workload::{Changed, File, Workload};

/// Where a case happens.
pub struct Place {
    pub server: Arc<Server>,
    /// Name of the Repository, and what all names of the place begin with.
    pub name: String,
    /// Environments that can be made.
    pub environments: usize,
    pub workload: Workload,
    pub repository: Repository,
    folder: tempfile::TempDir,
}

/// What is in the repository of a place.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Of each environment.
    pub objects: usize,
    pub environments: usize,
    /// The environments take turns in using them.
    pub directories: usize,
    /// Namespaces of the bare client.
    pub copies: usize,
}

/// The user whose requests are counted.
pub fn osier() -> User {
    User::powerful("figures-osier")
}

/// An API server that knows osier's kinds.
pub async fn api_server(size: Size) -> Arc<Server> {
    let server = match size {
        Size::Small => Server::sandbox().await,
        Size::Full => Server::real(),
    };
    let client = server.client(&User::admin()).await;
    for definition in crds::crds() {
        post(&client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).await;
    }
    // the sandbox evaluates no policies
    for policy in admission::admission().into_iter().filter(|_| server.is_real()) {
        let kind = policy["kind"].as_str().unwrap_or_default().to_lowercase();
        let plural = kind.strip_suffix('y').map_or(format!("{kind}s"), |stem| format!("{stem}ies"));
        post(&client, &format!("/apis/admissionregistration.k8s.io/v1/{plural}"), policy).await;
    }
    for plural in ["repositories", "environments", "records", "plans"] {
        served(&client, plural).await;
    }
    Arc::new(server)
}

impl Place {
    /// A place whose `osier.yaml` has all environments.
    pub async fn new(server: Arc<Server>, name: &str, shape: Shape) -> Self {
        let mut place = Self::bare(server, name, shape).await;
        let files: Vec<File> = place.workload.files().chain([place.config(0..shape.environments)]).collect();
        place.repository.commit(files.into_iter());
        place
    }

    /// A place whose repository is empty.
    pub async fn bare(server: Arc<Server>, name: &str, shape: Shape) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a repository");
        for name in ["remote", "keys"] {
            std::fs::create_dir(folder.path().join(name)).expect("there is room for a directory");
        }
        let (identity, recipient) = keys::generate();
        std::fs::write(folder.path().join("keys/figures.txt"), identity.expose()).expect("there is room for keys");
        let recipient = recipient.parse().expect("osier makes a recipient of age");
        let Shape { objects, environments, directories, copies } = shape;
        let workload = Workload { objects, directories, recipient };
        let repository = Repository::new(&folder.path().join("remote"));
        let place = Self { server, name: name.to_owned(), environments, workload, repository, folder };
        place.install(copies).await;
        place
    }

    /// A pass's surroundings, as `osier apply` makes them in a new process with a mirror that is there.
    pub async fn world(&self) -> World {
        let cluster = Cluster::connect(Some(&self.server.kubeconfig(&osier())), None).await.expect("a kubeconfig");
        cluster.ensure_crds_present().await.expect("the custom resources are installed");
        let repository = cluster.repository(&self.name).await.expect("the Repository is there");
        let fingerprint_key = cluster.fingerprint_key(&self.home()).await.expect("the key can be made");
        let remotes = Remotes::new(&self.repository.url(), &[], Credentials::default()).expect("a path is a place");
        let mirror = Mirror::open(&self.path("mirror"), remotes).await.expect("a mirror opens");
        let (keyring, errors) = Keyring::from_directory(&self.path("keys"));
        assert!(errors.is_empty(), "{errors:?}");
        World::new(cluster, repository, mirror, keyring, fingerprint_key, jiff::Timestamp::now)
    }

    /// Name of an environment, and of its namespace.
    pub fn environment(&self, environment: usize) -> String {
        format!("{}-{environment}", self.name)
    }

    /// Namespace of the bare client's copy of an environment.
    pub fn bare_copy(&self, environment: usize) -> String {
        format!("{}-bare-{environment}", self.name)
    }

    /// Namespace of the Environments, the Records and the Lease.
    pub fn home(&self) -> String {
        format!("{}-home", self.name)
    }

    /// The `osier.yaml` that has these environments.
    pub fn config(&self, environments: Range<usize>) -> File {
        let mut text = "apiVersion: osier.dev/v1alpha1\nkind: Config\nenvironments:\n".to_owned();
        for environment in environments {
            let (name, layers) = (self.environment(environment), Workload::layers(self.directory(environment)));
            let layers = layers.join(", ");
            writeln!(text, "  {name}: {{namespace: {name}, layers: [{layers}], keys: figures}}").expect("a text grows");
        }
        ("osier.yaml".to_owned(), text.into_bytes())
    }

    /// The directory of an environment.
    pub fn directory(&self, environment: usize) -> usize {
        environment % self.workload.directories
    }

    /// A commit of these changes.
    pub fn commit(&mut self, changes: Vec<Changed>) {
        self.repository.commit(changes.into_iter().map(|changed| changed.file));
    }

    /// osier's requests so far.
    pub async fn seen(&self) -> Seen {
        Seen::of(&self.server, &osier()).await
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the platform engineer does.
    async fn install(&self, copies: usize) {
        let client = self.server.client(&User::admin()).await;
        let namespaces: Vec<String> = (0..self.environments).map(|environment| self.environment(environment)).collect();
        let labelled = namespaces.iter().map(|name| (name.clone(), json!({"osier.dev/repository": self.name})));
        let copies = (0..copies).map(|environment| self.bare_copy(environment));
        for (name, labels) in labelled.chain(copies.chain([self.home()]).map(|name| (name, json!({})))) {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
            post(&client, "/api/v1/namespaces", body).await;
        }
        let grant = json!({"apiVersion": "osier.dev/v1alpha1", "kind": "Repository", "metadata": {"name": self.name},
            "spec": {"url": self.repository.url(), "home": self.home(), "namespaces": namespaces,
                "keys": [{"class": "figures", "environments": namespaces}],
                "caps": {"files": 200_000, "bytes": 1 << 30}}});
        post(&client, "/apis/osier.dev/v1alpha1/repositories", grant).await;
    }
}

/// Creates an object.
pub async fn post(client: &kube::Client, path: &str, body: Value) -> Answer {
    let answer =
        server::request(client, Method::POST, path, &[("content-type", "application/json")], body.to_string()).await;
    assert_eq!(answer.status, 201, "{path}: {:?}", answer.body["message"]);
    answer
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
