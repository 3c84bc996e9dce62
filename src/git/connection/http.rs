//! Git over HTTP(S): `gitprotocol-http`, the smart one. Redirects are not followed, cookies and caches do not exist.

use std::io;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::git::connection::Visit;
use crate::git::connection::dial::{dial, refused, runtime};
use crate::git::error::Cause;
use crate::git::failure::Failure;
use crate::git::remotes::place::{Site, bare};

const REFS: &str = "application/x-git-upload-pack-advertisement";
const REQUEST: &str = "application/x-git-upload-pack-request";
const JSON: &str = "application/json";
const PACK: &str = "application/x-git-upload-pack-result";
/// Largest document of an API that is read: fifty comments of the length that GitHub takes are less than half of it.
const DOCUMENT: usize = 8 << 20;
/// How many requests are left, as GitHub says it; to come back after a minute is right for all whose time is not told.
const LEFT: &str = "x-ratelimit-remaining";
const WHILE: u64 = 60;
/// Some servers answer with pages unless the name begins like this.
const AGENT: &str = concat!("git/osier-", env!("CARGO_PKG_VERSION"));

/// What the next request goes by, and what this one was answered with.
type Exchanged = (SendRequest<Full<Bytes>>, Response<Incoming>);

/// One repository over HTTP: one connection at a time, used again while the server lets it.
pub(in crate::git) struct Http {
    visit: Visit,
    site: Site,
    runtime: Runtime,
    sender: Option<SendRequest<Full<Bytes>>>,
    body: Option<Incoming>,
    chunk: Bytes,
}

impl Http {
    /// Connects with the first request.
    pub(in crate::git) fn new(visit: &Visit, site: &Site) -> Result<Self, Failure> {
        let runtime = runtime().map_err(|e| refused(&site.host, site.port, &e))?;
        let (visit, site) = (visit.clone(), site.clone());
        Ok(Self { visit, site, runtime, sender: None, body: None, chunk: Bytes::new() })
    }

    /// Asks for the refs; they are read next.
    pub(in crate::git) fn ask_refs(&mut self) -> Result<(), Failure> {
        let request = self.request(Method::GET, "/info/refs?service=git-upload-pack", REFS);
        self.ask(request, REFS)
    }

