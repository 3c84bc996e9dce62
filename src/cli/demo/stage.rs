//! What the story plays on: a sandbox, a clone, and the program itself, run as a person runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::cli::demo::files;
use crate::cli::failure::Failure;
use crate::cluster::crds;
use crate::git::author::{self, Author};
use crate::git::worktree::Worktree;
use crate::model::tree::GitId;
use crate::model::wire;
use crate::report::style::{BOLD, FAINT, RESET};
use crate::sandbox::{RequestLine, Sandbox};
use crate::settings::Settings;

/// Keeps Environments and Records.
pub const HOME: &str = "shop-osier";
/// The protected branch.
pub const BRANCH: &str = "main";
/// What to do when the story does not hold.
const HINT: &str = "this is a defect of osier: please report it with all that was printed";

/// Sandbox, clone and program. Its directory goes with it.
pub struct Stage {
    sandbox: Sandbox,
    directory: PathBuf,
    program: PathBuf,
}

/// A command that goes on beside the story, and ends with it.
pub struct Running {
    child: Child,
    path: PathBuf,
    /// Bytes of what it said that were given out.
    read: usize,
}

/// What a command said.
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// stdout, then stderr, without colours.
    pub text: String,
    /// What it asked of the API server.
    pub requests: Vec<RequestLine>,
}

/// How much of an output is shown.
#[derive(Clone, Copy)]
pub enum Show {
    /// Everything.
    All,
    /// The first and the last lines.
    Ends(usize, usize),
}

