//! Our connections, below libgit2's protocol. libgit2 itself never sees a URL of a server, nor a credential.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use git2::{FetchOptions, Repository};

use crate::git::advertisement::printable;
use crate::git::connection::{Connection, REFS_LIMIT, Visit};
use crate::git::failure::Failure;
use crate::git::remotes::place::Place;

/// The scheme of the only URL that libgit2 is given for servers.
pub(in crate::git) const SCHEME: &str = "osier";

thread_local! {
    /// What the fetch that runs on this thread is about: libgit2 makes the transport while it runs, and passes on only a URL.
    static CURRENT: RefCell<Option<Shared>> = const { RefCell::new(None) };
}

/// Between the fetch, libgit2's transport and its streams.
#[derive(Clone)]
struct Shared {
    visit: Visit,
    connection: Arc<Mutex<Option<Connection>>>,
    failure: Arc<Mutex<Option<Failure>>>,
}

/// Fetches by `refspecs` from the server that is visited, and says what the server's side of a failure was.
pub(in crate::git) fn fetch(
    visit: &Visit,
    repository: &Repository,
    refspecs: &[String],
    options: &mut FetchOptions<'_>,
) -> Result<bool, (Option<Failure>, git2::Error)> {
    let shared = Shared { visit: visit.clone(), connection: Arc::default(), failure: Arc::default() };
    CURRENT.set(Some(shared.clone()));
    let fetched = repository.remote_anonymous(&format!("{SCHEME}://fetch")).and_then(|mut remote| {
        remote.fetch(refspecs, Some(options), None)?;
        // The names in the list are not read: git2 panics on one that is not UTF-8.
        Ok(remote.list()?.is_empty())
    });
    CURRENT.set(None);
    fetched.map_err(|e| (shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take(), e))
}

/// Makes the transport of the fetch that runs on this thread.
pub(in crate::git) fn make(remote: &git2::Remote<'_>) -> Result<Transport, git2::Error> {
    let shared = CURRENT.with_borrow(Clone::clone).ok_or_else(|| git2::Error::from_str("no fetch runs here"))?;
    let is_rpc = matches!(shared.visit.address().place, Place::Http(_));
    Transport::smart(remote, is_rpc, shared)
}

impl Shared {
    /// Remembers why, the first time, and gives libgit2 something to stop at.
    fn failed(&self, failure: Failure) -> io::Error {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        io::Error::other("the connection failed")
    }

    fn with<T>(&self, job: impl FnOnce(&mut Connection) -> Result<T, Failure>) -> io::Result<T> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let has_failed = self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let done = match connection.as_mut() {
            _ if has_failed => return Err(io::Error::other("the connection failed before")),
            Some(connection) => job(connection),
            None => match Connection::open(&self.visit) {
                Ok(Some(opened)) => job(connection.insert(opened)),
                Ok(None) => return Err(io::Error::other("not a server")),
                Err(failure) => Err(failure),
            },
        };
        done.map_err(|failure| self.failed(failure))
    }
}

impl SmartSubtransport for Shared {
    fn action(&self, _: &str, service: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let stream = Stream { shared: self.clone(), request: Vec::new(), refs: None };
        match service {
            Service::UploadPackLs => {
                self.with(Connection::ask_refs).map_err(|e| git2::Error::from_str(&e.to_string()))?;
                Ok(Box::new(Stream { refs: Some(0), ..stream }))
            }
            Service::UploadPack => Ok(Box::new(stream)),
            Service::ReceivePackLs | Service::ReceivePack => Err(git2::Error::from_str("nothing is ever sent")),
        }
    }

    fn close(&self) -> Result<(), git2::Error> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(())
    }
}

/// A question and its answer: over HTTP a request each, over SSH all of them in one.
struct Stream {
    shared: Shared,
    request: Vec<u8>,
    /// Bytes of the refs so far; none once something was asked.
    refs: Option<u64>,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let request = std::mem::take(&mut self.request);
        let length = self.shared.with(|connection| {
            if let Connection::Http(http) = connection
                && !request.is_empty()
            {
                http.ask_pack(request)?;
            }
            connection.read(buffer)
        })?;
        if let Some(refs) = &mut self.refs {
            *refs += length as u64;
            if *refs > REFS_LIMIT {
                return Err(self.shared.failed(Failure::TooManyRefs { limit: REFS_LIMIT }));
            }
            if let Some(said) = buffer[..length].get(4..).and_then(|line| line.strip_prefix(b"ERR ")) {
                return Err(self.shared.failed(Failure::Refused { said: printable(said) }));
            }
        }
        Ok(length)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.refs = None;
        self.shared.with(|connection| match connection {
            Connection::Http(_) => {
                self.request.extend_from_slice(bytes);
                Ok(())
            }
            Connection::Ssh(ssh) => ssh.write(bytes),
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
