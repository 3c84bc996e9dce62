//! The story itself. Each chapter does something, shows it, and checks that it is as it says.

use serde_json::{Value, json};

use crate::cli::demo::branches;
use crate::cli::demo::files::{BROKEN_MAC, NEW_TOKEN, PAYMENTS, RE_ENCRYPTED};
use crate::cli::demo::service::{self, Service};
use crate::cli::demo::stage::{Edit, HOME, Said, Show, Stage};
use crate::cli::failure::Failure;
use crate::model::wire;

/// Where most of it happens.
const STAGING: &str = "shop-staging";
/// Every secret value of the shop carries it.
const MARKER: &str = "canary-";
const APPLY: &str = "apply staging --keys keys";

/// Tells it from the first commit to the history.
///
/// # Errors
/// A command cannot be run, or something is not as the story says.
pub async fn tell(stage: &Stage) -> Result<Service<'_>, Failure> {
    first_commit(stage).await?;
    first_apply(stage).await?;
    change(stage).await?;
    re_encryption(stage).await?;
    bad_commits(stage).await?;
    hand_edit(stage).await?;
    rollback(stage).await?;
    fix(stage).await?;
    history(stage).await?;
    let mut service = service::tell(stage).await?;
    branches::tell(&mut service).await?;
    Ok(service)
}

/// What to try on what is left running.
pub fn keep(stage: &Stage) {
    stage.chapter("Try it yourself, in another terminal (Ctrl-C here ends it)");
    stage.say(&format!("  cd {}", stage.shop().display()));
    stage.say(&format!("  export KUBECONFIG={}", stage.kubeconfig().display()));
    for line in [
        "kubectl get configmaps,secrets,deployments -n shop-staging",
        &format!("kubectl get environments,records -n {HOME}"),
        "kubectl edit configmap shop -n shop-staging     # put right before you see it",
        "osier get --watch",
        "sops edit envs/staging/db.sops.yaml             # with SOPS_AGE_KEY_FILE=keys/staging.txt",
        "git commit -am 'Another password' && git push && osier wait",
        "osier diff staging --keys keys",
        "osier rollback staging --to '#1' --reason 'to see it' --keys keys",
        "osier why staging",
        "git switch -c feature/mine && git push -u origin HEAD && osier env wait",
        "osier env list; osier env show; git push origin --delete feature/mine",
    ] {
        stage.say(&format!("  {line}"));
    }
}

async fn first_commit(stage: &Stage) -> Result<(), Failure> {
    stage.chapter("1. A shop, in git");
    stage.say("A small web shop has all its configuration in one git repository: three services, two environments.");
    stage.say(
        "Secrets lie beside the rest, encrypted with the ordinary sops. `osier.yaml` says what makes an environment:\n",
    );
    stage.say("  staging     base, then envs/staging        in namespace shop-staging");
    stage.say("  production  base, then envs/production     in namespace shop-production\n");
    stage.push("Ann", "The shop as it is", &[])?;
    stage.say("");
    let said = stage.osier("check --keys keys", Show::All).await?;
    succeeded(stage, &said)
}

async fn first_apply(stage: &Stage) -> Result<(), Failure> {
    stage.chapter("2. A commit becomes objects");
    stage.say("osier reads the commit, merges the layers, decrypts in memory, and writes what is missing.");
    stage.say("Values of Secrets are never shown, not even their length.\n");
    let said = stage.osier(APPLY, Show::Ends(14, 3)).await?;
    succeeded(stage, &said)?;
    let said = stage.osier("apply production --keys keys", Show::Ends(0, 3)).await?;
    succeeded(stage, &said)?;
    let level = |namespace| stage.live("ConfigMap", namespace, "shop")["data"]["LOG_LEVEL"].clone();
    stage.check(level(STAGING) == "debug", "staging logs at debug, as envs/staging says")?;
    stage.check(level("shop-production") == "warn", "production logs at warn, as envs/production says")?;
    let banner = &stage.live("ConfigMap", "shop-production", "shop")["data"]["DEMO_BANNER"];
    stage.check(banner.is_null(), "production has no banner, as envs/production says")?;
    let token = stage.live("Secret", STAGING, "payments")["data"]["API_TOKEN"].clone();
    stage.check(token == encoded("canary-c41d-base-payments-token"), "the Secret in the cluster is decrypted")
}

