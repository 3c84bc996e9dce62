//! The open pull requests (GitLab: merge requests) of branches of the repository itself. What a fork has under the same name is somebody else's.
//!
//! Sources: GitHub, "REST API endpoints for pull requests", List pull requests; GitLab, "Merge requests API", List project merge
//! requests; Gitea, `routers/api/v1/repo/pull.go`, `repoListPullRequests`; Bitbucket Cloud, "Pullrequests", List pull requests;
//! Bitbucket Data Center, "Pull Requests", Get pull requests for repository.

use http::Method;
use serde_json::Value;

use crate::git::connection::http::Http;
use crate::git::failure::Failure;
use crate::git::forge::{Api, Forge, Sort, WHOLE, escaped};

/// Items of a page that is asked for: all of these forges give so many at once.
const PAGE: usize = 50;
/// Pages of one list that are read: what is beyond is not seen.
const PAGES: usize = 20;

/// An open pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// Its number in the repository.
    pub number: u64,
    /// The branch that is to be merged.
    pub branch: String,
}

impl Forge {
    /// The open pull requests whose source is a branch of this repository; of one branch alone if it is given. Tries once, in bounded time.
    ///
    /// # Errors
    /// Why they are not known.
    pub async fn pulls(&self, branch: Option<String>) -> Result<Vec<Pull>, Failure> {
        self.ask(move |api| api.pulls(branch.as_deref())).await
    }
}

impl Api {
    fn pulls(&self, branch: Option<&str>) -> Result<Vec<Pull>, Failure> {
        let mut found = Vec::new();
        let mut http = self.http(WHOLE)?;
        self.pages(&mut http, &self.pulls_path(branch), |item| {
            found.extend(pull(self.sort, item).filter(|pull| branch.is_none_or(|branch| pull.branch == branch)));
        })?;
        Ok(found)
    }

    fn pulls_path(&self, branch: Option<&str>) -> String {
        let repository = self.below();
        let filter = |filter: &dyn Fn(String) -> String| branch.map(|it| filter(escaped(it, ""))).unwrap_or_default();
        match self.sort {
            Sort::GitHub => {
                let owner = self.repository.split('/').next().unwrap_or_default();
                format!("{repository}/pulls?state=open{}", filter(&|branch| format!("&head={owner}:{branch}")))
            }
            Sort::GitLab => {
                let filter = filter(&|branch| format!("&source_branch={branch}"));
                format!("{repository}/merge_requests?state=opened{filter}")
            }
            // it has no filter for the source
            Sort::Gitea => format!("{repository}/pulls?state=open"),
            Sort::Bitbucket => {
                // a branch with a quote or a backslash in its name is looked for among all
                let branch = branch.filter(|branch| !branch.contains(['"', '\\']));
                let query = branch.map(|branch| format!("source.branch.name=\"{branch}\" AND state=\"OPEN\""));
                let query = query.unwrap_or_else(|| "state=\"OPEN\"".to_owned());
                format!("{repository}/pullrequests?q={}", escaped(&query, ""))
            }
            Sort::BitbucketServer => {
                let filter = filter(&|branch| format!("&at=refs%2Fheads%2F{branch}"));
                format!("{repository}/pull-requests?state=OPEN&direction=OUTGOING{filter}")
            }
        }
    }

    /// The path of the repository.
    pub(super) fn below(&self) -> String {
        let repository = &self.repository;
        match self.sort {
            Sort::GitHub | Sort::Gitea => format!("/repos/{repository}"),
            Sort::GitLab => format!("/projects/{}", escaped(repository, "%")),
            Sort::Bitbucket => format!("/repositories/{repository}"),
            Sort::BitbucketServer => {
                let (owner, name) = repository.split_once('/').unwrap_or((repository, ""));
                format!("{}/projects/{owner}/repos/{name}", self.parts[1])
            }
        }
    }

    /// Reads a list page after page, as far as `PAGES` go; true if that was all of it.
    pub(super) fn pages(&self, http: &mut Http, path: &str, mut take: impl FnMut(&Value)) -> Result<bool, Failure> {
        let mut at = u64::from(self.sort != Sort::BitbucketServer);
        let mut first = Value::Null;
        let begin = if path.contains('?') { '&' } else { '?' };
        for _ in 0..PAGES {
            let page = match self.sort {
                Sort::GitHub | Sort::GitLab => format!("per_page={PAGE}&page={at}"),
                Sort::Gitea => format!("limit={PAGE}&page={at}"),
                Sort::Bitbucket => format!("pagelen={PAGE}&page={at}"),
                Sort::BitbucketServer => format!("limit={PAGE}&start={at}"),
            };
            let answer = http.call(Method::GET, &format!("{path}{begin}{page}"), None)?;
            let items = answer.as_array().or_else(|| answer["values"].as_array()).ok_or(Failure::Unintelligible)?;
            // Gitea gives some lists whole, whatever page is asked for
            let is_again = items.first().is_some_and(|item| item["id"] == first);
            if is_again {
                return Ok(true);
            }
            items.iter().for_each(&mut take);
            let next = match self.sort {
                Sort::GitHub | Sort::GitLab => (items.len() >= PAGE).then_some(at + 1),
                // its administrator may have pages be shorter
                Sort::Gitea => (!items.is_empty()).then_some(at + 1),
                Sort::Bitbucket => answer.get("next").map(|_| at + 1),
                Sort::BitbucketServer => answer["nextPageStart"].as_u64().filter(|_| answer["isLastPage"] == false),
            };
            let Some(next) = next else { return Ok(true) };
            first = items.first().map_or(Value::Null, |item| item["id"].clone());
            at = next;
        }
        Ok(false)
    }
}

