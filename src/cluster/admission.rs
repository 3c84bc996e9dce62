//! The admission policies: who may write osier's objects, and that `by` is true.
//!
//! An account of osier is one that the authorizer grants the verb `record-<lane>` on `environments.osier.dev`. RBAC cannot split a spec or
//! compare a field with the user; these can. They are evaluated by the API server alone.

use serde_json::{Value, json};

use crate::model::wire::{GROUP, LANE, REF, REPOSITORY};

/// What the authorizer is asked about.
const ENVIRONMENTS: &str = "authorizer.group('osier.dev').resource('environments').namespace(request.namespace)";

/// Fields of a Repository's status that accounts of osier alone write: all but `lookAt`.
const ACCOUNTS_ONLY: [&str; 2] = ["lanes", "conditions"];

/// The policies and their bindings.
pub fn admission() -> Vec<Value> {
    [environments(), records(), people(), plans(), repositories()].into_iter().flatten().collect()
}

/// Only accounts of the lane create Environments (empty ones: what people say comes from people) and write their status. Such an account deletes
/// none of another lane; who is none of them deletes what RBAC lets him.
fn environments() -> [Value; 2] {
    let lane = format!("(request.operation == 'DELETE' ? oldObject : object).metadata.?labels[?'{LANE}'].orValue('')");
    let account = format!(
        "variables.lane in ['protected', 'branches'] && {ENVIRONMENTS}.check('record-' + variables.lane).allowed()"
    );
    let empty =
        "request.operation != 'CREATE' || !['hold', 'suspend', 'expires', 'allow'].exists(it, it in object.spec)";
    // each question to the authorizer costs a third of what an expression may
    let own = format!(
        "request.operation != 'DELETE' || !(variables.lane in ['protected', 'branches']) || {ENVIRONMENTS}.check('record-' + variables.lane).allowed() || !{ENVIRONMENTS}.check(variables.lane == 'branches' ? 'record-protected' : 'record-branches').allowed()"
    );
    policy(
        "osier-environments",
        &[("CREATE", "environments"), ("DELETE", "environments"), ("UPDATE", "environments/status")],
        json!([{"name": "lane", "expression": lane}]),
        json!([
            rule(
                &format!("request.operation == 'DELETE' || ({account})"),
                "only osier creates Environments and writes their status (verb record-<lane> on environments.osier.dev)"
            ),
            rule(&own, "an account of osier deletes no Environment of another lane"),
            rule(empty, "an Environment is created empty; hold, suspend, expires and allow are set afterwards"),
        ]),
    )
}

/// Only accounts of osier create Records, change them and write their status. The rule on names is here, because the API server cannot
/// bound what it would cost in the definition.
fn records() -> [Value; 2] {
    let name = "object.metadata.name == object.spec.environment + '-' + string(object.spec.number)";
    let account = format!("['record-protected', 'record-branches'].exists(it, {ENVIRONMENTS}.check(it).allowed())");
    let message = "only osier writes Records (verb record-protected or record-branches on environments.osier.dev)";
    let matched = [("CREATE", "records"), ("UPDATE", "records"), ("UPDATE", "records/status")];
    let rules = json!([rule(&account, message), rule(name, "a Record is called <environment>-<number>")]);
    policy("osier-records", &matched, json!([]), rules)
}

