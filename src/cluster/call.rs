//! One request: its timeout, when it is repeated, and what is left of an error.

use std::fmt;
use std::time::Duration;

use data_encoding::HEXLOWER;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Bytes;
use kube::Client;
use kube::client::Body;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cluster::Cluster;

/// `Accept` for an object's metadata without its values.
pub const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
/// `Accept` for a list of metadata.
pub const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/// `Accept` for whole objects.
pub const WHOLE: &str = "application/json";

const AGENT: &str = concat!("osier/", env!("CARGO_PKG_VERSION"));
/// How often a request is sent at most. The pauses add up to about two seconds: longer outages are for the next pass.
const ATTEMPTS: u32 = 5;
/// The first pause; it doubles.
const PAUSE: Duration = Duration::from_millis(120);
/// Longest pause, whatever `Retry-After` says.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is asked of the server.
pub(super) struct Call {
    verb: &'static str,
    method: Method,
    path: String,
    accept: &'static str,
    body: Option<(&'static str, Bytes)>,
    sensitive: bool,
    /// True if it may change something.
    writes: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong in the last attempt.
    pub cause: Cause,
    /// True if an earlier attempt may have taken effect.
    pub repeated: bool,
}

/// What went wrong. Texts of requests that carry secrets are reduced to code, reason and field names.
#[derive(Debug)]
pub enum Cause {
    /// The server refused.
    Refused(Refusal),
    /// The server could not be reached, or the connection broke.
    Broken(String),
    /// No answer in time.
    TimedOut(Duration),
    /// The answer is no JSON.
    Unreadable,
    /// The Lease is not ours any more: nothing was sent.
    LeaseLost,
}

/// A refusal, as the server's Status says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// Kubernetes' reason, such as `AlreadyExists`.
    pub reason: String,
    /// The sentence; empty where it could quote a value.
    pub message: String,
    /// Fields that it is about.
    pub fields: Vec<String>,
    /// Reasons of the causes, such as `NamespaceTerminating`.
    pub causes: Vec<String>,
    /// What the sentence gives away about its kind, kept where the sentence is not.
    pub sign: Sign,
}

/// What a refusal is about, as far as only the server's sentence tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sign {
    /// Nothing that matters.
    #[default]
    None,
    /// A resource quota.
    Quota,
    /// An admission policy or webhook.
    Admission,
    /// The uid that the request named is another object's.
    OtherObject,
    /// The object cannot be applied at all, such as for a duplicate name in a keyed list.
    NotApplicable,
}

impl Call {
    pub(super) fn get(path: String, accept: &'static str) -> Self {
        Self::new("get", Method::GET, path, accept)
    }

    pub(super) fn list(path: String, accept: &'static str) -> Self {
        Self::new("list", Method::GET, path, accept)
    }

    pub(super) fn watch(path: String, accept: &'static str) -> Self {
        Self::new("watch", Method::GET, path, accept)
    }

    pub(super) fn post(path: String, body: &Value) -> Self {
        Self::new("post", Method::POST, path, METADATA).body("application/json", body)
    }

    pub(super) fn json_patch(path: String, body: &Value) -> Self {
        Self::new("patch", Method::PATCH, path, METADATA).body("application/json-patch+json", body)
    }

    pub(super) fn merge_patch(path: String, body: &Value) -> Self {
        Self::new("patch", Method::PATCH, path, METADATA).body("application/merge-patch+json", body)
    }

    pub(super) fn apply(path: String, body: &Value) -> Self {
        Self::new("patch", Method::PATCH, path, METADATA).body("application/apply-patch+yaml", body)
    }

    pub(super) fn delete(path: String, body: &Value) -> Self {
        Self::new("delete", Method::DELETE, path, WHOLE).body("application/json", body)
    }

    /// Asks for a review, which is not stored: a follower may, too.
    pub(super) fn review(path: String, body: &Value) -> Self {
        Self { writes: false, ..Self::post(path, body).whole() }
    }

    /// Asks for the whole object back.
    pub(super) fn whole(self) -> Self {
        Self { accept: WHOLE, ..self }
    }

    /// Says whether the body carries secrets, which a refusal could quote.
    pub(super) fn sensitive(self, sensitive: bool) -> Self {
        Self { sensitive, ..self }
    }

    fn new(verb: &'static str, method: Method, path: String, accept: &'static str) -> Self {
        let writes = method != Method::GET;
        Self { verb, method, path, accept, body: None, sensitive: false, writes }
    }

    fn body(self, content_type: &'static str, body: &Value) -> Self {
        Self { body: Some((content_type, body.to_string().into())), ..self }
    }

