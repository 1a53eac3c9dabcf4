//! Opening a connection: options, the local port, and the wait for the handshake.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use async_io::Async;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::{Config, stream::TcpStream};

/// Lets later sockets of this user bind to the port of `socket`, if they allow the same.
#[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
pub(super) fn share_port(socket: SockRef<'_>) -> io::Result<()> {
    socket.set_reuse_port(true)
}

/// There is no such option on this system: Windows' `SO_REUSEADDR` would hand the port to anybody.
#[cfg(not(all(
    unix,
    not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))
)))]
pub(super) fn share_port(_: SockRef<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A socket of the family of `addr` that is neither bound nor connected and that never blocks.
pub(super) fn new_socket(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        // A socket of one family only: `0.0.0.0` and `::` can then share a port number, no listener
        // reports IPv4 peers under mapped addresses, and no address means two things.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Sets what the configuration asks of every connection.
pub(super) fn set_options(socket: SockRef<'_>, config: &Config, is_ipv6: bool) -> io::Result<()> {
    socket.set_tcp_nodelay(config.nodelay())?;
    if let Some(ttl) = config.ttl() {
        let hops = u32::from(ttl.get());
        if is_ipv6 { socket.set_unicast_hops_v6(hops)? } else { socket.set_ttl_v4(hops)? }
    }
    // A system that lacks the option, or forbids it, is no reason to do without the connection.
    if let Some(timeout) = config.host_timeout()
        && let Err(error) = set_host_timeout(&socket, timeout)
    {
        tracing::debug!(%error, "the system will not notice a host that is gone");
    }
    Ok(())
}

/// Has the system end a connection whose other end acknowledges nothing for so long.
fn set_host_timeout(socket: &Socket, timeout: Duration) -> io::Result<()> {
    let part = timeout / 5;
    let probes = TcpKeepalive::new().with_time(timeout - 2 * part);
    // Where there is no such option, the system's own intervals hold.
    #[cfg(any(
        target_vendor = "apple",
        target_os = "android",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "fuchsia",
        target_os = "illumos",
        target_os = "linux",
        target_os = "netbsd",
        windows
    ))]
    let probes = {
        let probes = probes.with_interval(part);
        #[cfg(not(windows))]
        let probes = probes.with_retries(2);
        probes
    };
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    socket.set_tcp_user_timeout(Some(timeout))?;
    Ok(())
}

/// Connects to `remote`, from `shared_port` if there is one and it can be had.
///
/// A listening port can be unavailable for three reasons, and in each a new port serves: somebody holds
/// it on another interface, the process has given up the privilege to bind to it, or this node already
/// has a connection between these two endpoints (a connection is identified by its two sockets, each an
/// address and a port: [RFC 9293 section 4]).
///
/// [RFC 9293 section 4]: https://www.rfc-editor.org/rfc/rfc9293#section-4
pub(super) async fn dial(
    remote: SocketAddr,
    shared_port: Option<u16>,
    config: Config,
) -> io::Result<TcpStream> {
    if let Some(port) = shared_port {
        match connect(remote, Some(port), &config).await {
            Err(error) if is_about_port(&error) => {
                tracing::debug!(%remote, port, %error, "cannot dial from the listening port");
            }
            done => return done,
        }
    }
    connect(remote, None, &config).await
}

fn is_about_port(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::AddrInUse | Kind::AddrNotAvailable | Kind::PermissionDenied)
}

async fn connect(
    remote: SocketAddr,
    shared_port: Option<u16>,
    config: &Config,
) -> io::Result<TcpStream> {
    let socket = new_socket(remote)?;
    set_options(SockRef::from(&socket), config, remote.is_ipv6())?;
    if let Some(port) = shared_port {
        // Without it, connections in TIME-WAIT would keep the port.
        socket.set_reuse_address(true)?;
        share_port(SockRef::from(&socket))?;
        // Any local address: which one leads to the peer is for the routing table to say.
        let any = match remote {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        socket.bind(&SocketAddr::new(any, port).into())?;
    }
    match socket.connect(&remote.into()) {
        Err(error) if !is_in_progress(&error) => return Err(error),
        Ok(()) | Err(_) => {}
    }

    let stream = Async::new_nonblocking(std::net::TcpStream::from(socket))?;
    loop {
        stream.writable().await?;
        // Writable means that the handshake has an outcome, not that it is a good one.
        if let Some(error) = stream.get_ref().take_error()? {
            return Err(error);
        }
        match stream.get_ref().peer_addr() {
            Ok(_) => return Ok(TcpStream::new(stream)),
            // Woken for nothing: there is no outcome yet.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether `connect` has only begun, as it does on a socket that never blocks.
fn is_in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    let in_progress = error.raw_os_error() == Some(libc::EINPROGRESS);
    #[cfg(not(unix))]
    let in_progress = false;
    in_progress || error.kind() == io::ErrorKind::WouldBlock
}