/// People change the stanzas that they have the verb for, in their own name, and nothing that says whose the Environment is.
fn people() -> [Value; 2] {
    let may = |verb: &str| format!("{ENVIRONMENTS}.name(object.metadata.name).check('{verb}').allowed()");
    let stanza = |name: &str, verb: &str| {
        let own = format!("object.spec.?{name}.?by.orValue(request.userInfo.username) == request.userInfo.username");
        rule(
            &format!("object.spec.?{name} == oldObject.spec.?{name} || ({} && {own})", may(verb)),
            &format!("spec.{name} needs the verb {verb} on the Environment, and its `by` is the user who writes it"),
        )
    };
    let entries = "object.spec.?allow.orValue([]).all(it, it in oldObject.spec.?allow.orValue([]) || it.by == request.userInfo.username)";
    let allow = format!("object.spec.?allow == oldObject.spec.?allow || ({} && {entries})", may("approve"));
    let same = |field: String| format!("object.metadata.{field} == oldObject.metadata.{field}");
    let osiers =
        [format!("?labels[?'{LANE}']"), format!("?labels[?'{REPOSITORY}']"), format!("?annotations[?'{REF}']")];
    let labels = format!(
        "{} || ['record-protected', 'record-branches'].all(it, {ENVIRONMENTS}.check(it).allowed())",
        osiers.map(same).join(" && ")
    );
    // whoever could name an owner that is not there could have the garbage collector delete it
    let owners = "object.metadata.?ownerReferences.orValue([]) == oldObject.metadata.?ownerReferences.orValue([])";
    policy(
        "osier-people",
        &[("UPDATE", "environments")],
        json!([]),
        json!([
            stanza("hold", "hold"),
            stanza("suspend", "suspend"),
            stanza("expires", "extend"),
            rule(
                &allow,
                "spec.allow needs the verb approve on the Environment, and `by` of a new entry is the user who writes it"
            ),
            rule(
                &labels,
                "the labels osier.dev/lane and osier.dev/repository and the annotation osier.dev/ref say whose the Environment is; only osier changes them"
            ),
            rule(owners, "an Environment has no owner: it would be deleted with it"),
        ]),
    )
}

/// Who asks for a Plan does it in his own name; only osier answers.
fn plans() -> [Value; 2] {
    let own = "request.operation != 'CREATE' || object.spec.by == request.userInfo.username";
    let account = format!(
        "request.operation == 'CREATE' || ['record-protected', 'record-branches'].exists(it, {ENVIRONMENTS}.check(it).allowed())"
    );
    let message = "only osier answers Plans (verb record-protected or record-branches on environments.osier.dev)";
    let rules = json!([rule(own, "spec.by of a Plan is the user who asks for it"), rule(&account, message)]);
    policy("osier-plans", &[("CREATE", "plans"), ("UPDATE", "plans/status")], json!([]), rules)
}

/// Whoever is no account of osier, such as the receiver, writes `lookAt` in the status of a Repository, and nothing else.
fn repositories() -> [Value; 2] {
    let home = "authorizer.group('osier.dev').resource('environments').namespace(object.spec.home)";
    let account = format!("['record-protected', 'record-branches'].exists(it, {home}.check(it).allowed())");
    let same = |field: &&str| format!("object.?status.?{field} == oldObject.?status.?{field}");
    let same = ACCOUNTS_ONLY.iter().map(same).collect::<Vec<_>>().join(" && ");
    let message = "only osier writes the status of Repositories (verb record-protected or record-branches on environments.osier.dev in \
                   the home namespace); others with the right to patch it write lookAt alone";
    let rules = json!([rule(&format!("({same}) || {account}"), message)]);
    policy("osier-repositories", &[("UPDATE", "repositories/status")], json!([]), rules)
}

fn rule(expression: &str, message: &str) -> Value {
    json!({"expression": expression, "message": message, "reason": "Forbidden"})
}

/// A policy that refuses, and its binding. Without an answer of the policy nothing is written.
fn policy(name: &str, matched: &[(&str, &str)], variables: Value, validations: Value) -> [Value; 2] {
    let rules: Vec<Value> = matched
        .iter()
        .map(|(operation, resource)| {
            json!({"apiGroups": [GROUP], "apiVersions": ["*"], "operations": [operation], "resources": [resource]})
        })
        .collect();
    let api_version = "admissionregistration.k8s.io/v1";
    let mut spec =
        json!({"failurePolicy": "Fail", "matchConstraints": {"resourceRules": rules}, "validations": validations});
    if variables != json!([]) {
        spec["variables"] = variables;
    }
    [
        json!({"apiVersion": api_version, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec}),
        json!({"apiVersion": api_version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]}}),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::crds::crds;

    #[test]
    fn the_receiver_writes_nothing_but_look_at() {
        let repository = crds().into_iter().find(|crd| crd["spec"]["names"]["plural"] == "repositories").unwrap();
        let schema = &repository["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut fields: Vec<&str> =
            schema["properties"]["status"]["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        fields.retain(|field| *field != "lookAt");
        fields.sort_unstable_by_key(|field| ACCOUNTS_ONLY.iter().position(|known| known == field));
        assert_eq!(fields, ACCOUNTS_ONLY);
    }
}
