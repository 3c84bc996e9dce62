//! The last part of the story: a branch is an environment.

use serde_json::Value;

use crate::cli::demo::service::Service;
use crate::cli::demo::stage::{BRANCH, Edit, HOME, Show, Stage};
use crate::cli::demo::story::no_secret;
use crate::cli::failure::Failure;
use crate::model::wire;

/// What Dana works on.
const FEATURE: &str = "feature/SHOP-440-larger-pages";
const CONTROLLER: &str = "--keys keys/branches --data ../branches --listen 127.0.0.1:0";

/// Tells it.
///
/// # Errors
/// Something is not as the story says.
pub async fn tell(service: &mut Service<'_>) -> Result<(), Failure> {
    let namespace = a_branch_is_pushed(service).await?;
    what_a_branch_may_not(service, &namespace).await?;
    the_branch_goes(service, &namespace).await
}

/// Returns the namespace of the environment.
async fn a_branch_is_pushed(service: &mut Service<'_>) -> Result<String, Failure> {
    let stage = service.stage;
    stage.chapter("14. A branch is an environment");
    stage.say(
        "`osier.yaml` says that each branch feature/… is one. Those are served by a process of their own, with keys of",
    );
    stage.say("their own: it could not open a secret of staging or production if it wanted to.\n");
    let line = format!("controller --lane branches --namespace {HOME} {CONTROLLER}");
    service.controllers.push(stage.start("branches", &line)?);
    stage.say("");
    stage.switch(FEATURE)?;
    let edit = Edit::Line("base/catalog.yaml", "PAGE_SIZE: \"24\"", "PAGE_SIZE: \"48\"");
    stage.push("Dana", "SHOP-440 larger pages", &[edit])?;
    service.until("the branch has a namespace", |stage| namespace(stage).is_some()).await?;
    let namespace = namespace(stage).unwrap_or_default();
    stage.say("");
    let said = stage.osier("env wait", Show::All).await?;
    stage.check(said.code == 0, "the wait ends well")?;
    let size = |namespace: &str| stage.live("ConfigMap", namespace, "catalog")["data"]["PAGE_SIZE"].clone();
    stage.check(size(&namespace) == "48", "the branch's environment has larger pages")?;
    stage.check(size("shop-staging") == "24", "staging has not")?;
    stage.check(!stage.live("ResourceQuota", &namespace, "environment").is_null(), "there is a quota")?;
    stage.check(!stage.live("NetworkPolicy", &namespace, "default-deny").is_null(), "there is a network policy")?;
    let password = &stage.live("Secret", &namespace, "cart-store")["data"]["PASSWORD"];
    stage.check(password.is_string(), "a password was made up")?;
    let said = stage.osier("env show", Show::All).await?;
    stage.check(said.code == 0, "the environment is shown")?;
    stage.say(
        "A namespace with a quota and network policies from the protected branch, all of the shop, a password for the",
    );
    stage.say("cart's store that stands in no file, and an address. Staging knows nothing of it.");
    Ok(namespace)
}

async fn what_a_branch_may_not(service: &mut Service<'_>, namespace: &str) -> Result<(), Failure> {
    let stage = service.stage;
    stage.chapter("15. What a branch may not");
    stage.say("Dana would like to see what else runs on the node.\n");
    let [own, node] = ["      serviceAccountName: shop", "      hostNetwork: true"];
    stage.push("Dana", "SHOP-440 look around", &[Edit::Line("base/catalog.yaml", own, node)])?;
    stage.say("");
    let said = stage.osier("env wait", Show::All).await?;
    stage.check(said.code != 0 && said.text.contains("PolicyDenied"), "the wait ends with what is wrong")?;
    stage.say("The same is said before a push, without a cluster:\n");
    let said = stage.osier("check --keys keys/branches", Show::All).await?;
    stage.check(said.text.contains("base/catalog.yaml:") && said.text.contains("hostNetwork"), "it says where")?;
    stage.say("She takes it back, and would like to have production's database instead.\n");
    stage.copy("envs/production/db.sops.yaml", "base/db.sops.yaml")?;
    stage.push("Dana", "SHOP-440 with real data", &[Edit::Line("base/catalog.yaml", node, own)])?;
    stage.say("");
    let said = stage.osier("env wait", Show::All).await?;
    stage.check(said.code != 0 && said.text.contains("base/db.sops.yaml"), "the wait ends with what is wrong")?;
    no_secret(stage, &said)?;
    let password = &stage.live("Secret", namespace, "db")["data"]["PASSWORD"];
    stage.check(password.is_null(), "nothing of it is applied")?;
    let pod = &stage.live("Deployment", namespace, "catalog")["spec"]["template"]["spec"];
    stage.check(pod.is_object() && pod["hostNetwork"].is_null(), "nothing of it is applied")?;
    stage.say("Nothing of either is applied: the environment stays as it was.");
    Ok(())
}

async fn the_branch_goes(service: &mut Service<'_>, namespace: &str) -> Result<(), Failure> {
    let stage = service.stage;
    stage.chapter("16. The branch goes, and everything with it");
    stage.say("A branch that is gone could come back in a moment, so osier looks again after a minute. Here, two seconds will do.\n");
    stage.switch(BRANCH)?;
    let grace = Edit::Line("osier.yaml", "    lives: 72h # after the last push", "    lives: 72h\n    grace: 2s");
    stage.push("Ann", "Branches go after two seconds", &[grace])?;
    stage.delete_branch(FEATURE)?;
    let there = |stage: &Stage| stage.all("Namespace").iter().any(|object| object["metadata"]["name"] == namespace);
    let took = service.until("the namespace is gone", |stage| !there(stage)).await?;
    stage.say(&format!("  {namespace} is gone after {:.1} s\n", took.as_secs_f64()));
    service.until("the Environment says so", |stage| is_gone(stage, namespace)).await?;
    let said = stage.osier(&format!("history {FEATURE}"), Show::All).await?;
    stage.check(said.code == 0 && said.text.contains("Dana"), "its history can still be read")?;
    stage.say("Nobody made an object, and nobody cleans up. Its records stay for a month.");
    Ok(())
}

/// The namespace of the one branch environment.
fn namespace(stage: &Stage) -> Option<String> {
    let is_made = |object: &Value| object["metadata"]["annotations"][wire::REF].as_str().is_some();
    let found = stage.all("Namespace").into_iter().find(is_made)?;
    found["metadata"]["name"].as_str().map(str::to_owned)
}

fn is_gone(stage: &Stage, name: &str) -> bool {
    let mine = stage.all("Environment").into_iter().find(|object| object["metadata"]["name"] == name);
    let conditions = mine.map(|object| object["status"]["conditions"].clone()).unwrap_or_default();
    conditions.as_array().into_iter().flatten().any(|condition| condition["reason"] == "Gone")
}
