//! The example repository, as a newcomer sees it.

use std::path::Path;

use crate::desired::config::Config;
use crate::desired::fixture::{Fixture, show};
use crate::desired::unit;

fn example() -> Fixture {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("example-repo");
    let mut fixture = Fixture::default();
    fixture.write("osier.yaml", std::fs::read(root.join("osier.yaml")).unwrap());
    for layer in ["base", "envs/staging", "envs/production"] {
        for file in std::fs::read_dir(root.join(layer)).unwrap() {
            let file = file.unwrap();
            let path = format!("{layer}/{}", file.file_name().to_str().unwrap());
            fixture.write(&path, std::fs::read(file.path()).unwrap());
        }
    }
    fixture
}

#[test]
fn the_example_has_no_problems() {
    let fixture = example();
    let text = std::str::from_utf8(&fixture.files["osier.yaml"]).unwrap();
    let config = Config::parse("osier.yaml", text).unwrap();
    for environment in config.environments.keys() {
        let desired = fixture.desired(environment).unwrap_or_else(|problems| panic!("{}", show(&problems)));
        assert!(desired.objects.len() > 10, "{environment}");
        assert!(desired.objects.values().any(|desired| desired.sources.len() > 1), "{environment}");
        assert!(desired.objects.values().flat_map(|desired| &desired.sources).any(|source| source.encrypted));
    }
    assert!(fixture.files.keys().filter(|path| unit::is_unit(path)).count() > 10);
}

#[test]
fn a_layer_that_repeats_the_one_below_changes_nothing() {
    let shown = |fixture: &Fixture| -> Vec<String> {
        let manifests = fixture.manifests("staging").unwrap_or_else(|problems| panic!("{}", show(&problems)));
        manifests.into_iter().map(|(object, manifest)| format!("{object} {}", manifest.body.to_json())).collect()
    };
    let mut once = Fixture::default();
    let mut twice = Fixture::default();
    for (path, bytes) in example().files {
        if path.starts_with("base/") && !path.contains(".sops.") {
            once.write(&path, bytes.clone());
            twice.write(&path, bytes.clone());
            twice.write(&path.replace("base/", "top/"), bytes);
        }
    }
    assert_eq!(shown(&once), shown(&twice));
}
