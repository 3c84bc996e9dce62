//! One call from its head to its answer.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use tokio::time::Instant;

use crate::model::wire::WEBHOOK_PATH;
use crate::receiver::allowance::Allowance;
use crate::receiver::bell::{Bell, Bells};
use crate::receiver::forge::{Forge, told};
use crate::receiver::forwarded::caller;
use crate::receiver::metrics::Metrics;
use crate::receiver::signature::{Check, Secrets};
use crate::server::{not_allowed, text};
use crate::settings::network::Network;

/// Largest body: a push of a thousand commits has some 500 KiB.
const LARGEST_BODY: u64 = 1 << 20;

/// How a call ended; metrics name each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The Repository is looked at.
    Heard,
    /// It was right, and told of something that moves no branch.
    NothingMoved,
    /// It is not known to come from somebody who has the secret of such a Repository.
    NotRight,
    /// Too many calls in vain came from there.
    TooMany,
    /// The body is larger than any push.
    TooLarge,
    /// The body did not come to its end.
    Broken,
}

/// What calls are answered with.
pub struct Calls {
    /// The Repositories.
    pub bells: Bells,
    /// What each source has left.
    pub allowance: Allowance,
    /// Whose word is taken for who calls.
    pub proxies: Vec<Network>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Calls {
    /// Answers one call. Whatever it says, the most that comes of it is a look at a Repository whose secret it knows.
    pub async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Response<Full<Bytes>> {
        let source = caller(peer, request.headers(), &self.proxies);
        let path = request.uri().path();
        let Some(name) = path.strip_prefix(WEBHOOK_PATH).filter(|name| !name.is_empty() && !name.contains('/')) else {
            return text(StatusCode::NOT_FOUND, format!("POST {WEBHOOK_PATH}REPOSITORY\n"));
        };
        if request.method() != Method::POST {
            return not_allowed("POST");
        }
        let name = name.to_owned();
        let bell = self.bells.get(&name);
        let known = bell.is_some().then_some(name.as_str());
        let (forge, is_push) = told(request.headers());
        if let Err(wait) = self.allowance.take(source, known, Instant::now()) {
            self.metrics.called(forge, Ending::TooMany);
            let mut response = response(Ending::TooMany);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            return response;
        }
        let ending = match heard(request, bell.as_deref()).await {
            Ok(()) if is_push => Ending::Heard,
            Ok(()) => Ending::NothingMoved,
            Err(ending) => ending,
        };
        self.end(forge, ending, bell.as_deref());
        if matches!(ending, Ending::Heard | Ending::NothingMoved) {
            self.allowance.give_back(source, known);
        }
        tracing::debug!(repository = known, forge = forge.as_str(), ending = ending.as_str(), "called");
        response(ending)
    }

    fn end(&self, forge: Forge, ending: Ending, bell: Option<&Bell>) {
        self.metrics.called(forge, ending);
        if let (Ending::Heard, Some(bell)) = (ending, bell) {
            bell.ring();
        }
    }
}

impl Ending {
    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Ending::Heard => "Heard",
            Ending::NothingMoved => "NothingMoved",
            Ending::NotRight => "NotRight",
            Ending::TooMany => "TooMany",
            Ending::TooLarge => "TooLarge",
            Ending::Broken => "Broken",
        }
    }
}

/// Takes the body in, and says whether the call is right.
///
/// # Errors
/// How it ends else. A Repository that is not there ends as one whose secret is another, after the same work.
async fn heard(request: Request<Incoming>, bell: Option<&Bell>) -> Result<(), Ending> {
    let secrets = bell.and_then(Bell::secrets).unwrap_or_else(|| Arc::new(Secrets::of_nobody()));
    let (head, mut body) = request.into_parts();
    if body.size_hint().lower() > LARGEST_BODY {
        return Err(Ending::TooLarge);
    }
    let mut check = secrets.check(&head.headers).ok_or(Ending::NotRight)?;
    take(&mut body, &mut check).await?;
    if check.is_right() { Ok(()) } else { Err(Ending::NotRight) }
}

async fn take(body: &mut Incoming, check: &mut Check) -> Result<(), Ending> {
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Ending::Broken)?;
        let Some(bytes) = frame.data_ref() else { continue };
        size += bytes.len() as u64;
        if size > LARGEST_BODY {
            return Err(Ending::TooLarge);
        }
        check.update(bytes);
    }
    Ok(())
}

fn response(ending: Ending) -> Response<Full<Bytes>> {
    let (code, line) = match ending {
        Ending::Heard => (StatusCode::ACCEPTED, "the repository is looked at\n"),
        Ending::NothingMoved => (StatusCode::OK, "no push: nothing is looked at\n"),
        Ending::NotRight => (StatusCode::FORBIDDEN, "no such repository, or not signed with its webhook secret\n"),
        Ending::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too many calls in vain\n"),
        Ending::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "1 MiB at most\n"),
        Ending::Broken => (StatusCode::BAD_REQUEST, "the body broke off\n"),
    };
    text(code, line)
}
