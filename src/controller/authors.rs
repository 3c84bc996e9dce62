//! Whose branches are: the mail address of the author of the newest commit of each, as git says it.
//!
//! Anybody can write any address into a commit. What is counted by it is fair among people who mean well, and no fence.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::desired::yaml::has_hidden_characters;
use crate::git::mirror::Mirror;
use crate::model::tree::GitId;

/// Commits that are read in one go: others want to read the mirror, too.
const AT_ONCE: usize = 100;
/// Longest address that is shown.
const LONGEST: usize = 100;

/// The authors of commits, as far as they were asked for. A commit is read once.
#[derive(Default)]
pub struct Authors {
    /// `None`: its commit has no address.
    found: HashMap<GitId, Option<String>>,
}

impl Authors {
    /// The authors of branches that are at these commits. Of one whose commit cannot be read nothing is known now.
    pub async fn of(&mut self, mirror: &Mirror, tips: BTreeMap<&str, GitId>) -> BTreeMap<String, String> {
        let commits: BTreeSet<GitId> = tips.values().copied().collect();
        self.found.retain(|commit, _| commits.contains(commit));
        let unknown: Vec<GitId> = commits.into_iter().filter(|commit| !self.found.contains_key(commit)).collect();
        for some in unknown.chunks(AT_ONCE) {
            let some = some.to_vec();
            let read = mirror.read(move |objects| {
                let author = |commit: GitId| Some((commit, address(&objects.commit(commit).ok()?.email)));
                Ok(some.into_iter().filter_map(author).collect::<Vec<_>>())
            });
            self.found.extend(read.await.unwrap_or_default());
        }
        let author = |(branch, tip): (&str, GitId)| Some((branch.to_owned(), self.found.get(&tip)?.clone()?));
        tips.into_iter().filter_map(author).collect()
    }
}

/// An address as it is compared and shown: two that differ in case are one.
fn address(said: &str) -> Option<String> {
    let shown = said.trim().chars().filter(|c| !has_hidden_characters(c.encode_utf8(&mut [0; 4]))).take(LONGEST);
    Some(shown.collect::<String>().to_lowercase()).filter(|address| !address.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_they_are_compared() {
        assert_eq!(address(" Ann@Example.com\u{1b}[1m\n"), Some("ann@example.com[1m".to_owned()));
        assert_eq!(address(" \n"), None);
        assert_eq!(address(&"x".repeat(4_000)).map(|address| address.len()), Some(LONGEST));
    }
}