async fn change(stage: &Stage) -> Result<(), Failure> {
    stage.chapter("3. One setting and one secret change");
    stage.say("The payment provider became slow and gave us a new token. Ben changes both.\n");
    let edits = [
        Edit::Line("base/checkout.yaml", "PAYMENT_TIMEOUT: 10s", "PAYMENT_TIMEOUT: 20s"),
        Edit::Whole(PAYMENTS, NEW_TOKEN, "another value of API_TOKEN, with `sops edit`"),
    ];
    stage.push("Ben", "SHOP-412 new token and more patience for the payment provider", &edits)?;
    stage.say("\nWhat would that do?\n");
    let said = stage.osier("diff staging --keys keys", Show::All).await?;
    stage.check(said.code == 1, "there are differences")?;
    no_secret(stage, &said)?;
    stage.say("Do it.\n");
    let said = stage.osier(APPLY, Show::All).await?;
    succeeded(stage, &said)?;
    written(
        stage,
        &said,
        STAGING,
        &["patch configmaps/checkout", "patch deployments/checkout", "patch secrets/payments"],
    )?;
    let books = ["create records/", "patch environments/status/staging", "patch records/status/staging-2"];
    written(stage, &said, HOME, &books)?;
    stage
        .say("Six writes: the two objects, the workload that uses them, so that it restarts, and three for the books:");
    stage.say("a record before the first write, its outcome after the last, and the environment's status.");
    let token = stage.live("Secret", STAGING, "payments")["data"]["API_TOKEN"].clone();
    stage.check(token == encoded("canary-d20b-base-payments-token"), "the new token is in the cluster")
}

async fn re_encryption(stage: &Stage) -> Result<(), Failure> {
    stage.chapter("4. The same values, encrypted anew");
    stage.say(
        "Somebody left the team, so Ann rotates the data key. Every byte of ciphertext is another one, no value is.\n",
    );
    let before = stage.live("Secret", STAGING, "payments");
    stage.push("Ann", "Rotate the data key of payments", &[Edit::Whole(PAYMENTS, RE_ENCRYPTED, "`sops rotate`")])?;
    stage.say("");
    let said = stage.osier(APPLY, Show::All).await?;
    succeeded(stage, &said)?;
    let after = stage.live("Secret", STAGING, "payments");
    written(stage, &said, STAGING, &["patch secrets/payments"])?;
    stage.check(before["data"] == after["data"], "the values are the same")?;
    stage.check(
        note(&before, wire::FINGERPRINT) == note(&after, wire::FINGERPRINT),
        "the fingerprint of the values is the same",
    )?;
    stage.check(
        note(&before, wire::INPUTS) != note(&after, wire::INPUTS),
        "osier noted which file the values come from",
    )?;
    stage.say("osier compared the values in memory: only its own note on the Secret is new, and nothing restarts.");
    Ok(())
}

async fn bad_commits(stage: &Stage) -> Result<(), Failure> {
    stage.chapter("5. Bad commits");
    stage.say(
        "A merge by hand lost a line of the encrypted file. What is left still decrypts, but sops sealed the whole.\n",
    );
    stage.push(
        "Cem",
        "Merge branch tokens",
        &[Edit::Whole(PAYMENTS, BROKEN_MAC, "the line of WEBHOOK_SECRET is gone")],
    )?;
    stage.say("");
    let said = stage.osier(APPLY, Show::All).await?;
    refused(stage, &said, PAYMENTS)?;
    stage.say("Not a single write to shop-staging. Cem takes it back, and makes a typo elsewhere.\n");
    let edits = [
        Edit::Whole(PAYMENTS, RE_ENCRYPTED, "as before the merge"),
        Edit::Line("base/cart.yaml", "  ITEM_LIMIT: \"50\"", "  ITEM_LIMIT: \"60"),
    ];
    stage.push("Cem", "Take the merge back, larger carts", &edits)?;
    stage.say("");
    let said = stage.osier(APPLY, Show::All).await?;
    refused(stage, &said, "base/cart.yaml:")?;
    stage.say("Again nothing was written: the last good state stays. The typo is mended.\n");
    stage.push(
        "Cem",
        "Mend the typo",
        &[Edit::Line("base/cart.yaml", "  ITEM_LIMIT: \"60", "  ITEM_LIMIT: \"60\"")],
    )?;
    stage.say("");
    let said = stage.osier(APPLY, Show::All).await?;
    succeeded(stage, &said)?;
    written(stage, &said, STAGING, &["patch configmaps/cart", "patch deployments/cart"])
}

async fn hand_edit(stage: &Stage) -> Result<(), Failure> {
    stage.chapter("6. Somebody edits by hand");
    stage.say("$ kubectl patch configmap shop -n shop-staging --type merge -p '{\"data\":{\"CURRENCY\":\"USD\"}}'\n");
    let path = format!("/api/v1/namespaces/{STAGING}/configmaps/shop?fieldManager=kubectl-patch");
    stage.send("PATCH", &path, "application/merge-patch+json", &json!({"data": {"CURRENCY": "USD"}})).await?;
    stage.say("The next pass sees it from metadata alone and puts it right. Git is the only way in.\n");
    let said = stage.osier(APPLY, Show::All).await?;
    succeeded(stage, &said)?;
    let currency = &stage.live("ConfigMap", STAGING, "shop")["data"]["CURRENCY"];
    stage.check(*currency == "EUR", "the currency is what git says")?;
    let books = said.requests.iter().filter(|line| line.is_mutating() && line.resource == "records").count();
    stage.check(books == 0, "a repair is no new record")
}

