//! The socket with which a node speaks on one interface.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    task::{Context, Poll, ready},
};

use async_io::Async;
use socket2::{Domain, Protocol, Socket as Socket2, Type};

use super::Interface;

const PORT: u16 = 5353;
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// Whoever receives a packet with this hop limit knows that no router has passed it on (RFC 6762, section 11).
const HOPS: u32 = 255;

/// A member of the multicast group on one interface.
#[derive(Debug)]
pub(super) struct Socket {
    socket: Async<UdpSocket>,
    group: SocketAddr,
    /// Whether there may be a packet to read.
    is_readable: bool,
}

impl Socket {
    /// Joins the group. Others on this machine may have joined it as well: they share the port.
    pub(super) fn join(interface: Interface) -> io::Result<Self> {
        let (socket, group) = match interface {
            Interface::V4(address) => (join_v4(address)?, SocketAddr::from((GROUP_V4, PORT))),
            Interface::V6(index) => {
                let group = SocketAddrV6::new(GROUP_V6, PORT, 0, index);
                (join_v6(index)?, SocketAddr::V6(group))
            }
        };
        Ok(Self { socket: Async::new(socket.into())?, group, is_readable: true })
    }

    #[cfg(test)]
    pub(super) fn over(socket: UdpSocket) -> Self {
        let group = SocketAddr::from((GROUP_V4, PORT));
        Self { socket: Async::new(socket).expect("a socket"), group, is_readable: true }
    }

    /// The next packet, with who has sent it.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        loop {
            if !self.is_readable {
                ready!(self.socket.poll_readable(cx))?;
                self.is_readable = true;
            }
            match self.socket.get_ref().recv_from(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_readable = false;
                    if error.kind() != io::ErrorKind::WouldBlock {
                        return Poll::Ready(Err(error));
                    }
                }
                received => return Poll::Ready(received),
            }
        }
    }

    /// Sends to everybody on the interface. A packet for which there is no room is lost, as any packet may be.
    pub(super) fn send(&self, packet: &[u8]) -> io::Result<()> {
        match self.socket.get_ref().send_to(packet, self.group) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result.map(|_| ()),
        }
    }
}

fn shared(domain: Domain) -> io::Result<Socket2> {
    let socket = Socket2::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    socket.set_reuse_port(true)?;
    Ok(socket)
}

fn join_v4(address: Ipv4Addr) -> io::Result<Socket2> {
    let socket = shared(Domain::IPV4)?;
    // It would else receive what other sockets have joined, on all interfaces.
    #[cfg(target_os = "linux")]
    socket.set_multicast_all_v4(false)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
    socket.join_multicast_v4(&GROUP_V4, &address)?;
    socket.set_multicast_if_v4(&address)?;
    socket.set_multicast_ttl_v4(HOPS)?;
    // Other processes on this machine are peers, too.
    socket.set_multicast_loop_v4(true)?;
    Ok(socket)
}

fn join_v6(index: u32) -> io::Result<Socket2> {
    let socket = shared(Domain::IPV6)?;
    socket.set_only_v6(true)?;
    #[cfg(target_os = "linux")]
    socket.set_multicast_all_v6(false)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)).into())?;
    socket.join_multicast_v6(&GROUP_V6, index)?;
    socket.set_multicast_if_v6(index)?;
    socket.set_multicast_hops_v6(HOPS)?;
    socket.set_multicast_loop_v6(true)?;
    Ok(socket)
}
