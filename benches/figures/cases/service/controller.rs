//! `osier controller`, the program itself, as a process of its own.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use osier::model::digest::b32;
use serde_json::Value;

use crate::cases::place::Place;
use crate::process;
use crate::support::control_plane::User;

/// Between two looks at something that comes by itself.
pub const LOOK: Duration = Duration::from_millis(20);
/// Bound on whatever comes by itself: what takes longer has failed.
pub const PATIENCE: Duration = Duration::from_mins(5);

/// A replica of the service; it ends with the value.
pub struct Controller {
    child: Child,
    /// Of its probes and metrics.
    address: String,
}

impl Controller {
    /// Starts one for the Repository of a place, with a mirror of its own that has what the remote has now, and returns once it is
    /// ready: its own and others' mirrors may be there from a run before.
    pub async fn start(place: &Place, name: &str, user: &User) -> Self {
        Self::start_lane(place, name, user, "protected").await
    }

    /// The same for a lane.
    pub async fn start_lane(place: &Place, name: &str, user: &User, lane: &str) -> Self {
        let data = place.path(name);
        let mirrors = data.join(if lane == "branches" { "branches" } else { "mirrors" });
        let mirror = mirrors.join(b32(26, [place.name.as_str(), place.repository.url().as_str()]));
        if !mirror.exists() {
            fs::create_dir_all(mirrors).expect("there is room for a directory");
            place.repository.seed(&mirror);
        }
        let log = place.path(&format!("{name}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_osier"));
        command.args(["controller", "--lane", lane, "--log-format", "json", "--listen", "127.0.0.1:0"]);
        command.args(["--repository", &place.name, "--namespace", &place.home(), "--kubeconfig"]);
        command.arg(place.server.kubeconfig(user)).arg("--keys").arg(place.path("keys")).arg("--data").arg(data);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).expect("there is room for a log"));
        let child = command.current_dir(place.folder()).env_remove("OSIER_LOG").spawn().expect("osier starts");
        let mut controller = Self { child, address: String::new() };
        let begun = Instant::now();
        while !controller.is_ready(&fs::read_to_string(&log).unwrap_or_default()).await {
            assert!(begun.elapsed() < PATIENCE, "osier is not ready: {}", log.display());
            tokio::time::sleep(LOOK).await;
        }
        controller
    }

    async fn is_ready(&mut self, log: &str) -> bool {
        assert!(self.child.try_wait().is_ok_and(|ended| ended.is_none()), "osier does not start:\n{log}");
        let said = |line: &str| Some(serde_json::from_str::<Value>(line).ok()?["address"].as_str()?.to_owned());
        match log.lines().find_map(said) {
            Some(address) => self.address = address,
            None => return false,
        }
        self.get("/readyz").await.is_some_and(|(code, _)| code == 200)
    }

    /// The sum of all series whose line begins so.
    pub async fn metric(&self, series: &str) -> f64 {
        let (_, page) = self.get("/metrics").await.expect("osier answers");
        let values = page.lines().filter(|line| line.starts_with(series)).filter_map(|line| line.rsplit(' ').next());
        values.filter_map(|value| value.parse::<f64>().ok()).sum()
    }

    /// Waits until a metric has at least this value.
    pub async fn counts(&self, series: &str, least: usize) {
        let begun = Instant::now();
        while self.metric(series).await < least as f64 {
            assert!(begun.elapsed() < PATIENCE, "{series} is not {least}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// CPU time so far.
    pub fn cpu(&self) -> Duration {
        process::cpu_of(self.child.id())
    }

    /// Bytes that it has allocated.
    pub fn memory(&self) -> u64 {
        process::memory_of(&self.child.id().to_string(), "RssAnon")
    }

    /// Connections to the API server.
    pub fn connections(&self) -> usize {
        process::connections(self.child.id())
    }

    /// Tells it to stop, and waits until it has: its Lease is given up.
    pub fn stop(mut self) {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &process]).status().is_ok_and(|status| status.success()));
        assert!(self.child.wait().is_ok_and(|status| status.success()), "osier ends well");
    }

    /// Ends it without a word.
    pub fn kill(self) {
        drop(self);
    }

    async fn get(&self, path: &str) -> Option<(u16, String)> {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<&'static [u8]>>();
        let answer = client.get(format!("http://{}{path}", self.address).parse().ok()?).await.ok()?;
        let code = answer.status().as_u16();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        Some((code, String::from_utf8_lossy(&body).into_owned()))
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // it may have ended by itself
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
