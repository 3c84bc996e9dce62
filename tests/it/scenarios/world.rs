//! The world of one script: an API server, a clone that is the remote as well, a person's home, and the programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use osier::model::wire;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::scenarios::canary::Canary;
use crate::scenarios::names::Names;
use crate::scenarios::script::File;
use crate::scenarios::service::Services;
use crate::support::control_plane::User;
use crate::support::programs;
use crate::support::server::{self, Server};

/// The throw-away keys of the example shop: `<class>.txt`.
const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/example-repo/keys");
/// Time of the first commit; each one is a minute later.
const FIRST_COMMIT: usize = 1_795_000_000;

/// Everything that a script plays on.
pub struct World {
    pub server: Server,
    pub names: Names,
    pub canary: Canary,
    pub user: User,
    /// The service's account on the real server.
    pub account: User,
    pub services: Services,
    /// Requests of the service that are not counted.
    pub requests_seen: usize,
    folder: TempDir,
    commits: usize,
    /// Stands for `shop` in all names, so that scripts run side by side on one server. As long as that.
    id: String,
}

impl World {
    /// A server with the custom resources, three namespaces and a Repository that grants two of them; an empty clone.
    pub async fn new(server: Server) -> World {
        static COUNT: AtomicUsize = AtomicUsize::new(1);
        let id = format!("s{:03}", COUNT.fetch_add(1, Ordering::Relaxed));
        let user = User::powerful(&format!("scenario-{id}"));
        let mut names = Names::default();
        names.add_text(&id, "shop");
        names.add_text(&user.name, "ann");
        names.add_text("system:admin", "ann"); // whom the sandbox calls everybody
        let account = User::powerful(&format!("service-{id}"));
        names.add_text(&account.name, "osier-service");
        let folder = TempDir::with_prefix("osier-scenario-").unwrap();
        names.add_text(&folder.path().display().to_string(), "/tmp/world");
        let (canary, services) = (Canary::default(), Services::default());
        let world = World { server, names, canary, user, account, services, requests_seen: 0, folder, commits: 0, id };
        world.prepare_folder();
        world.prepare_server().await;
        world
    }

    /// The same folder, clone and names with an empty sandbox.
    pub async fn start_over(&mut self) {
        self.server = Server::sandbox().await;
        self.prepare_kubeconfigs();
        self.prepare_server().await;
    }

    /// A place below the world's folder: `clone`, `home`, `keys`, `outside`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The real name of something that scripts call `shop…`.
    pub fn name(&self, shown: &str) -> String {
        shown.replace("shop", &self.id)
    }

    /// Writes a file into the clone, or beside it if its path begins with `outside/`. No cleartext of an encrypted one is written.
    pub fn write(&mut self, file: &File) {
        let content = self.names.real(&file.content);
        self.canary.watch_for(&content);
        let folder = if file.path.starts_with("outside/") { self.folder.path().to_owned() } else { self.path("clone") };
        let path = folder.join(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let content = if file.encrypted_for.is_empty() { content } else { encrypted(file, &content) };
        fs::write(path, content).unwrap();
    }

    /// Commits everything in the clone, as `$ push` says.
    pub async fn push(&mut self, message: &str) {
        let message = message.replace('\'', "'\\''");
        let output = self.run(&format!("git add -A && git commit -q --allow-empty -m '{message}'")).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.commits += 1;
    }

    /// Takes the last commit back, as `$ undo` says.
    pub async fn undo(&mut self) {
        let output = self.run("git revert --no-edit HEAD").await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.commits += 1;
    }

    /// Runs a line in the clone with a shell.
    pub async fn run(&mut self, line: &str) -> Output {
        let mut command = self.shell(line);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        self.note_commits();
        output
    }

    /// Asks the API server as an administrator who is none of the script's people.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let client = self.server.client(&User::admin()).await;
        let headers = [("content-type", "application/json")];
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = server::request(&client, method, path, &headers, body).await;
        (answer.status, answer.body)
    }

    /// Searches all that a script left behind.
    pub async fn scan(&mut self) {
        for name in ["home", "tmp", "data"] {
            self.canary.scan_folder(&self.path(name));
        }
        let home = self.name("shop");
        let paths = [
            format!("/apis/osier.dev/v1alpha1/namespaces/{home}/environments"),
            format!("/apis/osier.dev/v1alpha1/namespaces/{home}/records"),
            format!("/apis/osier.dev/v1alpha1/namespaces/{home}/plans"),
            "/apis/osier.dev/v1alpha1/repositories".to_owned(),
            format!("/api/v1/namespaces/{home}/events"),
        ];
        for path in paths {
            let (_, body) = self.ask(Method::GET, &path, None).await;
            self.canary.scan(&path, body.to_string().as_bytes());
        }
    }

