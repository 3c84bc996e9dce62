//! Answers as HTTP, and the HTTP server.

use std::io;

use futures::stream::{self, BoxStream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WARNING};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::sandbox::faults::Action;
use crate::sandbox::refusal::Refusal;
use crate::sandbox::shared::BoxError;
use crate::sandbox::{Body, Broken, Sandbox};

/// As many as the real server carries on one connection.
const STREAMS: u32 = 100;

impl Sandbox {
    /// Serves HTTP/1.1, and HTTP/2 to those who begin with it, until the future is dropped; open connections end with it.
    ///
    /// # Errors
    ///
    /// When the listener fails.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let sandbox = self.clone();
            connections.spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let sandbox = sandbox.clone();
                    async move { sandbox.answer(request).await.map_err(io::Error::other) }
                });
                let mut server = auto::Builder::new(TokioExecutor::new());
                server.http2().max_concurrent_streams(STREAMS);
                let served = server.serve_connection(TokioIo::new(stream), service).await;
                if let Err(error) = served {
                    tracing::debug!(%error, "a connection to the sandbox broke");
                }
            });
            while connections.try_join_next().is_some() {}
        }
    }
}

pub fn json(code: StatusCode, value: &Value, warnings: &[String]) -> Response<Body> {
    let mut response = typed(value, "application/json");
    *response.status_mut() = code;
    for warning in warnings {
        let quoted = format!("299 - {}", Value::String(warning.clone()));
        if let Ok(header) = HeaderValue::from_str(&quoted) {
            response.headers_mut().append(WARNING, header);
        }
    }
    response
}

pub fn typed(value: &Value, media_type: &'static str) -> Response<Body> {
    let mut text = value.to_string();
    text.push('\n');
    whole(text.into(), media_type)
}

pub fn text(text: &'static str) -> Response<Body> {
    whole(Bytes::from_static(text.as_bytes()), "text/plain; charset=utf-8")
}

fn whole(bytes: Bytes, media_type: &'static str) -> Response<Body> {
    let body = Full::new(bytes).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

pub fn refused(refusal: &Refusal) -> Response<Body> {
    let is_page = refusal.code == StatusCode::NOT_FOUND && refusal.reason.is_empty();
    if is_page {
        let mut response = whole(Bytes::from(refusal.message.clone()), "text/plain; charset=utf-8");
        *response.status_mut() = refusal.code;
        return response;
    }
    let mut response = json(refusal.code, &refusal.status(), &[]);
    if refusal.code == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

pub fn stream(events: BoxStream<'static, Result<Frame<Bytes>, BoxError>>) -> Response<Body> {
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The first half of an answer; then the connection breaks.
pub async fn cut_short(answer: Response<Body>) -> Response<Body> {
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let half = bytes.slice(..bytes.len() / 2);
    let frames = stream::iter([Ok(Frame::data(half)), Err(Broken.into())]);
    Response::from_parts(head, StreamBody::new(frames).boxed_unsync())
}

/// A watch that a fault plan spoils.
pub fn faulty_watch(action: &Action) -> Response<Body> {
    let line = match action {
        Action::Forget => {
            let refusal = Refusal::expired("too old resource version: a planned fault".to_owned());
            format!("{}\n", json!({"type": "ERROR", "object": refusal.status()}))
        }
        Action::Babble => "{\"type\":\"ADDED\",\"object\":{{\n".to_owned(),
        _ => return self::stream(stream::pending().boxed()),
    };
    self::stream(stream::iter([Ok(Frame::data(Bytes::from(line)))]).boxed())
}

/// A body that fails as soon as it is read.
pub fn broken_body(error: BoxError) -> Body {
    StreamBody::new(stream::iter([Err(error)])).boxed_unsync()
}
