//! What leaves the cluster because it left git.

use crate::model::object::ObjectId;
use crate::planning::live::Live;
use crate::planning::plan::Keep;

/// True for what git does not name and never was ours, which may be thousands.
pub fn never_ours(live: &Live) -> bool {
    let marks = live.ownership.marks();
    marks == 0 || (marks == 1 && live.ownership.is_other())
}

/// What happens to a live object that is or was ours and that git does not name: `Ok` it is deleted, `Err` it stays for a reason.
pub fn undesired(object: &ObjectId, live: &Live) -> Result<(), Keep> {
    match live {
        _ if is_reserved(object) => Err(Keep::Reserved),
        Live { terminating: true, .. } => Err(Keep::Terminating),
        _ if !live.ownership.may_delete() => Err(Keep::NotProvenOurs),
        Live { prune_keep: true, .. } => Err(Keep::PruneKeep),
        _ => Ok(()),
    }
}

/// True if a live object that git does not name will not be there afterwards.
pub fn goes(object: &ObjectId, live: &Live) -> bool {
    live.terminating || !never_ours(live) && undesired(object, live).is_ok()
}

/// True for the two objects that Kubernetes itself puts into every namespace.
pub fn is_reserved(object: &ObjectId) -> bool {
    is_root_certificate(object) || is_default_account(object)
}

/// True for `ConfigMap/kube-root-ca.crt`, which is nobody's.
pub fn is_root_certificate(object: &ObjectId) -> bool {
    object.kind.group.is_empty() && object.kind.kind == "ConfigMap" && object.name == "kube-root-ca.crt"
}

/// True for `ServiceAccount/default`, which may be adopted.
pub fn is_default_account(object: &ObjectId) -> bool {
    object.kind.group.is_empty() && object.kind.kind == "ServiceAccount" && object.name == "default"
}
