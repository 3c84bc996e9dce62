use serde_json::{Value, json};

use super::*;
use crate::planning::live::{Mark, Ownership};

fn kind(name: &str) -> Kind {
    let group = match name {
        "Job" => "batch",
        "Widget" => "example.com",
        _ => "apps",
    };
    Kind::new(group, name)
}

/// The health of an object of generation 2, in a line.
fn shown(health: &Health) -> String {
    match health {
        Health::Ready => "ready".to_owned(),
        Health::Progressing(why) => format!("progressing {:?}: {}", why.cause, why.sentence),
        Health::Failed(why) => format!("failed {:?}: {}", why.cause, why.sentence),
    }
}

#[track_caller]
fn check(name: &str, rows: &[(Value, Value, &str)]) {
    for (spec, status, expected) in rows {
        let health = of(&kind(name), Parts { generation: Some(2), spec, status });
        assert_eq!(shown(&health), *expected, "{name} {spec} {status}");
    }
}

/// Counts of a Deployment: replicas, updated, available.
fn counts(observed: i64, [total, updated, available]: [i64; 3]) -> Value {
    json!({"observedGeneration": observed, "replicas": total, "updatedReplicas": updated, "availableReplicas": available})
}

fn with(mut status: Value, kind: &str, truth: &str, reason: &str, message: &str) -> Value {
    status["conditions"] = json!([{"type": kind, "status": truth, "reason": reason, "message": message}]);
    status
}

#[test]
fn deployments() {
    let late = with(counts(2, [3, 1, 2]), "Progressing", "False", "ProgressDeadlineExceeded", "");
    let quota = r#"pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"#;
    let quota = with(counts(2, [2, 2, 2]), "ReplicaFailure", "True", "FailedCreate", quota);
    let denied = "admission webhook denied it: \" is forbidden: exceeded quota: PASSWORD=canary";
    let denied = with(counts(2, [0, 0, 0]), "ReplicaFailure", "True", "FailedCreate", denied);
    let three = json!({"replicas": 3});
    check(
        "Deployment",
        &[
            (three.clone(), json!({}), "progressing Time: not seen by its controller yet"),
            (three.clone(), counts(1, [3, 3, 3]), "progressing Time: not seen by its controller yet"),
            (three.clone(), counts(2, [3, 1, 3]), "progressing Time: 1 of 3 updated"),
            (three.clone(), counts(2, [4, 3, 3]), "progressing Time: 1 of the old pods still there"),
            (three.clone(), counts(2, [3, 3, 2]), "progressing Time: 2 of 3 available"),
            (three.clone(), counts(2, [3, 3, 3]), "ready"),
            (json!({}), counts(2, [1, 1, 1]), "ready"),
            (json!({"replicas": 0}), json!({"observedGeneration": 2}), "ready"),
            (three.clone(), late.clone(), "failed Named: 1 of 3 updated, no progress for 600 s"),
            (
                json!({"replicas": 3, "progressDeadlineSeconds": 60}),
                late,
                "failed Named: 1 of 3 updated, no progress for 60 s",
            ),
            (
                json!({"replicas": 3, "paused": true}),
                counts(2, [3, 0, 3]),
                "progressing Named: 0 of 3 updated, spec.paused is true",
            ),
            (
                three.clone(),
                quota,
                "progressing Quota: 2 of 3 updated: exceeded quota q, requested: pods=1, used: pods=2, limited: pods=2",
            ),
            (three, denied, "progressing Named: 0 of 3 updated: no pods can be made: FailedCreate"),
        ],
    );
}

