//! How much history is kept: the oldest Records of an environment go once there are more than the Repository allows, and all books of a branch
//! environment some time after its branch.

use crate::model::environment::Environment;
use crate::reconcile::error::Error;
use crate::reconcile::history::Chain;
use crate::reconcile::settle;
use crate::reconcile::world::World;

/// Records that an environment keeps, unless the Repository's `caps` say otherwise: months of ten pushes a day's worth of rollback targets
/// are in git, and 100 Records are 200 KiB of etcd.
const RECORDS: u64 = 100;
/// Records that all environments of a Repository keep together, unless it says otherwise: 10 MiB of etcd.
const ALL: u64 = 5_000;
/// As many branch environments as share the Records of a Repository with those of `osier.yaml`: those that are gone keep theirs.
pub const BRANCHES: usize = 200;
/// Fewer would not leave anything to go back to.
const FEWEST: u64 = 2;
/// Records that one pass deletes at most: one for the one that it added, one to get down to a cap that was lowered.
const A_PASS: usize = 2;

/// Deletes what is over the cap, oldest first, after a pass that added a Record.
///
/// Best effort: history that is kept too long does no harm, and the next pass tries again.
///
/// `environments`: how many there are in `osier.yaml`. They share what a Repository may keep evenly, so that none has to know of another.
pub async fn retire(world: &mut World, environment: &str, environments: usize) {
    let cap = cap(world.repository.spec.caps.records, environments);
    for _ in 0..A_PASS {
        let Some(memory) = world.memory.get(environment) else { return };
        let Some((number, uid)) = surplus(&memory.chain, &memory.environment, cap) else {
            return;
        };
        if let Err(error) = world.cluster.delete_record(world.home(), environment, number, &uid).await {
            tracing::warn!(environment, number, reason = error.reason().as_str(), "an old record cannot be deleted");
            return;
        }
        if let Some(memory) = world.memory.get_mut(environment) {
            memory.chain.kept.remove(&number);
        }
    }
}

/// Deletes the Records of a branch environment that is gone, oldest first, and its Environment last.
///
/// # Guarantees
/// Of any other environment nothing is deleted; the Environment only in the version that was read before its Records went.
///
/// # Errors
/// The API server failed, or somebody wrote meanwhile; what is left goes another time.
pub async fn forget(world: &World, name: &str) -> Result<(), Error> {
    let Some(environment) = world.cluster.environment(world.home(), name).await? else { return Ok(()) };
    let is_gone = environment.branch().is_some() && environment.status.as_ref().is_some_and(settle::is_gone);
    if !is_gone {
        return Ok(());
    }
    for record in world.cluster.records(world.home(), name).await? {
        let uid = record.metadata.uid.unwrap_or_default();
        world.cluster.delete_record(world.home(), name, record.spec.number, &uid).await?;
    }
    world.cluster.delete_environment(&environment).await?;
    Ok(())
}

fn cap(granted: Option<u64>, environments: usize) -> u64 {
    let share = ALL / (environments as u64).max(1);
    granted.unwrap_or(RECORDS.min(share)).max(FEWEST)
}

/// Number and uid of the Record to delete, if there is one.
///
/// The chain may have no gap, so the oldest goes or none: while it is the head, was applied last, or is what a hold names, all stay.
fn surplus(chain: &Chain, environment: &Environment, cap: u64) -> Option<(u64, String)> {
    let (number, uid) = chain.kept.first_key_value().filter(|_| chain.kept.len() as u64 > cap)?;
    let in_use = [&chain.head, &chain.applied].into_iter().flatten().any(|record| record.spec.number == *number);
    let asked = environment.spec.hold.as_ref().map(|hold| hold.to.as_str());
    let carried_out = environment.status.as_ref().and_then(|status| status.hold.as_ref()).filter(|hold| !hold.ended);
    let held =
        [asked, carried_out.map(|hold| hold.to.as_str())].into_iter().flatten().any(|to| to == format!("#{number}"));
    (!in_use && !held).then(|| (*number, uid.clone()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::environment::{EnvironmentSpec, Hold};

    fn chain(numbers: std::ops::RangeInclusive<u64>) -> Chain {
        Chain {
            kept: numbers.map(|number| (number, format!("uid-{number}"))).collect::<BTreeMap<_, _>>(),
            ..Chain::default()
        }
    }

    fn environment(to: Option<&str>) -> Environment {
        let hold = to.map(|to| Hold { to: to.to_owned(), until: None, by: String::new(), reason: String::new() });
        Environment::new("staging", EnvironmentSpec { hold, ..EnvironmentSpec::default() })
    }

    #[test]
    fn many_environments_keep_fewer_each() {
        assert_eq!([1, 50, 100, 10_000].map(|environments| cap(None, environments)), [100, 100, 50, 2]);
        assert_eq!(cap(Some(1_000), 100), 1_000);
    }

    #[test]
    fn the_oldest_goes_if_nothing_needs_it() {
        assert_eq!(surplus(&chain(1..=100), &environment(None), 100), None);
        assert_eq!(surplus(&chain(1..=101), &environment(None), 100), Some((1, "uid-1".to_owned())));
        assert_eq!(surplus(&chain(7..=107), &environment(Some("#8")), 100), Some((7, "uid-7".to_owned())));
        assert_eq!(surplus(&chain(7..=107), &environment(Some("#7")), 100), None);
    }
}