    fn request(&self) -> Result<Request<Body>, http::Error> {
        let builder = Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, self.accept);
        match &self.body {
            Some((content_type, bytes)) => builder.header(CONTENT_TYPE, *content_type).body(Body::from(bytes.clone())),
            None => builder.body(Body::empty()),
        }
    }
}

impl Cluster {
    /// Sends a request until it is answered, refused for good, or was tried often enough.
    ///
    /// 429 is always tried again: the server has done nothing. After a 5xx or a lost answer the request is sent again too,
    /// and `repeated` says that it may have taken effect before: writes are fenced, so that the caller can tell.
    pub(super) async fn call(&self, call: &Call) -> Result<Value, Failure> {
        self.call_for(call).await
    }

    /// As `call`, read as `T` straight from the bytes.
    pub(super) async fn call_for<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Failure> {
        let bytes = self.bytes(call).await?;
        serde_json::from_slice(&bytes).map_err(|_| Failure { cause: Cause::Unreadable, repeated: false })
    }

    /// As `call`, for an answer that is looked at in more than one way.
    pub(super) async fn bytes(&self, call: &Call) -> Result<Bytes, Failure> {
        let mut repeated = false;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let Some(limit) = self.limit(call) else { return Err(Failure { cause: Cause::LeaseLost, repeated }) };
            self.count_request(call.verb);
            let (cause, retry_after) = match self.once(call, limit).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let throttled = cause.code() == Some(429);
            if throttled {
                self.count_throttled();
            }
            if attempt == ATTEMPTS || !(throttled || cause.is_outage()) {
                return Err(Failure { cause, repeated });
            }
            repeated |= !throttled;
            tokio::time::sleep(retry_after.unwrap_or_else(|| pause(attempt)).min(LONGEST_PAUSE)).await;
        }
    }

    /// How long an answer is waited for: what changes something must be over before the Lease is; `None` if it is.
    fn limit(&self, call: &Call) -> Option<Duration> {
        match &self.fence {
            Some(fence) if call.writes => Some(fence.remaining()?.min(self.timeout)),
            _ => Some(self.timeout),
        }
    }

    async fn once(&self, call: &Call, limit: Duration) -> Result<Bytes, (Cause, Option<Duration>)> {
        match tokio::time::timeout(limit, self.exchange(call)).await {
            Ok(result) => result,
            Err(_) => Err((Cause::TimedOut(limit), None)),
        }
    }

    async fn exchange(&self, call: &Call) -> Result<Bytes, (Cause, Option<Duration>)> {
        let body = Self::respond(&self.client, call).await?;
        let body = body.collect().await.map_err(|error| (Cause::Broken(innermost(&error)), None))?;
        Ok(body.to_bytes())
    }

    /// Sends a request once, by this client; what is answered is still to be read.
    pub(super) async fn respond(client: &Client, call: &Call) -> Result<Body, (Cause, Option<Duration>)> {
        let broken = |error: &dyn std::error::Error| (Cause::Broken(innermost(error)), None);
        let request = call.request().map_err(|error| broken(&error))?;
        let response = client.send(request).await.map_err(|error| broken(&error))?;
        let (head, body) = response.into_parts();
        if head.status.is_success() {
            return Ok(body);
        }
        let bytes = body.collect().await.map_err(|error| broken(&error))?.to_bytes();
        let seconds = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let refusal = Refusal::read(head.status, &bytes, call.sensitive);
        Err((Cause::Refused(refusal), seconds.map(Duration::from_secs)))
    }
}

impl Cause {
    /// HTTP status of a refusal.
    pub fn code(&self) -> Option<u16> {
        match self {
            Cause::Refused(refusal) => Some(refusal.code),
            Cause::Broken(_) | Cause::TimedOut(_) | Cause::Unreadable | Cause::LeaseLost => None,
        }
    }

    /// True if the server may answer otherwise in a moment.
    fn is_outage(&self) -> bool {
        match self {
            Cause::Refused(refusal) => {
                matches!(refusal.code, 500 | 502 | 503 | 504) && refusal.sign != Sign::NotApplicable
            }
            Cause::Broken(_) | Cause::TimedOut(_) => true,
            Cause::Unreadable | Cause::LeaseLost => false,
        }
    }
}

impl Refusal {
    /// Reads a Status; what is no Status (a proxy's page) leaves only the code.
    fn read(status: StatusCode, bytes: &[u8], sensitive: bool) -> Self {
        let body = serde_json::from_slice(bytes).unwrap_or_default();
        Self { code: status.as_u16(), ..Self::of(&body, sensitive) }
    }