async fn rollback(stage: &Stage) -> Result<(), Failure> {
    stage.chapter("7. Back, and staying there");
    stage.say("Ben turns on tracing. The disks fill up.\n");
    let trace = Edit::Line("envs/staging/config.yaml", "LOG_LEVEL: debug", "LOG_LEVEL: trace");
    stage.push("Ben", "SHOP-420 trace everything", &[trace])?;
    stage.say("");
    let said = stage.osier(APPLY, Show::Ends(0, 3)).await?;
    succeeded(stage, &said)?;
    stage.say("Record #4 was good. Going back needs no commit, and it holds.\n");
    let line = "rollback staging --to '#4' --reason 'the disks fill up' --yes --keys keys";
    let said = stage.osier(line, Show::All).await?;
    succeeded(stage, &said)?;
    stage.check(level(stage) == "debug", "staging logs at debug again")?;
    stage.say("Meanwhile Ann, who knows nothing of it, pushes something else. The rollback holds:\n");
    let carts = Edit::Line("envs/staging/config.yaml", "ABANDON_AFTER: 1h", "ABANDON_AFTER: 2h");
    stage.push("Ann", "Keep abandoned carts longer", &[carts])?;
    stage.say("");
    let said = stage.osier(APPLY, Show::All).await?;
    stage.check(said.text.contains("still contains ConfigMap/shop LOG_LEVEL"), "osier says what holds it back")?;
    written(stage, &said, STAGING, &[])?;
    stage.check(level(stage) == "debug", "staging still logs at debug")
}

async fn fix(stage: &Stage) -> Result<(), Failure> {
    stage.say("Ben mends it in git. That ends the hold by itself, and what was held back is applied with it.\n");
    let debug = Edit::Line("envs/staging/config.yaml", "LOG_LEVEL: trace", "LOG_LEVEL: debug");
    stage.push("Ben", "SHOP-420 less noise", &[debug])?;
    stage.say("");
    let said = stage.osier(APPLY, Show::All).await?;
    succeeded(stage, &said)?;
    stage.check(level(stage) == "debug", "staging logs at debug")?;
    let abandon = &stage.live("ConfigMap", STAGING, "cart")["data"]["ABANDON_AFTER"];
    stage.check(*abandon == "2h", "what was held back is applied")
}

async fn history(stage: &Stage) -> Result<(), Failure> {
    stage.chapter("8. What happened");
    let said = stage.osier("history staging", Show::All).await?;
    succeeded(stage, &said)?;
    stage.check(
        said.text.contains("rollback") && said.text.contains("the disks fill up"),
        "the rollback is in the history",
    )?;
    let said = stage.osier("get", Show::All).await?;
    succeeded(stage, &said)?;
    stage.say("Every record says which commit, whose, when and why, and is chained to the one before it.");
    Ok(())
}

fn level(stage: &Stage) -> Value {
    stage.live("ConfigMap", STAGING, "shop")["data"]["LOG_LEVEL"].clone()
}

fn note(object: &Value, annotation: &str) -> Value {
    object["metadata"]["annotations"][annotation].clone()
}

fn encoded(value: &str) -> Value {
    json!(data_encoding::BASE64.encode(value.as_bytes()))
}

fn succeeded(stage: &Stage, said: &Said) -> Result<(), Failure> {
    stage.check(said.code == 0, &format!("the command succeeds (it ended with {})", said.code))?;
    no_secret(stage, said)
}

/// Refused with the place and what to do, and nothing was written.
fn refused(stage: &Stage, said: &Said, place: &str) -> Result<(), Failure> {
    stage.check(said.code != 0, "the command is refused")?;
    stage.check(said.text.contains(place) && said.text.contains("fix:"), "it says where and what to do")?;
    written(stage, said, STAGING, &[])?;
    no_secret(stage, said)
}

/// Exactly these writes to a namespace, and all of them once.
fn written(stage: &Stage, said: &Said, namespace: &str, expected: &[&str]) -> Result<(), Failure> {
    let writes = said.writes(namespace);
    stage.check(writes == expected, &format!("the writes to {namespace} are {expected:?}, not {writes:?}"))
}

pub(super) fn no_secret(stage: &Stage, said: &Said) -> Result<(), Failure> {
    stage.check(!said.text.contains(MARKER), "no secret value is shown")
}
