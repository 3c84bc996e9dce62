use std::sync::Arc;

use expect_test::{Expect, expect};

use super::*;
use crate::desired::fixture::{Fixture, blob_id, parameters, show};
use crate::desired::unit::outline;

/// The desired set of `staging`, or its problems.
fn check(fixture: &str, expect: Expect) {
    let shown = match Fixture::new(fixture).desired("staging") {
        Ok(desired) => desired
            .objects
            .iter()
            .map(|(object, desired)| {
                let sources: Vec<String> =
                    desired.sources.iter().map(|source| format!("{}:{}", source.path, source.line)).collect();
                format!("{object} {} <- {} {:?}\n", desired.api_version, sources.join(", "), desired.annotations)
            })
            .collect(),
        Err(problems) => show(&problems),
    };
    expect.assert_eq(&shown);
}

#[test]
fn layers_add_up() {
    check(
        "
//- base/app.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: app, annotations: {osier.dev/prune: keep, osier.dev/ignore: data.A}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: replaced}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: deleted}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: 'app-${osier.slug}', namespace: shop}
//- top/app.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: app, annotations: {osier.dev/prune: null}}
---
apiVersion: v1
kind: ConfigMap
$patch: replace
metadata: {name: replaced}
---
apiVersion: v1
kind: ConfigMap
$patch: delete
metadata: {name: deleted}
---
apiVersion: v1
kind: ConfigMap
$patch: delete
metadata: {name: never-there}
//- top/README.md
no unit
",
        expect![[r#"
            /ConfigMap/shop/app v1 <- base/app.yaml:1, top/app.yaml:1 {"osier.dev/ignore": "data.A"}
            /ConfigMap/shop/app-main v1 <- base/app.yaml:13 {}
            /ConfigMap/shop/replaced v1 <- top/app.yaml:5 {}
        "#]],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn mistakes_name_their_places() {
    check(
        "
//- base/a.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: twice}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: twice}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Konfigmap
metadata: {name: a}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: a}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: elsewhere
  namespace: kube-system
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-root-ca.crt}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: Upper_Case}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: versions}
//- base/b.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: twice}
---
apiVersion: v1
kind: Secret
metadata: {name: clear}
data: {A: YQ==}
//- base/kustomization.yaml
resources: [a.yaml]
//- top/a.yaml
apiVersion: batch/v1beta1
kind: CronJob
metadata: {name: versions}
",
        expect![[r#"
            base/a.yaml:1: ConfigMap/twice is in this layer twice, also at base/a.yaml:5
              remove one, or move it to a layer above
            base/a.yaml:5: ConfigMap/twice is in this layer twice, also at base/a.yaml:1
              remove one, or move it to a layer above
            base/a.yaml:9: a Namespace belongs to the whole cluster, not to an environment
              take it out of the layers; the platform engineer applies such objects
            base/a.yaml:13: unknown kind `Konfigmap`
              did you mean `ConfigMap`?
            base/a.yaml:17: kind `Widget` is not among those that the Repository allows
              take it out, or let the platform engineer add {group: example.com, kind: Widget} to its `spec.kinds`
            base/a.yaml:25: namespace `kube-system`, but the environment's is `shop`
              remove the line: osier.yaml says the namespace
            base/a.yaml:27: ConfigMap/kube-root-ca.crt is made by Kubernetes in every namespace
              use another name
            base/a.yaml:31: `Upper_Case` cannot be a name in Kubernetes
              use lower-case letters, digits, `-` and `.`
            base/b.yaml:1: ConfigMap/twice is in this layer twice, also at base/a.yaml:1
              remove one, or move it to a layer above
            base/b.yaml:8:11: Secret `clear` is not encrypted
              sops --encrypt --in-place base/b.yaml
            base/kustomization.yaml: kustomize is not supported by this version yet
              list its directories as `layers` in osier.yaml and remove this file
            top/a.yaml:1: `apiVersion: batch/v1beta1`, but base/a.yaml:35 says `batch/v1`
              write the same `apiVersion` in all layers
        "#]],
    );
}

#[test]
fn a_layer_without_files_and_caps() {
    let fixture = Fixture::new(
        "
//- osier.yaml
apiVersion: osier.dev/v1alpha1
kind: Config
environments:
  staging: {namespace: shop, layers: [base, envs/stagin]}
//- base/a.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
",
    );
    let mut composition = fixture.composition("staging");
    composition.scope.caps = Caps { files: 0, bytes: 10 };
    expect![[r#"
        osier.yaml:4: environment `staging` has 1 files, more than 0
          let the platform engineer raise `caps.files` of the Repository
        osier.yaml:4: environment `staging` has 51 bytes of files, more than 10
          let the platform engineer raise `caps.bytes` of the Repository
        osier.yaml:4: layer `envs/stagin` of environment `staging` does not exist or has no YAML or JSON files
          correct `layers`, or add a file to that directory
    "#]]
    .assert_eq(&show(&composition.desired().unwrap_err()));
    assert_eq!(
        Caps::granted(&RepositoryCaps { files: Some(u64::MAX), ..RepositoryCaps::default() }),
        Caps { files: 200_000, bytes: 16 << 20 }
    );
}

#[test]
fn inputs_depend_on_content_and_used_variables_alone() {
    let of = |text: &str| Fixture::new(text).desired("staging").unwrap().objects.into_values().next().unwrap();
    let document = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {A: x}\n";
    let one = of(&format!("//- base/a.yaml\n{document}"));
    let moved = of(&format!("//- other/b.yaml\n# a comment above\n---\n{document}"));
    assert_eq!(one.inputs, moved.inputs);
    let encrypted = |salt: &str| of(&format!("//- base/a.yaml {salt}\n{document}")).inputs;
    assert_eq!(encrypted("sops"), encrypted("sops"));
    assert_ne!(encrypted("sops"), encrypted("sops2"));
    let variable = document.replace('x', "'${osier.commit}'");
    let fixture = Fixture::new(&format!(
        "//- base/a.yaml\n{variable}//- base/b.yaml\n{}",
        document.replace("name: a", "name: b")
    ));
    let mut composition = fixture.composition("staging");
    let first = composition.desired().unwrap().clone();
    let mut changed = parameters("staging", "shop");
    changed.insert("osier.commit".to_owned(), "8d21f00".to_owned());
    composition.set_parameters(changed);
    assert_eq!(composition.touched().len(), 1);
    let second = composition.desired().unwrap();
    let differs: Vec<&str> = second
        .objects
        .iter()
        .filter(|(object, desired)| first.objects[*object].inputs != desired.inputs)
        .map(|(object, _)| object.name.as_str())
        .collect();
    assert_eq!(differs, ["a"]);
}

#[test]
fn one_change_among_a_hundred_thousand_files_touches_one_object() {
    let text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {A: x}\n";
    let template = outline("x.yaml", "", text);
    let file = |number: usize, value: &str| {
        let mut outline = template.clone();
        outline.entries[0].name = format!("c{number}").into();
        outline.entries[0].content_id = value.to_owned();
        Some((blob_id(value.as_bytes()), Arc::new(outline)))
    };
    let mut scope = Fixture::default().scope("staging");
    scope.layers = vec!["base".to_owned()];
    scope.caps = Caps { files: 200_000, bytes: 1 << 30 };
    let mut composition = Composition::new(scope);
    for number in 0..100_000 {
        composition.replace("base", &format!("base/{number}.yaml"), file(number, "x"));
    }
    assert_eq!(composition.desired().unwrap().objects.len(), 100_000);
    assert_eq!(composition.touched().len(), 0);
    composition.replace("base", "base/500.yaml", file(500, "y"));
    assert_eq!(composition.touched().len(), 1);
    composition.replace("base", "base/501.yaml", None);
    assert_eq!(composition.touched().len(), 2);
    assert_eq!(composition.desired().unwrap().objects.len(), 99_999);
}

#[test]
fn mending_a_file_mends_the_environment() {
    let fixture =
        Fixture::new("//- base/a.yaml\na: [\n//- base/b.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n");
    let mut composition = fixture.composition("staging");
    assert_eq!(composition.desired().unwrap_err().len(), 1);
    composition.replace("base", "base/a.yaml", None);
    assert_eq!(composition.desired().unwrap().objects.len(), 1);
}

#[test]
fn references_are_those_of_the_merged_object() {
    let base = "
//- base/app.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: 1
  template:
    spec:
      containers:
      - name: app
        image: app:1
        envFrom: [{configMapRef: {name: low}}]
        env:
        - {name: A, value: hidden, valueFrom: {secretKeyRef: {name: low-a, key: a}}}
        - {name: B, valueFrom: {secretKeyRef: {name: low-b, key: b}}}
      - {name: gone, envFrom: [{configMapRef: {name: low-gone}}]}
      volumes: [{name: v, configMap: {name: low-v}}]
//- top/app.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  template:
    spec:
      containers:
      - name: app
        envFrom: [{configMapRef: {name: 'top-${osier.slug}'}}]
        env:
        - {name: A, valueFrom: {secretKeyRef: {name: top-a}}}
      - {name: gone, $patch: delete}
      volumes: [{name: v, configMap: null}]
";
    let fixture = Fixture::new(base);
    assert!(!format!("{:?}", fixture.outline("base/app.yaml")).contains("hidden"));
    let desired = fixture.desired("staging").unwrap().objects.into_values().next().unwrap();
    let shown: Vec<String> = desired
        .references
        .iter()
        .map(|reference| format!("{}/{} {:?}", reference.kind.kind, reference.name, reference.key))
        .collect();
    assert_eq!(shown, ["ConfigMap/top-main None", "Secret/low-b Some(\"b\")", "Secret/top-a Some(\"a\")"]);
}

#[test]
fn the_commit_of_a_followed_repository_is_a_parameter_and_elsewhere_a_problem() {
    let document = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {A: '${osier.commit.cart}'}\n";
    let fixture = Fixture::new(&format!("//- base/a.yaml\n{document}"));
    let problems = fixture.desired("staging").unwrap_err();
    expect![[r#"
        base/a.yaml:1: `${osier.commit.cart}` has no value in environment `staging`
          only branch environments have it: write the tag here, and the variable in a layer of theirs
    "#]]
    .assert_eq(&show(&problems));
    let mut composition = fixture.composition("staging");
    let mut inputs = Vec::new();
    for cart in ["4f2a91c", "8d21f00"] {
        let mut now = parameters("staging", "shop");
        now.extend(
            [("osier.commit.cart", cart), ("osier.commit.web", cart)].map(|(k, v)| (k.to_owned(), v.to_owned())),
        );
        composition.set_parameters(now);
        let desired = composition.desired().unwrap().objects.values().next().unwrap();
        assert_eq!(desired.parameters.keys().collect::<Vec<_>>(), ["osier.commit.cart"]);
        inputs.push(desired.inputs.clone());
    }
    assert_ne!(inputs[0], inputs[1]);
}
