//! What keeps the pods of a workload from running: image pull, crash loop, unschedulable.

use serde_json::Value;

use crate::planning::health::rollout::{is_name, quote, word};

/// What containers wait for in the ordinary course of things.
const ORDINARY: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// A pod that does not run, reduced at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Kind of the workload that it belongs to.
    pub kind: String,
    /// Name of that workload.
    pub name: String,
    /// What is wrong: `ImagePullBackOff in api`.
    pub sentence: String,
}

/// What is wrong with a pod of a workload; `None` if nothing is.
pub fn trouble(pod: &Value) -> Option<Trouble> {
    let metadata = &pod["metadata"];
    if !metadata["deletionTimestamp"].is_null() {
        return None;
    }
    let sentence =
        unscheduled(&pod["status"]).or_else(|| containers(&pod["status"])).or_else(|| gone(&pod["status"]))?;
    let (kind, name) = workload(metadata)?;
    Some(Trouble { kind: kind.to_owned(), name: name.to_owned(), sentence })
}

/// The owner; of a ReplicaSet its Deployment, whose name the ReplicaSet's begins with.
fn workload(metadata: &Value) -> Option<(&str, &str)> {
    let owners = metadata["ownerReferences"].as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    let (kind, name) = (owner["kind"].as_str()?, owner["name"].as_str()?);
    let hash = metadata["labels"]["pod-template-hash"].as_str();
    let deployment = hash.and_then(|hash| name.strip_suffix(hash)?.strip_suffix('-'));
    Some(match deployment {
        Some(deployment) if kind == "ReplicaSet" => ("Deployment", deployment),
        _ => (kind, name),
    })
}

fn unscheduled(status: &Value) -> Option<String> {
    let scheduled = status["conditions"].as_array()?.iter().find(|condition| condition["type"] == "PodScheduled")?;
    let refused = scheduled["status"] == "False" && scheduled["reason"] == "Unschedulable";
    refused.then(|| match scheduled["message"].as_str().and_then(nodes) {
        Some(why) => format!("Unschedulable: {}", quote(&why)),
        None => "Unschedulable".to_owned(),
    })
}

/// What the scheduler counts of nodes: `0/3 nodes are available: 3 Insufficient cpu`. What else it says may have values of the pod.
fn nodes(message: &str) -> Option<String> {
    let (counts, rest) = message.split_once(" nodes are available: ")?;
    let is_count = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    counts.split_once('/').filter(|(some, all)| is_count(some) && is_count(all))?;
    let said = rest.split(". ").next().unwrap_or(rest).trim_end_matches('.');
    let of_nodes = |part: &&str| {
        let count = part.split_once(' ').filter(|(count, _)| is_count(count));
        count.is_some_and(|(_, what)| what.starts_with("Insufficient ") || what.starts_with("node(s) "))
    };
    let parts: Vec<&str> = said.split(", ").filter(of_nodes).collect();
    (!parts.is_empty()).then(|| format!("{counts} nodes are available: {}", parts.join(", ")))
}

fn containers(status: &Value) -> Option<String> {
    let of = |name: &str| status[name].as_array().into_iter().flatten();
    of("initContainerStatuses").chain(of("containerStatuses")).find_map(container)
}

fn container(status: &Value) -> Option<String> {
    let name = status["name"].as_str().filter(|name| is_name(name)).unwrap_or("a container");
    let waiting = &status["state"]["waiting"]["reason"];
    if waiting.as_str().is_some_and(|reason| !ORDINARY.contains(&reason)) {
        let waiting = word(waiting);
        let crash = ended(&status["lastState"]["terminated"]).filter(|_| waiting == "CrashLoopBackOff");
        let crash = crash.map(|how| format!(", {how}")).unwrap_or_default();
        return Some(format!("{waiting} in {name}{crash}"));
    }
    let ended = ended(&status["state"]["terminated"])?;
    Some(format!("{name} ended, {ended}"))
}

/// How a container ended; `None` if it ended well. What it printed is not for us.
fn ended(terminated: &Value) -> Option<String> {
    let code = terminated["exitCode"].as_i64().filter(|code| *code != 0)?;
    let reason = if terminated["reason"] == "OOMKilled" { " (OOMKilled)" } else { "" };
    Some(format!("exit code {code}{reason}"))
}

fn gone(status: &Value) -> Option<String> {
    (status["phase"] == "Failed" && status["reason"].is_string()).then(|| word(&status["reason"]).to_owned())
}