/// One change of a file.
pub enum Edit<'a> {
    /// A line becomes another one.
    Line(&'a str, &'a str, &'a str),
    /// A file gets another content; said is how.
    Whole(&'a str, &'a str, &'a str),
}

impl Stage {
    /// Sets everything up; nobody serves the listener yet.
    pub async fn new(settings: &Settings) -> Result<(Self, TcpListener), Failure> {
        let failed = |error: std::io::Error| {
            Failure::general(error, "the demo needs a port on loopback and a temporary directory")
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let temporary = PathBuf::from(settings.process.get("TMPDIR").unwrap_or("/tmp"));
        let directory = temporary.join(format!("osier-demo-{}", std::process::id()));
        for place in ["", "first", "second", "branches"] {
            fs::create_dir(directory.join(place)).map_err(failed)?;
        }
        let program = std::env::current_exe().map_err(failed)?;
        let stage = Self { sandbox: Sandbox::new().with_workloads(), directory, program };
        fs::write(stage.kubeconfig(), Sandbox::kubeconfig(address)).map_err(failed)?;
        for (path, content) in files::SHOP {
            stage.write(path, content)?;
        }
        author::init(&stage.shop(), BRANCH)?;
        author::init_origin(&stage.origin(), &stage.shop(), BRANCH)?;
        stage.install().await?;
        Ok((stage, listener))
    }

    /// The API server.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The developer's clone.
    pub fn shop(&self) -> PathBuf {
        self.directory.join("shop")
    }

    /// The repository that everybody pushes to, and that osier reads.
    fn origin(&self) -> PathBuf {
        self.directory.join("shop.git")
    }

    /// How to reach the sandbox.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// Prints a paragraph.
    pub fn say(&self, text: &str) {
        anstream::println!("{text}");
    }

    /// Prints a heading.
    pub fn chapter(&self, title: &str) {
        anstream::println!("\n{BOLD}── {title}{RESET}\n");
    }

    /// Changes files, commits them in somebody's name and pushes, and shows what was changed.
    pub fn push(&self, name: &str, message: &str, edits: &[Edit<'_>]) -> Result<GitId, Failure> {
        for edit in edits {
            match edit {
                Edit::Line(path, old, new) => self.replace(path, old, new)?,
                Edit::Whole(path, content, how) => {
                    self.write(path, content)?;
                    anstream::println!("  {path}: {how}");
                }
            }
        }
        let email = format!("{}@example.com", name.to_lowercase());
        let by = Author { name, email: &email, time: Timestamp::now().as_second() };
        let commit = author::commit_all(&self.shop(), by, message)?;
        let short = commit.short();
        anstream::println!("{BOLD}$ git commit -am '{message}' && git push{RESET}   {FAINT}by {name}: {short}{RESET}");
        author::push(&self.shop())?;
        Ok(commit)
    }

    /// Checks out a branch, which is made if there is none.
    pub fn switch(&self, branch: &str) -> Result<(), Failure> {
        anstream::println!("{BOLD}$ git switch {}{branch}{RESET}", if branch == BRANCH { "" } else { "-c " });
        Ok(author::switch(&self.shop(), branch)?)
    }

    /// Deletes a branch where everybody pushes to.
    pub fn delete_branch(&self, branch: &str) -> Result<(), Failure> {
        anstream::println!("{BOLD}$ git push origin --delete {branch}{RESET}");
        Ok(author::delete(&self.shop(), branch)?)
    }

    /// The newest commit.
    pub fn tip(&self) -> Result<GitId, Failure> {
        let clone = Worktree::discover(&self.shop())?;
        clone.head().ok_or_else(|| Failure::general("the clone has no commit", HINT))
    }

    /// Copies a file of the shop.
    pub fn copy(&self, from: &str, to: &str) -> Result<(), Failure> {
        anstream::println!("{BOLD}$ cp {from} {to}{RESET}");
        let text = fs::read_to_string(self.shop().join(from)).map_err(|error| Failure::general(error, HINT))?;
        self.write(to, &text)
    }

    /// Runs a command line of osier in the clone, as shown, and shows what it says.
    pub async fn osier(&self, line: &str, show: Show) -> Result<Said, Failure> {
        anstream::println!("{BOLD}$ osier {line}{RESET}");
        let mut command = self.command(line);
        command.env("CLICOLOR_FORCE", "1");
        let failed = |error: String| Failure::general(error, HINT);
        self.sandbox.forget_requests();
        let output =
            tokio::task::spawn_blocking(move || command.output()).await.map_err(|error| failed(error.to_string()))?;
        let output = output.map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        print(&text, show);
        let text = anstream::adapter::strip_str(&text).to_string();
        Ok(Said { code: output.status.code().unwrap_or(-1), text, requests: self.sandbox.requests() })
    }

    /// Starts a command line of osier that goes on by itself. What it says goes into a file that lasts as long as the stage.
    pub fn start(&self, name: &str, line: &str) -> Result<Running, Failure> {
        anstream::println!("{BOLD}$ osier {line} &{RESET}");
        let failed = |error: std::io::Error| Failure::general(error, HINT);
        let path = self.directory.join(name).with_extension("log");
        let said = fs::File::create(&path).map_err(failed)?;
        let both = said.try_clone().map_err(failed)?;
        let mut command = self.command(line);
        let child = command.stdin(Stdio::null()).stdout(said).stderr(both).spawn().map_err(failed)?;
        Ok(Running { child, path, read: 0 })
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        // nothing of this person's own surroundings: no keys, no cache, no cluster
        command.args(arguments(line)).current_dir(self.shop()).env_clear();
        command.env("HOME", self.directory.join("home")).env("KUBECONFIG", self.kubeconfig());
        command
    }

    /// All objects of a kind.
    pub fn all(&self, kind: &str) -> Vec<Value> {
        self.sandbox.dump().into_iter().filter(|object| object["kind"] == kind).collect()
    }

    /// A live object of an environment's namespace.
    pub fn live(&self, kind: &str, namespace: &str, name: &str) -> Value {
        let is = |object: &Value| object["metadata"]["namespace"] == namespace && object["metadata"]["name"] == name;
        self.all(kind).into_iter().find(is).unwrap_or_default()
    }

    /// Sends what a person's own program sends.
    pub async fn send(&self, method: &str, path: &str, content_type: &str, body: &Value) -> Result<(), Failure> {
        let defect = |why: String| Failure::general(format!("{method} {path}: {why}"), HINT);
        let request =
            http::Request::builder().method(method).uri(path).header(http::header::CONTENT_TYPE, content_type);
        let request =
            request.body(Full::new(Bytes::from(body.to_string()))).map_err(|error| defect(error.to_string()))?;
        let response = self.sandbox.handle(request).await;
        if response.status().is_success() {
            return Ok(());
        }
        let status = response.status();
        let said = response.into_body().collect().await.map_err(|error| defect(error.to_string()))?.to_bytes();
        Err(defect(format!("{status} {}", String::from_utf8_lossy(&said))))
    }

    /// What the story says has to be so.
    pub fn check(&self, holds: bool, what: &str) -> Result<(), Failure> {
        if holds { Ok(()) } else { Err(Failure::general(format!("it is not as the story says: {what}"), HINT)) }
    }

    /// What the platform team does once: custom resources, namespaces, the grant.
    async fn install(&self) -> Result<(), Failure> {
        for crd in crds::crds() {
            self.send("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "application/json", &crd)
                .await?;
        }
        for name in [HOME, "shop-staging", "shop-production"] {
            let labels = json!({wire::REPOSITORY: "shop"});
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
            self.send("POST", "/api/v1/namespaces", "application/json", &namespace).await?;
        }
        let repository = self.repository();
        self.send("POST", "/apis/osier.dev/v1alpha1/repositories", "application/json", &repository).await
    }

    fn repository(&self) -> Value {
        json!({
            "apiVersion": wire::API_VERSION,
            "kind": "Repository",
            "metadata": {"name": "shop"},
            "spec": {
                "url": self.origin(),
                "home": HOME,
                "namespaces": ["shop-staging", "shop-production"],
                "prefixes": ["shop-b"],
                "subjects": ["group:shop-developers"],
                "keys": [
                    {"class": "staging", "environments": ["staging"]},
                    {"class": "production", "environments": ["production"]},
                    {"class": "branch", "branches": true},
                ],
            },
        })
    }

    fn write(&self, path: &str, content: &str) -> Result<(), Failure> {
        let path = self.shop().join(path);
        let directory = path.parent().unwrap_or(Path::new("/"));
        let written = fs::create_dir_all(directory).and_then(|()| fs::write(&path, content));
        written
            .map_err(|error| Failure::general(error, "the demo needs room for a few files in the temporary directory"))
    }

    fn replace(&self, path: &str, old: &str, new: &str) -> Result<(), Failure> {
        let text = fs::read_to_string(self.shop().join(path)).map_err(|error| Failure::general(error, HINT))?;
        self.check(text.matches(old).count() == 1, &format!("`{old}` is in {path} once"))?;
        anstream::println!("  {path}: {} → {}", old.trim(), new.trim());
        self.write(path, &text.replace(old, new))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            tracing::warn!(directory = %self.directory.display(), %error, "The temporary directory could not be removed");
        }
    }
}

impl Running {
    /// The whole lines that it has said since the last time.
    pub fn news(&mut self) -> Vec<String> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let new = text.get(self.read..).unwrap_or_default();
        let whole = new.rfind('\n').map_or("", |end| &new[..=end]);
        self.read += whole.len();
        whole.lines().map(str::to_owned).collect()
    }

    /// What it said, if it has ended by itself.
    pub fn ended(&mut self) -> Option<String> {
        let ended = self.child.try_wait().ok().flatten()?;
        Some(format!("{ended}: {}", fs::read_to_string(&self.path).unwrap_or_default()))
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) -> std::io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!(%error, "A command that the demo started could not be ended");
        }
    }
}

