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
            osier.yaml:5:1: `branches` is not supported by this version yet
              remove it
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
            osier.yaml:9:66: layer `main:base` names a branch, which is not supported by this version yet
              name a directory of this repository
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
          fields: apiVersion, kind, environments, shared, issues
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
