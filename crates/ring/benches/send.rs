//! What a send costs, one by one and by the ring.

fn main() {}
