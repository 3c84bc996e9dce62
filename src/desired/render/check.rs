//! What the API server would refuse, as far as it can be told without asking it.

use std::collections::BTreeMap;

use crate::desired::lists;
use crate::desired::manifest::Manifest;
use crate::desired::render::problem_at;
use crate::desired::value::Value;
use crate::desired::variables::secret_text;
use crate::model::problem::Problem;
use crate::model::wire;

/// Most bytes of all values of a ConfigMap or Secret together: the API server's own limit.
const MAX_VALUES: usize = 1 << 20;

/// Seconds that a Job with `osier.dev/run` has to be there after its end: watches that broke are there again by then.
const CHECK_STAYS: i64 = 60;

/// Types of Secrets that are written, and the keys that the API server wants in them. Others would mint or carry credentials of
/// the cluster itself.
const SECRET_TYPES: [(&str, &[&str]); 5] = [
    ("Opaque", &[]),
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/basic-auth", &[]),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"]),
];

/// Everything that is wrong; `start` is where the object begins.
pub fn check(manifest: &Manifest, start: &(String, u32)) -> Vec<Problem> {
    let check = Check { manifest, start };
    let mut problems = Vec::new();
    problems.extend(check.size());
    if manifest.object.kind.is_secret() {
        problems.extend(check.secret_type());
    }
    problems.extend(check.selector());
    problems.extend(check.end_of_check());
    problems
}

struct Check<'a> {
    manifest: &'a Manifest,
    start: &'a (String, u32),
}

impl Check<'_> {
    fn problem(&self, path: &str, message: String) -> Problem {
        problem_at(&self.manifest.origins, self.start, path, message)
    }

    fn size(&self) -> Option<Problem> {
        let size: usize = self.manifest.values.values().map(|value| value.bytes.expose().len()).sum();
        let message = format!("the values of {} are more than 1 MiB together", self.manifest.object.short());
        (size > MAX_VALUES)
            .then(|| Problem::new(&self.start.0, message).at(self.start.1, 0).hint("split it into several objects"))
    }

    fn secret_type(&self) -> Vec<Problem> {
        let kind = match self.manifest.body.get(&["type"]) {
            None => "Opaque",
            Some(Value::Text(text)) => text,
            Some(Value::Secret(secret)) => secret_text(secret).unwrap_or_default(),
            Some(_) => "",
        };
        let Some((_, keys)) = SECRET_TYPES.iter().find(|(known, _)| *known == kind) else {
            let known = SECRET_TYPES.map(|(known, _)| known).join(", ");
            let message = "a Secret of a type that is not written from git".to_owned();
            return vec![self.problem("type", message).hint(format!("types that are: {known}"))];
        };
        let values = &self.manifest.values;
        let lacks = |key: &&&str| !values.contains_key(**key);
        let mut problems: Vec<Problem> = keys
            .iter()
            .filter(lacks)
            .map(|key| self.problem("type", format!("a Secret of type {kind} needs the key `{key}`")).hint("add it"))
            .collect();
        if kind == "kubernetes.io/basic-auth" && !["username", "password"].iter().any(|key| values.contains_key(*key)) {
            let message = format!("a Secret of type {kind} needs the key `username` or `password`");
            problems.push(self.problem("type", message).hint("add one of them"));
        }
        let docker = values.get(".dockerconfigjson").filter(|_| kind == "kubernetes.io/dockerconfigjson");
        if docker.is_some_and(|value| serde_json::from_slice::<serde::de::IgnoredAny>(value.bytes.expose()).is_err()) {
            let message = "`data..dockerconfigjson` is no JSON".to_owned();
            problems
                .push(self.problem("data..dockerconfigjson", message).hint("take the content of a docker config.json"));
        }
        problems
    }

    /// A Job that is waited for has to be there until its end is seen.
    fn end_of_check(&self) -> Option<Problem> {
        const PATH: &str = "spec.ttlSecondsAfterFinished";
        self.manifest.body.get(&["metadata", "annotations", wire::RUN]).filter(|run| run.text().is_some())?;
        let Some(Value::Int(seconds)) = lists::at(&self.manifest.body, PATH) else { return None };
        let message = format!("a Job with `{}` has to stay for {CHECK_STAYS} s after its end", wire::RUN);
        let hint =
            format!("write {CHECK_STAYS} or more, or leave it out: osier does not run a Job again that it saw end");
        (*seconds < CHECK_STAYS).then(|| self.problem(PATH, message).hint(hint))
    }

    /// Workloads select their own pods.
    fn selector(&self) -> Vec<Problem> {
        let kind = &self.manifest.object.kind;
        if kind.group != "apps" {
            return Vec::new();
        }
        let Some(template) = lists::pod_template(kind) else { return Vec::new() };
        let Some(Value::Map(wanted)) = self.manifest.body.get(&["spec", "selector", "matchLabels"]) else {
            if self.manifest.body.get(&["spec", "selector", "matchExpressions"]).is_some() {
                return Vec::new();
            }
            let problem = self.problem("spec.selector", format!("a {} needs `spec.selector.matchLabels`", kind.kind));
            return vec![problem.hint("repeat labels of the pod template there")];
        };
        let empty = BTreeMap::new();
        let labels = match lists::at(&self.manifest.body, &format!("{template}metadata.labels")) {
            Some(Value::Map(labels)) => labels,
            _ => &empty,
        };
        let differs = |(key, value): &(&String, &Value)| labels.get(*key).and_then(Value::text) != value.text();
        let unmatched = wanted.iter().filter(differs).map(|(key, _)| {
            let path = format!("spec.selector.matchLabels.{key}");
            let message = format!("the pod template has another label `{key}` than the selector");
            self.problem(&path, message).hint(format!("make `{template}metadata.labels` say the same"))
        });
        unmatched.collect()
    }
}
