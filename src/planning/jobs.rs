//! Jobs run once per inputs.

use std::collections::BTreeSet;

use crate::model::environment::JobRun;
use crate::model::object::ObjectId;
use crate::planning::order::is_job;

/// Name and inputs of the Jobs that ran.
pub type Done<'a> = BTreeSet<(&'a str, &'a str)>;

/// Indexes the Jobs that ran.
pub fn done(jobs: &[JobRun]) -> Done<'_> {
    jobs.iter().map(|job| (job.name.as_str(), job.inputs.as_str())).collect()
}

/// True if `object` is a Job that ran for these inputs.
pub fn is_done(done: &Done, object: &ObjectId, inputs: &str) -> bool {
    is_job(&object.kind) && done.contains(&(object.name.as_str(), inputs))
}