#[test]
fn stateful_sets() {
    let status = |ready: i64, updated: i64, same: bool| {
        let update = if same { "a" } else { "b" };
        json!({"observedGeneration": 2, "readyReplicas": ready, "updatedReplicas": updated, "currentRevision": "a", "updateRevision": update})
    };
    let two = json!({"replicas": 2});
    let partition = json!({"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 1}}});
    let on_delete = json!({"replicas": 2, "updateStrategy": {"type": "OnDelete"}});
    check(
        "StatefulSet",
        &[
            (two.clone(), json!({"observedGeneration": 1}), "progressing Time: not seen by its controller yet"),
            (two.clone(), status(1, 2, true), "progressing Time: 1 of 2 ready"),
            (two.clone(), status(2, 1, false), "progressing Time: 1 of 2 updated"),
            (two, status(2, 2, true), "ready"),
            (partition.clone(), status(2, 0, false), "progressing Time: 0 of 1 updated"),
            (partition, status(2, 1, false), "ready"),
            (on_delete.clone(), status(2, 0, false), "ready"),
            (on_delete, status(1, 0, false), "progressing Time: 1 of 2 ready"),
        ],
    );
}

#[test]
fn daemon_sets() {
    let status = |wanted: i64, updated: i64, available: i64| json!({"observedGeneration": 2, "desiredNumberScheduled": wanted, "updatedNumberScheduled": updated, "numberAvailable": available});
    let on_delete = json!({"updateStrategy": {"type": "OnDelete"}});
    check(
        "DaemonSet",
        &[
            (json!({}), json!({"observedGeneration": 1}), "progressing Time: not seen by its controller yet"),
            (json!({}), status(0, 0, 0), "ready"),
            (json!({}), status(3, 2, 3), "progressing Time: 2 of 3 updated"),
            (json!({}), status(3, 3, 1), "progressing Time: 1 of 3 available"),
            (json!({}), status(3, 3, 3), "ready"),
            (on_delete, status(3, 0, 3), "ready"),
        ],
    );
}

#[test]
fn jobs() {
    let failed = with(json!({"failed": 3}), "Failed", "True", "BackoffLimitExceeded", "");
    let complete = with(json!({"succeeded": 1}), "Complete", "True", "CompletionsReached", "");
    check(
        "Job",
        &[
            (json!({}), json!({}), "progressing Time: 0 of 1 completed"),
            (
                json!({"completions": 3}),
                json!({"succeeded": 1, "failed": 2}),
                "progressing Time: 1 of 3 completed, 2 failed",
            ),
            (json!({}), complete, "ready"),
            (json!({}), failed, "failed Named: failed: BackoffLimitExceeded"),
            (json!({"suspend": true}), json!({}), "ready"),
        ],
    );
}

#[test]
fn other_kinds_say_it_in_conditions() {
    check(
        "Widget",
        &[
            (json!({"replicas": "many"}), json!({}), "ready"),
            (json!({}), json!({"observedGeneration": 1}), "progressing Time: not seen by its controller yet"),
            (json!({}), with(json!({}), "Ready", "False", "NotYet", "canary"), "progressing Named: not ready: NotYet"),
            (json!({}), with(json!({}), "Ready", "True", "Done", ""), "ready"),
            (json!({}), with(json!({}), "Reconciling", "True", "Working", ""), "progressing Named: not ready: Working"),
            (json!({}), with(json!({}), "Stalled", "True", "a sentence", ""), "failed Named: stalled: no reason given"),
            (json!({}), json!({"conditions": "none"}), "ready"),
        ],
    );
}

#[test]
fn what_is_watched_whole() {
    let judged = |group: &str, kind: &str| is_judged(&Kind::new(group, kind));
    assert!(judged("apps", "Deployment") && judged("batch", "Job") && judged("example.com", "Widget"));
    assert!(!judged("", "Secret") && !judged("", "ConfigMap") && !judged("batch", "CronJob"));
    assert!(!judged("rbac.authorization.k8s.io", "Role") && !judged("apps", "ReplicaSet"));
}

#[test]
fn a_write_is_not_ready_before_its_controller_has_seen_it() {
    let object = |name: &str| ObjectId::new(kind(name), "shop", "a");
    let live = |generation: i64| Live {
        uid: "u1".into(),
        generation: Some(generation),
        ownership: Ownership { label: Mark::Ours, annotation: Mark::Ours, entry: true },
        ..Live::default()
    };
    let seen = |uid: &str| Workload {
        uid: uid.into(),
        generation: Some(2),
        health: Health::Ready,
        result: None,
        refers: BTreeSet::new(),
    };
    let check = |live: Option<&Live>, workload: Option<&Workload>, expected: &str| {
        assert_eq!(shown(&standing(&object("Deployment"), live, workload)), expected);
    };
    check(Some(&live(2)), Some(&seen("u1")), "ready");
    check(Some(&live(3)), Some(&seen("u1")), "progressing Time: not seen by its controller yet");
    check(Some(&live(2)), Some(&seen("u0")), "progressing Time: not seen by its controller yet");
    check(Some(&live(1)), None, "progressing Time: not seen by its controller yet");
    check(None, None, "progressing Time: not there yet");
    check(Some(&Live { terminating: true, ..live(2) }), Some(&seen("u1")), "progressing Time: being deleted");
    check(Some(&Live { ownership: Ownership::default(), ..live(3) }), None, "ready");
    assert_eq!(standing(&object("Job"), None, None), Health::Ready);
}

#[test]
fn the_worst_is_named() {
    let time = || Health::waits("1 of 2 available");
    let named = || time().because(Some("CrashLoopBackOff in api, exit code 1"));
    let check = |healths: Vec<Health>, expected: &str| {
        let names = ["Deployment/a", "Deployment/b", "Job/c"].map(str::to_owned);
        assert_eq!(shown(&together(names.into_iter().zip(healths))), expected);
    };
    check(vec![Health::Ready, Health::Ready], "ready");
    check(vec![Health::Ready, time()], "progressing Time: Deployment/b: 1 of 2 available");
    check(
        vec![time(), named()],
        "progressing Named: Deployment/b: 1 of 2 available: CrashLoopBackOff in api, exit code 1 (and 1 more)",
    );
    check(vec![named(), time(), Health::failed("failed: X")], "failed Named: Job/c: failed: X (and 2 more)");
}

#[test]
fn what_is_wrong_with_pods() {
    let pod = |status: Value| {
        let owners = json!([{"kind": "ReplicaSet", "name": "api-5c9d", "controller": true}]);
        json!({"metadata": {"name": "api-5c9d-x", "labels": {"pod-template-hash": "5c9d"}, "ownerReferences": owners}, "status": status})
    };
    let container = |state: Value| pod(json!({"containerStatuses": [state]}));
    let waiting = |reason: &str| json!({"name": "web", "image": "registry.example/web:1", "state": {"waiting": {"reason": reason, "message": "canary"}}});
    let mut crashed = waiting("CrashLoopBackOff");
    crashed["lastState"] = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": "canary"}});
    let unschedulable = |message: &str| {
        pod(
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]}),
        )
    };
    let few = "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {dedicated: db}. preemption: 0/3 nodes are available.";
    let claim = "0/3 nodes are available: persistentvolumeclaim \"canary\" not found, 3 Insufficient memory.";
    let rows = [
        (container(waiting("ContainerCreating")), None),
        (container(json!({"name": "web", "state": {"running": {}}})), None),
        (container(waiting("ImagePullBackOff")), Some("ImagePullBackOff in web")),
        (container(waiting("Secret: canary")), Some("no reason given in web")),
        (container(waiting("CreateContainerConfigError")), Some("CreateContainerConfigError in web")),
        (container(crashed), Some("CrashLoopBackOff in web, exit code 137 (OOMKilled)")),
        (
            container(
                json!({"name": "web", "state": {"terminated": {"exitCode": 2, "reason": "Error", "message": "canary"}}}),
            ),
            Some("web ended, exit code 2"),
        ),
        (container(json!({"name": "web", "state": {"terminated": {"exitCode": 0}}})), None),
        (
            unschedulable(few),
            Some(
                "Unschedulable: 0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {dedicated: db}",
            ),
        ),
        (unschedulable(claim), Some("Unschedulable: 0/3 nodes are available: 3 Insufficient memory")),
        (unschedulable("canary: nodes are available: 1 canary"), Some("Unschedulable")),
        (pod(json!({"phase": "Failed", "reason": "Evicted"})), Some("Evicted")),
        (pod(json!({})), None),
    ];
    for (pod, expected) in rows {
        let found = pods::trouble(&pod);
        assert_eq!(found.as_ref().map(|trouble| trouble.sentence.as_str()), expected, "{pod}");
        assert!(found.is_none_or(|trouble| (trouble.kind.as_str(), trouble.name.as_str()) == ("Deployment", "api")));
    }
    let mut leaving = container(waiting("ImagePullBackOff"));
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(pods::trouble(&leaving), None);
    let mut orphan = container(waiting("ImagePullBackOff"));
    orphan["metadata"]["ownerReferences"] = json!([{"kind": "StatefulSet", "name": "db", "controller": true}]);
    let found = pods::trouble(&orphan).expect("it has an owner");
    assert_eq!((found.kind.as_str(), found.name.as_str()), ("StatefulSet", "db"));
}
