//! What the status of each kind means: the rules of `kubectl rollout status` (k8s.io/kubectl, polymorphichelpers/rollout_status.go), and of
//! kstatus for what that does not know (sigs.k8s.io/cli-utils, kstatus/status/core.go and generic.go).

use serde_json::Value;

use crate::model::environment::JobResult;
use crate::planning::health::{Cause, Health, Parts, Why};

/// Longest piece of another program's sentence that is repeated.
const QUOTE: usize = 160;

/// A Deployment.
pub fn deployment(parts: Parts<'_>) -> Health {
    let Parts { spec, status, .. } = parts;
    if !is_observed(parts) {
        return unobserved();
    }
    let wanted = spec["replicas"].as_i64().unwrap_or(1);
    let [total, updated, available] =
        ["replicas", "updatedReplicas", "availableReplicas"].map(|name| count(status, name));
    let progress = if updated < wanted {
        format!("{updated} of {wanted} updated")
    } else if total > updated {
        format!("{} of the old pods still there", total - updated)
    } else if available < wanted {
        format!("{available} of {wanted} available")
    } else {
        return Health::Ready;
    };
    let health = if is_said(status, "Progressing", |reason| reason == "ProgressDeadlineExceeded") {
        let seconds = spec["progressDeadlineSeconds"].as_i64().unwrap_or(600);
        Health::failed(format!("{progress}, no progress for {seconds} s"))
    } else if spec["paused"].as_bool() == Some(true) {
        Health::hindered(format!("{progress}, spec.paused is true"))
    } else {
        Health::waits(progress)
    };
    refused(status, health)
}

/// A StatefulSet.
pub fn stateful_set(parts: Parts<'_>) -> Health {
    let Parts { spec, status, .. } = parts;
    if !is_observed(parts) {
        return unobserved();
    }
    let wanted = spec["replicas"].as_i64().unwrap_or(1);
    let [updated, ready] = ["updatedReplicas", "readyReplicas"].map(|name| count(status, name));
    let kept = spec["updateStrategy"]["rollingUpdate"]["partition"].as_i64().unwrap_or(0);
    let renewed = (wanted - kept).max(0);
    let revisions = [&status["currentRevision"], &status["updateRevision"]];
    if ready < wanted {
        Health::waits(format!("{ready} of {wanted} ready"))
    } else if is_on_delete(spec) {
        Health::Ready
    } else if updated < renewed && revisions[0] != revisions[1] {
        Health::waits(format!("{updated} of {renewed} updated"))
    } else {
        Health::Ready
    }
}

/// A DaemonSet.
pub fn daemon_set(parts: Parts<'_>) -> Health {
    let Parts { spec, status, .. } = parts;
    if !is_observed(parts) {
        return unobserved();
    }
    let [wanted, updated, available] =
        ["desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"].map(|name| count(status, name));
    if updated < wanted && !is_on_delete(spec) {
        Health::waits(format!("{updated} of {wanted} updated"))
    } else if available < wanted {
        Health::waits(format!("{available} of {wanted} available"))
    } else {
        Health::Ready
    }
}

/// A Job: ready once it is complete. One that is suspended is nobody's to wait for.
pub fn job(parts: Parts<'_>) -> Health {
    let Parts { spec, status, .. } = parts;
    if is_true(status, "Complete") || spec["suspend"].as_bool() == Some(true) {
        return Health::Ready;
    }
    if let Some(failed) = condition(status, "Failed").filter(|condition| condition["status"] == "True") {
        return Health::failed(format!("failed: {}", word(&failed["reason"])));
    }
    let wanted = spec["completions"].as_i64().unwrap_or(1);
    let [succeeded, failed] = ["succeeded", "failed"].map(|name| count(status, name));
    let failed = if failed == 0 { String::new() } else { format!(", {failed} failed") };
    Health::waits(format!("{succeeded} of {wanted} completed{failed}"))
}

/// How a Job ended: `Complete` and `Failed` are its last words (k8s.io/api/batch/v1, JobConditionType).
pub fn result(status: &Value) -> Option<JobResult> {
    let ended = [("Complete", JobResult::Complete), ("Failed", JobResult::Failed)];
    ended.into_iter().find(|(kind, _)| is_true(status, kind)).map(|(_, result)| result)
}

/// Any other kind: what its conditions say. Without conditions there is nothing to wait for.
pub fn conditions(parts: Parts<'_>) -> Health {
    let status = parts.status;
    let observed = status["observedGeneration"].as_i64();
    if observed.is_some() && observed < parts.generation {
        return unobserved();
    }
    let said = |kind: &str, truth: &str| condition(status, kind).filter(|condition| condition["status"] == truth);
    if let Some(stalled) = said("Stalled", "True") {
        return Health::failed(format!("stalled: {}", word(&stalled["reason"])));
    }
    let late = said("Reconciling", "True").or_else(|| said("Ready", "False")).or_else(|| said("Ready", "Unknown"));
    match late {
        Some(late) => Health::hindered(format!("not ready: {}", word(&late["reason"]))),
        None => Health::Ready,
    }
}

fn unobserved() -> Health {
    Health::waits("not seen by its controller yet")
}

fn is_observed(parts: Parts<'_>) -> bool {
    parts.status["observedGeneration"].as_i64() >= parts.generation
}

fn is_on_delete(spec: &Value) -> bool {
    spec["updateStrategy"]["type"] == "OnDelete"
}

/// The same, with what keeps the controller from making pods.
fn refused(status: &Value, health: Health) -> Health {
    let Some(refusal) = condition(status, "ReplicaFailure").filter(|condition| condition["status"] == "True") else {
        return health;
    };
    let (sentence, cause) = match refusal["message"].as_str().and_then(exceeded) {
        Some(quota) => (format!("exceeded quota {}", quote(quota)), Cause::Quota),
        None => (format!("no pods can be made: {}", word(&refusal["reason"])), Cause::Named),
    };
    let add = |why: Why| Why { sentence: format!("{}: {sentence}", why.sentence), cause };
    match health {
        Health::Ready => Health::Ready,
        Health::Progressing(why) => Health::Progressing(add(why)),
        Health::Failed(why) => Health::Failed(add(why)),
    }
}

/// What the server's own quota says, which are names and counts; an admission webhook may say anything.
fn exceeded(message: &str) -> Option<&str> {
    let (pod, quota) = message.strip_prefix("pods \"")?.split_once("\" is forbidden: exceeded quota: ")?;
    is_name(pod).then_some(quota)
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn is_true(status: &Value, kind: &str) -> bool {
    condition(status, kind).is_some_and(|condition| condition["status"] == "True")
}

fn is_said(status: &Value, kind: &str, reason: impl Fn(&str) -> bool) -> bool {
    condition(status, kind).is_some_and(|condition| condition["reason"].as_str().is_some_and(&reason))
}

fn count(status: &Value, name: &str) -> i64 {
    status[name].as_i64().unwrap_or(0)
}

/// A CamelCase reason; whatever is none is not repeated.
pub(super) fn word(reason: &Value) -> &str {
    let reason = reason.as_str().unwrap_or_default();
    let fits = !reason.is_empty() && reason.len() <= 64 && reason.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if fits { reason } else { "no reason given" }
}

/// True for what can be a name of an object or a container.
pub(super) fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    !text.is_empty() && text.len() <= 253 && text.bytes().all(fits)
}

/// The beginning of a sentence of Kubernetes' own.
pub(super) fn quote(text: &str) -> String {
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    match text.char_indices().nth(QUOTE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
