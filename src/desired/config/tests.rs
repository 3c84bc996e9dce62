use std::collections::BTreeSet;

use expect_test::{Expect, expect};

use super::*;

fn check(text: &str, expect: Expect) {
    let shown = match Config::parse("osier.yaml", text) {
        Ok(config) => format!("{config:#?}\n"),
        Err(problems) => problems.iter().map(|problem| format!("{problem}\n  {}\n", problem.hint)).collect(),
    };
    expect.assert_eq(&shown);
}

const HEAD: &str = "apiVersion: osier.dev/v1alpha1\nkind: Config\n";

#[test]
fn a_whole_config() {
    let text = "
environments:
  staging: {namespace: shop-staging, layers: [base, envs/staging/], keys: staging}
  production: {namespace: shop, layers: [base], keys: production, cluster: prod-eu, mode: observe}
shared: [base]
issues: {pattern: '[A-Z]+-[0-9]+', url: 'https://t.example.com/{key}'}
";
    let config = Config::parse("osier.yaml", &format!("{HEAD}{text}")).unwrap();
    assert_eq!(config.environments["staging"].layers, ["base", "envs/staging"]);
    assert_eq!(config.environments["staging"].mode, Mode::Apply);
    assert_eq!(config.environments["staging"].line, 5);
    assert_eq!(config.environments["production"].mode, Mode::Observe);
    assert_eq!(config.environments["production"].cluster.as_deref(), Some("prod-eu"));
    assert_eq!(config.shared, ["base"]);
    assert!(config.issues.is_some());
}

