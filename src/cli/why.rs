//! `osier why`: why an environment is as it is, where a key comes from, and what to run.

use jiff::Timestamp;
use serde_json::json;

use crate::cli::failure::{Failure, Finding};
use crate::cli::place::At;
use crate::cli::{context, get, output, times, view};
use crate::desired::manifest::{Manifest, Origin};
use crate::model::environment::{Condition, Environment, EnvironmentStatus};
use crate::model::object::ObjectId;
use crate::model::reason::Reason;
use crate::reconcile::desire::{self, Outlines};
use crate::reconcile::{open, target};
use crate::report::{advice, style};
use crate::settings::{Output, Settings};

/// Say why an environment is as it is, or which file and line set a key.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example: osier why staging\n         osier why staging ConfigMap/app LOG_LEVEL")]
pub struct Args {
    /// The environment.
    pub environment: String,
    /// `Kind/name` of an object: say where it comes from.
    pub object: Option<String>,
    /// A key of the object; all of them if none is named.
    pub key: Option<String>,
}

/// Prints the reason, or the origin of keys.
///
/// # Errors
/// The environment or the object is not there.
pub async fn run(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    match &args.object {
        Some(object) => origin(settings, args, object).await,
        None => environment(settings, args).await,
    }
}

async fn environment(settings: &Settings, args: &Args) -> Result<Finding, Failure> {
    let cluster = context::cluster(settings).await?;
    let repository = context::repository(settings, &cluster).await?;
    let environment = context::environment(&cluster, &repository.spec.home, &args.environment).await?;
    let ready = get::ready(&environment);
    match settings.common.output {
        Output::Text => anstream::print!("{}", text(&args.environment, &environment)),
        format => {
            let reason = ready.map(|ready| ready.reason.clone());
            let fix = ready.map(|ready| fix(&args.environment, &environment, ready));
            let data = json!({"kind": "Why", "environment": args.environment, "status": environment.status, "spec": environment.spec,
                "reason": reason, "fix": fix});
            output::data(format, &data);
        }
    }
    Ok(Finding::Nothing)
}

fn text(name: &str, environment: &Environment) -> String {
    let status = environment.status.clone().unwrap_or_default();
    let Some(ready) = get::ready(environment) else {
        return format!("? {name}: nothing was applied yet\n  fix       osier apply {name}\n");
    };
    let mark = match ready.status == "True" {
        true => '✓',
        false if status.waits() => '◎',
        false => '✗',
    };
    let commit: String = status.commit.chars().take(7).collect();
    let since = times::ago(&ready.last_transition_time, Timestamp::now());
    let mut lines =
        vec![format!("{mark} {name} is at {} ({since})", if commit.is_empty() { "nothing" } else { &commit })];
    let (message, why) = style::halves(&ready.message);
    lines.push(format!("  reason    {}: {message}", ready.reason));
    lines.extend(why.map(|why| format!("            {why}")));
    if let Some(suspend) = &environment.spec.suspend {
        lines.push(format!("  suspended by {}: {}", suspend.by, suspend.reason));
    }
    if let Some(hold) = &environment.spec.hold {
        let held = match get::held(environment) {
            "" => "held (ended)",
            "held" => "held at",
            asked => asked,
        };
        lines.push(format!("  {held} {} by {}: {}", hold.to, hold.by, hold.reason));
    }
    if let Some(ignored) = ignored(&status) {
        lines.push(format!("  ignored   {ignored}"));
    }
    if let Some(plan) = status.plan.clone().filter(|_| ready.status != "True" && !status.is_applied()) {
        lines.push(format!("  plan      {}", plan.digest));
    }
    lines.push(format!("  fix       {}", fix(name, environment, ready)));
    lines.join("\n") + "\n"
}

/// What the branch changed in vain, if it did.
pub fn ignored(status: &EnvironmentStatus) -> Option<String> {
    let ignored = status.ignored.join(", ");
    (!ignored.is_empty()).then(|| format!("{ignored} of the branch: only the protected branch's counts"))
}

