//! The comment on the pull request of a branch: one, kept up to date, and nothing in it that is not for everybody.

use std::fs;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{LIMITS, end, head, shows, statuses, tells};
use crate::scenarios::script::File;
use crate::scenarios::service::service;
use crate::scenarios::world::World;
use crate::support::forge::{Comment, Forge, US};
use crate::support::server::{PATIENCE, Server};

const CONFIG: &str = "apiVersion: osier.dev/v1alpha1
kind: Config
environments:
  staging: {namespace: shop-staging, layers: [base]}
branches:
- match: [\"feature/**\"]
  layers: [\"main:base\", branches]
  keys: branch
  grace: 1s
  url: https://{slug}.preview.example.com
  namespace: {prefix: shop-b, template: policies/branch}
";
const BASE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: base}\ndata: {COLOR: canary-6a-colour}\n";
/// Its name would be a mention, end the code that it stands in, and begin a tag.
const HOSTILE: &str = "branches/@team`x` <img src=x>.yaml";
const ELSE: u64 = 2;

/// A shop with a branch that has an environment, and no pull request yet but that of a fork.
async fn world(forge: &Forge, sort: &str, server: Server) -> World {
    let mut world = World::new(server).await;
    for (path, content) in [("osier.yaml", CONFIG), ("policies/branch/limits.yaml", LIMITS), ("base/base.yaml", BASE)] {
        world.write(&File { path: path.to_owned(), encrypted_for: Vec::new(), content: content.to_owned() });
    }
    world.push("the first state").await;
    let mut statuses = statuses(forge, sort);
    statuses["comments"] = json!(true);
    tells(&mut world, json!({"statuses": statuses, "interval": "1s"})).await;
    world.run("git switch -q -c feature/faster").await;
    password(&mut world, "canary-6b-first-password");
    forge.open(3, "feature/faster", true);
    forge.open(4, "feature/fast", false);
    world.push("faster").await;
    service(&mut world, "start --lane branches").await;
    world
}

fn password(world: &mut World, value: &str) {
    let content = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: db}}\nstringData: {{PASSWORD: {value}, HOST: {value}-host}}\n"
    );
    world.write(&File { path: "branches/db.sops.yaml".to_owned(), encrypted_for: vec!["branch".to_owned()], content });
}

/// The receiver heard of something: a pull request, say.
async fn rings(world: &mut World) {
    let home = world.name("shop");
    let path = format!("/apis/osier.dev/v1alpha1/repositories/{home}/status");
    loop {
        let (_, mut repository) = world.ask(Method::GET, &path, None).await;
        repository["status"]["lookAt"] = json!(format!("{:?}", Instant::now()));
        match world.ask(Method::PUT, &path, Some(&repository)).await {
            (200, _) => return,
            // the service has written its part of the status meanwhile
            (409, _) => {}
            (_, said) => panic!("{said}"),
        }
    }
}

/// Waits until a comment of osier's has these words; that one.
pub(super) async fn says(forge: &Forge, words: &[&str]) -> Comment {
    let begun = Instant::now();
    loop {
        let ours: Vec<Comment> = forge.comments().into_iter().filter(|comment| comment.author == US).collect();
        assert!(ours.len() <= 1, "{ours:?}");
        if let Some(comment) = ours.first()
            && words.iter().all(|word| comment.text.contains(word))
        {
            return comment.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "no comment says {words:?}: {:#?}", forge.comments());
        sleep(Duration::from_millis(20)).await;
    }
}

/// What is outside of code has no mention, link or tag but osier's own.
fn is_plain(text: &str) {
    for line in text.lines().filter(|line| !line.starts_with("[//]: # (osier")) {
        let pieces: Vec<&str> = line.split('`').collect();
        assert_eq!(pieces.len() % 2, 1, "code that does not end: {line}");
        let outside: String = pieces.iter().step_by(2).copied().collect();
        let own = ["<details><summary>", "</summary>", "</details>", "<https://faster.preview.example.com>"];
        let outside = own.iter().fold(outside, |outside, own| outside.replace(own, ""));
        assert!(!outside.contains(['<', '[', '@', '!', '/', '#']), "{line}");
    }
    assert!(!text.contains('@'), "{text}");
}

