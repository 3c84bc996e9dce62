//! Real programs, identities and encrypted files in a temporary directory.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use osier::desired::sops::{DataKey, SopsFile};
use osier::desired::value::Value;
use osier::keys::Keyring;
use osier::model::problem::Problem;

use crate::support::programs::program;

/// In every value of the fixtures; never in a problem or a debug text.
pub const CANARY: &str = "cAnArY";

/// Identities of two classes and an SSH key, made by the real tools.
pub struct World {
    directory: tempfile::TempDir,
    pub staging: String,
    pub production: String,
    pub ssh: String,
}

impl World {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for folder in ["keys", "ssh"] {
            std::fs::create_dir(directory.path().join(folder)).unwrap();
        }
        let class = |name: &str| {
            let file = directory.path().join(format!("keys/{name}.txt"));
            run(&program("age-keygen"), directory.path(), &["-o", file.to_str().unwrap()], "");
            run(&program("age-keygen"), directory.path(), &["-y", file.to_str().unwrap()], "").trim().to_owned()
        };
        let (staging, production) = (class("staging"), class("production"));
        let key = directory.path().join("ssh/id_ed25519");
        let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", "a comment", "-f", key.to_str().unwrap()];
        run(Path::new("ssh-keygen"), directory.path(), &arguments, "");
        let ssh = std::fs::read_to_string(directory.path().join("ssh/id_ed25519.pub")).unwrap().trim().to_owned();
        Self { directory, staging, production, ssh }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Runs sops with the staging identity.
    pub fn sops(&self, arguments: &[&str]) -> String {
        run(&program("sops"), self.directory.path(), arguments, "")
    }

    /// Encrypts `text` for staging into the file `name`, which it also returns.
    pub fn encrypt(&self, name: &str, text: &str, arguments: &[&str]) -> String {
        self.write(name, text);
        let recipients = ["--age", &self.staging];
        let recipients = if arguments.contains(&"--age") { &[][..] } else { &recipients[..] };
        self.sops(&[&["-e", "-i"], recipients, arguments, &[name]].concat());
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn keyring(&self) -> Keyring {
        let (keyring, errors) = Keyring::from_directory(&self.path("keys"));
        assert!(errors.is_empty(), "{errors:?}");
        keyring
    }

    pub fn data_key(&self, file: &SopsFile) -> DataKey {
        self.keyring().unwrap(Some("staging"), file).unwrap()
    }

    /// Parses and opens what stands in `text`.
    pub fn open(&self, name: &str, text: &str) -> Result<Vec<Value>, Vec<Problem>> {
        let file = SopsFile::parse(name, text.as_bytes())?;
        file.open(&self.data_key(&file))
    }

    /// What `sops -d FILE | kubectl` makes of the file.
    pub fn oracle(&self, name: &str) -> Vec<serde_json::Value> {
        self.kubectl(&self.sops(&["-d", name]))
    }

    /// What kubectl makes of manifests.
    pub fn kubectl(&self, text: &str) -> Vec<serde_json::Value> {
        let arguments = ["patch", "--local", "-p", "{}", "--type", "merge", "-o", "json", "-f", "-"];
        let objects = run(&program("kubectl"), self.directory.path(), &arguments, text);
        serde_json::Deserializer::from_str(&objects).into_iter().map(Result::unwrap).collect()
    }
}

fn run(program: &Path, directory: &Path, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("HOME", directory)
        .env("KUBECONFIG", "/dev/null")
        .env("SOPS_AGE_KEY_FILE", directory.join("keys/staging.txt"))
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {stderr}", program.display());
    String::from_utf8(output.stdout).unwrap()
}
