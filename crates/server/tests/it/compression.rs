//! permessage-deflate: one compressed frame serves everybody who can take it, and rooms decide.

use crate::harness::TestServer;
use crate::harness::wire::{RawFrame, Wire, Wish};

const TEXT_BYTES: usize = 600;
const PLAIN: u8 = 0x81;
const COMPRESSED: u8 = 0xc1;

async fn message(wire: &mut Wire) -> RawFrame {
    loop {
        let frame = wire.next().await.expect("a message comes");
        if frame.event()["type"] == "message" {
            return frame;
        }
    }
}

#[tokio::test]
async fn members_share_a_compressed_frame_where_the_room_compresses() {
    let server = TestServer::start_with(|config| config.compression = true).await;
    for (room, first) in [("general", COMPRESSED), ("live:prices", PLAIN)] {
        let mut publisher = server.json("Publisher").await;
        publisher.join(room).await;
        let wish = Wish { user: "Bob", room, deflate: true, ..Wish::default() };
        let mut bob = Wire::with(&server, wish).await;
        let mut carol = Wire::with(&server, Wish { user: "Carol", ..wish }).await;
        let mut dave = Wire::with(&server, Wish { user: "Dave", deflate: false, ..wish }).await;
        for wire in [&mut bob, &mut carol, &mut dave] {
            wire.until("joined").await;
        }
        publisher.publish(room, &"to be or not to be ".repeat(TEXT_BYTES / 19)).await;
        let frames = [message(&mut bob).await, message(&mut carol).await, message(&mut dave).await];
        assert_eq!(frames.each_ref().map(|frame| frame.first), [first, first, PLAIN], "{room}");
        assert_eq!(frames[0].payload, frames[1].payload);
        assert_eq!(frames[0].event(), frames[2].event());
        assert_eq!(frames[0].payload.len() < TEXT_BYTES / 2, first == COMPRESSED);
    }
    server.drain().await;
}
