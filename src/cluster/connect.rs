//! Connections to one API server: HTTP/2 where it offers that, requests apart from watches.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::middleware::{AuthLayer, ExtraHeadersLayer};
use kube::client::{Body, ConfigExt, RustlsTlsError};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tower::{BoxError, ServiceBuilder};

use crate::cluster::Cluster;
use crate::cluster::error::Error;
use crate::cluster::leases::Leadership;
use crate::cluster::live::LISTS;
use crate::cluster::write::guesses::Guesses;

/// Longest time for one request; for a write of the service what is left of its Lease, where that is less.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for opening a connection: a server that is there answers at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Watches on one connection. The server carries 100 streams; the next one would wait without a word for one of them to end.
const WATCHES: usize = 90;
/// Watches that are opened at once on one connection. Until the first of them is answered, each opens a connection of its own, to find out
/// whether the server speaks HTTP/2.
const OPENINGS: usize = 4;
/// How long a connection with streams may be silent before it is asked whether it is there, and how long it may take to say so.
/// Together they are half of a request's time, so that its second attempt goes over another connection.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// What the server may send of one watch that nobody has read. All watches of a connection stay below the connection's own window
/// (hyper's 5 MiB), so that one slow reader cannot stop the others.
const WATCH_WINDOW: u32 = 48 << 10;

impl Cluster {
    /// Connects as `kubeconfig` says, or as kubectl would find it, or from within a pod. Sends nothing yet.
    ///
    /// # Errors
    /// `Kubeconfig` if there is no usable configuration, `Client` if the certificates in it cannot be used.
    pub async fn connect(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Self, Error> {
        let connector =
            Connector::new(config(kubeconfig, context).await?).map_err(|source| Error::Client { source })?;
        let requests = connector.requests();
        Ok(Self::over(requests, move || connector.watches()))
    }

    /// The namespace that the service account or the context names. `default` names none: nobody chose it.
    ///
    /// # Errors
    /// `Kubeconfig` if there is no usable configuration.
    pub async fn own_namespace(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Option<String>, Error> {
        let namespace = config(kubeconfig, context).await?.default_namespace;
        Ok(Some(namespace).filter(|namespace| namespace != "default"))
    }

    /// Uses a client that exists already, such as one over the sandbox.
    pub fn new(client: Client) -> Self {
        let watching = client.clone();
        Self::over(client, move || watching.clone())
    }

    fn over(requests: Client, watching: impl Fn() -> Client + Send + Sync + 'static) -> Self {
        Self {
            client: requests,
            watching: Watching {
                make: Box::new(watching),
                connections: Mutex::default(),
                lists: Semaphore::new(LISTS),
            },
            kinds: Mutex::default(),
            timeout: TIMEOUT,
            fence: None,
            requests: Mutex::default(),
            throttled: AtomicU64::default(),
            executions: AtomicUsize::default(),
            account: OnceCell::new(),
            guesses: Guesses::default(),
        }
    }

    /// The same with another limit for one request.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The same for a leader: what changes something is sent only while the Lease is held, and given up before it runs out.
    #[must_use]
    pub fn fenced(self, fence: Leadership) -> Self {
        Self { fence: Some(fence), ..self }
    }
}

async fn config(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Config, Error> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    Ok(match kubeconfig {
        Some(path) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?,
        None if context.is_some() => Config::from_kubeconfig(&options).await?,
        None => Config::infer().await?,
    })
}

/// Connections for watches. As many are opened as watches need; they close when nobody uses them.
pub(super) struct Watching {
    make: Box<dyn Fn() -> Client + Send + Sync>,
    connections: Mutex<Vec<Connection>>,
    lists: Semaphore,
}

struct Connection {
    client: Client,
    room: Arc<Semaphore>,
    door: Arc<Semaphore>,
}

/// Room for one watch on a connection, until it is dropped.
pub(super) struct Place {
    pub(super) client: Client,
    /// Held while the watch is opened.
    pub(super) door: Arc<Semaphore>,
    _held: OwnedSemaphorePermit,
}

impl Watching {
    /// A watch's turn to list, until it is dropped.
    pub(super) async fn list(&self) -> SemaphorePermit<'_> {
        self.lists.acquire().await.expect("nobody closes it")
    }

    /// Finds room for a watch; never waits.
    pub(super) fn place(&self) -> Place {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = connections.iter().find_map(Connection::place) {
            return place;
        }
        let (room, door) = (Arc::new(Semaphore::new(WATCHES)), Arc::new(Semaphore::new(OPENINGS)));
        connections.push(Connection { client: (self.make)(), room, door });
        connections.last().and_then(Connection::place).expect("a new connection has room")
    }
}

impl Connection {
    fn place(&self) -> Option<Place> {
        let held = Arc::clone(&self.room).try_acquire_owned().ok()?;
        Some(Place { client: self.client.clone(), door: Arc::clone(&self.door), _held: held })
    }
}

/// What all clients of one server share: TLS sessions, credentials, headers. Each client has connections of its own.
struct Connector {
    config: Config,
    auth: Option<AuthLayer>,
    headers: ExtraHeadersLayer,
    transport: TimeoutConnector<HttpsConnector<HttpConnector>>,
}

impl Connector {
    fn new(config: Config) -> Result<Self, kube::Error> {
        if let Some(url) = &config.proxy_url {
            return Err(kube::Error::ProxyProtocolUnsupported { proxy_url: Box::new(url.clone()) });
        }
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true); // else each request over HTTP/2 waits 40 ms for an acknowledgement
        let mut tls = HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
        if let Some(name) = &config.tls_server_name {
            let name = name
                .clone()
                .try_into()
                .map_err(|error| kube::Error::RustlsTls(RustlsTlsError::InvalidServerName(error)))?;
            tls = tls.with_server_name_resolver(FixedServerNameResolver::new(name));
        }
        let mut transport = TimeoutConnector::new(tls.enable_all_versions().wrap_connector(http));
        transport.set_connect_timeout(Some(CONNECT_TIMEOUT));
        Ok(Self { auth: config.auth_layer()?, headers: config.extra_headers_layer()?, transport, config })
    }

    /// A client for requests. Its connection stays open, so that a commit need not wait for a new one.
    fn requests(&self) -> Client {
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.http2_keep_alive_while_idle(true).pool_idle_timeout(None);
        self.client(&mut builder)
    }

    /// A client for the watches of one connection.
    fn watches(&self) -> Client {
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.http2_initial_stream_window_size(WATCH_WINDOW);
        self.client(&mut builder)
    }

    /// It repeats nothing by itself: `call` has the rule. Over TLS the server chooses HTTP/2 or HTTP/1.1.
    fn client(&self, builder: &mut legacy::Builder) -> Client {
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_keep_alive_interval(PING.0)
            .http2_keep_alive_timeout(PING.1);
        let service = ServiceBuilder::new()
            .layer(self.config.base_uri_layer())
            .option_layer(self.auth.as_ref())
            .layer(&self.headers)
            .map_err(BoxError::from)
            .service(builder.build::<_, Body>(self.transport.clone()));
        Client::new(service, self.config.default_namespace.clone())
    }
}