#[test]
fn every_mistake_at_once() {
    check(
        "
apiVersion: osier.dev/v1
kind: Config
environment: {}
branches: []
environments:
  Staging: {namespace: a, layer: [base]}
  two: {namespace: a, layers: []}
  three: {namespace: a, layers: [/etc, ../x, base, base, base/a, 'main:base', .git], mode: aply, approval: {}}
  four: {namespace: a_b, layers: base}
issues: {pattern: '(', url: x}
",
        expect![[r#"
            osier.yaml:2:13: unknown `apiVersion`
              write `apiVersion: osier.dev/v1alpha1`
            osier.yaml:4:1: unknown field `environment`
              did you mean `environments`?
            osier.yaml:7:3: the name of an environment must be a DNS label
              at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends
            osier.yaml:7:3: environment `Staging` has no `layers`
              add `layers: [base]`
            osier.yaml:7:27: unknown field `layer`
              did you mean `layers`?
            osier.yaml:8:31: environment `two` has no layers
              name at least one directory
            osier.yaml:9:22: namespace `a` is that of environment `two` already
              give each environment a namespace of its own
            osier.yaml:9:34: layer `/etc` is no directory of this repository
              write its path from the root of the repository, without `..` and names that begin with a dot
            osier.yaml:9:40: layer `../x` is no directory of this repository
              write its path from the root of the repository, without `..` and names that begin with a dot
            osier.yaml:9:52: layer `base` is here twice
              remove one
            osier.yaml:9:58: layers `base` and `base/a` contain one another
              a file belongs to one layer: move one directory out of the other
            osier.yaml:9:66: layer `main:base` names a branch
              name a directory of this repository; only layers in `branches` may begin with `main:`
            osier.yaml:9:79: layer `.git` is no directory of this repository
              write its path from the root of the repository, without `..` and names that begin with a dot
            osier.yaml:9:92: unknown `mode`
              write `apply` or `observe`
            osier.yaml:9:98: `approval` is not supported by this version yet
              remove it
            osier.yaml:10:21: `namespace` must be a DNS label
              at most 63 lower-case letters, digits and `-`, with a letter or digit at both ends
            osier.yaml:10:34: layers must be a list of directories
              write `[base, envs/staging]`
            osier.yaml:11:19: `pattern` is no regular expression
              such as `[A-Z]+-[0-9]+`
            osier.yaml:11:29: `url` has no `{key}`
              such as `https://tracker.example.com/browse/{key}`
        "#]],
    );
}

#[test]
fn one_namespace_in_two_clusters_is_two_namespaces() {
    let text = "environments:\n  a: {namespace: shop, layers: [x], cluster: eu}\n  b: {namespace: shop, layers: [x], cluster: us}\n";
    assert!(Config::parse("osier.yaml", &format!("{HEAD}{text}")).is_ok());
}

#[test]
fn broken_and_empty_files() {
    check(
        "",
        expect![[r#"
        osier.yaml: the file is empty
          run `osier init`
    "#]],
    );
    check(
        "environments: {a: b: c}",
        expect![[r#"
        osier.yaml:1:20: a comma or a closing bracket is missing
          check the `{`, `}`, `[` and `]`
    "#]],
    );
    check(
        "- a\n",
        expect![[r#"
            osier.yaml:1:1: osier.yaml must be a mapping
              fields: apiVersion, kind, environments, branches, shared, issues
            osier.yaml:1:1: `apiVersion` is missing
              add `apiVersion: osier.dev/v1alpha1`
            osier.yaml:1:1: `kind` is missing
              add `kind: Config`
            osier.yaml:1:1: `environments` is missing
              add `environments: {staging: {namespace: shop-staging, layers: [base]}}`
        "#]],
    );
    check(
        HEAD,
        expect![[r#"
        osier.yaml:1:1: `environments` is missing
          add `environments: {staging: {namespace: shop-staging, layers: [base]}}`
    "#]],
    );
}

#[test]
fn the_schema_has_the_fields_that_are_read() {
    let schema = Config::schema();
    let names = |schema: &serde_json::Value| -> Vec<String> {
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let sorted = |fields: &[&str]| {
        let mut fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        fields.sort();
        fields
    };
    assert_eq!(names(&schema), sorted(&FIELDS));
    assert_eq!(names(&schema["$defs"]["EnvironmentConfig"]), sorted(&ENVIRONMENT_FIELDS));
    assert_eq!(names(&schema["$defs"]["Issues"]), sorted(&ISSUES_FIELDS));
}

#[test]
fn entries_of_branches() {
    let text = "
environments: {staging: {namespace: shop-staging, layers: [base]}}
branches:
- match: [\"feature/**\"]
  layers: [\"main:base\", branches]
  keys: branch
  max: 20
  url: https://{slug}.preview.example.com/x
  namespace: {prefix: shop-b, template: policies/branch}
  grace: 90s
  volumes: delete
  allow: {labels: [team], gateways: [gateways/public]}
- {match: [\"**\"], layers: [own], namespace: {prefix: r, template: t}}
";
    let config = Config::parse("osier.yaml", &format!("{HEAD}{text}")).unwrap();
    let (entry, slug) = config.branch("feature/SHOP-1").unwrap();
    assert_eq!((slug.as_str(), entry.max.map(u32::from), entry.line), ("shop-1", Some(20), 6));
    let main = crate::model::tree::GitId([0; 20]);
    let environment = entry.environment("shop-b-x".to_owned(), main, &slug);
    let zeros = "0".repeat(40);
    assert_eq!(
        environment.layers,
        [format!("{zeros}:policies/branch"), format!("{zeros}:base"), "branches".to_owned()]
    );
    assert_eq!(environment.isolation.unwrap().host.as_deref(), Some("shop-1.preview.example.com"));
    assert_eq!(config.branch("fix/a").map(|(entry, slug)| (entry.line, slug)), Some((15, "fix-a".to_owned())));
}

#[test]
fn what_stands_for_a_branch_is_its_own_whatever_others_are_called() {
    let text = "
environments: {staging: {namespace: shop-staging, layers: [base]}}
branches:
- {match: [\"feature/**\", \"fix/*\"], layers: [own], namespace: {prefix: b, template: t}}
- {match: [\"*\", exactly], layers: [own], namespace: {prefix: r, template: t}}
";
    let config = Config::parse("osier.yaml", &format!("{HEAD}{text}")).unwrap();
    let label = |name: &str| config.label(name, &config.branch(name).unwrap().1, "shop");
    let hash = |name: &str| wire::branch_label("", "shop", &format!("refs/heads/{name}"));
    let long = "a".repeat(31);
    let cases = [
        ("feature/x", "x"),
        ("feature/shop-1", "shop-1"),
        ("feature/X", "x"),
        ("feature/x.", "x"),
        ("feature/a/b", "a-b"),
        ("feature/a-b", "a-b"),
        ("fix/x", "x"),
        ("x", "x"),
        ("feature/\u{43f}", "x"),
        (&format!("feature/{long}"), &long[1..]),
        (&format!("feature/{}", &long[1..]), &long[1..]),
        ("feature/fix-navigation", "fix-navigation"),
        ("feature/navigation", "navigation"),
        (&format!("feature/x{}", hash("feature/X")), &format!("x{}", hash("feature/X"))),
    ];
    let plain =
        ["feature/x", "feature/shop-1", "feature/a-b", &format!("feature/{}", &long[1..]), "feature/navigation"];
    let mut labels = BTreeSet::new();
    for (name, slug) in cases {
        let hash = if plain.contains(&name) { String::new() } else { hash(name) };
        assert_eq!(label(name), format!("{slug}{hash}"), "{name}");
        assert!(labels.insert(label(name)), "{name}");
    }
}

#[test]
fn mistakes_in_branches() {
    check(
        &format!(
            "{HEAD}
environments: {{staging: {{namespace: shop-staging, layers: [\"main:base\"]}}}}
branches:
- {{match: [], layers: [], namespace: {{prefix: a-prefix-of-21-letters, template: ../t}}, max: 0, when: sometimes, lives: 0s}}
- {{match: [\"a b\", \"***\"], layers: [\"other:base\"], namespace: {{}}, grace: soon, volumes: drop, url: x, allow: {{labels: a, gateways: [public]}}}}
- {{match: x, layers: [\"main:t/deep\"], namespace: {{prefix: b, template: t}}, generate: {{Secret/db: 32, ConfigMap/a.B: 32, Secret/db.A: 8, Secret/db.B: 32}}}}
- {{}}
"
        ),
        expect![[r#"
            osier.yaml:4:60: layer `main:base` names a branch
              name a directory of this repository; only layers in `branches` may begin with `main:`
            osier.yaml:6:11: `match` is empty
              such as `match: ["feature/**", "fix/*"]`
            osier.yaml:6:23: an entry of `branches` has no layers
              name at least one directory
            osier.yaml:6:47: `prefix` must be the beginning of a namespace's name
              at most 20 lower-case letters, digits and `-`, with a letter or digit at both ends
            osier.yaml:6:81: layer `../t` is no directory of this repository
              write its path from the root of the repository, without `..` and names that begin with a dot
            osier.yaml:6:93: `max` must be a number from 1
              such as `max: 20`
            osier.yaml:6:102: unknown `when`
              write `always` or `changed`
            osier.yaml:6:120: `lives` must be longer than nothing
              such as `lives: 72h`, or leave it out
            osier.yaml:7:12: this is no name of a branch, with `*` and `**`
              such as `match: ["feature/**", "fix/*"]`
            osier.yaml:7:19: this is no name of a branch, with `*` and `**`
              such as `match: ["feature/**", "fix/*"]`
            osier.yaml:7:36: layer `other:base` names a branch
              name a directory of this repository; only layers in `branches` may begin with `main:`
            osier.yaml:7:62: `namespace` has no `prefix`
              add `prefix: shop-b`
            osier.yaml:7:62: `namespace` has no `template`
              add `template: policies/branch-namespace`
            osier.yaml:7:73: `grace` must be a duration
              such as `grace: 1m` or `grace: 72h`
            osier.yaml:7:88: unknown `volumes`
              write `keep` or `delete`
            osier.yaml:7:99: `url` must be an address whose host has `{slug}`
              such as `https://{slug}.preview.example.com`
            osier.yaml:7:118: `labels` must be a list of names
              such as `labels: [team]`
            osier.yaml:7:131: `gateways` must name each with its namespace
              such as `gateways: [gateways/public]`
            osier.yaml:8:3: the template is in a layer, or a layer in it
              give it a directory of its own
            osier.yaml:8:11: `match` must be a list of names of branches
              such as `match: ["feature/**", "fix/*"]`
            osier.yaml:8:87: this is no entry of a Secret
              such as `generate: {Secret/db.PASSWORD: 32}`
            osier.yaml:8:102: this is no entry of a Secret
              such as `generate: {Secret/db.PASSWORD: 32}`
            osier.yaml:8:134: the length must be a number from 16 to 256
              such as `generate: {Secret/db.PASSWORD: 32}`
            osier.yaml:9:3: an entry of `branches` has no `match`
              add `match: ["feature/**"]`
            osier.yaml:9:3: an entry of `branches` has no `layers`
              add `layers: [main:base, branches]`
            osier.yaml:9:3: an entry of `branches` has no `namespace`
              add `namespace: {prefix: shop-b, template: policies/branch-namespace}`
        "#]],
    );
}
