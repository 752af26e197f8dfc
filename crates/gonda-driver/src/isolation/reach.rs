//! What a room's commands reach over the network.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use crate::Result;

/// Where a command in namespaces finds the one thing that its network holds. The network is its own, so the port is
/// always free, and GOPROXY is the same in every build.
pub const SERVICE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7080);

/// What a room's commands reach over the network.
#[derive(Clone, Default)]
pub enum Reach {
    /// What the machine reaches.
    #[default]
    Everything,
    /// Loopback. In namespaces that is a loopback of the room's own, which holds nothing, or what is served at
    /// [`SERVICE`]; see [`super::Mode::closes_network`] for where it is more than a wish.
    Loopback(Option<Serve>),
}

/// Takes a listener that is bound to [`SERVICE`] inside of a room, and answers on it from outside. It is called within
/// tokio's runtime, once for each command.
pub type Serve = Arc<dyn Fn(TcpListener) -> Result<()> + Send + Sync>;

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Everything => "Everything",
            Self::Loopback(None) => "Loopback",
            Self::Loopback(Some(_)) => "Loopback with a service",
        })
    }
}
