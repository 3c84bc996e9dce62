//! Fields that are not ours to fight for.

use std::collections::BTreeSet;

use crate::desired::set::DesiredSet;
use crate::model::object::{Kind, ObjectId};
use crate::planning::changes::Change;
use crate::planning::live::Live;

/// Mappings whose keys may contain dots: below them a path is one key.
const FREE_KEYS: [&str; 5] = ["data.", "binaryData.", "stringData.", "metadata.annotations.", "metadata.labels."];

/// True if the `osier.dev/ignore` annotation leaves the leaf at `path` to others.
///
/// The annotation lists dotted paths, separated by commas or white space; each covers the leaf of that path and all below it.
pub fn ignored(path: &str, annotation: &str) -> bool {
    annotation.split([',', ' ', '\t', '\n']).filter(|item| !item.is_empty()).any(|item| covers(item, path))
}

fn covers(item: &str, path: &str) -> bool {
    let Some(rest) = path.strip_prefix(item) else { return false };
    let one_key = FREE_KEYS.iter().any(|map| item.starts_with(map));
    rest.is_empty() || (!one_key && rest.starts_with(['.', '[']))
}

/// What the autoscalers of a desired set scale.
pub struct Scaled<'a>(BTreeSet<(&'a Kind, &'a str)>);

impl<'a> Scaled<'a> {
    /// Collects the targets of all its HorizontalPodAutoscalers.
    pub fn new(desired: &'a DesiredSet) -> Self {
        let autoscalers = desired.objects.iter().filter(|(object, _)| is_autoscaler(&object.kind));
        let targets = autoscalers.flat_map(|(_, autoscaler)| &autoscaler.references);
        Self(targets.map(|target| (&target.kind, target.name.as_str())).collect())
    }

    /// True if a write of the live object leaves `spec.replicas` to others: an autoscaler of the desired set scales it,
    /// or somebody else scaled it and the commit does not change the number.
    pub fn leave_replicas(&self, object: &ObjectId, live: &Live, change: Option<&Change>) -> bool {
        self.0.contains(&(&object.kind, object.name.as_str()))
            || (live.scaled_by_others && !change.is_some_and(changes_replicas))
    }
}

fn is_autoscaler(kind: &Kind) -> bool {
    kind.group == "autoscaling" && kind.kind == "HorizontalPodAutoscaler"
}

/// Without a predecessor every leaf counts as added, which says nothing about the commit.
fn changes_replicas(change: &Change) -> bool {
    change.predecessor.is_some() && change.leaves.iter().any(|leaf| leaf.path == "spec.replicas" && leaf.differs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_paths_end_at_borders() {
        let annotation =
            "spec.replicas, data.app\nmetadata.annotations.example.com/x spec.template.spec.containers[name=app]";
        let yes = [
            "spec.replicas",
            "data.app",
            "metadata.annotations.example.com/x",
            "spec.template.spec.containers[name=app].image",
        ];
        let no = [
            "spec.replicasX",
            "data.app.conf",
            "metadata.annotations.example.com/x.y",
            "spec",
            "spec.template.spec.containers[name=apple].image",
        ];
        assert_eq!(yes.map(|path| ignored(path, annotation)), [true; 4]);
        assert_eq!(no.map(|path| ignored(path, annotation)), [false; 5]);
        assert!(ignored("data.app.conf", "data"));
        assert!(!ignored("data.app", ""));
    }
}
