//! The real programs that the tests run, as `tests/control-plane/build.sh` leaves them.

use std::env;
use std::path::PathBuf;
use std::sync::LazyLock;

/// Name of the cache folder; the versions of `build.sh`, which a test compares.
const FOLDER: &str = "k8s-1.35.4-sops-3.13.3-age-1.3.2-helm-3.20.2";

/// Folder with the programs: `OSIER_TEST_PROGRAMS`, else the cache of the person who runs the tests.
pub static FOLDER_OF_PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    if let Some(folder) = env::var_os("OSIER_TEST_PROGRAMS") {
        return folder.into();
    }
    let cache = match env::var_os("XDG_CACHE_HOME") {
        Some(cache) if !cache.is_empty() => PathBuf::from(cache),
        _ => PathBuf::from(env::var_os("HOME").expect("HOME or XDG_CACHE_HOME is set")).join(".cache"),
    };
    cache.join("osier/programs").join(FOLDER)
});

/// Path of a program.
///
/// Panics if it is missing, with the line that builds it: a test that needs it must fail, never pass unrun.
pub fn program(name: &str) -> PathBuf {
    let path = FOLDER_OF_PROGRAMS.join(name);
    assert!(
        path.exists(),
        "the program `{name}` is missing in {}; build it once with: tests/control-plane/build.sh",
        FOLDER_OF_PROGRAMS.display()
    );
    path
}

#[test]
fn the_folder_is_named_after_the_versions_that_are_built() {
    let script = include_str!("../../control-plane/build.sh");
    let versions = script.lines().find(|line| line.starts_with("kubernetes=")).expect("build.sh names its versions");
    let folder = versions
        .replace("kubernetes=", "k8s-")
        .replace(" sops=", "-sops-")
        .replace(" age=", "-age-")
        .replace(" helm=", "-helm-");
    assert_eq!(folder, FOLDER);
}
