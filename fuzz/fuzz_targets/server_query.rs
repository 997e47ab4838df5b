#![no_main]

use std::sync::LazyLock;

use parlour_fuzz::upgrade::Servers;

static SERVERS: LazyLock<Servers> = LazyLock::new(Servers::new);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    SERVERS.check(data);
});
