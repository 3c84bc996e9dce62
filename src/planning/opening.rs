//! Which objects have to be opened before a plan can be made.

use crate::desired::set::{Desired, DesiredSet};
use crate::model::environment::JobRun;
use crate::model::object::ObjectId;
use crate::planning::jobs;
use crate::planning::live::{LiveSet, Stamps};
use crate::planning::pairs::{Pair, pairs};

/// The desired objects that `Changes` has to tell about: those whose inputs differ from their live stamp, and
/// ConfigMaps and Secrets that lost their fingerprint stamp. A Job that ran for its inputs is not opened.
pub fn to_open<'a>(desired: &'a DesiredSet, live: &'a LiveSet, jobs_done: &[JobRun]) -> Vec<&'a ObjectId> {
    let done = jobs::done(jobs_done);
    let known = |object: &ObjectId, desired: &Desired, stamps: &Stamps| {
        stamps.inputs.as_deref() == Some(desired.inputs.as_str())
            && (!object.kind.is_config() || stamps.fingerprint.is_some())
    };
    let wanted = pairs(desired, live).filter_map(|pair| match pair {
        Pair::Desired(object, desired, Some(live)) if known(object, desired, &live.stamps) => None,
        Pair::Desired(object, desired, _) if jobs::is_done(&done, object, &desired.inputs) => None,
        Pair::Desired(object, ..) => Some(object),
        Pair::Undesired(_) => None,
    });
    wanted.collect()
}
