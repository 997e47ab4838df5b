#![no_main]

use std::sync::LazyLock;

use parlour_fuzz::identity::{authenticator, check_signed, check_unsigned};
use parlour_server::identity::Authenticator;

static AUTHENTICATOR: LazyLock<Authenticator> = LazyLock::new(authenticator);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    check_signed(&AUTHENTICATOR, data);
    if let Ok(text) = std::str::from_utf8(data) {
        check_unsigned(&AUTHENTICATOR, text);
    }
});
