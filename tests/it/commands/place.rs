//! Where a page is run: a home, and if the page asks for one, a clone beside a sandbox that osier is installed in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use http::Method;
use regex::Regex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::control_plane::User;
use crate::support::programs;
use crate::support::server::{self, Server};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Comes after each command's output; no program prints it.
const END: char = '\u{1e}';
/// The time of every commit, so that its id is the same in each run.
const COMMITTED: &str = "2026-11-02T09:00:00Z";

/// Moments that hints and helps name.
const EXAMPLES: [&str; 2] = [COMMITTED, "2026-12-01T08:00:00Z"];

static SECONDS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[0-9]+\.[0-9] s\b").unwrap());
static AGE_IN_SENTENCE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\([0-9]+s\)").unwrap());
/// A cell of a table, as wide as one of two digits.
static AGE_IN_TABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r" ([0-9]s (?: |$)|[0-9]s$|[0-9]{2}s(?:  |$))").unwrap());
static MOMENT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z\b").unwrap());

static DIGEST: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[a-z2-7]{26}\b").unwrap());

/// A home with what a page starts with. Everything goes with it.
pub struct Place {
    home: TempDir,
    runtime: Runtime,
    server: Option<Server>,
}

impl Place {
    /// An empty home; with a folder, a clone `shop` of it and a sandbox.
    pub fn new(folder: Option<&str>) -> Place {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut place = Place { home: TempDir::new().unwrap(), runtime, server: None };
        if let Some(folder) = folder {
            place.clone_of(&Path::new(ROOT).join(folder));
            let server = place.runtime.block_on(installed(&place.path("shop")));
            fs::copy(server.kubeconfig(&User::admin()), place.path("kubeconfig")).unwrap();
            place.server = Some(server);
        }
        place
    }

    /// Runs the commands in one shell, and gives what each printed.
    pub fn run(&self, commands: &[&str]) -> Vec<String> {
        let mut script = String::from("exec 2>&1\n");
        for command in commands {
            script.push_str(&format!("{command}\nprintf '\\036%s\\n' $?\n"));
        }
        let start = if self.server.is_some() { "shop" } else { "" };
        let output = self.shell(&script, start).output().unwrap();
        let text = self.shown(&String::from_utf8(output.stdout).unwrap());
        let mut outputs = Vec::new();
        let mut rest = text.as_str();
        while let Some((printed, after)) = rest.split_once(END) {
            let (code, after) = after.split_once('\n').expect("a code ends with a line");
            outputs.push(ended(printed, code));
            rest = after;
        }
        assert_eq!(outputs.len(), commands.len(), "a command ended the shell, or was not whole: {rest}");
        outputs
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn shell(&self, script: &str, directory: &str) -> Command {
        let osier = Path::new(env!("CARGO_BIN_EXE_osier")).parent().expect("a program lies in a folder");
        let path = [osier, &programs::FOLDER_OF_PROGRAMS, Path::new(&std::env::var("PATH").unwrap())]
            .map(|path| path.display().to_string())
            .join(":");
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(self.path(directory)).stdin(Stdio::null()).env_clear();
        command.envs([("PATH", path.as_str()), ("NO_COLOR", "1"), ("LC_ALL", "C.UTF-8"), ("GIT_CONFIG_NOSYSTEM", "1")]);
        command.env("HOME", self.home.path());
        if self.path("shop").exists() {
            command.env("KUBECONFIG", self.path("kubeconfig")).env("SOPS_AGE_KEY_FILE", self.path("keys.txt"));
        }
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Ann").env(format!("GIT_{role}_EMAIL"), "ann@example.com");
            command.env(format!("GIT_{role}_DATE"), COMMITTED);
        }
        command
    }

    fn clone_of(&self, folder: &Path) {
        copy(folder, &self.path("shop"));
        let key = |class: &str| fs::read_to_string(format!("{ROOT}/example-repo/keys/{class}.txt")).unwrap();
        fs::write(self.path("keys.txt"), key("staging") + &key("production")).unwrap();
        let script = "git init -q -b main && git add -A && git commit -q -m 'The shop as it is'";
        assert!(self.shell(script, "shop").status().unwrap().success());
    }

    /// What differs from run to run is left out.
    fn shown(&self, text: &str) -> String {
        let text = text.replace(self.home.path().to_str().unwrap(), "~");
        let text = SECONDS.replace_all(&text, "… s");
        let text = AGE_IN_SENTENCE.replace_all(&text, "(…)");
        let text = DIGEST.replace_all(&text, "(digest)");
        let moment = |found: &regex::Captures<'_>| {
            if EXAMPLES.contains(&&found[0]) { found[0].to_owned() } else { "(time)".to_owned() }
        };
        let text = MOMENT.replace_all(&text, moment);
        let in_table =
            |found: &regex::Captures<'_>| format!(" …{}", " ".repeat(found[1].chars().count().saturating_sub(1)));
        let lines = text.split('\n').map(|line| AGE_IN_TABLE.replace(line, in_table).trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn ended(printed: &str, code: &str) -> String {
    let mut text = printed.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if code != "0" {
        text.push_str(&format!("[exit {code}]\n"));
    }
    text
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (old, new) = (entry.path(), to.join(entry.file_name()));
        if old.is_dir() {
            copy(&old, &new);
        } else {
            fs::copy(&old, &new).unwrap();
        }
    }
}

/// A sandbox with the custom resources, the namespaces and the Repository that *Install* in the README makes.
async fn installed(clone: &Path) -> Server {
    let server = Server::sandbox().await;
    for crd in osier::cluster::crds::crds() {
        create(&server, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &crd).await;
    }
    for name in ["shop-osier", "shop-staging", "shop-production"] {
        let metadata = json!({"name": name, "labels": {"osier.dev/repository": "shop"}});
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        create(&server, "/api/v1/namespaces", &namespace).await;
    }
    let repository = json!({
        "apiVersion": "osier.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "shop"},
        "spec": {
            "url": clone, "home": "shop-osier", "namespaces": ["shop-staging", "shop-production"],
            "keys": [
                {"class": "staging", "environments": ["staging"]},
                {"class": "production", "environments": ["production"]},
            ],
        },
    });
    create(&server, "/apis/osier.dev/v1alpha1/repositories", &repository).await;
    server
}

async fn create(server: &Server, path: &str, object: &Value) {
    let client = server.client(&User::admin()).await;
    let headers = [("content-type", "application/json")];
    let answer = server::request(&client, Method::POST, path, &headers, object.to_string()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}
