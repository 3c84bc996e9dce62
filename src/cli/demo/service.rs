//! The second half of the story: the service does it by itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::demo::stage::{Edit, HOME, Running, Show, Stage};
use crate::cli::failure::Failure;
use crate::model::tree::GitId;
use crate::sandbox::RequestLine;
use crate::sandbox::faults::{Action, Fault, Match};

const NAMESPACES: [&str; 2] = ["shop-staging", "shop-production"];
/// What everybody may read of the shop, in both environments.
const SHARED: &str = "base/shop.yaml";
/// Much longer than anything of the story takes, a Lease that runs out included.
const LONGEST: Duration = Duration::from_mins(1);
/// How often the story looks: what it says of times is as exact.
const LOOK: Duration = Duration::from_millis(2);

/// The controllers, and somebody's terminal.
pub struct Service<'a> {
    pub(super) stage: &'a Stage,
    /// The one that writes comes first.
    pub(super) controllers: Vec<Running>,
    terminal: Running,
    /// What the terminal said so far.
    said: Vec<String>,
}

/// Tells it, and leaves the service running.
///
/// # Errors
/// Something is not as the story says.
pub async fn tell(stage: &Stage) -> Result<Service<'_>, Failure> {
    let mut service = start(stage).await?;
    service.a_push_lands().await?;
    service.a_hand_edit_is_put_right().await?;
    service.a_mistake_changes_nothing().await?;
    service.the_leader_dies().await?;
    Ok(service)
}

async fn start(stage: &Stage) -> Result<Service<'_>, Failure> {
    stage.chapter("9. The service");
    stage
        .say("From here on nobody types apply: `osier controller` follows the repository and the cluster. Two of them");
    stage.say("run; the one that holds the Lease writes, the other keeps itself ready. Ann watches on her terminal.\n");
    let controllers = vec![stage.start("first", &controller("first"))?];
    let terminal = stage.start("terminal", "get --watch")?;
    let mut service = Service { stage, controllers, terminal, said: Vec::new() };
    service.until("the first controller takes the Lease", |stage| !stage.all("Lease").is_empty()).await?;
    service.controllers.push(stage.start("second", &controller("second"))?);
    stage.say("\nProduction had not been told of anything since chapter 2. Now it has:\n");
    let tip = stage.tip()?;
    service.told(&["production", "Applied", &tip.short()]).await?;
    let accepted = |stage: &Stage| stage.all("Repository")[0]["status"]["lanes"][0]["tip"] == tip.to_string();
    service.until("every environment has seen the newest commit", accepted).await?;
    Ok(service)
}

fn controller(data: &str) -> String {
    format!("controller --lane protected --namespace {HOME} --keys keys --data ../{data} --listen 127.0.0.1:0")
}

