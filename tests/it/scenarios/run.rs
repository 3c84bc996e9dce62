//! Runs a script: each command as it stands, its output beside the one that the script has.

use std::path::Path;
use std::process::Output;
use std::sync::LazyLock;
use std::time::Duration;

use osier::sandbox::faults::{Action, Fault, Match};
use regex::Regex;

use crate::scenarios::script::{self, Command, Item, Servers};
use crate::scenarios::world::World;
use crate::scenarios::{requests, service, show};
use crate::support::server::Server;

/// Longer than any script waits for an answer.
const SLOW: Duration = Duration::from_mins(1);

static COUNT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\([0-9]+ requests,").unwrap());
static LOG: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z\s+(TRACE|DEBUG|INFO|WARN|ERROR)\s").unwrap());

/// Runs it to its end; gives the bytes that were searched for secrets.
///
/// # Errors
/// The first commands whose output differs, if `UPDATE_EXPECT` is not set.
pub async fn script(server: Server, path: &Path, items: Vec<Item>) -> Result<u64, String> {
    let name = server.name();
    let mut world = World::new(server).await;
    let mut done = Vec::new();
    for item in &items {
        match item {
            Item::Prose(_) => done.push(item.clone()),
            Item::File(file) => {
                world.write(file);
                done.push(item.clone());
            }
            Item::Command(command) => {
                let output = command_output(&mut world, &command.line).await;
                done.push(Item::Command(Command { output, ..command.clone() }));
            }
        }
    }
    world.scan().await;
    let (items, done) = if name == "sandbox" { (items, done) } else { (without_counts(items), without_counts(done)) };
    if done == items {
        return Ok(world.canary.scanned);
    }
    // the sandbox has the word: what the real server says otherwise is a difference to look at
    let has_the_word = name == "sandbox" || script::servers(&items) == Servers::RealOnly;
    if has_the_word && std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, script::text(&done)).unwrap();
        return Ok(world.canary.scanned);
    }
    Err(differences(name, path, &items, &done))
}

async fn command_output(world: &mut World, line: &str) -> String {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "push" => {
            world.push(rest).await;
            String::new()
        }
        "undo" => {
            world.undo().await;
            String::new()
        }
        "show" => {
            let text = show::show(world, rest).await;
            lines("|", &world.names.shown(&text, false))
        }
        "fault" => {
            fault(world, rest);
            String::new()
        }
        "service" => service::service(world, rest).await,
        "settle" => service::settle(world, rest).await,
        "until" => {
            let (command, wanted) = rest.rsplit_once(" =").expect("it is `until COMMAND = TEXT`");
            service::until(world, command, wanted.trim()).await
        }
        "metric" => lines("|", &service::metric(world, rest).await),
        "count" => {
            requests::begin(world).await;
            String::new()
        }
        "requests" => lines("|", &requests::so_far(world, rest).await),
        _ => program(world, line).await,
    }
}

async fn program(world: &mut World, line: &str) -> String {
    let line = world.names.real(line);
    let Output { status, stdout, stderr } = world.run(&line).await;
    world.canary.scan(&format!("stdout of `{line}`"), &stdout);
    world.canary.scan(&format!("stderr of `{line}`"), &stderr);
    let ages = ["osier history", "osier get", "osier why", "osier env"].iter().any(|command| line.starts_with(command));
    let stdout = world.names.shown(&String::from_utf8_lossy(&stdout), ages);
    let stderr = world.names.shown(&without_logs(&String::from_utf8_lossy(&stderr)), ages);
    let code = match status.code() {
        Some(0) => String::new(),
        Some(code) => format!("= {code}\n"),
        None => "= killed\n".to_owned(),
    };
    format!("{}{}{code}", lines("|", &stdout), lines("!", &stderr))
}

/// Sets or ends a fault, as the README beside the scripts says.
fn fault(world: &World, text: &str) {
    let Server::Sandbox(sandbox) = &world.server else {
        panic!("only the sandbox has faults: mark the script `# sandbox only: …`")
    };
    let faults = if text == "none" { Vec::new() } else { text.split(" and ").map(planned).collect() };
    sandbox.sandbox.set_faults(faults);
}

fn planned(text: &str) -> Fault {
    let words: Vec<&str> = text.split(' ').collect();
    match words.as_slice() {
        ["event", number, "break"] => {
            Fault { on: Match::NthEvent(number.parse().expect("a number")), action: Action::Break }
        }
        ["event", number, "lost"] => {
            Fault { on: Match::NthEvent(number.parse().expect("a number")), action: Action::Lose }
        }
        [verb, resource, what] => on(verb, resource, action(what)),
        [verb, resource, what, "once"] => on(verb, resource, Action::Once(Box::new(action(what)))),
        _ => panic!("a fault is `VERB RESOURCE WHAT [once]` or `event N break|lost`: {text}"),
    }
}

fn on(verb: &str, resource: &str, action: Action) -> Fault {
    let verb = ["get", "list", "watch", "create", "update", "patch", "delete"].into_iter().find(|known| *known == verb);
    let verb = verb.expect("a verb of the API");
    Fault { on: Match::Call { verb, resource: resource.to_owned(), name: None }, action }
}

fn action(what: &str) -> Action {
    match what {
        "break" => Action::Break,
        "cut" => Action::CutShort,
        "slow" => Action::Delay(SLOW),
        "lost" => Action::CommitThen(504),
        "freeze" => Action::Freeze,
        "forget" => Action::Forget,
        "babble" => Action::Babble,
        code => Action::Refuse(code.parse().expect("a status code or a word of the README")),
    }
}

fn lines(mark: &str, text: &str) -> String {
    text.lines().map(|line| format!("{}\n", format!("{mark} {line}").trim_end())).collect()
}

fn without_logs(text: &str) -> String {
    text.lines().filter(|line| !LOG.is_match(line)).map(|line| format!("{line}\n")).collect()
}

/// On the real server controllers write beside osier, and an update that meets a status write is sent again: the counts of requests
/// are the sandbox's, the audit log of `make figures` shows them for the real one.
fn without_counts(items: Vec<Item>) -> Vec<Item> {
    let plain = |item| match item {
        Item::Command(command) => Item::Command(Command {
            output: COUNT.replace_all(&command.output, "(N requests,").into_owned(),
            ..command
        }),
        other => other,
    };
    items.into_iter().map(plain).collect()
}

fn differences(server: &str, path: &Path, expected: &[Item], actual: &[Item]) -> String {
    let differing = expected.iter().zip(actual).filter(|(expected, actual)| expected != actual);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text = differing.take(3).filter_map(|pair| match pair {
        (Item::Command(expected), Item::Command(actual)) => Some(format!(
            "{name}:{}, server: {server}\n$ {}\n--- expected\n{}--- actual\n{}",
            expected.number, expected.line, expected.output, actual.output
        )),
        _ => None,
    });
    text.collect::<Vec<_>>().join("\n")
}
