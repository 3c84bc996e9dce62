//! L3: what long-running processes say over HTTP, and how they listen: bounded in connections, sizes and time.

pub mod health;
pub mod pages;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::model::reason::{Reason, Retry};

/// Longest time for a request's head: probes and forges send it at once.
const HEAD: Duration = Duration::from_secs(5);
/// Largest head of a request.
const LARGEST_HEAD: usize = 16 << 10;
/// Longest time for a whole connection, which carries one request: forges give up after ten seconds.
const CONNECTION: Duration = Duration::from_secs(15);
/// Pause after a connection that could not be taken, such as for want of file descriptors.
const AGAIN: Duration = Duration::from_millis(100);

/// The address is in use or not ours.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address}")]
pub struct Error {
    /// Which.
    address: SocketAddr,
    /// The argument that names it.
    argument: &'static str,
    /// Why.
    #[source]
    source: std::io::Error,
}

impl Error {
    /// The one of the closed list.
    pub fn reason(&self) -> Reason {
        Reason::ServerUnavailable
    }

    /// Somebody may give the address up.
    pub fn retry(&self) -> Retry {
        Retry::Later
    }

    /// What to do.
    pub fn hint(&self) -> String {
        format!("pass {} ADDRESS:PORT with an address that is free", self.argument)
    }
}

/// Listens at the address that `argument` names. Gives the port that was free if none was asked for.
///
/// # Errors
/// It is in use or not ours.
pub async fn listen(argument: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| Error { address, argument, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Serves HTTP/1.1, one request a connection, until the future is dropped; open connections end with it.
///
/// At most so many `connections` are open at once; more wait in the kernel's queue. `answer` is told who asks; a panic in it costs only
/// that connection.
pub async fn serve<A, F>(listener: TcpListener, connections: usize, answer: A) -> Result<(), Infallible>
where
    A: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let mut open = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => drop(open.spawn(connection(stream, peer.ip(), answer.clone()))),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                sleep(AGAIN).await;
            }
        }
        while open.try_join_next().is_some() {}
        while open.len() >= connections {
            open.join_next().await;
        }
    }
}

/// An answer of one line, or of a page.
pub fn text(code: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// 405, with the methods that there are.
pub fn not_allowed(allowed: &'static str) -> Response<Full<Bytes>> {
    let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, format!("{allowed} only\n"));
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    refused
}

async fn connection<A, F>(stream: TcpStream, peer: IpAddr, answer: A)
where
    A: Fn(Request<Incoming>, IpAddr) -> F,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(|request: Request<Incoming>| {
        let answered = answer(request, peer);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LARGEST_HEAD).keep_alive(false);
    match timeout(CONNECTION, http.serve_connection(TokioIo::new(stream), service)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection broke"),
        Err(_) => tracing::debug!("a connection took too long"),
    }
}
