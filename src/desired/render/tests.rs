use expect_test::{Expect, expect};

use crate::desired::fixture::{Fixture, show};
use crate::desired::manifest::Manifest;

/// The manifests of `staging`, or the problems. Redacted values are shown by their length only.
fn check(fixture: &str, expect: Expect) {
    let shown = match Fixture::new(fixture).manifests("staging") {
        Ok(manifests) => manifests.values().map(manifest).collect(),
        Err(problems) => show(&problems),
    };
    expect.assert_eq(&shown);
}

fn manifest(manifest: &Manifest) -> String {
    let mut shown = format!("{} {}\n  {}\n", manifest.object, manifest.api_version, manifest.body.to_json());
    for (key, value) in &manifest.values {
        let text = String::from_utf8_lossy(value.bytes.expose()).into_owned();
        let text = if value.redacted { format!("{} bytes", text.len()) } else { format!("{text:?}") };
        shown += &format!("  {key} = {text}{}\n", if value.binary { " binary" } else { "" });
    }
    for (path, origin) in &manifest.origins {
        let overrides: String = origin.overrides.iter().map(|(path, line)| format!(" over {path}:{line}")).collect();
        let encrypted = if origin.ciphertext.is_some() { " encrypted" } else { "" };
        shown += &format!("  {path} <- {}:{}{encrypted}{overrides}\n", origin.path, origin.line);
    }
    shown
}

