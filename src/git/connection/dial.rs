//! A TCP connection, straight or through the proxy that the credentials name.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::git::connection::Visit;
use crate::git::credentials::Proxy;
use crate::git::error::Cause;
use crate::git::failure::Failure;

/// A proxy's answer is a status line and a few headers.
const PROXY_ANSWER: usize = 8 << 10;

/// A runtime for the calling thread alone; what it runs ends with it.
pub(in crate::git) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Connects to `host`, in the time that connections have. The stream does not block.
pub(in crate::git) fn dial(visit: &Visit, host: &str, port: u16) -> Result<std::net::TcpStream, Failure> {
    let limit = visit.patience(visit.remotes.limits.connect)?;
    visit.counters.connected();
    let runtime = runtime().map_err(|e| refused(host, port, &e))?;
    let dialed = runtime.block_on(async {
        timeout(limit, async {
            let stream = match &visit.remotes.credentials.proxy {
                None => connect(host, port, limit).await?,
                Some(proxy) => through(proxy, host, port, limit).await?,
            };
            stream.set_nodelay(true).and_then(|()| stream.into_std()).map_err(|e| refused(host, port, &e))
        })
        .await
    });
    // a lookup that hangs has a thread of its own, which is not waited for
    runtime.shutdown_background();
    dialed.unwrap_or_else(|_| Err(visit.in_vain(visit.remotes.limits.connect)))
}

/// Tries the addresses of the host in their order, each for its share of the time: the first family may lead nowhere.
async fn connect(host: &str, port: u16, limit: Duration) -> Result<TcpStream, Failure> {
    let lookup = |e: &io::Error| Failure::Lookup { host: host.to_owned(), source: Cause::from(e) };
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(|e| lookup(&e))?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(e)) => last = e,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "it did not answer in time"),
        }
    }
    Err(refused(host, port, &last))
}

pub(in crate::git) fn refused(host: &str, port: u16, e: &io::Error) -> Failure {
    Failure::Connect { address: format!("{host}:{port}"), source: Cause::from(e) }
}

/// RFC 9110, 9.3.6. The proxy finds the address.
async fn through(proxy: &Proxy, host: &str, port: u16, limit: Duration) -> Result<TcpStream, Failure> {
    let mut stream = connect(&proxy.host, proxy.port, limit).await?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let address = format!("{host}:{port}");
    let authorization =
        proxy.authorization.as_ref().map(|value| format!("Proxy-Authorization: {}\r\n", value.as_str()));
    let authorization = Zeroizing::new(authorization.unwrap_or_default());
    let request = Zeroizing::new(format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n{}\r\n", *authorization));
    let broken = |e: &io::Error| refused(&proxy.host, proxy.port, e);
    stream.write_all(request.as_bytes()).await.map_err(|e| broken(&e))?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") && answer.len() < PROXY_ANSWER {
        // byte by byte: what follows the answer is the server's
        answer.push(stream.read_u8().await.map_err(|e| broken(&e))?);
    }
    let line = String::from_utf8_lossy(answer.split(|&byte| byte == b'\r').next().unwrap_or_default()).into_owned();
    let taken = line.starts_with("HTTP/1.") && line.split(' ').nth(1) == Some("200");
    let said = line.chars().filter(|c| !c.is_control()).collect();
    if taken { Ok(stream) } else { Err(Failure::Proxy { address, said }) }
}
