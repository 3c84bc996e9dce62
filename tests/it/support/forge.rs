//! A server that stands in for the API of a forge: it notes what it is told, keeps pull requests with their comments, and answers as it is
//! told to. What it gives has the fields of all five sorts, so that each reads its own.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The account of the token.
pub const US: u64 = 1;
/// What a page has at most.
const PAGE: usize = 50;

/// What it was told.
#[derive(Clone, Debug)]
pub struct Told {
    pub method: Method,
    pub path: String,
    pub authorization: String,
    pub document: Value,
    /// What it answered.
    pub status: u16,
}

/// A comment as the forge keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    pub id: u64,
    pub pull: u64,
    pub author: u64,
    pub text: String,
    pub version: u64,
}

/// What it keeps.
#[derive(Default)]
struct Kept {
    told: Vec<Told>,
    /// Statuses of the next answers; then what is right.
    answers: VecDeque<u16>,
    /// Number, branch, and whether it comes from a fork.
    pulls: Vec<(u64, String, bool)>,
    comments: Vec<Comment>,
    /// The token that it takes, if it takes no other.
    token: Option<String>,
    /// True if it does not say whose token it is.
    is_silent: bool,
    /// What all that is about pull requests is answered with, if it is refused.
    refused: Option<u16>,
    /// True if nobody but the author may change a comment, as on Bitbucket.
    is_strict: bool,
}

