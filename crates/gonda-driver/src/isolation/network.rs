//! A network namespace with one thing in it: a listener on loopback that gonda, outside, answers on.
//!
//! A socket belongs to the namespace in which it was made, wherever its descriptor goes. So the room's first process
//! binds a listener and passes it to gonda over the unix socket that is its standard input; connections to any other
//! address fail at once with `Network is unreachable`.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg, socket_with,
};

/// What goes with the descriptor, which can't be sent alone.
const WORD: &[u8] = b"L";

/// Brings up loopback, which is down in a new network namespace, binds a listener on it where one is wanted, and sends
/// that over `socket`.
pub(super) fn set_up(service: Option<SocketAddr>, socket: impl AsFd) -> std::io::Result<()> {
    bring_up_loopback()?;
    let Some(address) = service else { return Ok(()) };
    let listener = TcpListener::bind(address)?;
    let descriptors = [listener.as_fd()];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(WORD)], &mut control, SendFlags::empty())?;
    // This process's descriptor is closed here, so that only gonda can answer.
    Ok(())
}

/// Receives the listener, once the socket is readable. `None`: the other side ended without sending one.
pub(super) fn receive(socket: impl AsFd) -> std::io::Result<Option<TcpListener>> {
    let mut word = [0; WORD.len()];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(socket, &mut [IoSliceMut::new(&mut word)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok(descriptor.map(TcpListener::from))
}

/// `ip link set lo up`, by netlink (`rtnetlink(7)`).
fn bring_up_loopback() -> std::io::Result<()> {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST: u16 = 1;
    const NLM_F_ACK: u16 = 4;
    const NLMSG_ERROR: u16 = 2;
    const IFF_UP: u32 = 1;
    /// Loopback is the first interface of every network namespace.
    const LOOPBACK: i32 = 1;
    /// `struct nlmsghdr` and `struct ifinfomsg`, 16 bytes each.
    const LENGTH: u32 = 32;

    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let mut request = Vec::new();
    request.extend(LENGTH.to_ne_bytes());
    request.extend(RTM_NEWLINK.to_ne_bytes());
    request.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    // Sequence number and port: this is the only request.
    request.extend([0; 8]);
    // Family and type: unspecified.
    request.extend([0; 4]);
    request.extend(LOOPBACK.to_ne_bytes());
    // The flag, and that it is the one to change.
    request.extend(IFF_UP.to_ne_bytes());
    request.extend(IFF_UP.to_ne_bytes());
    send(&socket, &request, SendFlags::empty())?;

    let mut answer = [0_u8; 256];
    let (_, length) = recv(&socket, &mut answer, RecvFlags::empty())?;
    let answer = answer.get(..length).unwrap_or_default();
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let error = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, error) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(error)) => Err(Errno::from_raw_os_error(error.saturating_neg()).into()),
        _ => Err(std::io::Error::other("the kernel's answer can't be understood")),
    }
}