/// What a list has of a pull request; `None` if its source is not the repository that it is for.
fn pull(sort: Sort, item: &Value) -> Option<Pull> {
    let (number, branch, from, to) = match sort {
        Sort::GitHub | Sort::Gitea => {
            ("/number", "/head/ref", &item["head"]["repo"]["id"], &item["base"]["repo"]["id"])
        }
        Sort::GitLab => ("/iid", "/source_branch", &item["source_project_id"], &item["target_project_id"]),
        Sort::Bitbucket => (
            "/id",
            "/source/branch/name",
            &item["source"]["repository"]["uuid"],
            &item["destination"]["repository"]["uuid"],
        ),
        Sort::BitbucketServer => {
            ("/id", "/fromRef/id", &item["fromRef"]["repository"]["id"], &item["toRef"]["repository"]["id"])
        }
    };
    if from.is_null() || from != to {
        return None;
    }
    let branch = item.pointer(branch)?.as_str()?;
    let branch = if sort == Sort::BitbucketServer { branch.strip_prefix("refs/heads/")? } else { branch };
    Some(Pull { number: item.pointer(number)?.as_u64()?, branch: branch.to_owned() })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;
    use crate::git::credentials::Credentials;

    #[test]
    fn each_forge_is_asked_for_the_pull_requests_of_a_branch_in_its_own_way() {
        let all = [
            (Sort::GitHub, "https://github.com/example/shop.git", None),
            (Sort::GitLab, "https://gitlab.example.com/group/sub/shop.git", None),
            (Sort::Gitea, "https://git.example.com/example/shop", None),
            (Sort::Bitbucket, "https://bitbucket.org/example/shop.git", None),
            (Sort::BitbucketServer, "https://bitbucket.example.com/scm/ex/shop.git", None),
            (
                Sort::BitbucketServer,
                "ssh://git@inside:7999/~bob/shop.git",
                Some("https://b.example.com/x/rest/build-status/1.0"),
            ),
        ];
        let path = |(sort, url, api): (Sort, &str, Option<&str>)| {
            let api = Api::new(sort, url, api, Credentials::default()).unwrap();
            format!("{}{}\n", api.remotes.url(), api.pulls_path(Some("feature/a&b")))
        };
        expect![[r#"
            https://api.github.com/repos/example/shop/pulls?state=open&head=example:feature%2Fa%26b
            https://gitlab.example.com/api/v4/projects/group%2Fsub%2Fshop/merge_requests?state=opened&source_branch=feature%2Fa%26b
            https://git.example.com/api/v1/repos/example/shop/pulls?state=open
            https://api.bitbucket.org/2.0/repositories/example/shop/pullrequests?q=source.branch.name%3D%22feature%2Fa%26b%22%20AND%20state%3D%22OPEN%22
            https://bitbucket.example.com/rest/api/1.0/projects/ex/repos/shop/pull-requests?state=OPEN&direction=OUTGOING&at=refs%2Fheads%2Ffeature%2Fa%26b
            https://b.example.com/x/rest/api/1.0/projects/~bob/repos/shop/pull-requests?state=OPEN&direction=OUTGOING&at=refs%2Fheads%2Ffeature%2Fa%26b
        "#]].assert_eq(&all.map(path).concat());
    }

    #[test]
    fn what_comes_from_a_fork_is_no_pull_request_of_the_branch() {
        let repository = |id: u64| json!({"repo": {"id": id}, "ref": "feature/x", "repository": {"id": id, "uuid": id}, "branch": {"name": "feature/x"}, "id": "refs/heads/feature/x"});
        for sort in Sort::ALL.map(|(_, sort)| sort) {
            let of = |from: Value, to: Value| {
                json!({"number": 7, "iid": 7, "id": 7, "source_branch": "feature/x",
                    "head": from, "source": from, "fromRef": from, "source_project_id": from["repo"]["id"],
                    "base": to, "destination": to, "toRef": to, "target_project_id": to["repo"]["id"]})
            };
            let own = Pull { number: 7, branch: "feature/x".to_owned() };
            assert_eq!(pull(sort, &of(repository(1), repository(1))), Some(own));
            assert_eq!(pull(sort, &of(repository(2), repository(1))), None);
            // the fork is gone
            assert_eq!(pull(sort, &of(json!({"ref": "feature/x"}), repository(1))), None);
            assert_eq!(pull(sort, &json!("nonsense")), None);
        }
    }
}
