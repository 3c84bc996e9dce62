//! A server that stands in for the API of a forge: it notes what it is told, and answers as it is told to.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

/// What it was told.
#[derive(Clone, Debug)]
pub struct Told {
    pub path: String,
    pub authorization: String,
    pub document: Value,
}

/// One on a free port of loopback; it ends with its test.
pub struct Forge {
    pub address: SocketAddr,
    told: Arc<Mutex<Vec<Told>>>,
    /// Statuses of the next answers; then 201.
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Forge {
    pub async fn start() -> Forge {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let forge = Forge { address: listener.local_addr().unwrap(), told: Arc::default(), answers: Arc::default() };
        let (told, answers) = (forge.told.clone(), forge.answers.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (told, answers) = (told.clone(), answers.clone());
                let service = service_fn(move |request| answer(request, told.clone(), answers.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        forge
    }

    /// The next answers have these statuses.
    pub fn answer(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    /// What it was told so far, refused or not.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }
}

async fn answer(
    request: Request<Incoming>,
    told: Arc<Mutex<Vec<Told>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let authorization = head.headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
    let document = serde_json::from_slice(&bytes).unwrap();
    told.lock().unwrap().push(Told { path: head.uri.path().to_owned(), authorization, document });
    let status = answers.lock().unwrap().pop_front().unwrap_or(201);
    let mut response = Response::new(Full::from("{}"));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    Ok(response)
}