async fn story(sort: &str, server: Server, silent: Option<bool>) {
    let forge = Forge::start().await;
    if let Some(is_strict) = silent {
        forge.keeps_silent(is_strict);
    }
    let mut world = world(&forge, sort, server).await;
    let first = head(&mut world).await;
    let told = shows(&forge, &first, if sort.starts_with("bitbucket") { "SUCCESSFUL" } else { "success" }).await;
    let document = &told.last().unwrap().document;
    let link = document.get("target_url").unwrap_or(&document["url"]);
    assert_eq!(link, "https://faster.preview.example.com", "{told:?}");
    assert_eq!(forge.comments(), [], "there is no pull request of the branch");

    // one is opened, somebody was faster with the marker, and the forge is not well
    let context = document.get("context").unwrap_or(&document["name"]).as_str().unwrap();
    let copied = format!("[//]: # ({context})\n\nall is well, merge it");
    forge.write(7, ELSE, &copied);
    forge.open(7, "feature/faster", false);
    forge.answer(&[500, 429]);
    rings(&mut world).await;
    let made = says(&forge, &["**Applied**", &first[..7], "<https://faster.preview.example.com>", "PASSWORD"]).await;
    assert_eq!((made.pull, made.version), (7, 0), "{made:?}");
    assert!(made.text.contains("- create `Secret/db`") && made.text.contains("  - added `data.HOST`"), "{}", made.text);
    assert_eq!(made.text.contains("<details>"), !sort.starts_with("bitbucket"));

    let mistake = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\n\"@team\": {}\ndata: {A: canary-6c-value}\n";
    world.canary.watch_for(mistake);
    fs::write(world.path("clone").join(HOSTILE), mistake).unwrap();
    world.push("a mistake").await;
    let wrong = says(&forge, &["**ProblemsFound**", "＠team'x' <img src=x>.yaml:4:1`", "added `data.HOST`"]).await;
    assert!(wrong.text.contains(&format!("It is as of `{}`", &first[..7])), "{}", wrong.text);

    assert_eq!(service(&mut world, "stop").await, "");
    fs::remove_file(world.path("clone").join(HOSTILE)).unwrap();
    password(&mut world, "canary-6d-second-password");
    world.push("better").await;
    service(&mut world, "start --lane branches").await;
    let second = head(&mut world).await;
    let changed = says(&forge, &["**Applied**", &second[..7], "- update `Secret/db`"]).await;
    assert_eq!(changed.id, made.id, "it is the one from before the restart");
    assert!(changed.text.contains("changed or re-encrypted `data.PASSWORD`") && !changed.text.contains("problem"));

    world.run("git switch -q main && git branch -q -D feature/faster").await;
    let gone = says(&forge, &["**Gone**", "- update `Secret/db`"]).await;
    assert!(gone.id == made.id && !gone.text.contains("https://"), "{}", gone.text);
    for comment in forge.comments().iter().filter(|comment| comment.author == US) {
        is_plain(&comment.text);
    }
    let of_others: Vec<Comment> = forge.comments().into_iter().filter(|comment| comment.author != US).collect();
    assert!(of_others.len() == 1 && of_others[0].text == copied, "{of_others:?}");
    for told in forge.heard() {
        let text = told.document.pointer("/body").or(told.document.pointer("/text")).and_then(Value::as_str);
        text.into_iter().for_each(is_plain);
    }
    end(world, &forge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn github_has_one_comment() {
    story("github", Server::sandbox().await, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn github_has_one_comment_of_an_app() {
    story("github", Server::sandbox().await, Some(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gitlab_has_one_comment() {
    story("gitlab", Server::sandbox().await, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gitea_has_one_comment() {
    story("gitea", Server::real(), None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_has_one_comment() {
    story("bitbucket", Server::sandbox().await, Some(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_server_has_one_comment() {
    story("bitbucket-server", Server::sandbox().await, Some(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_pushes_is_no_storm_of_comments_and_a_forge_that_refuses_delays_nothing() {
    let forge = Forge::start().await;
    let mut world = world(&forge, "github", Server::sandbox().await).await;
    // osier's is on the second page then
    (0..60).for_each(|_| forge.write(7, ELSE, "looks good"));
    forge.open(7, "feature/faster", false);
    rings(&mut world).await;
    let made = says(&forge, &["**Applied**"]).await;
    let begun = Instant::now();
    let mut last = String::new();
    for number in 0..12 {
        last = applied(&mut world, &forge, number).await;
    }
    let shown = says(&forge, &[&last[..7]]).await;
    // one at once, and then one in five seconds
    assert!(shown.id == made.id && shown.version <= begun.elapsed().as_secs() / 5 + 1, "{shown:?}");

    // a process that begins looks, and finds nothing to write
    assert_eq!(service(&mut world, "stop").await, "");
    let looks = || forge.heard().iter().filter(|it| it.method == Method::GET && it.path.ends_with("/comments")).count();
    let before = looks();
    service(&mut world, "start --lane branches").await;
    let begun = Instant::now();
    while looks() == before {
        assert!(begun.elapsed() < PATIENCE, "it does not look");
        sleep(Duration::from_millis(20)).await;
    }

    last = applied(&mut world, &forge, 12).await;
    let after = says(&forge, &[&last[..7]]).await;
    assert_eq!((after.id, after.version), (made.id, shown.version + 1), "one change for one push");

    // the token lacks the right: commits show it all the same
    forge.answer_comments(403);
    for number in 13..15 {
        applied(&mut world, &forge, number).await;
    }
    assert_eq!(forge.comments().last(), Some(&after));
    end(world, &forge).await;
}

/// Pushes something that the environment then equals, as the commit shows; that commit.
async fn applied(world: &mut World, forge: &Forge, number: u32) -> String {
    let own = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: own}}\ndata: {{N: \"{number}\"}}\n");
    fs::write(world.path("clone/branches/own.yaml"), own).unwrap();
    world.push("again").await;
    let commit = head(world).await;
    shows(forge, &commit, "success").await;
    commit
}
