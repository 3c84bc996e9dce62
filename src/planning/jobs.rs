//! Jobs run once per inputs.

use std::collections::BTreeSet;

use crate::model::environment::JobRun;
use crate::model::object::ObjectId;
use crate::planning::order::is_job;

/// Inputs that are remembered of each Job: a rollback over more of its changes runs it again.
const RUNS_NOTED: usize = 20;

/// Name and inputs of the Jobs that ran.
pub type Done<'a> = BTreeSet<(&'a str, &'a str)>;

/// Indexes the Jobs that ran.
pub fn done(jobs: &[JobRun]) -> Done<'_> {
    jobs.iter().map(|job| (job.name.as_str(), job.inputs.as_str())).collect()
}

/// Notes that a Job ran. Earlier inputs stay noted, so that a rollback does not run it again; of each Job the newest few.
pub fn note(jobs: &mut Vec<JobRun>, run: JobRun) {
    if jobs.iter().any(|job| (&job.name, &job.inputs) == (&run.name, &run.inputs)) {
        return;
    }
    let known = jobs.iter().filter(|job| job.name == run.name).count();
    if known >= RUNS_NOTED
        && let Some(oldest) = jobs.iter().position(|job| job.name == run.name)
    {
        jobs.remove(oldest);
    }
    jobs.push(run);
}

/// True if `object` is a Job that ran for these inputs.
pub fn is_done(done: &Done, object: &ObjectId, inputs: &str) -> bool {
    is_job(&object.kind) && done.contains(&(object.name.as_str(), inputs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::environment::JobResult;

    #[test]
    fn of_each_job_the_newest_runs_are_noted_once() {
        let run =
            |name: &str, inputs: usize, result| JobRun { name: name.to_owned(), inputs: format!("v{inputs}"), result };
        let mut jobs = vec![run("seed", 0, None)];
        for inputs in 0..=RUNS_NOTED {
            note(&mut jobs, run("migrate", inputs, Some(JobResult::Failed)));
        }
        note(&mut jobs, run("migrate", RUNS_NOTED, Some(JobResult::Complete)));
        assert_eq!(jobs.len(), RUNS_NOTED + 1);
        assert_eq!((&jobs[0], &jobs[1]), (&run("seed", 0, None), &run("migrate", 1, Some(JobResult::Failed))));
        assert_eq!(jobs[RUNS_NOTED].result, Some(JobResult::Failed), "how it ended is said once");
    }
}
