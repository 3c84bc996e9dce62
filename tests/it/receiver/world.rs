//! A receiver beside an API server, and calls as raw HTTP.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Map, Value, json};

use crate::scenarios::world::World;
use crate::support::control_plane::User;
use crate::support::process::{OSIER, Process, until};
use crate::support::server::{PATIENCE, Server};

/// What the recorded calls are signed with.
pub const SECRET: &str = "canary-5f-webhook-secret-of-shop";
/// What the one with a signing token is signed with.
pub const SIGNING_TOKEN: &str = "whsec_Y2FuYXJ5LTVlLXNpZ25pbmcta2V5LW9mLWdpdGxhYi0=";
/// The Secret that the Repository names; the README's rights name it, too.
pub const SECRET_NAME: &str = "shop-webhook";

const CALLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/receiver/calls");

/// A call as a forge made it.
#[derive(Clone)]
pub struct Call {
    pub name: String,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Status that it is answered with.
    pub status: u16,
}

/// A receiver at work.
pub struct Receiver {
    pub world: World,
    pub process: Process,
}

impl Call {
    /// All recorded calls, in the order of their names.
    pub fn recorded(world: &World) -> Vec<Call> {
        let mut paths: Vec<_> = fs::read_dir(CALLS).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let read = |path: &std::path::PathBuf| {
            Call::parse(world, &path.file_stem().unwrap().to_string_lossy(), &fs::read_to_string(path).unwrap())
        };
        paths.iter().map(read).collect()
    }

    /// One recorded call.
    pub fn named(world: &World, name: &str) -> Call {
        Call::recorded(world).into_iter().find(|call| call.name == name).expect("it is recorded")
    }

    /// A comment, a request line without version, headers, an empty line, the body, and `=> STATUS`.
    fn parse(world: &World, name: &str, text: &str) -> Call {
        let (head, rest) = text.split_once("\n\n").expect("a head and a body");
        let (body, status) = rest.rsplit_once("\n=> ").expect("a status");
        let mut lines = head.lines().skip_while(|line| line.starts_with('#'));
        let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
        let header =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
        Call {
            name: name.to_owned(),
            method: method.to_owned(),
            path: world.name(path),
            headers: lines.map(header).collect(),
            body: body.as_bytes().to_vec(),
            status: status.trim().parse().unwrap(),
        }
    }

    /// The headers that show that the sender knows the secret.
    pub fn signatures(&mut self) -> impl Iterator<Item = &mut (String, String)> {
        self.headers
            .iter_mut()
            .filter(|(name, _)| name.to_lowercase().contains("signature") || name == "X-Gitlab-Token")
    }

    /// The status of a receiver's answer; 0 without one.
    pub fn answer(&self, receiver: &Process) -> u16 {
        status(&send(receiver, &self.bytes(self.body.len())))
    }

    /// The bytes of the request, with this length said of the body.
    pub fn bytes(&self, length: usize) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: osier.example.com\r\nContent-Length: {length}\r\n",
            self.method, self.path
        );
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

impl Receiver {
    /// One beside an empty sandbox, whose Repository has a webhook secret.
    pub async fn new() -> Receiver {
        let mut world = World::new(Server::sandbox().await).await;
        let account = world.account.clone();
        secret(&mut world, &[("secret", SECRET), ("previous", SIGNING_TOKEN)]).await;
        name_secret(&world, Some(SECRET_NAME)).await;
        Receiver::start(world, &account)
    }

    /// One in a world, with the credentials of an account; it hears the world's Repository.
    pub fn start(world: World, account: &User) -> Receiver {
        fs::copy(world.server.kubeconfig(account), world.path("kubeconfig-receiver")).unwrap();
        let process = started(&world);
        Receiver { world, process }
    }

    /// Sends bytes; the answer as far as it came, and empty if the connection was broken off before it.
    pub fn send(&self, bytes: &[u8]) -> String {
        send(&self.process, bytes)
    }

