//! `osier controller` as a process: probes, metrics, logs, Leases, signals, and a second one beside it.
//!
//! Against `osier sandbox`: on the shared real control plane it would serve the Repositories of other tests.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use osier::keys::generate;
use serde_json::Value;

use crate::support::process::{OSIER, Process, until};
use crate::support::programs::program;

/// A sandbox, keys, and room for mirrors.
struct Place {
    directory: tempfile::TempDir,
    _sandbox: Process,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("keys")).unwrap();
        fs::write(at("namespace"), "{apiVersion: v1, kind: Namespace, metadata: {name: osier-system}}").unwrap();
        fs::write(at("keys/staging.txt"), generate().0.expose()).unwrap();
        let mut command = Command::new(OSIER);
        command.args(["sandbox", "--kubeconfig-out", "config"]);
        let sandbox = Process::start(command, directory.path(), "sandbox");
        until("the sandbox serves", || fs::read_to_string(at("config")).is_ok_and(|config| config.contains("current")));
        let place = Place { directory, _sandbox: sandbox };
        place.kubectl(&["create", "-f", "namespace"]);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `osier controller` with these arguments, too. Its mirrors are its own.
    fn controller(&self, name: &str, more: &[&str]) -> Process {
        let data = self.path(&format!("data-{name}"));
        fs::create_dir_all(&data).unwrap();
        let mut command = Command::new(OSIER);
        command.args(["controller", "--kubeconfig", "config", "--namespace", "osier-system", "--keys", "keys"]);
        command.args(["--listen", "127.0.0.1:0", "--log-format", "json", "--data"]).arg(data).args(more);
        Process::start(command, self.directory.path(), name)
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let mut kubectl = Command::new(program("kubectl"));
        kubectl.args(["--kubeconfig", "config"]).args(arguments).current_dir(self.directory.path());
        let output = kubectl.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn holder(&self) -> String {
        let lease = ["get", "lease", "osier-protected", "-n", "osier-system"];
        self.kubectl(&[&lease[..], &["-o", "jsonpath={.spec.holderIdentity}"]].concat())
    }
}

#[test]
fn it_answers_probes_follows_its_keys_and_gives_up_its_lease_at_a_signal() {
    let place = Place::new();
    for signal in ["-TERM", "-INT"] {
        let mut controller = place.controller("one", &["--cluster", "here"]);
        controller.says("/livez", "HTTP/1.1 200 OK");
        controller.says("/readyz", "HTTP/1.1 200 OK");
        controller.says("/metrics", "osier_leading{lane=\"protected\"} 1");
        controller.says("/metrics", "osier_key_classes 1");
        controller.says("/metrics", "osier_api_requests_total{lane=\"protected\",verb=\"list\"}");
        fs::write(place.path("keys/production.txt"), "AGE-SECRET-KEY-1BROKEN").unwrap();
        controller.says("/metrics", "osier_unusable_key_files 1");
        controller.says("/readyz", "keys: line 1 of `keys/production.txt` is no identity");
        fs::remove_file(place.path("keys/production.txt")).unwrap();
        controller.says("/metrics", "osier_unusable_key_files 0");
        assert_ne!(place.holder(), "");
        controller.signal(signal);
        assert!(controller.ended().success(), "{}", controller.log());
        assert_eq!(place.holder(), "", "{}", controller.log());
        let log = controller.log();
        assert!(
            log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()) && !log.contains("BROKEN"),
            "{log}"
        );
    }
}

#[test]
fn a_second_one_stands_by_and_takes_over_when_the_first_is_killed() {
    let place = Place::new();
    let first = place.controller("first", &[]);
    first.says("/metrics", "osier_leading{lane=\"protected\"} 1");
    let second = place.controller("second", &[]);
    second.says("/readyz", "HTTP/1.1 200 OK");
    second.says("/metrics", "osier_leading{lane=\"protected\"} 0");
    let holder = place.holder();
    first.signal("-KILL");
    second.says("/metrics", "osier_leading{lane=\"protected\"} 1");
    assert_ne!(place.holder(), holder);
}

#[test]
fn a_stopped_leader_finds_another_and_follows() {
    let place = Place::new();
    let first = place.controller("first", &[]);
    let leads = "osier_leading{lane=\"protected\"} 1";
    first.says("/metrics", leads);
    let second = place.controller("second", &[]);
    first.signal("-STOP");
    second.says("/metrics", leads);
    let holder = place.holder();
    first.signal("-CONT");
    first.says("/metrics", "osier_leading{lane=\"protected\"} 0");
    until("it says so", || first.log().contains("not leading any more"));
    assert_eq!(place.holder(), holder);
    assert!(second.get("/metrics").contains(leads));
}

#[test]
fn what_cannot_be_used_is_refused_at_start() {
    let place = Place::new();
    let first = place.controller("first", &[]);
    let mut second = place.controller("second", &["--listen", &first.address().to_string()]);
    assert_eq!(second.ended().code(), Some(2), "an argument that is given twice");
    let mut taken = Command::new(OSIER);
    taken.args([
        "controller",
        "--kubeconfig",
        "config",
        "--namespace",
        "osier-system",
        "--keys",
        "keys",
        "--data",
        ".",
    ]);
    taken.args(["--listen", &first.address().to_string()]);
    let mut taken = Process::start(taken, place.directory.path(), "taken");
    assert_eq!(taken.ended().code(), Some(1));
    assert!(taken.log().contains("--listen"), "{}", taken.log());
}

#[test]
fn two_never_share_a_directory_of_mirrors() {
    let place = Place::new();
    let first = place.controller("first", &[]);
    first.says("/readyz", "HTTP/1.1 200 OK");
    let mut second = place.controller("first", &[]);
    assert_eq!(second.ended().code(), Some(1));
    assert!(
        second.log().contains("another `osier controller` uses") && second.log().contains("--data"),
        "{}",
        second.log()
    );
    drop(first);
    place.controller("first", &[]).says("/readyz", "HTTP/1.1 200 OK");
}

#[test]
fn a_lease_that_cannot_be_had_is_said() {
    let place = Place::new();
    place.kubectl(&["delete", "namespace", "osier-system"]);
    let controller = place.controller("one", &[]);
    controller.says("/readyz", "HTTP/1.1 503");
    controller.says("/readyz", "osier-protected: cannot write Lease `osier-system/osier-protected`");
    controller.says("/readyz", "namespaces \"osier-system\" not found");
    place.kubectl(&["create", "-f", "namespace"]);
    controller.says("/readyz", "HTTP/1.1 200 OK");
}
