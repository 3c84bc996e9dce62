//! `when: changed`: which branches change something in their layers. It says which environments are made, and ends none.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::controller::branches;
use crate::desired::config::Config;
use crate::desired::config::branches::When;
use crate::git::fetch::{Branches, Known};
use crate::git::mirror::Mirror;
use crate::model::environment::Environment;
use crate::model::reason::Reason;
use crate::model::tree::GitId;

/// Branches that are looked at in one go: others want to read the mirror, too.
const AT_ONCE: usize = 100;

/// What was found of branches so far.
#[derive(Default)]
pub struct Changed {
    /// For this commit of the protected branch.
    found: HashMap<Question, bool>,
    main: Option<GitId>,
}

/// A tip, and the layers that it may change.
type Question = (GitId, Vec<String>);

impl Changed {
    /// The branches that are to have an environment. One that has begun stays, whatever its branch has become; what cannot be read is for
    /// the environment to tell of.
    pub async fn wanted(
        &mut self,
        mirror: &Mirror,
        config: Option<&Config>,
        known: &Known,
        environments: &BTreeMap<String, Environment>,
    ) -> Option<Branches> {
        let mut wanted = known.branches_anywhere()?;
        let Some(config) = config else { return Some(wanted) };
        if self.main.replace(known.tip()) != Some(known.tip()) {
            self.found.clear();
        }
        let there = environments.values().filter(|it| !branches::said(it, Reason::Gone));
        let there: HashSet<&str> = there.filter_map(Environment::branch).collect();
        let in_question = |name: &str| {
            let (entry, _) = config.branch(name)?;
            let shared = known.followed().values().any(|followed| followed.branch(name).is_some());
            let is_open = entry.when == When::Changed && !shared && !there.contains(name);
            is_open.then(|| entry.own_layers())
        };
        let open = wanted.iter().filter_map(|(name, tip)| Some((name.clone(), (*tip, in_question(name)?))));
        let open: Vec<(String, Question)> = open.collect();
        self.find(mirror, known.tip(), open.iter().map(|(_, question)| question)).await;
        for (name, question) in open {
            if self.found.get(&question) == Some(&false) {
                wanted.remove(&name);
            }
        }
        Some(wanted)
    }

    async fn find(&mut self, mirror: &Mirror, main: GitId, open: impl Iterator<Item = &Question>) {
        let unknown: HashSet<Question> = open.filter(|question| !self.found.contains_key(*question)).cloned().collect();
        let unknown: Vec<Question> = unknown.into_iter().collect();
        for some in unknown.chunks(AT_ONCE) {
            let some = some.to_vec();
            let found = mirror.read(move |objects| {
                let changes = |question: Question| {
                    let changed = objects.changes_since_fork(question.0, main, &question.1);
                    (question, changed)
                };
                Ok(some.into_iter().map(changes).collect::<Vec<_>>())
            });
            for (question, changed) in found.await.unwrap_or_default() {
                match changed {
                    Ok(changed) => drop(self.found.insert(question, changed)),
                    Err(error) => tracing::warn!(tip = %question.0, "what a branch changes cannot be told: {error}"),
                }
            }
        }
    }
}