    /// The status of the answer to a call; 0 without one.
    pub fn call(&self, call: &Call) -> u16 {
        call.answer(&self.process)
    }

    /// `status.lookAt`; empty if there is none.
    pub async fn look_at(&self) -> String {
        let path = format!("/apis/osier.dev/v1alpha1/repositories/{}", self.world.name("shop"));
        let (_, repository) = self.world.ask(Method::GET, &path, None).await;
        repository["status"]["lookAt"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits for another look than this one.
    pub async fn looked_after(&self, before: &str) -> String {
        let begun = std::time::Instant::now();
        loop {
            let now = self.look_at().await;
            if now != before {
                return now;
            }
            assert!(begun.elapsed() < PATIENCE, "nobody was asked to look");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// What osier changed in the sandbox so far: verb and resource of each request.
    pub fn writes(&self) -> Vec<(&'static str, String)> {
        let Server::Sandbox(sandbox) = &self.world.server else { panic!("the audit log says who asked") };
        let requests = sandbox.sandbox.requests().into_iter();
        let own = requests.filter(|line| line.user_agent.starts_with("osier"));
        own.filter(|line| !["get", "list", "watch", "discovery"].contains(&line.verb))
            .map(|line| (line.verb, line.resource))
            .collect()
    }

    /// Ends it, and searches what it left behind for the secrets.
    pub async fn end(mut self) {
        self.process.signal("-TERM");
        assert!(self.process.ended().success(), "{}", self.process.log());
        let log = self.process.log();
        self.world.canary.scan("the log", log.as_bytes());
        assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
        self.world.scan().await;
    }
}

/// A process with the credentials that lie in the world; it hears the world's Repository.
pub fn started(world: &World) -> Process {
    let mut command = Command::new(OSIER);
    command.args(["receiver", "--listen", "127.0.0.1:0", "--webhooks", "127.0.0.1:0", "--log-format", "json"]);
    command.args(["--proxies", "127.0.0.0/8"]);
    command.args(["--repository", &world.name("shop"), "--kubeconfig"]).arg(world.path("kubeconfig-receiver"));
    let process = Process::start(command, &world.path("tmp"), "receiver");
    process.says("/readyz", "200 OK");
    until("webhooks are heard", || process.log().contains("webhooks are heard"));
    process
}

fn send(receiver: &Process, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(receiver.address_of("webhooks")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let sent = stream.write_all(bytes);
    let broken = |kind| matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected);
    assert!(sent.is_ok() || sent.is_err_and(|error| broken(error.kind())));
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert!(broken(error.kind()), "{error}");
    }
    String::from_utf8(answer).unwrap()
}

/// The status of an answer; 0 without one.
pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).map_or(0, |code| code.parse().unwrap())
}

/// Makes the webhook secret of these entries, in the place of what it was; without entries there is none.
pub async fn secret(world: &mut World, entries: &[(&str, &str)]) {
    for (_, value) in entries {
        world.canary.watch_for(value);
    }
    let path = format!("/api/v1/namespaces/{}/secrets", world.name("shop"));
    let data: Map<String, Value> =
        entries.iter().map(|(entry, value)| ((*entry).to_owned(), json!(STANDARD.encode(value)))).collect();
    let (status, _) = world.ask(Method::DELETE, &format!("{path}/{SECRET_NAME}"), None).await;
    assert!([200, 404].contains(&status));
    if !data.is_empty() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET_NAME}, "data": data});
        let (status, said) = world.ask(Method::POST, &path, Some(&secret)).await;
        assert_eq!(status, 201, "{said}");
    }
}

/// The Repository names this webhook secret from now on.
pub async fn name_secret(world: &World, name: Option<&str>) {
    let path = format!("/apis/osier.dev/v1alpha1/repositories/{}", world.name("shop"));
    let (_, mut repository) = world.ask(Method::GET, &path, None).await;
    repository["spec"]["webhookSecret"] = json!(name);
    let (status, said) = world.ask(Method::PUT, &path, Some(&repository)).await;
    assert_eq!(status, 200, "{said}");
}
