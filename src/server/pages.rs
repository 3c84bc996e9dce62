//! Probes and metrics. They take no input but a path.

use std::convert::Infallible;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use tokio::net::TcpListener;

use crate::server::health::{Health, Probe};
use crate::server::{not_allowed, serve, text};

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// The media type of what `prometheus-client` writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is answered with.
pub struct Pages {
    /// `/livez` and `/readyz`.
    pub health: Arc<Health>,
    /// `/metrics`: OpenMetrics text as it is now.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
}

impl Pages {
    /// Serves them until the future is dropped.
    pub async fn serve(self, listener: TcpListener) -> Result<(), Infallible> {
        let pages = Arc::new(self);
        serve(listener, CONNECTIONS, move |request, _| {
            let response = pages.answer(request.method(), request.uri().path());
            async move { response }
        })
        .await
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        match path {
            "/livez" | "/readyz" | "/metrics" if !is_read => not_allowed("GET, HEAD"),
            "/livez" => probed(self.health.alive()),
            "/readyz" => probed(self.health.readiness()),
            "/metrics" => {
                let mut page = text(StatusCode::OK, (self.metrics)());
                page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
                page
            }
            _ => text(StatusCode::NOT_FOUND, "/livez /readyz /metrics\n"),
        }
    }
}

fn probed(probe: Probe) -> Response<Full<Bytes>> {
    text(if probe.passes { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, probe.text)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::{net, thread};

    use tokio::sync::oneshot;

    use super::*;
    use crate::server::LARGEST_HEAD;

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
            ended = pages.serve(listener) => panic!("{ended:?}"),
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
            ("POST /metrics", "405 Method Not Allowed", "GET, HEAD only\n"),
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
