//! Ways out of a branch environment, each with what it is answered. `routes.txt` has them as a branch would push them.

use super::*;
use crate::desired::fixture::Fixture;
use crate::model::object::Kind;

const ROUTES: &str = include_str!("routes.txt");
/// What an ordinary environment is made of: all of it is allowed.
const ALLOWED: &str = include_str!("allowed.txt");

fn isolation() -> Isolation {
    Isolation {
        address: None,
        template: "template".to_owned(),
        host: Some("x.preview.example.com".to_owned()),
        subjects: Some(vec!["group:developers".to_owned()]),
        allow: Allow { gateways: vec!["gateways/public".to_owned()], ..Allow::default() },
    }
}

/// The first problem of each object of a branch, or what it is allowed.
fn answer(text: &str, isolation: Isolation) -> String {
    let mut fixture = Fixture::new(text);
    fixture.isolation = Some(isolation);
    let routes = ["GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"];
    fixture.kinds = routes.map(|kind| Kind::new("gateway.networking.k8s.io", kind)).into();
    match fixture.manifests("staging") {
        Ok(_) => "allowed".to_owned(),
        Err(problems) => problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; "),
    }
}

fn as_pushed(document: &str) -> String {
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: osier}\n";
    format!("//- template/quota.yaml\n{quota}//- branch/it.yaml\n{document}")
}

#[test]
fn every_route_is_refused_with_its_reason() {
    let mut tried = 0;
    for route in ROUTES.split("=== ").skip(1) {
        let (reason, document) = route.split_once('\n').unwrap();
        let said = answer(&as_pushed(document), isolation());
        assert!(said.contains(reason), "{document}\nexpected {reason}\nsaid     {said}");
        tried += 1;
    }
    assert!(tried >= 40, "{tried} routes");
}

#[test]
fn what_an_environment_needs_is_allowed() {
    for document in ALLOWED.split("=== ").skip(1) {
        let document = document.split_once('\n').unwrap().1;
        assert_eq!(answer(&as_pushed(document), isolation()), "allowed", "{document}");
    }
}

#[test]
fn what_is_granted_is_allowed() {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let allow = Allow {
        labels: words(&["team"]),
        annotations: words(&["example.com/a"]),
        fields: words(&["tolerations", "LoadBalancer"]),
        ingress_classes: words(&["preview"]),
        gateways: words(&["gateways/internal"]),
    };
    let document = "apiVersion: v1
kind: Service
metadata: {name: web, labels: {team: shop}, annotations: {example.com/a: b}}
spec: {type: LoadBalancer, ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {parentRefs: [{name: internal, namespace: gateways}], hostnames: [x.preview.example.com]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: app}
";
    assert_eq!(answer(&as_pushed(document), Isolation { allow, ..isolation() }), "allowed");
    assert!(answer(&as_pushed(document), isolation()).contains("LoadBalancer"));
}

#[test]
fn the_template_is_granted_its_subjects() {
    let binding = |subject: &str| {
        format!(
            "//- template/binding.yaml\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: authors}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: osier-environment-user}}\nsubjects: [{subject}]\n"
        )
    };
    let group = |name: &str| format!("{{apiGroup: rbac.authorization.k8s.io, kind: Group, name: {name}}}");
    assert_eq!(answer(&binding(&group("developers")), isolation()), "allowed");
    assert!(
        answer(&binding(&group("everybody")), isolation()).contains("does not grant the subject `group:everybody`")
    );
    let account = "{kind: ServiceAccount, name: default, namespace: kube-system}";
    assert!(answer(&binding(account), isolation()).contains("`serviceaccount:kube-system:default`"));
}
