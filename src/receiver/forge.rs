//! Which forge calls, and whether it tells of a push or a pull request. Both are only hints: what they decide is whether a look is worth while.

use http::HeaderMap;

/// Who calls, as far as the headers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forge {
    /// Gitea and Forgejo.
    Gitea,
    /// GitLab.
    GitLab,
    /// Bitbucket Cloud and Server.
    Bitbucket,
    /// GitHub.
    GitHub,
    /// Somebody who says nothing of himself.
    Other,
}

/// A header that names what happened, and the names after which branches may stand elsewhere, or have a pull request.
///
/// The first that is there counts: Gitea and Forgejo send the headers of others beside their own.
const HEADERS: [(&str, Forge, &[&str]); 5] = [
    ("x-forgejo-event", Forge::Gitea, &["push", "create", "delete", "pull_request"]),
    ("x-gitea-event", Forge::Gitea, &["push", "create", "delete", "pull_request"]),
    ("x-gitlab-event", Forge::GitLab, &["Push Hook", "System Hook", "Merge Request Hook"]),
    (
        "x-event-key",
        Forge::Bitbucket,
        &["repo:push", "repo:refs_changed", "mirror:repo_synchronized", "pullrequest:created", "pr:opened"],
    ),
    ("x-github-event", Forge::GitHub, &["push", "create", "delete", "pull_request"]),
];

impl Forge {
    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Forge::Gitea => "gitea",
            Forge::GitLab => "gitlab",
            Forge::Bitbucket => "bitbucket",
            Forge::GitHub => "github",
            Forge::Other => "other",
        }
    }
}

/// Who calls, and whether of a push. Who does not say what happened means a push.
pub fn told(headers: &HeaderMap) -> (Forge, bool) {
    for (header, forge, pushes) in HEADERS {
        if let Some(said) = headers.get(header) {
            return (forge, pushes.iter().any(|push| push.as_bytes() == said.as_bytes()));
        }
    }
    (Forge::Other, true)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn pushes_are_told_from_what_else_happens() {
        for (headers, forge, is_push) in [
            (&[("x-github-event", "push")][..], Forge::GitHub, true),
            (&[("x-github-event", "ping")], Forge::GitHub, false),
            (&[("x-github-event", "pull_request")], Forge::GitHub, true),
            (&[("x-github-event", "push"), ("x-gitea-event", "push")], Forge::Gitea, true),
            (&[("x-gitlab-event", "Push Hook")], Forge::GitLab, true),
            (&[("x-gitlab-event", "Note Hook")], Forge::GitLab, false),
            (&[("x-event-key", "repo:push")], Forge::Bitbucket, true),
            (&[("x-event-key", "diagnostics:ping")], Forge::Bitbucket, false),
            (&[("x-event-key", "")], Forge::Bitbucket, false),
            (&[], Forge::Other, true),
        ] {
            let header = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            assert_eq!(told(&headers.iter().map(header).collect()), (forge, is_push), "{headers:?}");
        }
    }
}
