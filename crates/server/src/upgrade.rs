//! From an HTTP request to a WebSocket connection.

use std::net::IpAddr;

use parlour_protocol::{RoomName, UserId};
use parlour_protocol::dialect::DialectId;
use tokio::net::TcpStream;

use crate::admission::Permit;

/// A connection right after its upgrade, before its session.
#[derive(Debug)]
pub struct Upgraded {
    /// The socket.
    pub stream: TcpStream,
    /// Bytes that came together with the request.
    pub early: Vec<u8>,
    /// The other end, as far as it is known.
    pub address: IpAddr,
    /// What the request said.
    pub greeting: Greeting,
    /// The connection's place within the limits; freed when dropped.
    pub permit: Permit,
}

/// What the URL and the headers of an upgrade said.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// The dialect that both will speak.
    pub dialect: DialectId,
    /// Whether permessage-deflate was agreed on.
    pub deflate: bool,
    /// Who the client is, where the request proved it.
    pub user: Option<UserId>,
    /// A room to enter at once.
    pub room: Option<RoomName>,
    /// How many of its last messages to replay.
    pub history: u32,
}
