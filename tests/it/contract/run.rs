//! Runs one row against one server.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;

use crate::contract::format::{Request, Row, Step};
use crate::contract::matching;
use crate::support::control_plane::User;
use crate::support::server::{self, Answer, Events, PATIENCE, Server};

/// Between two looks of a step that waits for a controller.
const LOOK: Duration = Duration::from_millis(50);
/// A value that is too large for a ConfigMap or Secret.
const TOO_LARGE: usize = 1_100_000;

struct Run<'a> {
    server: &'a Server,
    clients: HashMap<String, kube::Client>,
    names: BTreeMap<String, String>,
    watch: Option<Events>,
}

/// Runs the row's steps in a namespace of its own; the error says which line fails and how.
pub async fn row(server: &Server, row: &Row) -> Result<(), String> {
    let mut names = row.names.clone();
    names.insert("ns".to_owned(), server.namespace().await);
    names.insert("large".to_owned(), "x".repeat(TOO_LARGE));
    let mut run = Run { server, clients: HashMap::new(), names, watch: None };
    for step in &row.steps {
        let (line, outcome) = match step {
            Step::Request(request) => (request.line, run.request(request).await),
            Step::Event { line, expect } => (*line, run.event(expect).await),
            Step::End { line } => (*line, run.end().await),
        };
        outcome.map_err(|why| format!("  {}:{line}: {why}", row.file))?;
    }
    Ok(())
}

impl Run<'_> {
    async fn request(&mut self, request: &Request) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let answer = loop {
            let answer = self.send(request).await?;
            match self.judge(request, &answer) {
                Ok(()) => break answer,
                Err(_) if request.eventually && Instant::now() < deadline => tokio::time::sleep(LOOK).await,
                Err(why) => return Err(why),
            }
        };
        for (name, path) in &request.keep {
            let value =
                at(&answer.body, path).ok_or_else(|| format!("nothing at {path} to keep in {}", answer.body))?;
            self.names.insert(name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        Ok(())
    }

    async fn send(&mut self, request: &Request) -> Result<Answer, String> {
        let (method, content_type) = method(&request.method);
        let path = self.fill(&request.path)?;
        let mut headers = vec![("content-type".to_owned(), content_type.to_owned())];
        for (name, value) in &request.headers {
            headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            headers.push((name.clone(), self.fill(value)?));
        }
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let user = request.user.as_deref().map(|user| self.fill(user)).transpose()?;
        let client = self.client(user.as_deref()).await;
        if request.method == "WATCH" {
            let (answer, events) = server::watch(&client, &path, &headers).await;
            self.watch = events;
            return Ok(answer);
        }
        let body = self.body(request.body.as_deref())?;
        Ok(server::request(&client, method, &path, &headers, body).await)
    }

    fn judge(&self, request: &Request, answer: &Answer) -> Result<(), String> {
        let said = || format!("answered {} {}", answer.status, shortened(&answer.body));
        if answer.status != request.status {
            return Err(format!("expected {}, {}", request.status, said()));
        }
        if let Some(expect) = &request.expect {
            self.compare(expect, &answer.body).map_err(|why| format!("{why}\n  {}", said()))?;
        }
        match &request.warning {
            Some(warning) if !answer.warnings.iter().any(|text| text.contains(warning)) => {
                Err(format!("no warning with `{warning}` in {:?}", answer.warnings))
            }
            _ => Ok(()),
        }
    }

    async fn event(&mut self, expect: &str) -> Result<(), String> {
        let watch = self.watch.as_mut().ok_or("no watch is open")?;
        let event = watch.next().await.ok_or("the watch has ended")?;
        self.compare(expect, &event).map_err(|why| format!("{why}\n  event {}", shortened(&event)))
    }

    async fn end(&mut self) -> Result<(), String> {
        let watch = self.watch.as_mut().ok_or("no watch is open")?;
        while let Some(event) = watch.next().await {
            if event["type"] != "BOOKMARK" {
                return Err(format!("expected the end, got event {}", shortened(&event)));
            }
        }
        Ok(())
    }

    fn compare(&self, expect: &str, actual: &Value) -> Result<(), String> {
        let expected = yaml(&self.fill(expect)?)?;
        matching::difference(&expected, Some(actual)).map_or(Ok(()), Err)
    }

    async fn client(&mut self, user: Option<&str>) -> kube::Client {
        let name = user.unwrap_or("admin");
        if let Some(client) = self.clients.get(name) {
            return client.clone();
        }
        let user = match name {
            "admin" => User::admin(),
            "unknown" => User::unknown(),
            name => User::person(name),
        };
        let client = self.server.client(&user).await;
        self.clients.insert(name.to_owned(), client.clone());
        client
    }

    /// YAML is sent as JSON, `raw` text as it stands.
    fn body(&self, body: Option<&str>) -> Result<String, String> {
        let Some(body) = body else { return Ok(String::new()) };
        let body = self.fill(body)?;
        match body.strip_prefix("raw ") {
            Some(raw) => Ok(raw.to_owned()),
            None => Ok(yaml(&body)?.to_string()),
        }
    }

    /// Replaces every `$name` by its text, which may have names in turn; `$$` is a dollar sign.
    fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            filled.push_str(&rest[..dollar]);
            let after = &rest[dollar + 1..];
            if let Some(after) = after.strip_prefix('$') {
                filled.push('$');
                rest = after;
                continue;
            }
            let end = after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len());
            let value =
                self.names.get(&after[..end]).ok_or_else(|| format!("nothing is named `${}`", &after[..end]))?;
            filled.push_str(&self.fill(value)?);
            rest = &after[end..];
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

fn method(word: &str) -> (Method, &'static str) {
    match word {
        "APPLY" => (Method::PATCH, "application/apply-patch+yaml"),
        "JSON-PATCH" => (Method::PATCH, "application/json-patch+json"),
        "MERGE-PATCH" => (Method::PATCH, "application/merge-patch+json"),
        "STRATEGIC-PATCH" => (Method::PATCH, "application/strategic-merge-patch+json"),
        "WATCH" => (Method::GET, "application/json"),
        plain => (plain.parse().expect("the parser knows the words"), "application/json"),
    }
}

fn yaml(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| format!("not YAML: {error}\n{text}"))
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, part| match value {
        Value::Array(list) => list.get(part.parse::<usize>().ok()?),
        _ => value.get(part),
    })
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    text.char_indices().nth(1500).map_or_else(|| text.clone(), |(end, _)| format!("{}...", &text[..end]))
}
