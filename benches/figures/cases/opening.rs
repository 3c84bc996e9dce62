//! How fast encrypted files are opened, beside the sops program.

use std::process::{Command, Stdio};
use std::time::Instant;

use osier::desired::sops::SopsFile;
use osier::keys::{self, Keyring};

use crate::cases::Size;
use crate::process::{cpu, short, spread};
use crate::support::programs::program;
use crate::table::Row;
use crate::workload::{File, Workload};

/// Runs of the program: half a second.
const RUNS: usize = 20;

pub fn rows(count: usize, size: Size) -> Vec<Row> {
    let directory = tempfile::tempdir().expect("there is room for keys");
    let (identity, recipient) = keys::generate();
    let key_file = directory.path().join("figures.txt");
    std::fs::write(&key_file, identity.expose()).expect("there is room for keys");
    let workload = Workload {
        objects: count * 5,
        directories: 1,
        recipient: recipient.parse().expect("osier makes a recipient of age"),
    };
    let files: Vec<File> = (0..count).map(|version| workload.changed_secret(version)).collect();
    let (keyring, errors) = Keyring::from_directory(directory.path());
    assert!(errors.is_empty(), "{errors:?}");
    let (begin, used) = (Instant::now(), cpu());
    for (path, bytes) in &files {
        open(&keyring, path, bytes);
    }
    let (time, used) = (begin.elapsed(), cpu() - used);
    assert_eq!(keyring.unwraps(), count as u64);
    let rate = count as f64 / used.as_secs_f64();
    let mut rows = vec![Row::new(
        "G9",
        "SOPS files opened per second and core",
        format!("{rate:.0}"),
        format!("{count} files, one thread, CPU {}", short(used)),
    )];
    if size == Size::Full {
        let median = spread((0..RUNS).map(|run| sops(&files[run], directory.path())).collect()).median;
        let each = time / u32::try_from(count).expect("few files");
        let figure =
            format!("{:.0} times: {} to {}", median.as_secs_f64() / each.as_secs_f64(), short(median), short(each));
        rows.push(Row::new("G9", "one file: `sops -d` to osier", figure, "median time of 20 runs to mean"));
    }
    rows
}

fn open(keyring: &Keyring, path: &str, bytes: &[u8]) {
    let file = SopsFile::parse(path, bytes).unwrap_or_else(|problems| panic!("{problems:?}"));
    let key = keyring.unwrap(None, &file).unwrap_or_else(|error| panic!("{error}"));
    let documents = file.open(&key).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(documents.len(), 1);
}

/// The real program on one file; it also proves that the file is what sops would have written.
fn sops((path, bytes): &File, directory: &std::path::Path) -> std::time::Duration {
    let file = directory.join(path.replace('/', "-"));
    std::fs::write(&file, bytes).expect("there is room for a file");
    let begin = Instant::now();
    let output = Command::new(program("sops"))
        .arg("-d")
        .arg(&file)
        .env("SOPS_AGE_KEY_FILE", directory.join("figures.txt"))
        .stdin(Stdio::null())
        .output()
        .expect("sops starts");
    let time = begin.elapsed();
    assert!(output.status.success(), "sops -d: {}", String::from_utf8_lossy(&output.stderr));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("ENC["), "sops -d leaves ciphertext");
    time
}