impl Service<'_> {
    async fn a_push_lands(&mut self) -> Result<(), Failure> {
        self.stage.chapter("10. A push lands");
        self.stage.sandbox().forget_requests();
        let edit = Edit::Line(SHARED, "CURRENCY: EUR", "CURRENCY: CHF");
        let commit = self.stage.push("Ben", "SHOP-431 prices in Swiss francs", &[edit])?;
        let took = self.until("both environments have the new currency", |stage| currency(stage, "CHF")).await?;
        self.landed(commit).await?;
        self.stage.say("");
        let lists = |line: &RequestLine| NAMESPACES.contains(&line.namespace.as_str()) && line.verb == "list";
        self.stage.check(!self.stage.sandbox().requests().iter().any(lists), "nothing was listed")?;
        let said = self.stage.osier("wait", Show::All).await?;
        self.stage.check(said.code == 0, "the wait is over")?;
        self.stage.say(&format!(
            "{} ms after the push both namespaces had the new value. Nothing was listed: osier knew from its watches",
            took.as_millis()
        ));
        self.stage.say("what the cluster has, and only wrote what differs.");
        Ok(())
    }

    async fn a_hand_edit_is_put_right(&mut self) -> Result<(), Failure> {
        self.stage.chapter("11. Somebody edits by hand, and deletes");
        let path = "/api/v1/namespaces/shop-production/configmaps/shop?fieldManager=kubectl-edit";
        self.stage.say("$ kubectl edit configmap shop -n shop-production     # CURRENCY: CHF → USD");
        let edit = json!({"data": {"CURRENCY": "USD"}});
        self.stage.send("PATCH", path, "application/merge-patch+json", &edit).await?;
        let took = self.until("the currency is git's again", |stage| currency(stage, "CHF")).await?;
        self.stage.say(&format!("  CHF again after {} ms\n", took.as_millis()));
        let token = |stage: &Stage| stage.live("Secret", "shop-staging", "payments")["data"]["API_TOKEN"].clone();
        let before = token(self.stage);
        self.stage.say("$ kubectl delete secret payments -n shop-staging");
        let path = "/api/v1/namespaces/shop-staging/secrets/payments";
        self.stage.send("DELETE", path, "application/json", &Value::Null).await?;
        let took = self.until("the Secret is there again", |stage| token(stage) == before).await?;
        self.stage.say(&format!("  there again after {} ms, with the same values\n", took.as_millis()));
        self.stage.say("A repair is no new record: history is what git and people decided.");
        Ok(())
    }

    async fn a_mistake_changes_nothing(&mut self) -> Result<(), Failure> {
        self.stage.chapter("12. A mistake is pushed");
        let typo = Edit::Line(SHARED, "  LOG_FORMAT: json", "  LOG_FORMAT: \"json");
        let commit = self.stage.push("Cem", "Quote the log format", &[typo])?;
        let said = self.stage.osier("wait", Show::All).await?;
        self.stage.check(said.code == 1, "the wait ends with what is wrong")?;
        self.stage.check(said.text.contains(SHARED), "it says in which file")?;
        self.stage.check(currency(self.stage, "CHF"), "the last good state stays")?;
        self.told(&["staging", "ProblemsFound"]).await?;
        self.stage.say("");
        self.stage.say(&format!("Nothing of {} was applied. Cem mends it:\n", commit.short()));
        let mended = Edit::Line(SHARED, "  LOG_FORMAT: \"json", "  LOG_FORMAT: \"json\"");
        let commit = self.stage.push("Cem", "Close the quote", &[mended])?;
        self.landed(commit).await
    }

    async fn the_leader_dies(&mut self) -> Result<(), Failure> {
        self.stage.chapter("13. The leader dies in the middle of an apply");
        self.stage
            .say("The currency goes back. The demo makes one of the writes hang, and kills the controller then.\n");
        let on = Match::Call { verb: "patch", resource: "deployments".to_owned(), name: Some("catalog".to_owned()) };
        self.stage.sandbox().set_faults(vec![Fault { on, action: Action::Delay(2 * LONGEST) }]);
        let commit = self.stage.push("Ben", "SHOP-431 euros after all", &[Edit::Line(SHARED, "CHF", "EUR")])?;
        let begun = |stage: &Stage| NAMESPACES.iter().any(|namespace| is(stage, namespace, "EUR"));
        self.until("the apply has begun", begun).await?;
        self.controllers
            .remove(0)
            .kill()
            .map_err(|error| Failure::general(error, "end what the demo left running by hand"))?;
        self.stage.say("$ kill -9 %1\n");
        self.stage.sandbox().set_faults(Vec::new());
        self.stage.sandbox().forget_requests();
        let begin = Instant::now();
        self.landed(commit).await?;
        let took = begin.elapsed().as_secs_f64();
        self.stage.say("");
        let created = |line: &RequestLine| line.verb == "create" && NAMESPACES.contains(&line.namespace.as_str());
        self.stage.check(!self.stage.sandbox().requests().iter().any(created), "no object is made again")?;
        self.stage.check(currency(self.stage, "EUR"), "both environments equal the commit")?;
        self.stage.say(&format!(
            "The Lease ran out, and the other controller finished it {took:.0} s after. The record that the first one began"
        ));
        self.stage.say("is closed as Interrupted; nothing is left half done:\n");
        let said = self.stage.osier("history staging", Show::Ends(3, 0)).await?;
        let said = said.text + &self.stage.osier("history production", Show::Ends(3, 0)).await?.text;
        self.stage.check(said.contains("Interrupted"), "the history says what happened")
    }

    /// Waits until the terminal says that a commit is applied in both environments.
    async fn landed(&mut self, commit: GitId) -> Result<(), Failure> {
        for environment in ["staging", "production"] {
            self.told(&[environment, "Applied", &commit.short()]).await?;
        }
        Ok(())
    }

    /// Waits until the terminal says all of these in one line.
    async fn told(&mut self, words: &[&str]) -> Result<(), Failure> {
        let begin = Instant::now();
        let tells = |line: &String| words.iter().all(|word| line.contains(word));
        while !self.said.iter().any(tells) {
            self.stage.check(begin.elapsed() < LONGEST, &format!("the terminal says {words:?}"))?;
            self.listen();
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until something holds, and returns how long that took.
    pub(super) async fn until(&mut self, what: &str, holds: impl Fn(&Stage) -> bool) -> Result<Duration, Failure> {
        let begin = Instant::now();
        while !holds(self.stage) {
            self.stage.check(begin.elapsed() < LONGEST, what)?;
            if let Some(said) = self.controllers.iter_mut().find_map(Running::ended) {
                self.stage.check(false, &format!("a controller ended: {said}"))?;
            }
            self.listen();
            tokio::time::sleep(LOOK).await;
        }
        Ok(begin.elapsed())
    }

    /// Shows what the terminal says.
    fn listen(&mut self) {
        for line in self.terminal.news() {
            self.stage.say(&format!("  │ {line}"));
            self.said.push(line);
        }
    }
}

/// True if both environments sell in this currency.
fn currency(stage: &Stage, currency: &str) -> bool {
    NAMESPACES.iter().all(|namespace| is(stage, namespace, currency))
}

fn is(stage: &Stage, namespace: &str, currency: &str) -> bool {
    stage.live("ConfigMap", namespace, "shop")["data"]["CURRENCY"] == currency
}
