//! Git over SSH: one channel that runs `git-upload-pack`. The host's key is checked before anything is said about us.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use ssh2::{Channel, ErrorCode, MethodType, Session};

use crate::git::connection::Visit;
use crate::git::connection::dial::{dial, refused};
use crate::git::error::Cause;
use crate::git::failure::Failure;
use crate::git::remotes::place::Account;

/// libssh2's `LIBSSH2_ERROR_TIMEOUT`.
const TIMEOUT: ErrorCode = ErrorCode::Session(-9);
/// libssh2's `LIBSSH2_ERROR_AUTHENTICATION_FAILED` and `_PUBLICKEY_UNVERIFIED`: the server said no.
const REFUSED: [ErrorCode; 2] = [ErrorCode::Session(-18), ErrorCode::Session(-19)];
/// libssh2's `LIBSSH2_ERROR_FILE`, and what its key readers give: the key is none, or has another passphrase.
const UNUSABLE: [ErrorCode; 3] = [ErrorCode::Session(-16), ErrorCode::Session(-12), ErrorCode::Session(-1)];
/// What a server says when it refuses is a line or two.
const SAID: u64 = 1 << 10;

/// One repository over SSH.
pub(in crate::git) struct Ssh {
    /// Dropped first, as the order of the fields has it.
    _line: Line,
    channel: Channel,
    session: Session,
    visit: Visit,
    answered: bool,
}

/// The connection below the session. It is cut when it is dropped: libssh2 would wait for the other side to say goodbye.
struct Line(TcpStream);

impl Drop for Line {
    fn drop(&mut self) {
        // if it is cut already, all the better
        self.0.shutdown(Shutdown::Both).ok();
    }
}

impl Ssh {
    /// Connects, checks the host, shows who we are and starts git over there.
    pub(in crate::git) fn open(visit: &Visit, account: &Account) -> Result<Self, Failure> {
        let Some(identity) = visit.remotes.credentials.identity() else {
            return Err(Failure::NoIdentity { account: name(account) });
        };
        let known_hosts = &visit.remotes.credentials.known_hosts;
        let (host, port) = (account.host.as_str(), account.port);
        let failed = |e: ssh2::Error| failure(visit, account, &e);
        let mut session = Session::new().map_err(failed)?;
        let line = Line(socket(visit, host, port)?);
        session.set_tcp_stream(line.0.try_clone().map_err(|e| refused(host, port, &e))?);
        wait(&session, visit)?;
        session.method_pref(MethodType::HostKey, &known_hosts.algorithms(host, port)).map_err(failed)?;
        session.handshake().map_err(failed)?;
        known_hosts.check(host, port, session.host_key().map_or(&[], |(key, _)| key))?;
        wait(&session, visit)?;
        let passphrase = identity.passphrase.as_ref().map(|passphrase| passphrase.as_str());
        session
            .userauth_pubkey_memory(&account.user, None, &identity.key, passphrase)
            .map_err(|e| unidentified(visit, account, &e))?;
        visit.address().is_welcome();
        wait(&session, visit)?;
        let mut channel = session.channel_session().map_err(failed)?;
        if let Err(e) = channel.exec(&format!("git-upload-pack {}", quoted(&account.path))) {
            drop(line); // before the channel
            return Err(failed(e));
        }
        Ok(Self { _line: line, channel, session, visit: visit.clone(), answered: false })
    }

    /// The next bytes of the answer; none at its end.
    pub(in crate::git) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        wait(&self.session, &self.visit)?;
        let length = self.channel.read(buffer).map_err(|e| self.broken_off(&e))?;
        if length == 0 && !self.answered {
            return Err(Failure::Refused { said: self.said() });
        }
        self.answered = true;
        self.visit.counters.received(length);
        Ok(length)
    }

    /// Sends all of it.
    pub(in crate::git) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        wait(&self.session, &self.visit)?;
        self.channel.write_all(bytes).map_err(|e| self.broken_off(&e))
    }

    /// The first line that the other side wrote for people.
    fn said(&mut self) -> String {
        let mut bytes = Vec::new();
        // what was read before it failed is what was said
        self.channel.stderr().take(SAID).read_to_end(&mut bytes).ok();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing");
        line.chars().filter(|c| !c.is_control()).collect()
    }

    fn broken_off(&self, error: &io::Error) -> Failure {
        if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) {
            return self.visit.in_vain(self.visit.remotes.limits.silence);
        }
        Failure::BrokenOff { source: Cause::from(error) }
    }
}

/// A connected socket that blocks, as libssh2 wants it.
fn socket(visit: &Visit, host: &str, port: u16) -> Result<TcpStream, Failure> {
    let stream = dial(visit, host, port)?;
    stream.set_nonblocking(false).map_err(|e| refused(host, port, &e))?;
    Ok(stream)
}

/// Gives the next call its time.
fn wait(session: &Session, visit: &Visit) -> Result<(), Failure> {
    let limit = visit.silence()?.as_millis().max(1);
    session.set_timeout(u32::try_from(limit).unwrap_or(u32::MAX));
    Ok(())
}

fn failure(visit: &Visit, account: &Account, error: &ssh2::Error) -> Failure {
    if error.code() == TIMEOUT {
        return visit.in_vain(visit.remotes.limits.silence);
    }
    Failure::Ssh { host: account.host.clone(), source: cause(error) }
}

fn unidentified(visit: &Visit, account: &Account, error: &ssh2::Error) -> Failure {
    match error.code() {
        code if REFUSED.contains(&code) => {
            Failure::IdentityRefused { account: name(account), before: visit.address().was_welcome() }
        }
        code if UNUSABLE.contains(&code) => Failure::IdentityUnusable { source: cause(error) },
        _ => failure(visit, account, error),
    }
}

/// libssh2's messages are constants: none repeats a key or a passphrase.
fn cause(error: &ssh2::Error) -> Cause {
    Cause { code: error.code().to_string(), text: error.message().to_owned() }
}

fn name(account: &Account) -> String {
    format!("{}@{}", account.user, account.host)
}

/// For the remote's shell, as git does it.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', "'\\''").replace('!', "'\\!'"))
}