impl Said {
    /// The writes to an environment's namespace, such as `patch configmaps/shop`.
    pub fn writes(&self, namespace: &str) -> Vec<String> {
        let writes = self.requests.iter().filter(|line| line.is_mutating() && line.namespace == namespace);
        let mut writes: Vec<String> =
            writes.map(|line| format!("{} {}/{}", line.verb, line.resource, line.name)).collect();
        writes.sort();
        writes
    }
}

/// Splits a command line; single quotes keep words together.
fn arguments(line: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            arguments.push(part.to_owned());
        } else {
            arguments.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    arguments
}

fn print(text: &str, show: Show) {
    let lines: Vec<&str> = text.lines().collect();
    let (first, last) = match show {
        Show::Ends(first, last) if lines.len() > first + last + 1 => (first, last),
        _ => (lines.len(), 0),
    };
    for line in &lines[..first] {
        anstream::println!("  {line}");
    }
    if last > 0 {
        anstream::println!("  {FAINT}… {} more lines{RESET}", lines.len() - first - last);
        for line in &lines[lines.len() - last..] {
            anstream::println!("  {line}");
        }
    }
    anstream::println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(
            arguments("rollback staging --to '#2' --reason 'too loud'"),
            ["rollback", "staging", "--to", "#2", "--reason", "too loud"]
        );
    }
}
