//! The API server's audit log: who asked for what, exactly.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long the last requests may take to reach the log. It is written by the request itself, so this is never waited out.
const CATCH_UP: Duration = Duration::from_secs(20);

/// One request, at Metadata level.
#[derive(Clone, Debug)]
pub struct AuditLine {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; of paths without a kind the method.
    pub verb: String,
    /// Empty for the core group.
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// 0 while there is no answer.
    pub code: u64,
    pub user: String,
    pub uri: String,
    pub time: jiff::Timestamp,
    finished: bool,
}

impl AuditLine {
    /// True of a watch that has not ended.
    pub fn is_open(&self) -> bool {
        !self.finished
    }
}

/// Policy: every request twice, when it arrives and when it is answered. The first line is written before any work is
/// done, so a reader knows which second lines it still has to wait for.
pub const POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}"#;

/// The requests of one user so far, in the order of their arrival; each that has been answered to the caller is in it.
///
/// Panics if a request that arrived (watches apart) stays without an answer.
pub async fn read(log: &Path, user: &str) -> Vec<AuditLine> {
    let deadline = Instant::now() + CATCH_UP;
    loop {
        let lines = parse(&std::fs::read_to_string(log).unwrap_or_default(), user);
        let open = lines.iter().find(|line| !line.finished && line.verb != "watch");
        match open {
            None => return lines,
            Some(line) if Instant::now() > deadline => panic!("the audit log has no answer to {line:?}"),
            Some(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// A last line without its end is still being written; it is read the next time.
fn parse(log: &str, user: &str) -> Vec<AuditLine> {
    let mut lines: Vec<AuditLine> = Vec::new();
    let mut by_id: HashMap<String, usize> = HashMap::new();
    let needle = format!("\"username\":\"{user}\"");
    let complete = log.rfind('\n').map_or("", |end| &log[..end]);
    for event in complete.lines().filter(|line| line.contains(&needle)) {
        let event: Value = serde_json::from_str(event).expect("an audit line is JSON");
        let line = line(&event);
        if line.user != user {
            continue;
        }
        let id = text(&event, "/auditID");
        if let Some(&index) = by_id.get(&id) {
            lines[index] = line;
        } else {
            by_id.insert(id, lines.len());
            lines.push(line);
        }
    }
    lines
}

fn line(event: &Value) -> AuditLine {
    AuditLine {
        verb: text(event, "/verb"),
        group: text(event, "/objectRef/apiGroup"),
        resource: text(event, "/objectRef/resource"),
        subresource: text(event, "/objectRef/subresource"),
        namespace: text(event, "/objectRef/namespace"),
        name: text(event, "/objectRef/name"),
        code: event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or_default(),
        user: text(event, "/user/username"),
        uri: text(event, "/requestURI"),
        time: text(event, "/requestReceivedTimestamp").parse().expect("an audit line has its time"),
        finished: matches!(text(event, "/stage").as_str(), "ResponseComplete" | "Panic"),
    }
}

fn text(event: &Value, pointer: &str) -> String {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