#[test]
fn values_merge_key_by_key() {
    check(
        "
//- base/app.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: app}
data:
  LOG_LEVEL: info
  GONE: x
  HOST: ${osier.slug}.example.com
  A.B: nested
binaryData: {LOGO: aGk=}
//- middle/app.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: app}
data: {LOG_LEVEL: warn}
//- top/app.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: app, labels: {a: b}}
immutable: false
data:
  LOG_LEVEL: debug
  GONE: null
  LOGO: text
",
        expect![[r#"
            /ConfigMap/shop/app v1
              {"immutable":false,"metadata":{"labels":{"a":"b"}}}
              A.B = "nested"
              HOST = "main.example.com"
              LOGO = "text"
              LOG_LEVEL = "debug"
              data.A.B <- base/app.yaml:8
              data.HOST <- base/app.yaml:7
              data.LOGO <- top/app.yaml:8 over base/app.yaml:9
              data.LOG_LEVEL <- top/app.yaml:6 over middle/app.yaml:4 over base/app.yaml:5
              immutable <- top/app.yaml:4
              metadata.labels.a <- top/app.yaml:3
        "#]],
    );
}

#[test]
fn secrets_are_decoded_and_redacted() {
    check(
        "
//- base/db.yaml sops
apiVersion: v1
kind: Secret
metadata: {name: db}
type: Opaque
data:
  A: aGVs
  B: aGVsbG8=
stringData:
  B: from stringData
  EMPTY: ''
  URL: postgres://db.${osier.namespace}
//- top/db.yaml sops
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {A: changed}
//- top/partly.yaml sops
apiVersion: v1
kind: ConfigMap
metadata: {name: partly}
data: {TOKEN: hunter2}
",
        expect![[r#"
            /ConfigMap/shop/partly v1
              {}
              TOKEN = 7 bytes
              data.TOKEN <- top/partly.yaml:4 encrypted
            /Secret/shop/db v1
              {"type":"Opaque"}
              A = 7 bytes
              B = 15 bytes
              EMPTY = 0 bytes
              URL = 18 bytes
              data.A <- top/db.yaml:4 encrypted over base/db.yaml:6
              data.B <- base/db.yaml:9 encrypted
              data.EMPTY <- base/db.yaml:10
              data.URL <- base/db.yaml:11 encrypted
              type <- base/db.yaml:4
        "#]],
    );
}

#[test]
fn workloads_merge_by_list_keys() {
    check(
        "
//- base/app.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: shop, creationTimestamp: null}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      containers:
      - name: app
        image: app:1
        args: [a, b]
        env: [{name: A, value: '1'}, {name: B, value: '2'}]
        ports: [{containerPort: 53}, {containerPort: 53, protocol: UDP}]
      - name: sidecar
        image: side:1
      tolerations: [{key: x}]
      volumes: [{name: v, emptyDir: {}}]
status: {}
//- top/app.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: 3
  template:
    spec:
      containers:
      - name: sidecar
        $patch: delete
      - name: app
        image: app:${osier.commit}
        args: [c]
        env: [{name: B, value: null, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: C, value: '3'}]
        ports: [{containerPort: 53, protocol: TCP, name: dns}]
      - name: new
        image: new:1
      tolerations: [{key: y}]
      volumes: [{name: v, $patch: replace, configMap: {name: app}}]
",
        expect![[r#"
            apps/Deployment/shop/app apps/v1
              {"spec":{"replicas":3,"selector":{"matchLabels":{"app":"app"}},"template":{"metadata":{"labels":{"app":"app"}},"spec":{"containers":[{"args":["c"],"env":[{"name":"A","value":"1"},{"name":"B","valueFrom":{"secretKeyRef":{"key":"k","name":"s"}}},{"name":"C","value":"3"}],"image":"app:4f2a91c000000000000000000000000000000000","name":"app","ports":[{"containerPort":53,"name":"dns","protocol":"TCP"},{"containerPort":53,"protocol":"UDP"}]},{"image":"new:1","name":"new"}],"tolerations":[{"key":true}],"volumes":[{"configMap":{"name":"app"},"name":"v"}]}}}}
              spec.replicas <- top/app.yaml:5
              spec.selector.matchLabels.app <- base/app.yaml:5
              spec.template.metadata.labels.app <- base/app.yaml:7
              spec.template.spec.containers[name=app].args <- top/app.yaml:13 over base/app.yaml:12
              spec.template.spec.containers[name=app].env[name=A].name <- base/app.yaml:13
              spec.template.spec.containers[name=app].env[name=A].value <- base/app.yaml:13
              spec.template.spec.containers[name=app].env[name=B].name <- top/app.yaml:14 over base/app.yaml:13
              spec.template.spec.containers[name=app].env[name=B].valueFrom.secretKeyRef.key <- top/app.yaml:14
              spec.template.spec.containers[name=app].env[name=B].valueFrom.secretKeyRef.name <- top/app.yaml:14
              spec.template.spec.containers[name=app].env[name=C].name <- top/app.yaml:14
              spec.template.spec.containers[name=app].env[name=C].value <- top/app.yaml:14
              spec.template.spec.containers[name=app].image <- top/app.yaml:12 over base/app.yaml:11
              spec.template.spec.containers[name=app].name <- top/app.yaml:11 over base/app.yaml:10
              spec.template.spec.containers[name=app].ports[containerPort=53,protocol=TCP].containerPort <- top/app.yaml:15 over base/app.yaml:14
              spec.template.spec.containers[name=app].ports[containerPort=53,protocol=TCP].name <- top/app.yaml:15
              spec.template.spec.containers[name=app].ports[containerPort=53,protocol=TCP].protocol <- top/app.yaml:15
              spec.template.spec.containers[name=app].ports[containerPort=53,protocol=UDP].containerPort <- base/app.yaml:14
              spec.template.spec.containers[name=app].ports[containerPort=53,protocol=UDP].protocol <- base/app.yaml:14
              spec.template.spec.containers[name=new].image <- top/app.yaml:17
              spec.template.spec.containers[name=new].name <- top/app.yaml:16
              spec.template.spec.tolerations <- top/app.yaml:18 over base/app.yaml:17
              spec.template.spec.volumes[name=v].configMap.name <- top/app.yaml:19
              spec.template.spec.volumes[name=v].name <- top/app.yaml:19 over base/app.yaml:18
        "#]],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_the_api_server_would_refuse() {
    check(
        "
//- base/a.yaml
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data:
  PORT: 8080
  DEBUG: true
  LIST: [a]
  'a/b': x
  BOTH: x
binaryData:
  BOTH: aGk=
  BAD: '%%%'
//- base/s.yaml sops
apiVersion: v1
kind: Secret
metadata: {name: s}
data:
  BAD: not base64
stringData:
  PORT: 8080
  COMMIT: ${osier.commit}
  TYPO: ${osier.slugg}
---
apiVersion: v1
kind: Secret
metadata: {name: token}
type: kubernetes.io/service-account-token
---
apiVersion: v1
kind: Secret
metadata: {name: tls}
type: kubernetes.io/tls
stringData: {tls.crt: x}
---
apiVersion: v1
kind: Secret
metadata: {name: docker}
type: kubernetes.io/dockerconfigjson
stringData: {.dockerconfigjson: hunter2}
---
apiVersion: v1
kind: Secret
metadata: {name: basic}
type: kubernetes.io/basic-auth
//- base/w.yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: w}
spec:
  selector:
    matchLabels: {app: w}
  template:
    metadata: {labels: {app: x}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: none}
spec: {replicas: 1}
",
        expect![[r#"
            base/a.yaml:5: `data.PORT` must be a string
              quote it: `"8080"`
            base/a.yaml:6: `data.DEBUG` must be a string
              quote it: `"true"`
            base/a.yaml:7: `data.LIST` must be a string
              write a block of text with `|`
            base/a.yaml:8: `a/b` cannot be a key
              use letters, digits, `-`, `_` and `.`, at most 253
            base/a.yaml:11: key `BOTH` is in `data` and in `binaryData`
              remove one of the two
            base/a.yaml:12: `binaryData.BAD` is no base64
              encode it with `base64`, or use `stringData` in a Secret and `data` in a ConfigMap for text
            base/s.yaml:5: `data.BAD` is no base64
              encode it with `base64`, or use `stringData` in a Secret and `data` in a ConfigMap for text
            base/s.yaml:7: `stringData.PORT` is encrypted as a number or boolean
              quote it
            base/s.yaml:8: `stringData.COMMIT` has `${osier.commit}`, which encrypted values cannot use
              use it in a value that is not encrypted
            base/s.yaml:9: `stringData.TYPO` has an unknown variable
              use one of ${osier.branch} ${osier.slug} ${osier.namespace} ${osier.commit} ${osier.environment}
            base/s.yaml:22: a Secret of a type that is not written from git
              types that are: Opaque, kubernetes.io/tls, kubernetes.io/dockerconfigjson, kubernetes.io/basic-auth, kubernetes.io/ssh-auth
            base/s.yaml:35: a Secret of type kubernetes.io/tls needs the key `tls.key`
              add it
            base/s.yaml:50: `data..dockerconfigjson` is no JSON
              take the content of a docker config.json
            base/s.yaml:63: a Secret of type kubernetes.io/basic-auth needs the key `username` or `password`
              add one of them
            base/w.yaml:6: the pod template has another label `app` than the selector
              make `spec.template.metadata.labels` say the same
            base/w.yaml:10: a StatefulSet needs `spec.selector.matchLabels`
              repeat labels of the pod template there
        "#]],
    );
}

#[test]
fn more_than_a_mebibyte() {
    let half = "x".repeat(600_000);
    let document =
        |key: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{{key}: {half}}}\n");
    let fixture = Fixture::new(&format!("//- base/a.yaml\n{}//- top/a.yaml\n{}", document("A"), document("B")));
    let problems = fixture.manifests("staging").unwrap_err();
    assert_eq!(problems[0].to_string(), "base/a.yaml:1: the values of ConfigMap/a are more than 1 MiB together");
}

#[test]
fn a_broken_mac_is_refused_and_no_value_is_told() {
    let mut fixture = Fixture::new(
        "//- base/db.yaml sops\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {A: CANARY1}\n",
    );
    let text = String::from_utf8(fixture.files["base/db.yaml"].clone()).unwrap();
    assert!(!text.contains("CANARY1"));
    fixture.write("base/db.yaml", text.replace("name: db", "name: db2").into_bytes());
    let problems = fixture.manifests("staging").unwrap_err();
    assert_eq!(problems[0].message, "the MAC does not fit: the file was changed without sops");
    assert!(!format!("{problems:?}").contains("CANARY1"));
}

#[test]
fn a_job_that_is_waited_for_stays_until_its_end_is_seen() {
    check(
        "
//- base/jobs.yaml
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {osier.dev/run: before}}
spec:
  template: {spec: {restartPolicy: Never, containers: [{name: one, image: i}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: smoke, annotations: {osier.dev/run: after-ready}}
spec:
  ttlSecondsAfterFinished: 60
  template: {spec: {restartPolicy: Never, containers: [{name: one, image: i}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: other}
spec:
  ttlSecondsAfterFinished: 0
  template: {spec: {restartPolicy: Never, containers: [{name: one, image: i}]}}
//- top/jobs.yaml
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec: {ttlSecondsAfterFinished: 59}
",
        expect![[r#"
            top/jobs.yaml:4: a Job with `osier.dev/run` has to stay for 60 s after its end
              write 60 or more, or leave it out: osier does not run a Job again that it saw end
        "#]],
    );
}
