//! Which objects have to be opened before a plan can be made.

use crate::desired::set::DesiredSet;
use crate::model::environment::JobRun;
use crate::model::object::ObjectId;
use crate::planning::jobs;
use crate::planning::live::LiveSet;

/// The desired objects that `Changes` has to tell about: those whose inputs differ from their live stamp, and
/// ConfigMaps and Secrets that lost their fingerprint stamp. A Job that ran for its inputs is not opened.
pub fn to_open<'a>(desired: &'a DesiredSet, live: &LiveSet, jobs_done: &[JobRun]) -> Vec<&'a ObjectId> {
    let done = jobs::done(jobs_done);
    let wanted = desired.objects.iter().filter(|(object, desired)| {
        let stamps = live.objects.get(object).map(|live| &live.stamps);
        let known = stamps.is_some_and(|stamps| {
            stamps.inputs.as_ref() == Some(&desired.inputs)
                && (!object.kind.is_config() || stamps.fingerprint.is_some())
        });
        !known && !jobs::is_done(&done, object, &desired.inputs)
    });
    wanted.map(|(object, _)| object).collect()
}
