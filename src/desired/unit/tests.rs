use std::collections::BTreeMap;

use expect_test::{Expect, expect};

use crate::desired::fixture::{Fixture, show};
use crate::desired::unit::{MAX_BYTES, is_kustomization, is_unit, outline, refused};
use crate::model::problem::Problem;
use crate::model::reason::Reason;
use crate::model::tree::FileMode;

/// What the first file of a fixture contributes, or its problems.
fn check(fixture: &str, expect: Expect) {
    let fixture = Fixture::new(fixture);
    let path = fixture.files.keys().next().unwrap();
    let outline = fixture.outline(path);
    let mut shown = String::new();
    for entry in &outline.entries {
        shown += &format!("{} {} {} line {}\n", entry.index, entry.kind.kind, entry.name.escape_debug(), entry.line);
        for (path, leaf) in entry.leaves.iter() {
            let encrypted = if leaf.ciphertext.is_some() { " encrypted" } else { "" };
            shown += &format!("  {path} :{}{encrypted}\n", leaf.line);
        }
        let lists =
            [("variables", format!("{:?}", entry.variables)), ("annotations", format!("{:?}", entry.annotations))];
        for (name, list) in lists.into_iter().filter(|(_, list)| list != "{}") {
            shown += &format!("  {name} {list}\n");
        }
        for reference in &entry.references {
            let key = reference.key.as_ref().map_or_else(String::new, |key| format!(" {key}"));
            let words = [(reference.optional, " optional"), (reference.restarts, " restarts")];
            let words: String = words.into_iter().filter(|(yes, _)| *yes).map(|(_, word)| word).collect();
            shown += &format!("  -> {}/{}{key}{words}\n", reference.kind.kind, reference.name);
        }
    }
    let problems: Vec<Problem> =
        outline.problems.into_iter().map(|problem| Problem { path: path.clone(), ..problem }).collect();
    expect.assert_eq(&(shown + &show(&problems)));
}