    /// Asks for a pack; it is read next.
    pub(in crate::git) fn ask_pack(&mut self, wanted: Vec<u8>) -> Result<(), Failure> {
        let mut request = self.request(Method::POST, "/git-upload-pack", PACK);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(REQUEST));
        *request.body_mut() = Full::from(wanted);
        self.ask(request, PACK)
    }

    /// Sends a document to an API of the server's. What it answers is not read but for its status.
    pub(in crate::git) fn post(&mut self, path: &str, document: &Value) -> Result<(), Failure> {
        self.exchange(Method::POST, path, Some(document)).map(drop)
    }

    /// Asks an API of the server's, and reads its answer.
    pub(in crate::git) fn call(
        &mut self,
        method: Method,
        path: &str,
        document: Option<&Value>,
    ) -> Result<Value, Failure> {
        let (sender, answer) = self.exchange(method, path, document)?;
        (self.sender, self.body) = (Some(sender), Some(answer.into_body()));
        let mut read = Vec::new();
        while let Some(chunk) = self.next()? {
            read.extend_from_slice(&chunk);
            if read.len() > DOCUMENT {
                return Err(Failure::Unintelligible);
            }
        }
        serde_json::from_slice(&read).map_err(|_| Failure::Unintelligible)
    }

    fn exchange(&mut self, method: Method, path: &str, document: Option<&Value>) -> Result<Exchanged, Failure> {
        let mut request = self.request(method, path, JSON);
        if let Some(document) = document {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
            *request.body_mut() = Full::from(document.to_string());
        }
        let (sender, answer) = self.send(request)?;
        let (status, headers) = (answer.status(), answer.headers());
        if let Some(seconds) = limited(status, headers) {
            return Err(Failure::Limited { seconds });
        }
        if !status.is_success() {
            self.judge(status, headers, JSON)?;
        }
        self.visit.address().is_welcome();
        Ok((sender, answer))
    }

    /// The next bytes of the answer; none at its end.
    pub(in crate::git) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        while self.chunk.is_empty() {
            match self.next()? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.chunk.len());
        buffer[..length].copy_from_slice(&self.chunk.split_to(length));
        Ok(length)
    }

    /// Sends a request and looks at the head of its answer.
    fn ask(&mut self, request: Request<Full<Bytes>>, content_type: &'static str) -> Result<(), Failure> {
        let (sender, answer) = self.send(request)?;
        self.judge(answer.status(), answer.headers(), content_type)?;
        (self.sender, self.body) = (Some(sender), Some(answer.into_body()));
        self.visit.address().is_welcome();
        Ok(())
    }

    fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Exchanged, Failure> {
        let mut sender = self.sender()?;
        let limit = self.visit.silence()?;
        let answer = self.runtime.block_on(async { timeout(limit, sender.send_request(request)).await });
        let answer = answer.map_err(|_| self.in_vain())?.map_err(|e| broken_off(&e))?;
        Ok((sender, answer))
    }

    fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(body) = &mut self.body else { return Ok(None) };
        let limit = self.visit.silence()?;
        let frame = self.runtime.block_on(async { timeout(limit, body.frame()).await });
        let Some(frame) = frame.map_err(|_| self.in_vain())? else {
            self.body = None;
            return Ok(None);
        };
        let chunk = frame.map_err(|e| broken_off(&e))?.into_data().unwrap_or_default();
        self.visit.counters.received(chunk.len());
        Ok(Some(chunk))
    }

    /// The connection of the request before if it can take another one, else a new one.
    fn sender(&mut self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        self.chunk = Bytes::new();
        let is_read = self.body.is_none() || self.next()?.is_none();
        let limit = self.visit.silence()?;
        if let Some(mut sender) = self.sender.take().filter(|_| is_read)
            && self.runtime.block_on(async { timeout(limit, sender.ready()).await }).is_ok_and(|ready| ready.is_ok())
        {
            return Ok(sender);
        }
        self.body = None;
        self.connect()
    }

    fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let Site { host, port, .. } = &self.site;
        let stream = dial(&self.visit, host, *port)?;
        let limit = self.visit.patience(self.visit.remotes.limits.connect)?;
        self.runtime.block_on(async {
            let stream = TcpStream::from_std(stream).map_err(|e| refused(host, *port, &e))?;
            match self.visit.remotes.tls.as_ref().filter(|_| self.site.tls) {
                None => self.begin(stream).await,
                Some(tls) => {
                    let agreed = timeout(limit, tls.connect(host, stream)).await;
                    self.begin(agreed.map_err(|_| self.visit.in_vain(self.visit.remotes.limits.connect))??).await
                }
            }
        })
    }

    /// The connection is driven by this object's own runtime, which runs while something is waited for, and ends with it.
    async fn begin<S>(&self, stream: S) -> Result<SendRequest<Full<Bytes>>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken_off(&e))?;
        // what ends the connection ends the request or the body on it too, which say so
        drop(self.runtime.spawn(connection));
        Ok(sender)
    }

    fn request(&self, method: Method, path: &str, accept: &'static str) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        *request.uri_mut() =
            format!("{}{path}", self.site.path).parse().expect("the characters of the path were checked with the URL");
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::try_from(host(&self.site)).expect("the characters of a host were checked"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some(value) = self.visit.remotes.credentials.authorization() {
            let mut value = HeaderValue::from_bytes(value.as_bytes()).expect("a line without control characters");
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        request
    }

    fn judge(&self, status: StatusCode, headers: &HeaderMap, content_type: &str) -> Result<(), Failure> {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        let given = self.visit.remotes.credentials.authorization().is_some();
        Err(match status.as_u16() {
            200 if text(CONTENT_TYPE) == content_type => return Ok(()),
            200 => Failure::NotGit { content_type: text(CONTENT_TYPE).to_owned() },
            301..=308 => Failure::Moved { to: bare(text(LOCATION)).trim_end_matches("/info/refs").to_owned() },
            401 if given => Failure::Unauthorized { before: self.visit.address().was_welcome() },
            401 => Failure::NoCredentials,
            403 => Failure::Forbidden,
            404 | 410 => Failure::NoRepository,
            code => Failure::Status { code },
        })
    }

    fn in_vain(&self) -> Failure {
        self.visit.in_vain(self.visit.remotes.limits.silence)
    }
}

/// How long the server wants to be left alone, if that is why it refuses.
///
/// GitHub says it with 403 as well, in `Retry-After` or by having no request left (REST documentation, "Rate limits").
fn limited(status: StatusCode, headers: &HeaderMap) -> Option<u64> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let after = text(RETRY_AFTER.as_str());
    let is_limited = match status.as_u16() {
        429 => true,
        403 => after.is_some() || text(LEFT) == Some("0"),
        _ => false,
    };
    is_limited.then(|| after.and_then(|seconds| seconds.parse().ok()).unwrap_or(WHILE))
}

fn host(site: &Site) -> String {
    let host = if site.host.contains(':') { format!("[{}]", site.host) } else { site.host.clone() };
    format!("{host}:{}", site.port)
}

/// hyper's text, or that of the system below it.
fn broken_off(error: &hyper::Error) -> Failure {
    let inner = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    let source = match inner {
        Some(inner) => Cause::from(inner),
        None => Cause { code: "Http".into(), text: error.to_string() },
    };
    Failure::BrokenOff { source }
}
