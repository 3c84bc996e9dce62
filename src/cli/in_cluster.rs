//! Plans that the service makes for those who lack keys or rights.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::json;

use crate::cli::failure::{Failure, Finding};
use crate::cli::place::{At, Place};
use crate::cli::{context, output, times};
use crate::cluster::Cluster;
use crate::cluster::watch::Event;
use crate::desired::names;
use crate::model::asked::{Answer, AskedPlan, Question};
use crate::model::problem::Problem;
use crate::model::reason::Reason;
use crate::reconcile::history::seconds;
use crate::report::{answer, style};
use crate::settings::{Output, Settings};

/// The arguments that make a command ask the service.
#[derive(clap::Args, Debug)]
pub struct Asking {
    /// Let osier's service make the plan: you need no keys, and no right but to ask.
    #[arg(long)]
    pub in_cluster: bool,
    /// How long to wait for the service at most.
    #[arg(long, value_name = "TIME", default_value = "1m", requires = "in_cluster")]
    pub timeout: String,
}

/// What a place means to the service: the tip of the protected branch, if none is given.
///
/// # Errors
/// The working tree, and what the cluster has, cannot be asked for.
pub fn to(place: &Place) -> Result<String, Failure> {
    match &place.at {
        None => Ok(String::new()),
        Some(At::Record(number)) => Ok(format!("#{number}")),
        Some(At::Revision(revision)) => Ok(revision.clone()),
        Some(At::Tree | At::Live) => Err(Failure::usage(
            "the service plans what was pushed, not your files",
            format!("osier plan {0} --in-cluster, or osier plan {0}@REV --in-cluster", place.environment),
        )),
    }
}

/// A target of a rollback in words that mean the same to the service: `2h` ago becomes a moment.
pub fn moment(to: &str) -> String {
    let commit = to.len() >= 4 && to.bytes().all(|byte| byte.is_ascii_hexdigit());
    times::past(to).filter(|_| !commit).map_or_else(|| to.to_owned(), seconds)
}

/// Asks, waits for the answer, and prints it as a plan.
///
/// # Errors
/// Nobody answers in time, or the answer is that there is no plan.
pub async fn plan(
    settings: &Settings,
    environment: &str,
    to: String,
    asking: &Asking,
) -> Result<(Answer, Finding), Failure> {
    let limit = times::duration(&asking.timeout)?;
    let cluster = Arc::new(context::cluster(settings).await?);
    let repository = context::repository(settings, &cluster).await?;
    // who asks need not be able to read Environments, and one that is not there yet can be asked for
    let environment = match context::environment(&cluster, &repository.spec.home, environment).await {
        Ok(found) => found.metadata.name.unwrap_or_default(),
        Err(_) if names::is_label(environment) => environment.to_owned(),
        Err(failure) => return Err(failure),
    };
    let question = Question { environment, to, by: cluster.who_am_i().await? };
    let name = repository.metadata.name.as_deref().unwrap_or_default();
    let asked = cluster.ask_plan(&repository.spec.home, name, &question).await?;
    let answer = answered(&cluster, &asked, limit).await?;
    print(settings, &asked, &answer)?;
    let finding = if answer.steps.is_empty() { Finding::Nothing } else { Finding::Differences };
    Ok((answer, finding))
}

async fn answered(cluster: &Arc<Cluster>, asked: &AskedPlan, limit: Duration) -> Result<Answer, Failure> {
    let metadata = &asked.metadata;
    let (home, name) =
        (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let mut events = cluster.watch_plans(home, Some(name));
    let answer = async {
        loop {
            let found = match events.next().await {
                Some(Event::Listed(found)) if found.is_empty() => return Err(gone(name)),
                Some(Event::Listed(found)) => found,
                Some(Event::Changed(found)) => vec![found],
                Some(Event::Gone(_)) | None => return Err(gone(name)),
                Some(Event::Broken(error)) if error.reason() == Reason::Forbidden => return Err(error.into()),
                // a watch that broke is told of once it is heard again
                Some(Event::Broken(_) | Event::Restored) => continue,
            };
            let mut plans = found.into_iter().flatten().filter_map(|plan| plan.status);
            if let Some(answer) = plans.next_back().filter(|answer| answer.expires_at.is_some()) {
                return Ok(answer);
            }
        }
    };
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
        let message = format!("nobody has answered Plan `{name}` yet");
        let hint = format!("does the service run? `--timeout` waits longer; kubectl get plan {name} -n {home}");
        Err(Failure::timed_out(message, hint))
    })
}

fn gone(name: &str) -> Failure {
    let message = format!("Plan `{name}` was deleted before it was answered");
    Failure::new(message, Reason::Conflict, Some("ask again".to_owned()))
}

fn print(settings: &Settings, asked: &AskedPlan, answer: &Answer) -> Result<(), Failure> {
    let ready = answer.conditions.iter().find(|condition| condition.kind == "Ready");
    if let Some(refused) = ready.filter(|ready| ready.status != "True") {
        let reason = Reason::parse(&refused.reason).unwrap_or(Reason::ServerUnavailable);
        if !answer.problems.is_empty() {
            let found = style::count(answer.problems.len(), "problem");
            return Err(Failure::problems(format!("{found}: it would not be applied"), problems(answer)));
        }
        let hint = Some(answer.hint.clone()).filter(|hint| !hint.is_empty());
        return Err(Failure::new(refused.message.clone(), reason, hint));
    }
    match settings.common.output {
        Output::Text => {
            anstream::print!("{}", answer::text(answer));
            for sentence in &answer.waits_for {
                anstream::println!("waits for consent: {sentence}");
            }
            anstream::println!("plan {}", answer.digest);
            let commit = answer.commit.get(..7).unwrap_or_default();
            anstream::eprintln!("osier's service planned {commit}; values of encrypted files were not compared");
        }
        format => {
            let data = json!({"kind": "Plan", "name": asked.metadata.name, "environment": asked.spec.environment,
                "expiresAt": answer.expires_at, "plan": answer::json(answer)});
            output::data(format, &data);
        }
    }
    Ok(())
}

fn problems(answer: &Answer) -> Vec<Problem> {
    let problem = |problem: &crate::model::asked::AnsweredProblem| {
        let found = Problem::new(&problem.path, &problem.message).at(problem.line, problem.column).hint(&problem.hint);
        found.because(Reason::parse(&problem.reason).unwrap_or(Reason::ProblemsFound))
    };
    answer.problems.iter().map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_means_the_same_elsewhere() {
        let of = |text: &str| text.parse::<Place>().map(|place| to(&place).map_err(|failure| failure.code()));
        assert_eq!(of("staging"), Ok(Ok(String::new())));
        assert_eq!(of("staging@#3"), Ok(Ok("#3".to_owned())));
        assert_eq!(of("staging@4f2a91c"), Ok(Ok("4f2a91c".to_owned())));
        assert_eq!((of("staging@tree"), of("staging@live")), (Ok(Err(2)), Ok(Err(2))));
        assert_eq!((moment("#3"), moment("1234d"), moment("main")), ("#3".into(), "1234d".into(), "main".into()));
        assert!(moment("2h").ends_with('Z'));
    }
}
