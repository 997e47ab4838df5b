//! Bounds what is kept per connection, member and room: a field more costs its size a million times.

use parlour_protocol::event::Event;
use parlour_protocol::{RoomName, UserId};

use crate::Session;
use crate::hub::{Open, Slot};
use crate::room::presence::Presence;

#[test]
fn what_is_kept_of_many_stays_small() {
    let kept = [
        ("per connection: Session", size_of::<Session>(), 56),
        ("per user in a room: entry of Members", size_of::<(UserId, Presence)>(), 80),
        ("per room: entry of Hub", size_of::<(RoomName, Slot)>(), 48),
        ("per room: Room, with what the hub notes", size_of::<Open>(), 704),
        ("per message in memory: Event", size_of::<Event>(), 144),
    ];
    let table: String =
        kept.iter().map(|(what, is, most)| format!("{is:5} of {most:5} bytes {what}\n")).collect();
    // tidy: a test shows its figures
    println!("{table}");
    let grown: Vec<_> = kept.iter().filter(|(_, is, most)| is > most).map(|(what, ..)| what).collect();
    assert!(grown.is_empty(), "grown: {grown:?}\n{table}");
}