    /// What a Status object says.
    pub(super) fn of(body: &Value, sensitive: bool) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let causes = body["details"]["causes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let named = |key: &str| causes.iter().map(|cause| text(&cause[key])).filter(|name| !name.is_empty()).collect();
        let message = text(&body["message"]);
        Self {
            code: body["code"].as_u64().and_then(|code| code.try_into().ok()).unwrap_or_default(),
            reason: text(&body["reason"]),
            fields: named("field"),
            causes: named("reason"),
            sign: Sign::read(&message),
            message: if sensitive { String::new() } else { message },
        }
    }
}

impl Sign {
    /// The API has no field for these: its sentences are all there is.
    fn read(message: &str) -> Self {
        let has = |part: &str| message.contains(part);
        match () {
            () if has("exceeded quota") => Sign::Quota,
            () if has("denied request") || has("denied the request") => Sign::Admission,
            () if has("/metadata/uid") || has("metadata.uid") || has("uid mismatch") => Sign::OtherObject,
            () if has("failed to create typed patch object") => Sign::NotApplicable,
            () => Sign::None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the API server answers {}", self.code)?;
        if !self.reason.is_empty() {
            write!(f, " {}", self.reason)?;
        }
        match (&*self.message, &*self.fields) {
            ("", []) => Ok(()),
            ("", fields) => write!(f, ": {}", fields.join(", ")),
            (message, _) => write!(f, ": {message}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Refused(refusal) => refusal.fmt(f),
            Cause::Broken(text) => write!(f, "no answer from the API server: {text}"),
            Cause::TimedOut(limit) => write!(f, "the API server did not answer within {} s", limit.as_secs()),
            Cause::Unreadable => f.write_str("the API server's answer is no JSON"),
            Cause::LeaseLost => f.write_str("somebody else may lead by now: nothing was sent"),
        }
    }
}

impl std::error::Error for Failure {}

/// The cause at the bottom: connection errors wrap one another and say the same in more words.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// A pause that doubles with each attempt from the first on.
pub(super) fn pause(attempt: u32) -> Duration {
    jittered(PAUSE.saturating_mul(1 << (attempt - 1).min(10)).min(LONGEST_PAUSE))
}

/// Between half and all of it, so that many clients do not come back together.
pub(super) fn jittered(time: Duration) -> Duration {
    let mut random = [0; 1];
    let share = match getrandom::fill(&mut random) {
        Ok(()) => f64::from(random[0]) / 255.0,
        Err(_) => 0.5,
    };
    time.mul_f64(0.5 + share / 2.0)
}

/// Percent-encodes a name or value for a path or query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push('%');
            out.push_str(&HEXLOWER.encode(&[byte]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(code: u16, message: &str, sensitive: bool) -> Refusal {
        let status = json!({"kind": "Status", "reason": "Invalid", "message": message,
            "details": {"causes": [{"reason": "FieldValueInvalid", "message": message, "field": "data[k]"}]}});
        Refusal::read(StatusCode::from_u16(code).unwrap(), status.to_string().as_bytes(), sensitive)
    }

    #[test]
    fn refusals_of_secrets_keep_no_sentence() {
        let message = "Secret \"db\" is invalid: data[k]: Invalid value: \"hunter2\"";
        assert!(refusal(422, message, false).to_string().contains("hunter2"));
        assert_eq!(refusal(422, message, true).to_string(), "the API server answers 422 Invalid: data[k]");
        assert!(!format!("{:?}", refusal(422, message, true)).contains("hunter2"));
    }

    #[test]
    fn signs_outlive_the_sentence() {
        assert_eq!(refusal(403, "exceeded quota: q, requested: secrets=1", true).sign, Sign::Quota);
        assert_eq!(refusal(500, "failed to create typed patch object", true).sign, Sign::NotApplicable);
        assert!(!Cause::Refused(refusal(500, "failed to create typed patch object", true)).is_outage());
        assert!(Cause::Refused(refusal(503, "", true)).is_outage());
    }

    #[test]
    fn what_is_no_status_leaves_the_code() {
        let page = Refusal::read(StatusCode::BAD_GATEWAY, b"<html>secret</html>", false);
        assert_eq!(page.to_string(), "the API server answers 502");
    }

    #[test]
    fn encoded_leaves_names_alone() {
        assert_eq!(encoded("app-1.x"), "app-1.x");
        assert_eq!(encoded("a/b=c"), "a%2fb%3dc");
    }
}