#[test]
fn documents_become_entries() {
    check(
        "
//- base/app.yaml
# comment
---
apiVersion: v1
kind: ConfigMap
metadata: {name: app, annotations: {osier.dev/prune: keep}}
data:
  LOG_LEVEL: info
  URL: https://${osier.slug}.example.com
---
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
data: {}
",
        expect![[r#"
            0 ConfigMap app line 3
              data.LOG_LEVEL :7
              data.URL :8
              metadata.annotations.osier.dev/prune :5
              variables {"osier.slug"}
              annotations {"osier.dev/prune": "keep"}
            1 ConfigMap other line 11
              data :14
        "#]],
    );
}

#[test]
fn encrypted_documents_are_outlined_without_a_key() {
    check(
        "
//- base/db.yaml sops
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData:
  PASSWORD: hunter2
  EMPTY: ''
  GONE: null
---
apiVersion: v1
kind: Secret
metadata: {name: db2}
data: {A: YQ==}
",
        expect![[r#"
            0 Secret db line 1
              data.EMPTY :6
              data.PASSWORD :5 encrypted
            1 Secret db2 line 17
              data.A :20 encrypted
        "#]],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn references_of_a_workload() {
    check(
        "
//- base/app.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  template:
    spec:
      serviceAccountName: runner
      imagePullSecrets: [{name: pull}]
      initContainers:
      - name: init
        env: [{name: A, valueFrom: {secretKeyRef: {name: init, key: A, optional: true}}}]
      containers:
      - name: app
        envFrom: [{configMapRef: {name: app}}, {secretRef: {name: db, optional: true}}]
        env: [{name: B, valueFrom: {configMapKeyRef: {name: app, key: B}}}]
        volumeMounts: [{name: one, mountPath: /etc/one, subPath: one.conf}]
      volumes:
      - {name: one, configMap: {name: files}}
      - {name: two, secret: {secretName: cert, items: [{key: tls.crt, path: x}]}}
      - {name: three, projected: {sources: [{configMap: {name: proj}}, {secret: {name: proj-s, optional: true}}]}}
      - {name: four, persistentVolumeClaim: {claimName: disk}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: app}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: app}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: app}
spec: {tls: [{secretName: web-tls}]}
",
        expect![[r#"
            0 Deployment app line 1
              spec.template.spec.containers[name=app].envFrom :14
              spec.template.spec.containers[name=app].env[name=B].name :15
              spec.template.spec.containers[name=app].env[name=B].valueFrom.configMapKeyRef.key :15
              spec.template.spec.containers[name=app].env[name=B].valueFrom.configMapKeyRef.name :15
              spec.template.spec.containers[name=app].name :13
              spec.template.spec.containers[name=app].volumeMounts[mountPath=/etc/one].mountPath :16
              spec.template.spec.containers[name=app].volumeMounts[mountPath=/etc/one].name :16
              spec.template.spec.containers[name=app].volumeMounts[mountPath=/etc/one].subPath :16
              spec.template.spec.imagePullSecrets[name=pull].name :8
              spec.template.spec.initContainers[name=init].env[name=A].name :11
              spec.template.spec.initContainers[name=init].env[name=A].valueFrom.secretKeyRef.key :11
              spec.template.spec.initContainers[name=init].env[name=A].valueFrom.secretKeyRef.name :11
              spec.template.spec.initContainers[name=init].env[name=A].valueFrom.secretKeyRef.optional :11
              spec.template.spec.initContainers[name=init].name :10
              spec.template.spec.serviceAccountName :7
              spec.template.spec.volumes[name=four].name :21
              spec.template.spec.volumes[name=four].persistentVolumeClaim.claimName :21
              spec.template.spec.volumes[name=one].configMap.name :18
              spec.template.spec.volumes[name=one].name :18
              spec.template.spec.volumes[name=three].name :20
              spec.template.spec.volumes[name=three].projected.sources :20
              spec.template.spec.volumes[name=two].name :19
              spec.template.spec.volumes[name=two].secret.items :19
              spec.template.spec.volumes[name=two].secret.secretName :19
              -> ConfigMap/app restarts
              -> ConfigMap/app B restarts
              -> ConfigMap/files one.conf restarts
              -> ConfigMap/proj restarts
              -> PersistentVolumeClaim/disk
              -> Secret/cert tls.crt restarts
              -> Secret/db optional restarts
              -> Secret/init A optional restarts
              -> Secret/proj-s optional restarts
              -> Secret/pull
              -> ServiceAccount/runner
            1 HorizontalPodAutoscaler app line 23
              spec.scaleTargetRef.apiVersion :26
              spec.scaleTargetRef.kind :26
              spec.scaleTargetRef.name :26
              -> Deployment/app
            2 Ingress app line 28
              spec.tls :31
              -> Secret/web-tls
        "#]],
    );
}

#[test]
fn mistakes_of_identity() {
    check(
        "
//- base/app.yaml
kind: ConfigMap
metadata: {name: 5}
---
apiVersion: v1
metadata: {generateName: x-}
---
- list
---
apiVersion: v1
kind: List
items: []
---
apiVersion: v1
kind: ConfigMap
metadata: {name: \"a\\u200bb\", uid: x, generateName: y}
status: {a: b}
stringdata: {}
data: text
",
        expect![[r#"
            4 ConfigMap a\u{200b}b line 13
              data :18
              metadata.generateName :15
              metadata.uid :15
              status.a :16
              stringdata :17
            base/app.yaml:1:1: a document without `apiVersion`
              add `apiVersion: v1`, or that of its kind
            base/app.yaml:2:18: `metadata.name` must be a string
              quote it
            base/app.yaml:4:1: a document without `kind`
              add `kind: ConfigMap`, or what it is
            base/app.yaml:4:1: a document without `metadata.name`
              `generateName` makes another object at every apply: write `name` instead
            base/app.yaml:7:1: a document must be a mapping
              an object has `apiVersion`, `kind` and `metadata.name`
            base/app.yaml:9:1: `kind: List` is not read
              write the items as documents of their own, with `---` between them
            base/app.yaml:15:18: the name `a\u{200b}b` has invisible characters
              type the name anew
            base/app.yaml:15:35: `metadata.uid` is not for git
              remove the line
            base/app.yaml:15:52: `metadata.generateName` beside a name
              it makes another object at every apply: remove it
            base/app.yaml:16:9: `status` is written by the cluster
              remove it
            base/app.yaml:17:1: a ConfigMap has no field `stringdata`
              remove it
            base/app.yaml:18:7: `data` must be a mapping
              write `KEY: value` below it
        "#]],
    );
}

#[test]
fn cleartext_secrets_are_refused() {
    check(
        "
//- base/db.yaml
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData:
  EMPTY: ''
  PASSWORD: hunter2
---
apiVersion: v1
kind: Secret
metadata: {name: gone}
data: {A: null}
",
        expect![[r#"
            0 Secret db line 1
              data.EMPTY :5
              data.PASSWORD :6
            1 Secret gone line 8
            base/db.yaml:6:13: Secret `db` is not encrypted
              sops --encrypt --in-place {file}
        "#]],
    );
}

#[test]
fn half_encrypted_secrets_are_refused() {
    let fixture = Fixture::new(
        "
//- base/db.yaml sops
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData:
  PASSWORD: hunter2
",
    );
    let text = String::from_utf8(fixture.files["base/db.yaml"].clone()).unwrap();
    let by_its_rule = text.replace("stringData:\n", "stringData:\n  TOKEN: clear\n");
    let against_ours = by_its_rule.replace("^(data|stringData)$", "^PASSWORD$");
    for (text, message) in
        [(by_its_rule, "TOKEN` is not encrypted"), (against_ours, "stringData.TOKEN` of Secret `db` is not encrypted")]
    {
        let problems = outline("x.yaml", "", text.as_bytes()).problems;
        assert_eq!((problems.len(), problems[0].line), (1, 5), "{problems:?}");
        assert!(problems[0].message.contains(message), "{problems:?}");
    }
}

#[test]
fn encrypted_files_that_prove_too_little_or_open_for_nobody() {
    let fixture = Fixture::new(
        "//- base/db.yaml sops\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {A: hunter2}\n",
    );
    let text = String::from_utf8(fixture.files["base/db.yaml"].clone()).unwrap();
    let weak = text.replace("  version:", "  mac_only_encrypted: true\n  version:");
    let problem = &outline("x.yaml", "", weak.as_bytes()).problems[0];
    assert_eq!((problem.line, problem.message.contains("MAC covers encrypted values only")), (6, true), "{problem:?}");
    let start = text.find("  - recipient").unwrap();
    let end = text.find("  encrypted_regex").unwrap();
    let nobody = format!("{}{}", &text[..start], &text[end..]).replace("age:", "pgp: [{fp: x}]");
    let problem = &outline("x.yaml", "", nobody.as_bytes()).problems[0];
    assert_eq!(problem.reason, Reason::CannotDecrypt);
    assert_eq!(problem.message, "the file is encrypted with pgp, and to no age recipient");
}

#[test]
fn encrypted_kind_and_metadata_are_refused() {
    check(
        "
//- base/db.yaml sops
apiVersion: v1
kind: Secret
metadata: {data: {x: y}, name: db, labels: {stringData: a}}
",
        expect![[r#"
            0 Secret db line 1
              metadata.data.x :3 encrypted
              metadata.labels.stringData :3 encrypted
            base/db.yaml:3:169: `metadata.labels.stringData` is encrypted: what an object is must be readable without a key
              encrypt values only: `sops --decrypt --in-place {file}`, then `sops --encrypt --encrypted-regex '^(data|stringData)$' --in-place {file}`
        "#]],
    );
}

#[test]
fn labels_and_annotations() {
    check(
        "
//- base/app.yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
  labels: {osier.dev/environment: x, ok: 'a b', 'a b': c, number: 5, v: '${osier.slug}'}
  annotations:
    osier.dev/environment: x
    osier.dev/prun: keep
    osier.dev/prune: never
    osier.dev/keys: shared
    osier.dev/run: before
    osier.dev/restart: never
    osier.dev/ignore: spec.replicas, spec.template
    kubectl.kubernetes.io/last-applied-configuration: '{}'
spec:
  template:
    metadata: {annotations: {osier.dev/config: x, fine: y}}
",
        expect![[r#"
            0 Deployment app line 1
              metadata.annotations.kubectl.kubernetes.io/last-applied-configuration :14
              metadata.annotations.osier.dev/environment :7
              metadata.annotations.osier.dev/ignore :13
              metadata.annotations.osier.dev/keys :10
              metadata.annotations.osier.dev/prun :8
              metadata.annotations.osier.dev/prune :9
              metadata.annotations.osier.dev/restart :12
              metadata.annotations.osier.dev/run :11
              metadata.labels.a b :5
              metadata.labels.number :5
              metadata.labels.ok :5
              metadata.labels.osier.dev/environment :5
              metadata.labels.v :5
              spec.template.metadata.annotations.fine :17
              spec.template.metadata.annotations.osier.dev/config :17
              variables {"osier.slug"}
              annotations {"osier.dev/environment": "x", "osier.dev/ignore": "spec.replicas, spec.template", "osier.dev/keys": "shared", "osier.dev/prun": "keep", "osier.dev/prune": "never", "osier.dev/restart": "never", "osier.dev/run": "before"}
            base/app.yaml:5:35: `osier.dev/environment` is osier's own: git cannot set it here
              remove it
            base/app.yaml:5:42: the value of label `ok` has characters that a label cannot have
              at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends
            base/app.yaml:5:56: `a b` is no label key
              at most 63 letters, digits, `-`, `_` and `.`, perhaps after a DNS name and `/`
            base/app.yaml:5:67: the value of label `number` must be a string
              quote it
            base/app.yaml:7:28: `osier.dev/environment` is osier's own: git cannot set it here
              remove it
            base/app.yaml:8:21: `osier.dev/prun` is osier's own: git cannot set it here
              did you mean `osier.dev/prune`?
            base/app.yaml:9:22: unknown value of `osier.dev/prune`
              write `keep`
            base/app.yaml:10:21: `osier.dev/keys` means nothing on a Deployment
              remove it
            base/app.yaml:11:20: `osier.dev/run` means nothing on a Deployment
              remove it
            base/app.yaml:14:55: annotation `kubectl.kubernetes.io/last-applied-configuration` is not for git
              remove it
            base/app.yaml:17:48: `osier.dev/config` is osier's own: git cannot set it here
              remove it
            base/app.yaml:17:57: the value of annotation `fine` must be a string
              quote it
        "#]],
    );
}

#[test]
fn keyed_lists_directives_and_variables() {
    check(
        "
//- base/app.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  template:
    spec:
      containers:
      - name: app
        image: a:${osier.comit}
        env: [{name: A, value: x}, {name: A, value: y}, {value: z}]
        ports: [{containerPort: 53, protocol: UDP}, {containerPort: 53}, {containerPort: 53, protocol: TCP}]
      $setElementOrder/containers: [{name: app}]
      tolerations: [{$patch: remove}]
      nodeSelector: {'${osier.slug}': x}
",
        expect![[r#"
            0 Deployment app line 1
              spec.template.spec.$setElementOrder/containers :12
              spec.template.spec.containers[name=app].env[2].value :10
              spec.template.spec.containers[name=app].env[name=A].name :10
              spec.template.spec.containers[name=app].env[name=A].value :10
              spec.template.spec.containers[name=app].image :9
              spec.template.spec.containers[name=app].name :8
              spec.template.spec.containers[name=app].ports[containerPort=53,protocol=TCP].containerPort :11
              spec.template.spec.containers[name=app].ports[containerPort=53,protocol=TCP].protocol :11
              spec.template.spec.containers[name=app].ports[containerPort=53,protocol=UDP].containerPort :11
              spec.template.spec.containers[name=app].ports[containerPort=53,protocol=UDP].protocol :11
              spec.template.spec.nodeSelector.${osier.slug} :14
              spec.template.spec.tolerations :13
            base/app.yaml:9:16: unknown variable `${osier.comit}`
              did you mean `${osier.commit}`?
            base/app.yaml:10:43: `spec.template.spec.containers[name=app].env[name=A]` is here twice
              remove one of the two, or rename it
            base/app.yaml:11:90: `spec.template.spec.containers[name=app].ports[containerPort=53,protocol=TCP]` is here twice
              remove one of the two, or rename it
            base/app.yaml:12:7: `$setElementOrder/containers` is not read
              use `$patch: delete` or `$patch: replace`
            base/app.yaml:13:30: unknown `$patch`
              write `delete` or `replace`
            base/app.yaml:14:22: a variable in a key, where none is filled in
              use it in the value
        "#]],
    );
}

#[test]
fn broken_files() {
    for (name, bytes, line, message) in [
        ("x.yaml", b"a: b: c".to_vec(), 1, "a colon where no value can begin"),
        ("x.yaml", b"a: 1\na: 2\n".to_vec(), 2, "key `a` is here twice, first on line 1"),
        ("x.yaml", b"a: 1\nb: \xff\n".to_vec(), 2, "not UTF-8"),
        ("x.json", b"{\"a\": 1,\n\"b\"".to_vec(), 1, "brackets do not match"),
        ("x.yaml", vec![b'a'; MAX_BYTES + 1], 0, "the file has 1048577 bytes, more than the 1048576 that are read"),
    ] {
        let problems = outline(name, "", &bytes).problems;
        assert_eq!((problems.len(), problems[0].line), (1, line), "{problems:?}");
        assert!(problems[0].message.contains(message), "{problems:?}");
    }
    let bomb =
        (0..30).fold("a0: &a0 x\n".to_owned(), |text, n| format!("{text}a{}: &a{} [*a{n}, *a{n}]\n", n + 1, n + 1));
    assert!(outline("x.yaml", "", bomb.as_bytes()).problems[0].message.contains("more than"));
}

#[test]
fn json_files() {
    let tabs = b"{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"ConfigMap\",\n\t\"metadata\": {\"name\": \"a\"},\n\t\"data\": {\"A\": \"b\"}\n}";
    let outline = outline("x.json", "", tabs);
    assert_eq!(outline.problems, []);
    assert_eq!(outline.entries[0].leaves.iter().find(|(path, _)| path == "data.A").unwrap().1.line, 5);
}

#[test]
fn a_document_is_identified_by_its_own_bytes() {
    let ids = |text: &str| -> BTreeMap<String, String> {
        let outline = outline("x.yaml", "blob", text.as_bytes());
        outline.entries.into_iter().map(|entry| (entry.name.into(), entry.content_id)).collect()
    };
    let document = |name: &str, value: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{A: {value}}}\n")
    };
    let one = ids(&format!("{}---\n{}", document("a", "x"), document("b", "x")));
    let two = ids(&format!("# moved\n---\n{}---\n{}", document("b", "x"), document("a", "y")));
    assert_eq!(one["b"], two["b"]);
    assert_ne!(one["a"], two["a"]);
}

#[test]
fn which_files_count() {
    assert!(
        is_unit("base/a.yaml")
            && is_unit("base/a.yml")
            && is_unit("base/db.sops.json")
            && is_unit("base/Kustomization")
    );
    assert!(!is_unit("base/README.md") && !is_unit("base/.sops.yaml") && !is_unit("base/.github/x.yaml"));
    assert!(is_kustomization("base/kustomization.yaml") && !is_kustomization("base/kustom.yaml"));
    assert!(refused(FileMode::File).is_none());
    assert_eq!(refused(FileMode::Symlink).unwrap().problems[0].message, "a symbolic link");
    assert_eq!(refused(FileMode::Submodule).unwrap().problems[0].message, "a submodule");
}

proptest::proptest! {
    /// Whatever the bytes are, there is an outline, and every problem says something.
    #[test]
    fn no_bytes_panic(text in "[-a-z:\\[\\]{}\"'|>&*$#\n ]{0,80}", at in 0..200_usize) {
        let good = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {a: b}}\ndata:\n  A: b\n  C: |\n    d\n";
        let mut mixed = good.to_owned();
        mixed.insert_str(at % good.len(), &text);
        for text in [text, mixed] {
            for problem in outline("x.yaml", "", text.as_bytes()).problems {
                assert!(!problem.message.is_empty() && problem.path.is_empty());
            }
        }
    }
}
