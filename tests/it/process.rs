//! What the service's work stands on, in one process: Leases, probes, metrics, keys.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use osier::controller::process::{Error, start};
use osier::controller::supervise::Signals;
use osier::keys::generate;
use osier::settings::LogFormat;
use osier::settings::controller::{ControllerSettings, Lane, WatchScope};
use tokio::task::block_in_place;
use tokio::time::sleep;

use crate::support::control_plane::User;
use crate::support::server::{PATIENCE, Server};

fn settings(server: &Server, namespace: &str, directory: &Path) -> ControllerSettings {
    ControllerSettings {
        kubeconfig: Some(server.kubeconfig(&User::admin())),
        context: None,
        request_timeout: Duration::from_secs(30),
        lane: Lane::All,
        repository: None,
        cluster: None,
        namespace: namespace.to_owned(),
        keys: directory.to_owned(),
        data: directory.to_owned(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        concurrency: 1,
        watch: WatchScope::Namespace,
        log_format: LogFormat::Text,
        log: None,
        machine: "pod".to_owned(),
    }
}

/// The whole answer to a GET.
fn get(address: SocketAddr, path: &str) -> String {
    let mut answer = String::new();
    block_in_place(|| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: o\r\n\r\n").unwrap();
        stream.read_to_string(&mut answer).unwrap();
    });
    answer
}

/// Asks until the answer has all of these.
async fn says(address: SocketAddr, path: &str, wanted: &[&str]) {
    let begun = Instant::now();
    loop {
        let answer = get(address, path);
        if wanted.iter().all(|text| answer.contains(text)) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{wanted:?} is not in:\n{answer}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_leads_answers_probes_and_follows_its_keys() {
    for server in [Server::sandbox().await, Server::real()] {
        let namespace = server.namespace().await;
        let keys = tempfile::tempdir().unwrap();
        fs::write(keys.path().join("staging.txt"), generate().0.expose()).unwrap();
        let settings = settings(&server, &namespace, keys.path());
        let process = start(&settings, Timestamp::now).await.unwrap();
        let address = process.address;
        let story = async {
            says(address, "/livez", &["HTTP/1.1 200 OK"]).await;
            says(address, "/readyz", &["HTTP/1.1 200 OK", "\r\n\r\nok\n"]).await;
            let leads =
                ["osier_leading{lane=\"protected\"} 1", "osier_leading{lane=\"branches\"} 1", "osier_key_classes 1"];
            says(address, "/metrics", &leads).await;
            fs::write(keys.path().join("production.txt"), "AGE-SECRET-KEY-1BROKEN").unwrap();
            says(address, "/metrics", &["osier_key_classes 1", "osier_unusable_key_files 1"]).await;
            says(address, "/readyz", &["HTTP/1.1 200 OK", "production.txt"]).await;
            assert!(!get(address, "/readyz").contains("BROKEN"));

            let taken = ControllerSettings { listen: address, ..settings };
            assert!(matches!(start(&taken, Timestamp::now).await, Err(Error::Listen { .. })));
        };
        tokio::select! {
            ended = process.tasks.run(Signals::listen().unwrap()) => panic!("{ended:?}"),
            () = story => {}
        }
    }
}