/// One on a free port of loopback; it ends with its test.
pub struct Forge {
    pub address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

impl Forge {
    pub async fn start() -> Forge {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let forge = Forge { address: listener.local_addr().unwrap(), kept: Arc::default() };
        let kept = forge.kept.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let kept = kept.clone();
                let service = service_fn(move |request| answer(request, kept.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        forge
    }

    /// The next answers have these statuses.
    pub fn answer(&self, statuses: &[u16]) {
        self.kept.lock().unwrap().answers.extend(statuses);
    }

    /// From now on it takes this token alone.
    pub fn takes(&self, token: &str) {
        self.kept.lock().unwrap().token = Some(token.to_owned());
    }

    /// What it was told so far, refused or not; not what it was asked.
    pub fn told(&self) -> Vec<Told> {
        let told = &self.kept.lock().unwrap().told;
        told.iter().filter(|told| told.method != Method::GET).cloned().collect()
    }

    /// Everything that came, questions too.
    pub fn heard(&self) -> Vec<Told> {
        self.kept.lock().unwrap().told.clone()
    }

    /// It does not say whose token it is; `is_strict` if it lets only authors change comments.
    pub fn keeps_silent(&self, is_strict: bool) {
        let mut kept = self.kept.lock().unwrap();
        (kept.is_silent, kept.is_strict) = (true, is_strict);
    }

    /// From now on, all that is about pull requests is refused with this status.
    pub fn answer_comments(&self, status: u16) {
        self.kept.lock().unwrap().refused = Some(status);
    }

    /// Somebody opens a pull request.
    pub fn open(&self, number: u64, branch: &str, from_fork: bool) {
        self.kept.lock().unwrap().pulls.push((number, branch.to_owned(), from_fork));
    }

    /// Somebody writes a comment.
    pub fn write(&self, pull: u64, author: u64, text: &str) {
        self.kept.lock().unwrap().write(pull, author, text);
    }

    pub fn comments(&self) -> Vec<Comment> {
        self.kept.lock().unwrap().comments.clone()
    }
}

async fn answer(request: Request<Incoming>, kept: Arc<Mutex<Kept>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let authorization = head.headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
    let document = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    let path = head.uri.path().to_owned();
    let (status, body) = {
        let mut kept = kept.lock().unwrap();
        let mut told = Told { method: head.method, path, authorization, document, status: 0 };
        let is_known = kept.token.as_ref().is_none_or(|token| told.authorization == format!("Bearer {token}"));
        let (status, body) = match kept.answers.pop_front() {
            Some(status) => (status, json!({})),
            None if !is_known => (401, json!({})),
            None => kept.answer(&told, head.uri.query().unwrap_or_default()),
        };
        told.status = status;
        kept.told.push(told);
        (status, body)
    };
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if status == 429 {
        response.headers_mut().insert("retry-after", 1.into());
    }
    Ok(response)
}

impl Kept {
    fn answer(&mut self, told: &Told, query: &str) -> (u16, Value) {
        let Told { method, path, document, .. } = told;
        let words: Vec<&str> = path.split('/').collect();
        let has_values = path.contains("/repositories/") || path.contains("/pull-requests");
        let list = |items: Vec<Value>| {
            let start = page(query);
            let shown: Vec<&Value> = items.iter().skip(start).take(PAGE).collect();
            if has_values { json!({"values": shown, "isLastPage": true}) } else { json!(shown) }
        };
        if let Some(status) = self.refused.filter(|_| path.contains("/pulls") || path.contains("/comments")) {
            return (status, json!({}));
        }
        match (method, words[words.len() - 2..].as_ref()) {
            (_, [.., "user"]) if self.is_silent => (403, json!({})),
            (_, [.., "user"]) => (200, account(US)),
            (&Method::GET, [.., "pulls" | "merge_requests" | "pullrequests" | "pull-requests"]) => {
                (200, list(self.pulls.iter().map(pull).collect()))
            }
            (&Method::GET, [pull, what @ ("comments" | "notes" | "activities")]) => {
                let pull: u64 = pull.parse().unwrap();
                let mut of_pull: Vec<Value> =
                    self.comments.iter().filter(|comment| comment.pull == pull).map(comment).collect();
                if *what == "activities" {
                    of_pull.reverse();
                    for item in &mut of_pull {
                        *item = json!({"id": item["id"], "comment": item.clone()});
                    }
                    of_pull.insert(0, json!({"id": 0, "action": "OPENED"}));
                }
                (200, list(of_pull))
            }
            (&Method::POST, [pull, "comments" | "notes"]) => {
                let made = self.write(pull.parse().unwrap(), US, text(document));
                (201, made)
            }
            (&Method::PATCH | &Method::PUT, ["comments" | "notes", id]) => self.change(id.parse().unwrap(), document),
            (&Method::GET, _) => (404, json!({})),
            // a status of a commit
            _ => (201, json!({})),
        }
    }

    fn write(&mut self, pull: u64, author: u64, text: &str) -> Value {
        let id = self.comments.len() as u64 + 100;
        self.comments.push(Comment { id, pull, author, text: text.to_owned(), version: 0 });
        comment(self.comments.last().unwrap())
    }

    fn change(&mut self, id: u64, document: &Value) -> (u16, Value) {
        let is_strict = self.is_strict;
        let Some(found) = self.comments.iter_mut().find(|comment| comment.id == id) else { return (404, json!({})) };
        if is_strict && found.author != US {
            return (403, json!({}));
        }
        if document.get("version").is_some_and(|version| *version != found.version) {
            return (409, json!({}));
        }
        text(document).clone_into(&mut found.text);
        found.version += 1;
        (200, comment(found))
    }
}

/// How many items come before the page that is asked for.
fn page(query: &str) -> usize {
    let of = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.parse::<usize>().ok());
    of("page=").map_or_else(|| of("start=").unwrap_or(0), |page| (page - 1) * PAGE)
}

fn text(document: &Value) -> &str {
    [&document["body"], &document["text"], &document["content"]["raw"]].iter().find_map(|text| text.as_str()).unwrap()
}

fn account(id: u64) -> Value {
    json!({"id": id, "uuid": format!("{{{id}}}"), "type": if id == US { "Bot" } else { "User" }})
}

fn pull((number, branch, from_fork): &(u64, String, bool)) -> Value {
    let side = |id: u64, branch: &str| {
        let repository = json!({"id": id, "uuid": format!("{{{id}}}")});
        json!({"ref": branch, "repo": repository, "repository": repository, "branch": {"name": branch}, "id": format!("refs/heads/{branch}")})
    };
    let from = if *from_fork { 8 } else { 7 };
    json!({"id": number, "number": number, "iid": number, "source_branch": branch, "source_project_id": from, "target_project_id": 7,
        "head": side(from, branch), "source": side(from, branch), "fromRef": side(from, branch),
        "base": side(7, "main"), "destination": side(7, "main"), "toRef": side(7, "main")})
}

fn comment(comment: &Comment) -> Value {
    let Comment { id, author, text, version, .. } = comment;
    json!({"id": id, "body": text, "text": text, "content": {"raw": text}, "version": version,
        "user": account(*author), "author": account(*author)})
}
