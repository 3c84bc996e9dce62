//! The forge that a repository lies on, as far as commits and pull requests show there how environments stand.
//!
//! Sources: the REST documentation of GitHub, GitLab, Gitea, Bitbucket Cloud and Bitbucket Server on commit (build) statuses.
//! It is reached as git servers are: the same credentials, authorities, proxies and bounds.

pub mod comments;
pub mod pulls;

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::git::connection::Visit;
use crate::git::connection::http::Http;
use crate::git::credentials::Credentials;
use crate::git::error::{Cause, Error};
use crate::git::failure::Failure;
use crate::git::remotes::Remotes;
use crate::git::remotes::place::{Account, Place, Site};
use crate::git::traffic::Counters;
use crate::model::digest::b32;
use crate::model::tree::GitId;

/// Longest time for one status.
const WHOLE: Duration = Duration::from_secs(20);
/// Longest description that GitHub takes; the others take more.
const DESCRIPTION: usize = 140;
/// Longest key that Bitbucket takes.
const KEY: usize = 40;
/// The APIs of Bitbucket Server below `/rest`: that of build statuses, and that of pull requests.
const PARTS: [&str; 2] = ["/build-status/1.0", "/api/1.0"];

/// A sort of forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// github.com or GitHub Enterprise Server.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gitea or Forgejo.
    Gitea,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Bitbucket Server or Data Center.
    BitbucketServer,
}

/// How a commit looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is on its way, or waits for somebody.
    Pending,
    /// The environment equals it.
    Success,
    /// It is not applied.
    Failure,
}

/// What a commit shows of one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Which commit.
    pub commit: GitId,
    /// Name of the status, such as `osier/staging`.
    pub context: String,
    /// How it looks.
    pub mark: Mark,
    /// A sentence.
    pub description: String,
    /// Where people find the environment, if it is there: an `http` or `https` URL.
    pub link: Option<String>,
}

/// A handle to the thread that talks to one forge; the thread ends with the handle.
pub struct Forge {
    requests: mpsc::Sender<Request>,
}

/// Something that the thread does, and how it answers is its own matter.
type Request = Box<dyn FnOnce(&mut Api) + Send>;

/// Where the API is, and what is asked there.
struct Api {
    sort: Sort,
    remotes: Arc<Remotes>,
    /// `owner/name` as URLs have it.
    repository: String,
    /// Where people see the repository.
    page: String,
    /// Paths of Bitbucket Server begin with the name of one of its APIs: that of build statuses, and that of pull requests.
    parts: [&'static str; 2],
    /// Whose token it is, once that is known.
    us: Option<Us>,
}

/// Who osier is to a forge.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Us {
    /// The account with this id.
    Account(String),
    /// An App of GitHub, which is not told its account.
    App,
    /// The forge does not say it, and lets nobody but its author change a comment.
    Unsaid,
}

impl Sort {
    const ALL: [(&'static str, Sort); 5] = [
        ("github", Sort::GitHub),
        ("gitlab", Sort::GitLab),
        ("gitea", Sort::Gitea),
        ("bitbucket", Sort::Bitbucket),
        ("bitbucket-server", Sort::BitbucketServer),
    ];

    /// The one of this name in a Repository.
    ///
    /// # Errors
    /// `Forge`, with the names that there are.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, sort)| *sort);
        let names = Self::ALL.map(|(known, _)| known).join(", ");
        found.ok_or_else(|| Error::Forge { name: name.to_owned(), names })
    }

    /// True if its Markdown may have HTML in it.
    pub fn has_html(self) -> bool {
        matches!(self, Sort::GitHub | Sort::GitLab | Sort::Gitea)
    }

    /// The API of a forge at this host.
    fn api(self, host: &str) -> String {
        match self {
            Sort::GitHub if host == "github.com" => "https://api.github.com".to_owned(),
            Sort::GitHub => format!("https://{host}/api/v3"),
            Sort::GitLab => format!("https://{host}/api/v4"),
            Sort::Gitea => format!("https://{host}/api/v1"),
            Sort::Bitbucket => "https://api.bitbucket.org/2.0".to_owned(),
            Sort::BitbucketServer => format!("https://{host}/rest/build-status/1.0"),
        }
    }
}

impl Forge {
    /// The forge of the repository at `url`; its API at `api` if that is not at the usual place. Nothing is asked yet.
    ///
    /// # Errors
    /// `Url` if one of them is of a kind that is refused or leads to no forge; `Thread`.
    pub fn open(sort: Sort, url: &str, api: Option<&str>, credentials: Credentials) -> Result<Self, Error> {
        let mut api = Api::new(sort, url, api, credentials)?;
        let (requests, mut received) = mpsc::channel::<Request>(1);
        let serve = move || {
            while let Some(request) = received.blocking_recv() {
                request(&mut api);
            }
        };
        let thread = std::thread::Builder::new().name("forge".into()).spawn(serve);
        thread.map_err(|error| Error::Thread { source: Cause::from(&error) })?;
        Ok(Self { requests })
    }

