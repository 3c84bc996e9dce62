//! The example repository, as a newcomer sees it; keys of layers, places of references.

use std::collections::BTreeMap;
use std::path::Path;

use crate::desired::config::Config;
use crate::desired::fixture::{Fixture, show};
use crate::desired::{references, unit};

fn example() -> Fixture {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("example-repo");
    let mut fixture = Fixture::default();
    fixture.write("osier.yaml", std::fs::read(root.join("osier.yaml")).unwrap());
    for layer in ["base", "network", "envs/staging", "envs/production"] {
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

#[test]
fn keys_are_laid_over_one_another() {
    let keys = |text: &str| {
        let (fixture, mut keys) = (Fixture::new(text), BTreeMap::new());
        for path in fixture.files.keys() {
            fixture.outline(path).entries[0].lay_keys(&mut keys);
        }
        keys.into_keys().collect::<Vec<_>>().join(" ")
    };
    let base = "//- 1/a.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: app}
data: {a.properties: x, B: x, C: x}
binaryData: {D: eA==}
";
    let over = |top: &str| {
        keys(&format!("{base}//- 2/a.yaml\n{}{top}\n", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\n"))
    };
    assert_eq!(over("data: {B: null, E: x}"), "C D E a.properties");
    assert_eq!(over("data: {$patch: replace, E: x}"), "D E");
    assert_eq!(over("data: null\nbinaryData: {D: null, F: eA==}"), "F");
    let secret = "//- 1/a.yaml sops
apiVersion: v1
kind: Secret
metadata: {name: db}
data: {A: eA==}
stringData: {B: x}
//- 2/a.yaml sops
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {A: null, C: x}
";
    assert_eq!(keys(secret), "B C");
}

#[test]
fn references_have_a_place() {
    let fixture = Fixture::new(
        "//- base/api.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    spec:
      containers:
      - name: db
        env:
        - {name: K, valueFrom: {secretKeyRef: {name: other, key: K}}}
        - name: PASSWORD
          valueFrom:
            secretKeyRef:
              name: db
              key: PASSWORD
        envFrom:
        - configMapRef: {name: app}
      volumes:
      - name: tls
        secret:
          secretName: tls
          items: [{key: tls.crt, path: crt}]
",
    );
    let entry = fixture.outline("base/api.yaml").entries.remove(0);
    let fields = entry.referring.as_deref().unwrap();
    let places = entry.references.iter().map(|reference| {
        let path = references::place(&entry.kind, fields, reference).unwrap();
        let line = entry.leaves.iter().find(|(known, _)| *known == path).unwrap().1.line;
        format!("{}/{} {:?}: {line}", reference.kind.kind, reference.name, reference.key)
    });
    assert_eq!(
        places.collect::<Vec<_>>(),
        [
            "ConfigMap/app None: 17",
            "Secret/db Some(\"PASSWORD\"): 15",
            "Secret/other Some(\"K\"): 10",
            "Secret/tls Some(\"tls.crt\"): 21"
        ]
    );
}
