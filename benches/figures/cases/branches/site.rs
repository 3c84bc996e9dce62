//! A repository whose branches are environments, and one that is none of a branch.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use http::Method;
use osier::model::wire;
use serde_json::{Value, json};

use crate::cases::bare::Request;
use crate::cases::place::{Place, Shape};
use crate::cases::service::controller::Controller;
use crate::cases::service::observer::Observer;
use crate::support::control_plane::User;
use crate::support::server::{Server, request};
use crate::workload::{Changed, File, Object};

/// Objects of the template.
pub const TEMPLATE: usize = 4;
/// Directory of the protected environment's one layer, which needs no key.
const PLAIN: &str = "plain";

/// An API server, a remote, and commits for branches to be at.
pub struct Site {
    pub place: Place,
    /// Commits that are not on any branch, one on top of the other; each changes an object.
    commits: Vec<String>,
    /// Who looks on as an administrator.
    admin: kube::Client,
}

impl Site {
    /// Branch environments of so many objects, `max` of them at a time. `commits` changes of one object are staged.
    pub async fn new(server: &Arc<Server>, name: &str, objects: usize, max: usize, commits: usize) -> Self {
        let shape = Shape { objects, environments: 1, directories: 1, copies: 0 };
        let mut place = Place::bare(Arc::clone(server), name, shape).await;
        let config = format!(
            "apiVersion: osier.dev/v1alpha1\nkind: Config\nenvironments:\n  {0}: {{namespace: {0}, layers: [{PLAIN}]}}\nbranches:\n\
             - match: [\"feature/**\"]\n  layers: [base, envs/000]\n  keys: figures\n  max: {max}\n  grace: 2s\n  allow: {{labels: [app.kubernetes.io/part-of]}}\n  \
             namespace: {{prefix: {name}-b, template: policies/branch}}\n",
            place.environment(0)
        );
        let template = template().into_iter().map(|(_, object)| {
            let path = format!("policies/branch/{}.yaml", object["metadata"]["name"].as_str().unwrap_or_default());
            (path, object.to_string().into_bytes())
        });
        let own = [("osier.yaml".to_owned(), config.into_bytes()), plain(0)];
        let files: Vec<File> = place.workload.files().chain(template).chain(own).collect();
        place.repository.commit(files.into_iter());
        let changes: Vec<Changed> =
            (1..=commits).flat_map(|change| place.workload.changed(Some(0), change..change + 1, change)).collect();
        let commits = place.repository.stage(changes.into_iter().map(|changed| std::iter::once(changed.file)));
        let admin = server.client(&User::admin()).await;
        let site = Self { place, commits, admin };
        let grant =
            json!({"spec": {"prefixes": [format!("{name}-b")], "keys": [{"class": "figures", "branches": true}]}});
        let path = format!("/apis/osier.dev/v1alpha1/repositories/{name}");
        site.ask(Method::PATCH, &path, &grant).await;
        site
    }

    /// The service of its branches.
    pub async fn branches(&self, user: &User) -> Controller {
        Controller::start_lane(&self.place, "branches", user, "branches").await
    }

    /// Name of a branch.
    pub fn branch(number: usize) -> String {
        format!("feature/b{number}")
    }

    /// Name of a branch's environment, and of its namespace.
    pub fn environment(&self, number: usize) -> String {
        let reference = format!("{}{}", wire::HEADS, Self::branch(number));
        wire::branch_namespace(&format!("{}-b", self.place.name), &format!("b{number}"), &self.place.name, &reference)
    }

    /// The commit of a branch.
    pub fn commit(&self, number: usize) -> &str {
        &self.commits[number % self.commits.len()]
    }

    pub fn push(&self, number: usize) {
        self.place.repository.push_branch(&Self::branch(number), self.commit(number));
    }

    /// All of them at once.
    pub fn push_all(&self, numbers: std::ops::Range<usize>) {
        let branches: Vec<(String, &str)> = numbers.map(|number| (Self::branch(number), self.commit(number))).collect();
        self.place.repository.push_branches(branches.iter().map(|(branch, commit)| (branch.as_str(), Some(*commit))));
    }

    /// All of them at once.
    pub fn delete_all(&self, numbers: std::ops::Range<usize>) {
        let branches: Vec<String> = numbers.map(Self::branch).collect();
        self.place.repository.push_branches(branches.iter().map(|branch| (branch.as_str(), None)));
    }

    /// What a commit gives the protected environment.
    pub fn stage_plain(&mut self, versions: usize) -> Vec<(String, Changed)> {
        let changed = |version| Changed {
            file: plain(version),
            object: ("configmaps", "plain".to_owned()),
            key: "VERSION",
            value: version.to_string(),
        };
        let changes: Vec<Changed> = (1..=versions).map(changed).collect();
        let commits = self.place.repository.stage(changes.iter().map(|changed| std::iter::once(changed.file.clone())));
        commits.into_iter().zip(changes).collect()
    }

    /// When the last object of a branch's environment was seen.
    pub async fn complete(&self, observer: &mut Observer, number: usize) -> Instant {
        let namespace = self.environment(number);
        let mut there: BTreeSet<Object> = BTreeSet::new();
        loop {
            let sighting = observer.next(|sighting| sighting.namespace == namespace && !sighting.is_gone).await;
            if sighting.object.1.starts_with("object-") {
                there.insert(sighting.object);
            }
            if there.len() == self.place.workload.objects {
                return sighting.at;
            }
        }
    }

    /// A page as an administrator sees it.
    pub async fn look(&self, path: &str) -> Value {
        self.ask(Method::GET, path, &Value::Null).await
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("content-type", "application/merge-patch+json")];
        let answer = request(&self.admin, method, path, &headers, body).await;
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.body["message"]);
        answer.body
    }
}

/// The template's objects as a bare client makes them.
pub fn template_bodies(namespace: &str) -> Vec<Request> {
    let body = |(path, mut object): (&str, Value)| {
        object["metadata"]["namespace"] = json!(namespace);
        (path.replace("{}", namespace) + "?fieldManager=bare", object.to_string())
    };
    template().into_iter().map(body).collect()
}

fn template() -> [(&'static str, Value); TEMPLATE] {
    const QUOTAS: &str = "/api/v1/namespaces/{}/resourcequotas";
    const LIMITS: &str = "/api/v1/namespaces/{}/limitranges";
    const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies";
    let object = |version: &str, kind: &str, name: &str, spec: Value| json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
    let policy = |name: &str, spec: Value| (POLICIES, object("networking.k8s.io/v1", "NetworkPolicy", name, spec));
    let limits = json!({"limits": [{"type": "Container", "max": {"memory": "4Gi"}}]});
    [
        (QUOTAS, object("v1", "ResourceQuota", "quota", json!({"hard": {"pods": "50"}}))),
        (LIMITS, object("v1", "LimitRange", "limits", limits)),
        policy("deny", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})),
        policy(
            "within",
            json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]}),
        ),
    ]
}

fn plain(version: usize) -> File {
    let text =
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: plain}}\ndata: {{VERSION: \"{version}\"}}\n");
    (format!("{PLAIN}/plain.yaml"), text.into_bytes())
}