    /// Has a commit show this, in bounded time. Tries once.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn show(&self, shown: Shown) -> Result<(), Failure> {
        self.ask(move |api| api.show(&shown)).await
    }

    async fn ask<T, F>(&self, request: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut Api) -> Result<T, Failure> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let ended = || Failure::Silent { seconds: 0 };
        // nobody waits for the answer any more: nobody needs it
        let request = Box::new(move |api: &mut Api| drop(answer.send(request(api))));
        self.requests.send(request).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

impl Api {
    fn new(sort: Sort, url: &str, api: Option<&str>, credentials: Credentials) -> Result<Self, Error> {
        let (host, path) = match Place::parse(url)? {
            Place::Http(Site { host, port: 443 | 80, path, .. }) => (host, path),
            Place::Http(Site { host, port, path, .. }) => (format!("{host}:{port}"), path),
            Place::Ssh(Account { host, path, .. }) => (host, path),
            Place::Local(_) => (String::new(), String::new()),
        };
        if host.is_empty() && api.is_none() {
            return Err(Error::Url {
                url: url.to_owned(),
                why: "a directory lies on no forge",
                hint: "leave `statuses` out, or give it an `api`",
            });
        }
        let api = api.map_or_else(|| sort.api(&host), str::to_owned);
        let (api, parts) = match api.trim_end_matches('/').strip_suffix(PARTS[0]) {
            Some(rest) if sort == Sort::BitbucketServer => (rest.to_owned(), PARTS),
            _ => (api, [""; 2]),
        };
        let repository = path.trim_matches('/');
        let repository = repository.strip_suffix(".git").unwrap_or(repository);
        let repository = escaped(repository.strip_prefix("scm/").unwrap_or(repository), "/%");
        let page = format!("https://{host}/{repository}");
        let remotes = Arc::new(Remotes::new(&api, &[], credentials)?);
        Ok(Self { sort, remotes, repository, page, parts, us: None })
    }

    /// A connection, for so long.
    fn http(&self, whole: Duration) -> Result<Http, Failure> {
        let visit = Visit::new(&self.remotes, 0, whole, &Arc::<Counters>::default());
        let Place::Http(site) = &visit.address().place else { return Err(Failure::NoRepository) };
        Http::new(&visit, site)
    }

    fn show(&self, shown: &Shown) -> Result<(), Failure> {
        let (path, document) = self.request(shown);
        self.http(WHOLE)?.post(&path, &document)
    }

    /// Path below the API, and the document that is sent there.
    fn request(&self, shown: &Shown) -> (String, Value) {
        let Shown { commit, context, mark, description, link } = shown;
        let Self { repository, page, .. } = self;
        let description: String = description.chars().take(DESCRIPTION).collect();
        let build = |path: String| {
            let url = link.as_ref().unwrap_or(page);
            let document = json!({"key": key(context), "name": context, "url": url,
                "state": mark.of(["INPROGRESS", "SUCCESSFUL", "FAILED"]), "description": description});
            (path, document)
        };
        let linked = |mut document: Value| {
            if let Some(link) = link {
                document["target_url"] = json!(link);
            }
            document
        };
        match self.sort {
            Sort::GitHub | Sort::Gitea => {
                let state = mark.of(["pending", "success", "failure"]);
                let document = linked(json!({"context": context, "state": state, "description": description}));
                (format!("/repos/{repository}/statuses/{commit}"), document)
            }
            Sort::GitLab => {
                let state = mark.of(["pending", "success", "failed"]);
                let document = linked(json!({"name": context, "state": state, "description": description}));
                (format!("/projects/{}/statuses/{commit}", escaped(repository, "%")), document)
            }
            Sort::Bitbucket => build(format!("/repositories/{repository}/commit/{commit}/statuses/build")),
            Sort::BitbucketServer => build(format!("{}/commits/{commit}", self.parts[0])),
        }
    }
}

