//! L3: what the service says over HTTP: probes and metrics. It takes no input but a path.

pub mod health;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::server::health::{Health, Probe};

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// Longest time for a request's head: probes send it at once.
const HEAD: Duration = Duration::from_secs(5);
/// Largest head of a request.
const LARGEST_HEAD: usize = 16 << 10;
/// Longest time for a whole connection.
const CONNECTION: Duration = Duration::from_secs(15);
/// Pause after a connection that could not be taken, such as for want of file descriptors.
const AGAIN: Duration = Duration::from_millis(100);

/// What the server answers with.
pub struct Pages {
    /// `/livez` and `/readyz`.
    pub health: Arc<Health>,
    /// `/metrics`: OpenMetrics text as it is now.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
}

/// Serves HTTP/1.1 until the future is dropped; open connections end with it.
pub async fn serve(listener: TcpListener, pages: Pages) -> Result<(), Infallible> {
    let pages = Arc::new(pages);
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(connections.spawn(connection(stream, Arc::clone(&pages)))),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                sleep(AGAIN).await;
            }
        }
        while connections.try_join_next().is_some() {}
        while connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
    }
}

async fn connection(stream: TcpStream, pages: Arc<Pages>) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(request.method(), request.uri().path(), &pages);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LARGEST_HEAD).keep_alive(false);
    match timeout(CONNECTION, http.serve_connection(TokioIo::new(stream), service)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection broke"),
        Err(_) => tracing::debug!("a connection took too long"),
    }
}

fn answer(method: &Method, path: &str, pages: &Pages) -> Response<Full<Bytes>> {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    match path {
        "/livez" | "/readyz" | "/metrics" if !is_read => {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n".to_owned());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            refused
        }
        "/livez" => probed(pages.health.alive()),
        "/readyz" => probed(pages.health.readiness()),
        "/metrics" => {
            let mut page = text(StatusCode::OK, (pages.metrics)());
            page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
            page
        }
        _ => text(StatusCode::NOT_FOUND, "/livez /readyz /metrics\n".to_owned()),
    }
}

/// The media type of what `prometheus-client` writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn probed(probe: Probe) -> Response<Full<Bytes>> {
    text(if probe.passes { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, probe.text)
}

fn text(code: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::{net, thread};

    use tokio::sync::oneshot;

    use super::*;

    /// The status line and the body that a raw request is answered with.
    async fn ask(request: &str) -> (String, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let health = Arc::new(Health::new(["keys"]));
        let pages = Pages { health, metrics: Box::new(|| "# EOF\n".to_owned()) };
        let (said, answer) = oneshot::channel();
        let request = request.to_owned();
        thread::spawn(move || {
            let mut stream = net::TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            said.send(answer).unwrap();
        });
        let answer = tokio::select! {
            answer = answer => answer.unwrap(),
            ended = serve(listener, pages) => panic!("{ended:?}"),
        };
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
    }

    #[tokio::test]
    async fn every_path_has_its_answer() {
        for (line, status, body) in [
            ("GET /livez", "200 OK", "ok\n"),
            ("HEAD /livez", "200 OK", ""),
            ("GET /readyz", "503 Service Unavailable", "keys: not yet\n"),
            ("GET /metrics", "200 OK", "# EOF\n"),
            ("POST /metrics", "405 Method Not Allowed", "GET and HEAD only\n"),
            ("GET /", "404 Not Found", "/livez /readyz /metrics\n"),
            ("DELETE /secrets", "404 Not Found", "/livez /readyz /metrics\n"),
        ] {
            let answer = ask(&format!("{line} HTTP/1.1\r\nHost: o\r\n\r\n")).await;
            assert_eq!(answer, (format!("HTTP/1.1 {status}"), body.to_owned()), "{line}");
        }
    }

    #[tokio::test]
    async fn what_is_no_request_is_refused_and_what_never_ends_is_cut() {
        assert_eq!(ask("nonsense\r\n\r\n").await.0, "HTTP/1.1 400 Bad Request");
        let long = format!("GET /livez HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(LARGEST_HEAD));
        assert_eq!(ask(&long).await.0, "HTTP/1.1 431 Request Header Fields Too Large");
        let (line, _) = ask("GET /livez HTTP/1.1\r\nHost: o\r\nX: and so on").await;
        assert!(line.is_empty() || line.starts_with("HTTP/1.1 408"), "{line}");
    }
}
