//! The service in a script: `osier controller` as a process of its own, in one or more replicas.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::{Instant, sleep};

use crate::scenarios::world::World;
use crate::support::server::PATIENCE;

/// Between two looks at something that comes by itself.
const LOOK: Duration = Duration::from_millis(20);
/// Bound of `$ settle` and `$ until`: what takes longer is a defect.
const SETTLED: Duration = Duration::from_secs(30);

/// The replicas of one script, by name. They end with it.
#[derive(Default)]
pub struct Services(BTreeMap<String, Replica>);

struct Replica {
    child: Child,
    /// Of its probes and metrics.
    address: String,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// `start|stop|kill|pause|resume [NAME] [arguments]`, as the README beside the scripts says.
///
/// Gives what a script has to show: the exit code of a replica that did not end well.
pub async fn service(world: &mut World, line: &str) -> String {
    let line = world.names.real(line);
    let words: Vec<&str> = line.split(' ').collect();
    let (name, arguments) = match words[1..] {
        [name, ref arguments @ ..] if !name.starts_with("--") => (name, arguments),
        ref arguments => ("service", arguments),
    };
    match words[0] {
        "start" => start(world, name, arguments).await,
        "stop" => {
            world.services.signal(name, "-TERM");
            return ends(world, name).await;
        }
        "kill" => drop(world.services.0.remove(name).expect("it was started")),
        "pause" => world.services.signal(name, "-STOP"),
        "resume" => world.services.signal(name, "-CONT"),
        what => panic!("`{what}` is nothing that a service does"),
    }
    String::new()
}

/// Waits until the service has attended to what people say and, unless they hold the environment, to the tip of the branch.
pub async fn settle(world: &mut World, environment: &str) -> String {
    let head = String::from_utf8_lossy(&world.run("git rev-parse HEAD").await.stdout).trim().to_owned();
    let home = world.name("shop");
    let name = world.names.real(environment);
    let path = format!("/apis/osier.dev/v1alpha1/namespaces/{home}/environments/{name}");
    let begun = Instant::now();
    while begun.elapsed() < SETTLED {
        let (_, found) = world.ask(http::Method::GET, &path, None).await;
        let (status, held) = (&found["status"], !found["spec"]["hold"].is_null());
        let heard = status["observedGeneration"] == found["metadata"]["generation"];
        if heard && (held || status["attempted"] == head.as_str()) {
            return String::new();
        }
        sleep(LOOK).await;
    }
    format!("! {environment} is not settled after {} s\n", SETTLED.as_secs())
}

/// Runs a command again and again until it says `wanted`. What it says at last is shown if it never does.
pub async fn until(world: &mut World, command: &str, wanted: &str) -> String {
    let command = world.names.real(command);
    let wanted = world.names.real(wanted);
    let begun = Instant::now();
    loop {
        let output = world.run(&command).await;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if said == wanted {
            return String::new();
        }
        if begun.elapsed() > SETTLED {
            let said = format!("{said}\n{}", String::from_utf8_lossy(&output.stderr));
            return world.names.shown(&said, false).lines().map(|line| format!("! {line}\n")).collect();
        }
        sleep(LOOK).await;
    }
}

/// The sum of all series of a metric whose line begins with `series`, over all replicas.
pub async fn metric(world: &World, series: &str) -> String {
    let mut sum = 0.0;
    for replica in world.services.0.values() {
        let (_, page) = get(&replica.address, "/metrics").await.unwrap_or_default();
        let values = page.lines().filter(|line| line.starts_with(series)).filter_map(|line| line.rsplit(' ').next());
        sum += values.filter_map(|value| value.parse::<f64>().ok()).sum::<f64>();
    }
    format!("{sum}\n")
}

async fn start(world: &mut World, name: &str, arguments: &[&str]) {
    let log = world.path("tmp").join(format!("{name}.log"));
    let file = File::options().create(true).append(true).open(&log).unwrap();
    let begins = file.metadata().unwrap().len();
    fs::create_dir_all(world.path(&data(name))).unwrap();
    let child = command(world, name, arguments, file).spawn().unwrap();
    let mut replica = Replica { child, address: String::new() };
    let begun = Instant::now();
    loop {
        let said = fs::read(&log).unwrap()[usize::try_from(begins).unwrap()..].to_vec();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(replica.child.try_wait().unwrap().is_none(), "it does not start:\n{said}");
        assert!(begun.elapsed() < PATIENCE, "it is not ready:\n{said}");
        if let Some(address) = address(&said) {
            address.clone_into(&mut replica.address);
            if get(address, "/readyz").await.is_some_and(|(code, _)| code == 200) {
                break;
            }
        }
        sleep(LOOK).await;
    }
    world.services.0.insert(name.to_owned(), replica);
}

fn command(world: &World, name: &str, arguments: &[&str], log: File) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_osier"));
    let shop = world.name("shop");
    command.args(["controller", "--repository", &shop]);
    if !arguments.contains(&"--lane") {
        command.args(["--lane", "protected"]);
    }
    // an account of its own, if it has one
    let own = world.path(&format!("kubeconfig-{name}"));
    let kubeconfig = if own.exists() { own } else { world.path("kubeconfig-service") };
    let keys = if arguments.starts_with(&["--lane", "branches"]) { "keys-branches" } else { "keys" };
    if !arguments.contains(&"--namespace") {
        command.args(["--namespace", &shop]);
    }
    command.args(["--listen", "127.0.0.1:0"]);
    command.arg("--keys").arg(world.path(keys)).arg("--data").arg(world.path(&data(name)));
    command.args(arguments);
    command.env_clear().env("KUBECONFIG", kubeconfig).env("OSIER_LOG", "trace");
    command.env("HOME", world.path("home")).env("TMPDIR", world.path("tmp")).env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command
}

/// Waits until a replica ends. What a script has to show: its exit code, if it did not end well.
pub async fn ends(world: &mut World, name: &str) -> String {
    let mut replica = world.services.0.remove(name).expect("it was started");
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = replica.child.try_wait().unwrap() {
            return if status.success() { String::new() } else { format!("! {name} ended with {status}\n") };
        }
        sleep(LOOK).await;
    }
    format!("! {name} does not end\n")
}

impl Services {
    fn signal(&self, name: &str, signal: &str) {
        let process = self.0[name].child.id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }
}

/// Each replica has mirrors of its own, as each pod has.
fn data(name: &str) -> String {
    format!("data/{name}")
}

/// The address that the log names once the service serves.
fn address(log: &str) -> Option<&str> {
    let line = log.lines().find(|line| line.contains(" serves"))?;
    line.split("address=").nth(1)?.split_whitespace().next()
}

async fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<&'static [u8]>>();
    let answer = client.get(format!("http://{address}{path}").parse().ok()?).await.ok()?;
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    Some((code, String::from_utf8_lossy(&body).into_owned()))
}
