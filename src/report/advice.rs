//! What to run, for each reason.

use crate::model::reason::Reason;

/// A line that mends what `reason` (as conditions spell it) says of `environment` and its namespace.
pub fn fix(reason: &str, environment: &str, namespace: &str) -> String {
    match Reason::parse(reason) {
        Some(Reason::Applied) => "nothing to do".to_owned(),
        Some(Reason::Observing) => format!("osier diff {environment}; set `mode: apply` in osier.yaml to write"),
        Some(Reason::ProblemsFound | Reason::PolicyDenied) => "osier check, mend the files, commit and push".to_owned(),
        Some(Reason::CannotDecrypt) => {
            "give the key class its file in --keys, or add its recipient: sops updatekeys FILE".to_owned()
        }
        Some(Reason::AdoptionHeld) => format!("osier adopt {environment}"),
        Some(Reason::MassDeletionHeld | Reason::ApprovalPending) => {
            format!("osier plan {environment}, then osier approve {environment} DIGEST")
        }
        Some(Reason::HeldBack) => format!("commit a fix, or osier release {environment}"),
        Some(Reason::Flapping) => {
            format!("end what writes against osier, or osier suspend {environment} --reason WHY")
        }
        Some(Reason::Suspended) => format!("osier resume {environment}"),
        Some(Reason::Orphaned) => {
            format!(
                "put it back into osier.yaml, or delete its Environment (that of a branch: osier env delete {environment})"
            )
        }
        Some(Reason::NamespaceMissing) => {
            "the platform engineer makes the namespace, labelled osier.dev/repository".to_owned()
        }
        Some(Reason::RepositorySuspicious) => {
            "an administrator looks at the repository and allows its tip in Repository.spec.allow".to_owned()
        }
        Some(Reason::CapReached) => {
            "delete a branch that is done, or raise the cap: `max` in osier.yaml, `caps` of the Repository".to_owned()
        }
        Some(Reason::Expiring) => "push the branch again to keep the environment".to_owned(),
        Some(Reason::Gone) => format!("push the branch again; osier history {environment} has what was applied"),
        Some(Reason::NameTaken) => {
            // a branch environment that has none yet is called as its namespace will be
            let namespace = if namespace.is_empty() { environment } else { namespace };
            format!("kubectl describe namespace {namespace}: it is somebody else's")
        }
        Some(Reason::CheckFailed) => waiting(namespace),
        Some(Reason::CheckPending) => {
            format!("kubectl get jobs,pods -n {namespace}; a newer commit does not wait for it")
        }
        Some(Reason::QuotaExceeded) => {
            format!("the platform engineer raises the quota: kubectl describe quota -n {namespace}")
        }
        Some(Reason::Forbidden) => {
            let there = if namespace.is_empty() { String::new() } else { format!(" -n {namespace}") };
            format!("the platform engineer grants it: kubectl auth can-i --list{there}")
        }
        Some(Reason::NamespaceTerminating) => {
            format!("wait until it is gone and make it again: kubectl describe namespace {namespace}")
        }
        Some(Reason::ServerUnavailable) => {
            format!("kubectl get --raw '/readyz?verbose', then osier apply {environment}: it goes on from there")
        }
        _ => format!("osier apply {environment}"),
    }
}

/// A line that ends a hold which takes nothing back.
pub fn held(environment: &str) -> String {
    format!("osier release {environment}: nothing was taken back that a commit could mend")
}

/// A line that shows what workloads of a namespace wait for.
pub fn waiting(namespace: &str) -> String {
    format!("kubectl get pods -n {namespace}; a commit that mends it is applied at once")
}
