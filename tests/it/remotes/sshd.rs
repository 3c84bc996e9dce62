//! A real `sshd` on loopback: each connection is handed to one of its own, as inetd does it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

/// Types of host keys that it has.
pub const KINDS: [&str; 3] = ["ed25519", "ecdsa", "rsa"];

/// Made once: one of them takes seconds.
static HOST_KEYS: LazyLock<TempDir> = LazyLock::new(|| {
    let directory = TempDir::new().unwrap();
    for kind in KINDS {
        keygen(&directory.path().join(format!("host_{kind}")), kind, "");
    }
    directory
});

pub struct Sshd {
    directory: TempDir,
    address: SocketAddr,
}

impl Sshd {
    /// Lets in whoever has the key `client`; nobody else.
    pub fn start() -> Sshd {
        let directory = TempDir::new().unwrap();
        for entry in fs::read_dir(HOST_KEYS.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
        }
        keygen(&directory.path().join("client"), "ed25519", "");
        fs::copy(directory.path().join("client.pub"), directory.path().join("authorized")).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sshd = Sshd { address: listener.local_addr().unwrap(), directory };
        sshd.configure(&KINDS);
        let (program, configuration) = (program(), sshd.path("sshd_config"));
        // ends with the process: it waits for connections, and nothing else
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = OwnedFd::from(stream.unwrap());
                let mut command = Command::new(&program);
                command.arg("-i").arg("-f").arg(&configuration).stderr(Stdio::null());
                command.stdin(stream.try_clone().unwrap()).stdout(stream);
                let mut child = command.spawn().unwrap();
                std::thread::spawn(move || child.wait());
            }
        });
        sshd
    }

    /// Has host keys of these types from the next connection on.
    pub fn configure(&self, kinds: &[&str]) {
        let mut text = String::from(
            "UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\n",
        );
        text += &format!("AuthorizedKeysFile {}\n", self.path("authorized").display());
        text += &kinds
            .iter()
            .map(|kind| format!("HostKey {}\n", self.path(&format!("host_{kind}")).display()))
            .collect::<String>();
        fs::write(self.path("sshd_config"), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// `known_hosts` with the host's key of one type.
    pub fn known_hosts(&self, kind: &str) -> String {
        format!("[127.0.0.1]:{} {}", self.port(), self.read(&format!("host_{kind}.pub")))
    }

    pub fn url(&self, directory: &Path) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", user(), self.port(), directory.display())
    }

    /// As `ssh-keygen` says it.
    pub fn fingerprint(&self, kind: &str) -> String {
        let output =
            Command::new("ssh-keygen").arg("-lf").arg(self.path(&format!("host_{kind}.pub"))).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
    }
}

/// The user that runs the tests: without root, `sshd` lets in no other.
fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-a", "4", "-t", kind, "-N", passphrase, "-C", "test", "-f"]).arg(path);
    assert!(command.status().expect("missing `ssh-keygen`: apt-get install openssh-client").success());
}

/// Where Debian and others put it; it has to be called by its full path.
fn program() -> PathBuf {
    let places = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd", "/opt/homebrew/sbin/sshd"];
    let found = places.into_iter().map(PathBuf::from).find(|path| path.exists());
    // started by root, it wants this directory, which its package's boot script makes
    if found.is_some() && user() == "root" {
        fs::create_dir_all("/run/sshd").unwrap();
    }
    found.expect("missing `sshd`: apt-get install openssh-server")
}
