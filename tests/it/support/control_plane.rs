//! A real control plane: etcd, kube-apiserver and kube-controller-manager, one per test process, and others for tests that stop it
//! or change what belongs to the whole cluster.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use std::{fs, process, thread};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::audit::{self, AuditLine};
use crate::support::certificates::{Authority, Pair, account_keys};
use crate::support::programs::program;

/// Bound on a start. Four seconds on a quiet machine; a busy one is no reason to fail.
const START: Duration = Duration::from_mins(2);
/// Another process may take the free port between our look and the server's start.
const ATTEMPTS: usize = 5;
/// The group that may do everything.
const MASTERS: &str = "system:masters";

/// Somebody who sends requests, told apart by the audit log.
///
/// Tests run at the same time: one that counts requests uses a name that no other test uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    rights: Rights,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rights {
    All,
    /// Those that are bound to the name.
    Bound,
    /// Not even a name: the server does not know the credentials.
    Unknown,
}

impl User {
    /// A user with all rights.
    pub fn powerful(name: &str) -> User {
        User { name: name.to_owned(), rights: Rights::All }
    }

    /// A user with the rights that the test binds to this name, and no others.
    pub fn person(name: &str) -> User {
        User { name: name.to_owned(), rights: Rights::Bound }
    }

    /// Somebody whose credentials the server does not know: every request is answered 401.
    pub fn unknown() -> User {
        User { name: "unknown".to_owned(), rights: Rights::Unknown }
    }

    /// The user of tests that do not care which.
    pub fn admin() -> User {
        User::powerful("admin")
    }
}

/// The running servers. They stop when the process ends, in whatever way it does.
pub struct ControlPlane {
    folder: PathBuf,
    port: u16,
    authority: Authority,
    /// What holds the servers takes orders here. They live as long as it is open.
    orders: Mutex<ChildStdin>,
}

enum Failure {
    PortTaken,
    Other(String),
}

impl ControlPlane {
    /// The one of this process, started at the first call.
    ///
    /// Panics if a program is missing or the servers do not come up.
    pub fn shared() -> &'static ControlPlane {
        static SHARED: OnceLock<ControlPlane> = OnceLock::new();
        SHARED.get_or_init(ControlPlane::new)
    }

    /// Another one, for the caller alone. Panics as `shared` does.
    pub fn another() -> &'static ControlPlane {
        Box::leak(Box::new(ControlPlane::new()))
    }

    fn new() -> ControlPlane {
        for _ in 0..ATTEMPTS {
            match ControlPlane::launch() {
                Ok(control_plane) => return control_plane,
                Err(Failure::PortTaken) => {}
                Err(Failure::Other(why)) => panic!("the control plane does not start: {why}"),
            }
        }
        panic!("the control plane does not start: no free port in {ATTEMPTS} attempts");
    }

    /// Kills the API server and etcd.
    pub fn stop(&self) {
        self.order("stop");
        let deadline = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            assert!(Instant::now() < deadline, "the API server does not stop");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts them again, and returns once the API server answers.
    pub fn start(&self) {
        self.order("start");
        if let Err(Failure::Other(why)) = wait_until_ready(&self.folder, self.port, &self.authority) {
            panic!("the control plane does not start again: {why}");
        }
    }

    /// While they are stopped: keeps what etcd has.
    pub fn keep(&self) {
        self.order("keep");
    }

    /// While they are stopped: gives etcd what it had when it was kept.
    pub fn restore(&self) {
        self.order("restore");
    }

    fn order(&self, order: &str) {
        writeln!(self.orders.lock().unwrap(), "{order}").expect("the script that holds the servers runs");
    }

    /// A kubeconfig for the user, made at the first call.
    pub fn kubeconfig(&self, user: &User) -> PathBuf {
        let path = self.folder.join(format!("{}.kubeconfig", user.name));
        if !path.exists() {
            let credentials = match user.rights {
                Rights::All => client_credentials(&self.authority, &user.name, &[MASTERS]),
                Rights::Bound => client_credentials(&self.authority, &user.name, &[]),
                Rights::Unknown => json!({"token": "nobody-knows-this"}),
            };
            write_kubeconfig(&path, self.port, &self.authority, &credentials);
        }
        path
    }

    /// The user's requests so far, as the API server saw them.
    pub async fn audit(&self, user: &User) -> Vec<AuditLine> {
        audit::read(&self.folder.join("audit.log"), &user.name).await
    }

    /// Address of the API server.
    pub fn url(&self) -> String {
        url(self.port)
    }

    fn launch() -> Result<ControlPlane, Failure> {
        let programs = program("kube-apiserver").parent().expect("a program lies in a folder").to_owned();
        program("etcd");
        program("kube-controller-manager");
        let folder = tempfile::Builder::new().prefix("osier-control-plane-").tempdir().unwrap().keep();
        let port = free_port();
        let authority = Authority::new();
        write_keys(&folder, port, &authority);
        let orders = spawn(&programs, &folder, port).stdin.take().expect("it is piped");
        wait_until_ready(&folder, port, &authority)?;
        let control_plane = ControlPlane { folder, port, authority, orders: Mutex::new(orders) };
        control_plane.order("controllers");
        Ok(control_plane)
    }
}

