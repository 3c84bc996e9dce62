//! `osier` as a process that goes on until its test ends.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::server::PATIENCE;

/// The program under test.
pub const OSIER: &str = env!("CARGO_BIN_EXE_osier");

/// A process that ends with its test.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub fn start(mut command: Command, directory: &Path, name: &str) -> Process {
        let log = directory.join(format!("{name}.log"));
        command.current_dir(directory).env_remove("OSIER_LOG").stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
        Process { child, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Where its probes are, once its log says so.
    pub fn address(&self) -> SocketAddr {
        self.address_of("address")
    }

    /// The address that its log, which is JSON, names so.
    pub fn address_of(&self, name: &str) -> SocketAddr {
        let said = || {
            let log = self.log();
            log.lines().find_map(|line| serde_json::from_str::<Value>(line).ok()?[name].as_str()?.parse().ok())
        };
        until("it says where it serves", || said().is_some());
        said().expect("it was there")
    }

    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: o\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Asks until the answer has this.
    pub fn says(&self, path: &str, text: &str) {
        until(&format!("{path} says {text}"), || self.get(path).contains(text));
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    pub fn ended(&mut self) -> ExitStatus {
        let mut ended = None;
        until("it ends", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.expect("it was there")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits until it is so.
///
/// Panics if it takes longer than anything does.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        sleep(Duration::from_millis(20));
    }
}