impl Mark {
    fn of(self, [pending, success, failure]: [&'static str; 3]) -> &'static str {
        match self {
            Mark::Pending => pending,
            Mark::Success => success,
            Mark::Failure => failure,
        }
    }
}

/// The name, or its beginning and a digest if it is too long.
fn key(context: &str) -> String {
    if context.len() <= KEY {
        return context.to_owned();
    }
    let beginning: String = context.chars().take(KEY - 11).collect();
    format!("{beginning}-{}", b32(10, [context]))
}

/// Percent-encodes all but letters, digits, `-._~` and what is in `kept`.
fn escaped(text: &str, kept: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        let letter = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-._~".contains(letter) || kept.contains(letter) {
            out.push(letter);
        } else {
            write!(out, "%{byte:02X}").expect("a String takes everything");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn shown(sort: Sort, url: &str) -> String {
        let api = Api::new(sort, url, None, Credentials::default()).unwrap();
        let commit = GitId::parse("4e0c3ad1f0a7f9a6f6b8b1f7e4c2d9a35c6b7d88").unwrap();
        let shown = |mark| Shown {
            commit,
            context: "osier/staging".to_owned(),
            mark,
            description: "why".to_owned(),
            link: (mark == Mark::Success).then(|| "https://x.example.com".to_owned()),
        };
        let (path, document) = api.request(&shown(Mark::Pending));
        let (_, success) = api.request(&shown(Mark::Success));
        let (_, failure) = api.request(&shown(Mark::Failure));
        let link = success.get("target_url").unwrap_or(&success["url"]);
        format!("{}{path}\n  {document}\n  {}, {}, {link}\n", api.remotes.url(), success["state"], failure["state"])
    }

    #[test]
    fn each_forge_is_asked_in_its_own_way() {
        let all = [
            shown(Sort::GitHub, "https://github.com/example/shop.git"),
            shown(Sort::GitHub, "git@ghe.example.com:example/shop.git"),
            shown(Sort::GitLab, "https://gitlab.example.com:8443/group/sub/shop.git"),
            shown(Sort::Gitea, "ssh://git@git.example.com:2222/example/shop"),
            shown(Sort::Bitbucket, "https://bitbucket.org/example/shop.git"),
            shown(Sort::BitbucketServer, "https://bitbucket.example.com/scm/ex/shop.git"),
        ];
        expect![[r#"
            https://api.github.com/repos/example/shop/statuses/4e0c3ad1f0a7f9a6f6b8b1f7e4c2d9a35c6b7d88
              {"context":"osier/staging","description":"why","state":"pending"}
              "success", "failure", "https://x.example.com"
            https://ghe.example.com/api/v3/repos/example/shop/statuses/4e0c3ad1f0a7f9a6f6b8b1f7e4c2d9a35c6b7d88
              {"context":"osier/staging","description":"why","state":"pending"}
              "success", "failure", "https://x.example.com"
            https://gitlab.example.com:8443/api/v4/projects/group%2Fsub%2Fshop/statuses/4e0c3ad1f0a7f9a6f6b8b1f7e4c2d9a35c6b7d88
              {"description":"why","name":"osier/staging","state":"pending"}
              "success", "failed", "https://x.example.com"
            https://git.example.com/api/v1/repos/example/shop/statuses/4e0c3ad1f0a7f9a6f6b8b1f7e4c2d9a35c6b7d88
              {"context":"osier/staging","description":"why","state":"pending"}
              "success", "failure", "https://x.example.com"
            https://api.bitbucket.org/2.0/repositories/example/shop/commit/4e0c3ad1f0a7f9a6f6b8b1f7e4c2d9a35c6b7d88/statuses/build
              {"description":"why","key":"osier/staging","name":"osier/staging","state":"INPROGRESS","url":"https://bitbucket.org/example/shop"}
              "SUCCESSFUL", "FAILED", "https://x.example.com"
            https://bitbucket.example.com/rest/build-status/1.0/commits/4e0c3ad1f0a7f9a6f6b8b1f7e4c2d9a35c6b7d88
              {"description":"why","key":"osier/staging","name":"osier/staging","state":"INPROGRESS","url":"https://bitbucket.example.com/ex/shop"}
              "SUCCESSFUL", "FAILED", "https://x.example.com"
        "#]].assert_eq(&all.concat());
    }

    #[test]
    fn what_lies_on_no_forge_is_refused_and_long_names_are_cut() {
        assert!(Api::new(Sort::Gitea, "/srv/git/shop.git", None, Credentials::default()).is_err());
        assert!(Api::new(Sort::Gitea, "https://h/a", Some("http://h/api/v1"), Credentials::default()).is_err());
        assert!(Sort::parse("gogs").unwrap_err().to_string().contains("`gogs`"));
        let long = key(&format!("osier/{}", "x".repeat(60)));
        assert_eq!(long.len(), KEY);
        assert_ne!(long, key(&format!("osier/{}", "x".repeat(61))));
        assert_eq!(escaped("a b/ü", "/"), "a%20b/%C3%BC");
    }
}