/// A group of its own, so that a Ctrl-C in the terminal reaches the tests and not the servers: those follow the pipe.
fn spawn(programs: &Path, folder: &Path, port: u16) -> Child {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/control-plane.sh");
    let log = fs::File::create(folder.join("control-plane.log")).unwrap();
    Command::new("sh")
        .arg(script)
        .args([programs, folder])
        .arg(port.to_string())
        .arg(asked(port))
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0)
        .spawn()
        .unwrap()
}

/// Where it is kept for `tests/rights.rs` what this run of cargo asked for.
fn asked(port: u16) -> PathBuf {
    let run = Path::new(env!("CARGO_TARGET_TMPDIR")).join("asked").join(parent_id().to_string());
    fs::create_dir_all(&run).unwrap();
    run.join(format!("{}-{port}", process::id()))
}

/// On a thread of its own: the caller may be inside a runtime already.
fn wait_until_ready(folder: &Path, port: u16, authority: &Authority) -> Result<(), Failure> {
    let probe = folder.join("probe.kubeconfig");
    write_kubeconfig(&probe, port, authority, &client_credentials(authority, "probe", &[MASTERS]));
    let log = folder.join("kube-apiserver.log");
    let poll = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(poll_readyz(&probe, &log))
    };
    thread::spawn(poll).join().expect("the poll does not panic")
}

async fn poll_readyz(kubeconfig: &Path, log: &Path) -> Result<(), Failure> {
    let deadline = Instant::now() + START;
    let client = client(kubeconfig).await;
    loop {
        let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
        if client.request_text(request).await.is_ok_and(|answer| answer == "ok") {
            return Ok(());
        }
        let said = fs::read_to_string(log).unwrap_or_default();
        if said.contains("address already in use") {
            return Err(Failure::PortTaken);
        }
        if Instant::now() > deadline {
            let end: Vec<&str> = said.lines().rev().take(20).collect();
            return Err(Failure::Other(format!(
                "not ready in {START:?}; the log ends, last line first:\n{}",
                end.join("\n")
            )));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A client from a kubeconfig, without the retries that would hide an answer from a test.
pub async fn client(kubeconfig: &Path) -> kube::Client {
    let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    config.default_retry = false;
    kube::Client::try_from(config).unwrap()
}

fn write_keys(folder: &Path, port: u16, authority: &Authority) {
    let write = |name: &str, content: &str| fs::write(folder.join(name), content).unwrap();
    write("ca.crt", &authority.certificate);
    let Pair { certificate, key } = authority.server();
    write("server.crt", &certificate);
    write("server.key", &key);
    let (public, private) = account_keys();
    write("accounts.pub", &public);
    write("accounts.key", &private);
    write("audit-policy.json", audit::POLICY);
    let controllers = folder.join("controllers.kubeconfig");
    write_kubeconfig(
        &controllers,
        port,
        authority,
        &client_credentials(authority, "system:kube-controller-manager", &[]),
    );
}

/// The user part of a kubeconfig.
fn client_credentials(authority: &Authority, user: &str, groups: &[&str]) -> Value {
    let Pair { certificate, key } = authority.client(user, groups);
    json!({"client-certificate-data": STANDARD.encode(certificate), "client-key-data": STANDARD.encode(key)})
}

/// JSON is YAML. Written aside and renamed: another thread may read it at once.
fn write_kubeconfig(path: &Path, port: u16, authority: &Authority, credentials: &Value) {
    let content = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {
            "server": url(port), "certificate-authority-data": STANDARD.encode(&authority.certificate)}}],
        "users": [{"name": "test", "user": credentials}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    });
    let aside = tempfile::NamedTempFile::new_in(path.parent().expect("a kubeconfig lies in the folder")).unwrap();
    fs::write(aside.path(), content.to_string()).unwrap();
    aside.persist(path).unwrap();
}

fn url(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
