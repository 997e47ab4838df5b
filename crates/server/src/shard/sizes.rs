//! Bounds what is kept per connection and room: a field more costs its size a million times.

use super::connection::{Connection, Extra, Membership};
use super::fanout::LocalRoom;
use super::outbox::Outbox;
use super::wheel::Entry;
use crate::admission::Permit;

#[test]
fn what_is_kept_of_many_stays_small() {
    let kept = [
        ("per connection: Connection", size_of::<Connection>(), 288),
        ("per connection: Decoder, inside", size_of::<parlour_websocket::Decoder>(), 16),
        ("per connection: Permit, inside", size_of::<Permit>(), 32),
        ("per connection: Outbox, inside", size_of::<Outbox>(), 8),
        ("per room of a connection: Membership", size_of::<Membership>(), 24),
        ("per timer: Entry of Wheel", size_of::<Entry>(), 16),
        ("per connection with rare state: Extra", size_of::<Extra>(), 152),
        ("per room of a shard: LocalRoom", size_of::<LocalRoom>(), 104),
    ];
    let table: String =
        kept.iter().map(|(what, is, most)| format!("{is:5} of {most:5} bytes {what}\n")).collect();
    println!("{table}");
    let grown: Vec<_> = kept.iter().filter(|(_, is, most)| is > most).map(|(what, ..)| what).collect();
    assert!(grown.is_empty(), "grown: {grown:?}\n{table}");
}
