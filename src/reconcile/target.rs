//! Which commit the environment shall equal: the branch's tip, or what a person holds it at.

use crate::desired::config::{Config, EnvironmentConfig};
use crate::desired::set::Parameters;
use crate::git::content::Content;
use crate::model::environment::{Hold, HoldStatus};
use crate::model::reason::Reason;
use crate::model::record::{Record, RecordKind};
use crate::model::tree::GitId;
use crate::reconcile::error::Error;
use crate::reconcile::source::Source;

/// Path of the file that says which environments there are.
pub const CONFIG_PATH: &str = "osier.yaml";
/// `osier.yaml` is a page; more is a mistake.
const CONFIG_BYTES: u64 = 1 << 20;

/// What the environment shall equal, and why.
#[derive(Clone, Debug)]
pub struct Target {
    /// Full commit id.
    pub commit: GitId,
    /// Full ref that it was seen through.
    pub reference: String,
    /// Layers, lowest first.
    pub layers: Vec<String>,
    /// Parameters by name.
    pub parameters: Parameters,
    /// Why there will be a Record.
    pub kind: RecordKind,
    /// Who asked, empty for a push.
    pub by: String,
    /// Why, as that person said.
    pub reason: String,
    /// Issue keys of the commit.
    pub issues: Vec<String>,
    /// The hold as it is carried out.
    pub hold: Option<HoldStatus>,
    /// Why the tip is not applied, if it is not.
    pub held_back: Option<String>,
}

/// Reads and checks `osier.yaml` of one revision.
///
/// # Errors
/// `Blocked` with all problems, or what kept it from being read.
pub async fn config(source: &Source) -> Result<Config, Error> {
    let hint = "make it with `osier init`, or add it on the protected branch";
    let bytes = match source.file(CONFIG_PATH, CONFIG_BYTES).await? {
        Content::File { bytes, .. } => bytes,
        Content::Missing => return Err(Error::blocked(Reason::ProblemsFound, "there is no osier.yaml", hint)),
        Content::NotAFile | Content::TooLarge { .. } => {
            return Err(Error::blocked(Reason::ProblemsFound, "osier.yaml is not a plain file of at most 1 MiB", hint));
        }
    };
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(Error::blocked(Reason::ProblemsFound, "osier.yaml is not UTF-8", "save it as UTF-8"));
    };
    Config::parse(CONFIG_PATH, &text).map_err(Error::problems)
}

/// The entry of one environment.
///
/// # Errors
/// `Orphaned` if there is none: nothing is pruned by that.
pub fn entry<'c>(config: &'c Config, name: &str) -> Result<&'c EnvironmentConfig, Error> {
    config.environments.get(name).ok_or_else(|| {
        let names: Vec<&str> = config.environments.keys().map(String::as_str).collect();
        let message = format!("environment `{name}` is not in osier.yaml");
        Error::blocked(Reason::Orphaned, message, format!("it has: {}", names.join(", ")))
    })
}

/// The parameters of an environment of the protected branch.
pub fn parameters(name: &str, branch: &str, namespace: &str, commit: GitId) -> Parameters {
    [("branch", branch), ("slug", name), ("namespace", namespace), ("commit", &commit.to_string()), ("environment", name)]
        .into_iter()
        .map(|(key, value)| (format!("osier.{key}"), value.to_owned()))
        .collect()
}

/// How the status says a hold is carried out, given how it was before.
///
/// A new hold rejects the head's commit, unless it holds just that, and everything that the hold before it rejected.
pub fn hold_status(hold: &Hold, before: Option<&HoldStatus>, held: GitId, head: Option<&Record>) -> HoldStatus {
    if let Some(same) = before.filter(|before| before.to == hold.to) {
        return same.clone();
    }
    let mut rejected: Vec<String> = before.filter(|before| !before.ended).map(|before| before.rejected.clone()).unwrap_or_default();
    let head = head.map(|record| record.spec.commit.clone()).filter(|commit| *commit != held.to_string());
    if let Some(head) = head.filter(|head| !rejected.contains(head)) {
        rejected.push(head);
    }
    HoldStatus { to: hold.to.clone(), rejected, ended: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(to: &str) -> Hold {
        Hold { to: to.to_owned(), until: None, by: "ann".to_owned(), reason: "slow".to_owned() }
    }

    #[test]
    fn a_hold_that_replaces_another_rejects_what_that_one_did() {
        let before = HoldStatus { to: "#2".to_owned(), rejected: vec!["c3".to_owned()], ended: false };
        let after = hold_status(&hold("#1"), Some(&before), GitId([1; 20]), None);
        assert_eq!(after, HoldStatus { to: "#1".to_owned(), rejected: vec!["c3".to_owned()], ended: false });
        assert_eq!(hold_status(&hold("#2"), Some(&before), GitId([2; 20]), None), before);
        let ended = HoldStatus { ended: true, ..before };
        assert!(hold_status(&hold("#1"), Some(&ended), GitId([1; 20]), None).rejected.is_empty());
    }
}
