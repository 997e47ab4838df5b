//! What a broadcast costs before the write: the code of a turn with a kernel that takes everything.

use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

use parlour_protocol::dialect::DialectId;
use parlour_protocol::event::{Event, Message};
use parlour_protocol::{RoomName, Seq, UserId};
use parlour_websocket::handshake::deflate::DeflateParams;

use super::Shard;
use super::connection::Membership;
use super::writer::Writer;
use crate::config::Config;
use crate::node::Node;
use crate::server::{Purpose, StartError};
use crate::upgrade::{Greeting, Upgraded};

/// A shard with one room full of members, for the benchmark `fanout`.
pub struct FanOut {
    pub(super) shard: Shard,
    pub(super) room: RoomName,
    pub(super) event: Event,
    /// The other ends; they must stay open.
    pub(super) _peers: Vec<TcpStream>,
}

impl FanOut {
    /// Fills a room with `members` connections, which take their messages compressed or as they are.
    /// Needs a tokio runtime.
    ///
    /// # Errors
    /// The operating system's, where it gives no sockets.
    ///
    /// # Panics
    /// If the limits of a development server refuse the connections.
    pub fn new(members: usize, text: &str, deflate: Option<DeflateParams>) -> Result<Self, StartError> {
        let config = Config { data_dir: None, shards: 1, ..Config::dev() };
        let address = config.listen;
        let (node, _drafts) = Node::new(Purpose::Rooms, config, address)?;
        let admission = Arc::clone(&node.shell.admission);
        let room = RoomName::parse("live:bench").expect("a valid name");
        let poll = mio::Poll::new().map_err(StartError::Thread)?;
        let registry = poll.registry().try_clone().map_err(StartError::Thread)?;
        let mut shard = Shard::new(0, node, registry);
        let mut peers = Vec::with_capacity(members);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(StartError::Thread)?;
        for _ in 0..members {
            let (stream, peer) = pair(&listener).map_err(StartError::Thread)?;
            let permit = admission.admit(IpAddr::V4(Ipv4Addr::LOCALHOST)).expect("within the limits");
            let slot = shard.insert(Upgraded {
                stream,
                channel: None,
                early: Vec::new(),
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                greeting: Greeting {
                    dialect: DialectId::Json,
                    deflate,
                    identity: None,
                    room: None,
                    history: 0,
                    listening: None,
                },
                permit,
            });
            let variant = shard.connections[slot as usize].variant;
            let shared = shard.fanout.share(&room);
            let place = Some(shard.fanout.add(&shared, Seq(0), (variant, None), slot));
            shard.connections[slot as usize].rooms.push(Membership { room: shared, place });
            peers.push(peer);
        }
        shard.output.writer = Writer::Nowhere;
        let event = message(&room, text);
        Ok(Self { shard, room, event, _peers: peers })
    }

    /// Broadcasts one message to the room and ends the turn. Returns the bytes that the kernel would
    /// have taken.
    pub fn broadcast(&mut self) -> u64 {
        self.shard.broadcast_here(&self.room, &self.event);
        let mut batches = std::mem::take(&mut self.shard.scratch.batches);
        self.shard.fanout.take_turn(&mut batches);
        let before = self.shard.metrics.bytes_out.get();
        self.shard.write_batches(&mut batches);
        self.shard.scratch.batches = batches;
        self.shard.metrics.bytes_out.get() - before
    }
}

fn pair(listener: &TcpListener) -> io::Result<(TcpStream, TcpStream)> {
    let peer = TcpStream::connect(listener.local_addr()?)?;
    let (stream, _) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, peer))
}

fn message(room: &RoomName, text: &str) -> Event {
    Event::Message(Message {
        room: room.clone(),
        seq: Seq(1),
        sender: UserId::parse("bench").expect("a valid id"),
        text: text.into(),
        ts: 0,
        cid: None,
        details: None,
    })
}
