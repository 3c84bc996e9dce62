//! Webhooks as fast as somebody can send them: right ones, and forged ones.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use http::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::cases::Size;
use crate::cases::place::{self, Place, Shape, post};
use crate::cases::seen::Seen;
use crate::cases::service::controller::{LOOK, PATIENCE};
use crate::process::{count, short};
use crate::support::control_plane::User;
use crate::support::server::request;
use crate::table::Row;

/// Senders at the same time, each with a connection for each call, as forges have.
const SENDERS: usize = 8;
/// Of a push as GitHub tells of it.
const BYTES: usize = 8_000;
const SECRET: &str = "figures-webhook-secret-of-nobody";

/// `osier receiver`; it ends with the value.
struct Receiver {
    child: Child,
    address: String,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // it may have ended by itself
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub async fn rows(calls: usize, size: Size) -> Vec<Row> {
    let shape = Shape { objects: 2, environments: 1, directories: 1, copies: 0 };
    let place = Place::new(place::api_server(size).await, "hooks", shape).await;
    name_secret(&place).await;
    let user = User::powerful("figures-receiver");
    let receiver = Receiver::start(&place, &user);
    let (right, forged) = (call(&place, SECRET), call(&place, "another"));
    let before = look_at(&place).await;
    let (forged_took, forged_answers) = receiver.flood(&forged, calls);
    // what is asked for late would be asked for within a second
    tokio::time::sleep(Duration::from_secs(2)).await;
    let changed = writes(&place, &user).await + usize::from(look_at(&place).await != before);
    let begin = Instant::now();
    while receiver.send(&right) != 202 {
        assert!(begin.elapsed() < PATIENCE, "who knows the secret is heard again");
        std::thread::sleep(LOOK);
    }
    let (took, answers) = receiver.flood(&right, calls);
    let looks = writes(&place, &user).await;
    let heard = answers.get(&202).copied().unwrap_or_default();
    let rate = |calls: usize, took: Duration| format!("{:.0} a second", calls as f64 / took.as_secs_f64());
    vec![
        Row::new(
            "",
            format!("{} webhooks of {BYTES} bytes", count(calls)),
            format!("{}, {} of them heard", rate(calls, took), count(heard)),
            format!("{SENDERS} senders on the same machine, a connection each; {}", short(took)),
        ),
        Row::new("", "  requests to the API server of that", format!("{looks} writes"), "one a second at most"),
        Row::new(
            "",
            format!("{} forged webhooks", count(calls)),
            format!("{changed} changed anything"),
            format!("{}: {}", rate(calls, forged_took), said(&forged_answers)),
        ),
    ]
}

impl Receiver {
    fn start(place: &Place, user: &User) -> Self {
        let log = place.path("receiver.log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_osier"));
        command.args(["receiver", "--listen", "127.0.0.1:0", "--webhooks", "127.0.0.1:0", "--log-format", "json"]);
        command.args(["--repository", &place.name, "--kubeconfig"]).arg(place.server.kubeconfig(user));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).expect("there is room for a log"));
        let child = command.current_dir(place.folder()).env_remove("OSIER_LOG").spawn().expect("osier starts");
        let mut receiver = Self { child, address: String::new() };
        let begun = Instant::now();
        while receiver.address.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "no webhooks are heard: {}", log.display());
            std::thread::sleep(LOOK);
            receiver.address = address(&log).unwrap_or_default();
        }
        receiver
    }

    /// How long so many calls took, and how often they were answered how.
    fn flood(&self, call: &[u8], calls: usize) -> (Duration, BTreeMap<u16, usize>) {
        let begin = Instant::now();
        let answers: Vec<u16> = std::thread::scope(|scope| {
            let sender = || (0..calls / SENDERS).map(|_| self.send(call)).collect::<Vec<u16>>();
            let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(sender)).collect();
            senders.into_iter().flat_map(|sender| sender.join().expect("a sender ends well")).collect()
        });
        let took = begin.elapsed();
        let mut counts = BTreeMap::new();
        for answer in answers {
            *counts.entry(answer).or_default() += 1;
        }
        (took, counts)
    }

    /// The status of the answer; 0 without one.
    fn send(&self, call: &[u8]) -> u16 {
        let Ok(mut stream) = TcpStream::connect(&self.address) else { return 0 };
        let mut answer = Vec::new();
        let sent = stream.write_all(call).and_then(|()| stream.read_to_end(&mut answer));
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        sent.ok().and(status).unwrap_or_default()
    }
}

/// Once the webhooks of the Repository are heard.
fn address(log: &Path) -> Option<String> {
    let log = fs::read_to_string(log).unwrap_or_default();
    let said = |line: &str| Some(serde_json::from_str::<Value>(line).ok()?["webhooks"].as_str()?.to_owned());
    log.lines().find_map(said).filter(|_| log.contains("webhooks are heard"))
}

async fn name_secret(place: &Place) {
    let client = place.server.client(&User::admin()).await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "webhook"}, "data": {"secret": STANDARD.encode(SECRET)}});
    post(&client, &format!("/api/v1/namespaces/{}/secrets", place.home()), secret).await;
    let path = format!("/apis/osier.dev/v1alpha1/repositories/{}", place.name);
    let headers = [("content-type", "application/merge-patch+json")];
    let named = json!({"spec": {"webhookSecret": "webhook"}}).to_string();
    assert_eq!(request(&client, Method::PATCH, &path, &headers, named).await.status, 200);
}

async fn look_at(place: &Place) -> Value {
    let client = place.server.client(&User::admin()).await;
    let path = format!("/apis/osier.dev/v1alpha1/repositories/{}", place.name);
    let answer = request(&client, Method::GET, &path, &[], String::new()).await;
    assert_eq!(answer.status, 200);
    answer.body["status"]["lookAt"].clone()
}

/// What the receiver has changed.
async fn writes(place: &Place, user: &User) -> usize {
    let seen = Seen::of(&place.server, user).await;
    // the sandbox does not know who asks
    seen.requests.iter().filter(|request| request.is_write() && request.resource == "repositories/status").count()
}

/// A push, signed.
fn call(place: &Place, secret: &str) -> Vec<u8> {
    let body = json!({"ref": "refs/heads/main", "padding": "x".repeat(BYTES)}).to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body.as_bytes());
    let signature = HEXLOWER.encode(&mac.finalize().into_bytes());
    format!(
        "POST /hooks/{} HTTP/1.1\r\nHost: osier.example.com\r\nContent-Length: {}\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\n\
         X-Hub-Signature-256: sha256={signature}\r\nConnection: close\r\n\r\n{body}",
        place.name,
        body.len()
    )
    .into_bytes()
}

fn said(answers: &BTreeMap<u16, usize>) -> String {
    let each = answers.iter().map(|(status, calls)| format!("{} of {status}", count(*calls)));
    each.collect::<Vec<_>>().join(", ")
}
