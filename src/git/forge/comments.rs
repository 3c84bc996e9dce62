//! One comment on a pull request that is ours: found again by a marker in its first line, changed in place, made if there is none.
//!
//! Anybody can copy a marker. So of what begins with it, only what our own account wrote counts: the forge says whose token it has
//! (`GET /user`), or, on both Bitbuckets, lets nobody but its author change a comment, which is tried. An App of GitHub is not told its
//! account; of comments by Apps, which no person can make, the marker is enough. What cannot be changed is not ours, and a new one is made.
//!
//! Sources: GitHub, "REST API endpoints for issue comments" and "for users"; GitLab, "Notes API", Merge requests; Gitea,
//! `routers/api/v1/repo/issue_comment.go`; Bitbucket Cloud, "Pullrequests", comments; Bitbucket Data Center, "Pull Requests", activities and
//! comments: "Only the user who created a comment may update it".

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::git::connection::http::Http;
use crate::git::failure::Failure;
use crate::git::forge::{Api, Forge, Sort, Us};

/// Longest time for one comment, which takes a few requests.
const WHOLE: Duration = Duration::from_mins(1);
/// So many comments of others that copy the marker are tried, where only trying shows whose they are.
const CANDIDATES: usize = 5;

/// A comment that may be ours.
struct Found {
    id: String,
    text: String,
    /// What Bitbucket Server wants to hear, lest somebody else's change is lost.
    revision: Value,
}

impl Forge {
    /// Has the pull request show one comment that begins with `marker`: what `write` makes of that which is there, if any. If that is the
    /// same, nothing is sent. Tries once, in bounded time.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn comment<F>(&self, pull: u64, marker: String, write: F) -> Result<(), Failure>
    where
        F: Fn(Option<&str>) -> String + Send + 'static,
    {
        self.ask(move |api| api.comment(pull, &marker, &write)).await
    }
}

impl Api {
    fn comment(&mut self, pull: u64, marker: &str, write: &dyn Fn(Option<&str>) -> String) -> Result<(), Failure> {
        let mut http = self.http(WHOLE)?;
        self.learn_who_we_are(&mut http)?;
        let (found, is_all) = self.found(&mut http, pull, marker)?;
        for Found { id, text, revision } in found {
            let new = write(Some(&text));
            if normal(&text) == normal(&new) {
                return Ok(());
            }
            let (method, path, document) = self.change(pull, &id, &revision, &new);
            match http.call(method, &path, Some(&document)) {
                Ok(_) => return Ok(()),
                // it is somebody else's, or gone by now
                Err(Failure::Forbidden | Failure::NoRepository | Failure::Unauthorized { .. }) => {}
                Err(failure) => return Err(failure),
            }
        }
        if !is_all {
            return Err(Failure::TooManyComments);
        }
        let made = http.call(Method::POST, &self.comments(pull), Some(&self.document(&write(None))))?;
        if let Some(account) = self.author(&made) {
            self.us = Some(Us::Account(account));
        }
        Ok(())
    }

    fn learn_who_we_are(&mut self, http: &mut Http) -> Result<(), Failure> {
        if self.us.is_some() {
            return Ok(());
        }
        let us = match self.sort {
            Sort::BitbucketServer => Us::Unsaid,
            sort => match http.call(Method::GET, "/user", None) {
                Ok(user) => Us::Account(id(&user[self.identity()]).ok_or(Failure::Anonymous)?),
                Err(Failure::Forbidden | Failure::NoRepository | Failure::Unauthorized { .. }) => match sort {
                    Sort::GitHub => Us::App,
                    Sort::Bitbucket => Us::Unsaid,
                    _ => return Err(Failure::Anonymous),
                },
                Err(failure) => return Err(failure),
            },
        };
        self.us = Some(us);
        Ok(())
    }

