//! Files that osier itself writes are committed as it writes them today, so that a change of them is seen in review.

use std::process::Command;

use super::{read, root};

/// A committed file and the command that makes it.
const GENERATED: &[(&str, &[&str])] =
    &[("policies/crds.yaml", &["generate", "crds"]), ("policies/osier.schema.json", &["generate", "schema"])];

#[test]
fn generated_files_are_up_to_date() {
    for (path, command) in GENERATED {
        let output = Command::new(env!("CARGO_BIN_EXE_osier")).args(*command).output().unwrap();
        assert!(output.status.success(), "{path}:1: `osier {}` fails", command.join(" "));
        let made = String::from_utf8(output.stdout).unwrap();
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::create_dir_all(root().join(path).parent().unwrap()).unwrap();
            std::fs::write(root().join(path), &made).unwrap();
        }
        let first = read(path).lines().zip(made.lines()).position(|(committed, made)| committed != made);
        let line = first.map_or(1, |first| first + 1);
        let rule = "a generated file is committed as it comes out; UPDATE_EXPECT=1 writes it anew";
        assert!(
            read(path) == made,
            "\n{path}:{line}: `osier {}` prints something else\nrule: {rule}\n",
            command.join(" ")
        );
    }
}