/// What to run.
pub fn fix(name: &str, environment: &Environment, ready: &Condition) -> String {
    let Some(status) = &environment.status else { return advice::fix(&ready.reason, name, "") };
    if status.waits() && ready.reason == Reason::Applied.as_str() {
        return advice::waiting(&status.namespace);
    }
    if ready.reason == Reason::HeldBack.as_str() && status.hold.as_ref().is_some_and(|hold| hold.rejected.is_empty()) {
        return advice::held(name);
    }
    if ready.reason == Reason::Gone.as_str() && status.life.as_ref().is_some_and(|life| life.over) {
        return format!("push the branch again, or osier env open {name}");
    }
    advice::fix(&ready.reason, name, &status.namespace)
}

/// Which file and line set each key, from the working tree.
async fn origin(settings: &Settings, args: &Args, wanted: &str) -> Result<Finding, Failure> {
    let (source, commit) = view::offline(settings, &At::Tree)?;
    let config = target::config(&source).await?;
    let entry = target::entry(&config, &args.environment)?;
    let parameters =
        target::parameters(&args.environment, &args.environment, crate::cli::check::BRANCH, &entry.namespace, commit);
    let scope = desire::scope(None, &args.environment, entry, &entry.layers, &parameters);
    let outlines = Outlines::default();
    let composed = desire::whole(&outlines, &source, commit, scope).await?;
    let desired = composed.composition.current();
    let object = find(desired.objects.keys(), wanted, &args.environment)?;
    let only = [object.clone()].into();
    let opened = open::open(&source, &context::keyring(settings), entry.keys.as_deref(), desired, &only, None).await?;
    let Some(manifest) = opened.manifests.get(&object) else {
        return Err(Failure::problems(format!("{wanted} cannot be opened"), [opened.problems, opened.locked].concat()));
    };
    print(settings, args, manifest)
}

fn find<'a>(objects: impl Iterator<Item = &'a ObjectId>, wanted: &str, environment: &str) -> Result<ObjectId, Failure> {
    let fits = |object: &&ObjectId| object.short().eq_ignore_ascii_case(wanted);
    let known: Vec<&ObjectId> = objects.collect();
    known.iter().copied().find(fits).cloned().ok_or_else(|| {
        let names: Vec<String> = known.iter().take(8).map(|object| object.short()).collect();
        Failure::usage(
            format!("{environment} has no {wanted}"),
            format!("write Kind/name, such as {}", names.join(", ")),
        )
    })
}

fn print(settings: &Settings, args: &Args, manifest: &Manifest) -> Result<Finding, Failure> {
    let fits =
        |path: &str| args.key.as_deref().is_none_or(|key| path == key || path.strip_prefix("data.") == Some(key));
    let origins: Vec<(&String, &Origin)> = manifest.origins.iter().filter(|(path, _)| fits(path)).collect();
    if origins.is_empty() {
        let keys: Vec<&str> = manifest.origins.keys().take(8).map(String::as_str).collect();
        return Err(Failure::usage("there is no such key", format!("it has: {}", keys.join(", "))));
    }
    if settings.common.output != Output::Text {
        let data = |(path, origin): &(&String, &Origin)| json!({"key": path, "path": origin.path, "line": origin.line, "overrides": origin.overrides});
        let keys: Vec<_> = origins.iter().map(data).collect();
        output::data(settings.common.output, &json!({"kind": "Why", "object": manifest.object.short(), "keys": keys}));
        return Ok(Finding::Nothing);
    }
    anstream::println!("{}", manifest.object.short());
    for (path, origin) in origins {
        anstream::println!("  {path}");
        anstream::println!("    set by     {}:{}", origin.path, origin.line);
        for (path, line) in &origin.overrides {
            anstream::println!("    overrides  {path}:{line}");
        }
    }
    Ok(Finding::Nothing)
}
