//! A request, read: what is asked of which objects, and in which form the answer shall be.

use http::Method;
use http::request::Parts;
use hyper::body::Bytes;

use crate::sandbox::refusal::Refusal;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/version`, `/api`, `/apis/…`, `/openapi/…`, `/readyz`: the path's segments.
    Discovery(Vec<String>),
    Objects(Place),
}

/// The objects that a path names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub group: String,
    pub version: String,
    pub resource: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub subresource: Option<String>,
}

/// The forms in which objects are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Table,
    Metadata,
    Discovery,
    /// None that the sandbox can write.
    Unacceptable,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub target: Target,
    pub query: Query,
    pub form: Form,
    pub content_type: String,
    pub user_agent: String,
    pub body: Bytes,
}

/// The decoded query parameters.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(k, v)| (decoded(k), decoded(v)))
                .collect(),
        )
    }

    /// The first non-empty value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    pub fn flag(&self, name: &str) -> bool {
        self.0.iter().any(|(key, value)| key == name && matches!(value.as_str(), "" | "1" | "true"))
    }

    /// A number.
    ///
    /// # Errors
    ///
    /// 400 in the words of kube-apiserver.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse();
        number
            .map(Some)
            .map_err(|_| Refusal::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
    }
}

impl Call {
    pub fn new(parts: &Parts, body: Bytes) -> Call {
        let header =
            |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let content_type = header(http::header::CONTENT_TYPE);
        Call {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            target: target_of(parts.uri.path()),
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            form: form_of(&header(http::header::ACCEPT)),
            content_type: content_type.split(';').next().unwrap_or_default().trim().to_owned(),
            user_agent: header(http::header::USER_AGENT),
            body,
        }
    }

    /// The verb as audit logs and access rules call it.
    pub fn verb(&self) -> &'static str {
        let Target::Objects(place) = &self.target else { return "discovery" };
        match (self.method.as_str(), place.name.is_some()) {
            ("GET" | "HEAD", false) if self.is_watch() => "watch",
            ("GET" | "HEAD", true) => "get",
            ("GET" | "HEAD", false) => "list",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "delete",
            ("DELETE", false) => "deletecollection",
            _ => "unknown",
        }
    }

    pub fn is_watch(&self) -> bool {
        self.query.flag("watch")
    }

    /// The field manager: the query's, else the program's name in the User-Agent.
    pub fn manager(&self) -> String {
        let agent = self.user_agent.split('/').next().unwrap_or_default();
        let manager = self.query.get("fieldManager").unwrap_or(agent);
        if manager.is_empty() { "unknown".to_owned() } else { manager.chars().take(128).collect() }
    }

    pub fn is_dry_run(&self) -> bool {
        self.query.get("dryRun").is_some()
    }
}

fn target_of(path: &str) -> Target {
    let segments: Vec<String> = path.split('/').filter(|segment| !segment.is_empty()).map(decoded_path).collect();
    let names: Vec<&str> = segments.iter().map(String::as_str).collect();
    let place = match names.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => place_of("", version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => place_of(group, version, rest),
        _ => None,
    };
    place.map_or(Target::Discovery(segments), Target::Objects)
}

fn place_of(group: &str, version: &str, rest: &[&str]) -> Option<Place> {
    let place = Place { group: group.to_owned(), version: version.to_owned(), ..Place::default() };
    let own = |text: &&str| Some((*text).to_owned());
    let at = |namespace: Option<String>, names: &[&str]| match names {
        [resource] => Some((namespace, own(resource), None, None)),
        [resource, name] => Some((namespace, own(resource), own(name), None)),
        [resource, name, subresource] => Some((namespace, own(resource), own(name), own(subresource))),
        _ => None,
    };
    let (namespace, resource, name, subresource) = match rest {
        ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => at(None, rest)?,
        ["namespaces", namespace, names @ ..] if !names.is_empty() => at(own(namespace), names)?,
        names => at(None, names)?,
    };
    Some(Place { namespace, resource: resource?, name, subresource, ..place })
}

fn form_of(accept: &str) -> Form {
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let parts: Vec<&str> = parts.collect();
        let is = |name: &str| parts.contains(&name);
        match media {
            "application/json" if is("as=Table") => return Form::Table,
            "application/json" if is("as=PartialObjectMetadata") || is("as=PartialObjectMetadataList") => {
                return Form::Metadata;
            }
            "application/json" if is("as=APIGroupDiscoveryList") && is("v=v2") => return Form::Discovery,
            "application/json" | "application/*" | "*/*" | "" if parts.iter().all(|part| !part.starts_with("as=")) => {
                return Form::Json;
            }
            _ => {}
        }
    }
    Form::Unacceptable
}

fn decoded(text: &str) -> String {
    decoded_path(&text.replace('+', " "))
}

fn decoded_path(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = (*first == b'%').then(|| tail.get(..2)).flatten();
        let value =
            escape.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
