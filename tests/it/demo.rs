//! The demo holds what it says, shows no secret value and leaves nothing behind.

use std::process::Command;

use tempfile::TempDir;

#[test]
fn the_story_is_as_it_says() {
    let temporary = TempDir::new().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_osier"));
    let output = demo.arg("demo").env("TMPDIR", temporary.path()).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(!text.contains("canary-"), "{text}");
    for sentence in [
        "re-encrypted, same value",
        "the MAC does not fit",
        "takes back",
        "rollback",
        "Interrupted",
        "PolicyDenied",
        "is gone after",
    ] {
        assert!(text.contains(sentence), "`{sentence}` is not in: {text}");
    }
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "files are left behind");
}