    fn shell(&self, line: &str) -> std::process::Command {
        let osier = Path::new(env!("CARGO_BIN_EXE_osier")).parent().expect("a program lies in a folder");
        let path = format!("{}:{}:/usr/bin:/bin", osier.display(), programs::FOLDER_OF_PROGRAMS.display());
        let date = format!("{} +0000", FIRST_COMMIT + 60 * self.commits);
        let mut command = std::process::Command::new("sh");
        command.args(["-c", line]).current_dir(self.path("clone")).stdin(Stdio::null()).env_clear();
        command
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("LC_ALL", "C.UTF-8");
        command.env("KUBECONFIG", self.path("kubeconfig")).env("OSIER_LOG", "trace").env("NO_COLOR", "1");
        command.env("SOPS_AGE_KEY_FILE", self.path("keys.txt"));
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Ann").env(format!("GIT_{role}_EMAIL"), "ann@example.com");
            command.env(format!("GIT_{role}_DATE"), &date);
        }
        command
    }

    fn prepare_folder(&self) {
        for name in ["clone", "data", "home", "keys", "keys-branches", "outside", "tmp"] {
            fs::create_dir(self.path(name)).unwrap();
        }
        fs::write(self.path("keys.txt"), key("staging") + &key("production")).unwrap();
        for class in ["staging", "production"] {
            fs::write(self.path("keys").join(format!("{class}.txt")), key(class)).unwrap();
        }
        fs::write(self.path("keys-branches/branch.txt"), key("branch")).unwrap();
        self.prepare_kubeconfigs();
        let output = self.shell("git init -q -b main").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn prepare_kubeconfigs(&self) {
        fs::copy(self.server.kubeconfig(&self.user), self.path("kubeconfig")).unwrap();
        fs::copy(self.server.kubeconfig(&self.account), self.path("kubeconfig-service")).unwrap();
    }

    async fn prepare_server(&self) {
        let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        for crd in osier::cluster::crds::crds() {
            let (status, said) = self.ask(Method::POST, crds, Some(&json!(crd))).await;
            assert!(status == 201 || status == 409, "{said}");
        }
        for name in ["shop", "shop-staging", "shop-production"] {
            let metadata = json!({"name": self.name(name), "labels": {"osier.dev/repository": self.id}});
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
            let (status, said) = self.ask(Method::POST, "/api/v1/namespaces", Some(&namespace)).await;
            assert_eq!(status, 201, "{said}");
        }
        let repository = json!({
            "apiVersion": "osier.dev/v1alpha1", "kind": "Repository", "metadata": {"name": self.id},
            "spec": {
                "url": self.path("clone"), "home": self.id,
                "namespaces": [self.name("shop-staging"), self.name("shop-production")],
                "prefixes": [self.name("shop-b")],
                "keys": [
                    {"class": "staging", "environments": ["staging"]}, {"class": "production", "environments": ["production"]},
                    {"class": "branch", "branches": true},
                ],
            },
        });
        self.create_when_served("/apis/osier.dev/v1alpha1/repositories", &repository).await;
    }

    /// A server needs a moment until it serves a new custom resource.
    async fn create_when_served(&self, path: &str, body: &Value) {
        let deadline = std::time::Instant::now() + server::PATIENCE;
        loop {
            let (status, said) = self.ask(Method::POST, path, Some(body)).await;
            if status == 201 {
                return;
            }
            assert!(status == 404 && std::time::Instant::now() < deadline, "{status}: {said}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// What has a new commit or a new branch gets its name, in the clone and in a followed repository.
    fn note_commits(&mut self) {
        self.note_commits_of(".");
        if self.path("cart/.git").is_dir() {
            self.note_commits_of("../cart");
        }
    }

    fn note_commits_of(&mut self, repository: &str) {
        let git = format!("git -C {repository}");
        let refs = self.shell(&format!("{git} for-each-ref --format='%(refname)' refs/heads")).output().unwrap();
        for reference in String::from_utf8_lossy(&refs.stdout).lines() {
            let namespace = wire::branch_namespace("", "", &self.id, reference);
            self.names.add_branch(namespace.trim_matches('-'));
        }
        let log = self.shell(&format!("{git} rev-list --all --reverse")).output().unwrap();
        for id in String::from_utf8_lossy(&log.stdout).lines() {
            self.names.add_commit(id);
        }
    }
}

/// The file as the real sops encrypts it; cleartext goes through a pipe.
fn encrypted(file: &File, content: &str) -> String {
    let recipients: Vec<String> = file.encrypted_for.iter().map(|class| recipient(class)).collect();
    let mut command = std::process::Command::new(programs::program("sops"));
    command.args(["encrypt", "--age", &recipients.join(","), "--encrypted-regex", "^(data|stringData)$"]);
    command.args(["--filename-override", &file.path, "/dev/stdin"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().expect("stdin is piped"), content.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}: {}", file.path, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A class's key, which is thrown away already; that of branches is the tests' own.
fn key(class: &str) -> String {
    let folder = if class == "branch" { concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/scenarios/keys") } else { KEYS };
    fs::read_to_string(format!("{folder}/{class}.txt")).unwrap()
}

/// The public half that `age-keygen` wrote beside a key.
fn recipient(class: &str) -> String {
    key(class).lines().find_map(|line| line.strip_prefix("# public key: ")).expect("age-keygen writes it").to_owned()
}