    /// The comments that begin with the marker and may be ours, the oldest first; and whether all comments were read.
    fn found(&self, http: &mut Http, pull: u64, marker: &str) -> Result<(Vec<Found>, bool), Failure> {
        let path = match self.sort {
            Sort::GitLab => format!("{}?sort=asc&order_by=created_at", self.comments(pull)),
            Sort::BitbucketServer => format!("{}/pull-requests/{pull}/activities", self.below()),
            _ => self.comments(pull),
        };
        let mut found = Vec::new();
        let is_all = self.pages(http, &path, |item| {
            let comment = if self.sort == Sort::BitbucketServer { &item["comment"] } else { item };
            let text = comment.pointer(self.text()).and_then(Value::as_str).unwrap_or_default();
            if !text.trim_start().starts_with(marker) || comment["deleted"] == true || !self.may_be_ours(comment) {
                return;
            }
            let Some(id) = id(&comment["id"]) else { return };
            found.push(Found { id, text: text.to_owned(), revision: comment["version"].clone() });
        })?;
        if self.sort == Sort::BitbucketServer {
            found.reverse(); // the newest comes first there
        }
        found.truncate(CANDIDATES);
        Ok((found, is_all))
    }

    fn may_be_ours(&self, comment: &Value) -> bool {
        match &self.us {
            Some(Us::Account(us)) => self.author(comment).as_ref() == Some(us),
            Some(Us::App) => comment["user"]["type"] == "Bot",
            Some(Us::Unsaid) => true,
            None => false,
        }
    }

    /// The account that wrote a comment.
    fn author(&self, comment: &Value) -> Option<String> {
        let author = match self.sort {
            Sort::GitLab | Sort::BitbucketServer => &comment["author"],
            Sort::GitHub | Sort::Gitea | Sort::Bitbucket => &comment["user"],
        };
        id(&author[self.identity()])
    }

    /// The field of an account that is its own for ever.
    fn identity(&self) -> &'static str {
        if self.sort == Sort::Bitbucket { "uuid" } else { "id" }
    }

    /// Where a comment has its text.
    fn text(&self) -> &'static str {
        match self.sort {
            Sort::GitHub | Sort::GitLab | Sort::Gitea => "/body",
            Sort::Bitbucket => "/content/raw",
            Sort::BitbucketServer => "/text",
        }
    }

    fn comments(&self, pull: u64) -> String {
        let repository = self.below();
        match self.sort {
            Sort::GitHub | Sort::Gitea => format!("{repository}/issues/{pull}/comments"),
            Sort::GitLab => format!("{repository}/merge_requests/{pull}/notes"),
            Sort::Bitbucket => format!("{repository}/pullrequests/{pull}/comments"),
            Sort::BitbucketServer => format!("{repository}/pull-requests/{pull}/comments"),
        }
    }

    fn document(&self, text: &str) -> Value {
        match self.sort {
            Sort::GitHub | Sort::GitLab | Sort::Gitea => json!({"body": text}),
            Sort::Bitbucket => json!({"content": {"raw": text}}),
            Sort::BitbucketServer => json!({"text": text}),
        }
    }

    fn change(&self, pull: u64, id: &str, revision: &Value, text: &str) -> (Method, String, Value) {
        let mut document = self.document(text);
        if self.sort == Sort::BitbucketServer {
            document["version"] = revision.clone();
        }
        match self.sort {
            Sort::GitHub | Sort::Gitea => (Method::PATCH, format!("{}/issues/comments/{id}", self.below()), document),
            _ => (Method::PUT, format!("{}/{id}", self.comments(pull)), document),
        }
    }
}

/// A number, or a text that can stand in a path.
fn id(value: &Value) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-{}".contains(c);
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if !text.is_empty() && text.chars().all(is_plain) => Some(text.clone()),
        _ => None,
    }
}

/// A text without what forges make otherwise of it when they store it.
fn normal(text: &str) -> String {
    text.replace("\r\n", "\n").trim().to_owned()
}
