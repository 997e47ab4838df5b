#![no_main]

use parlour_server::identity::key_set;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(keys) = key_set::parse(data) else { return };
    assert!(keys.len() <= 32 && data.len() <= key_set::KEY_SET_BYTES);
    for key in keys {
        assert!(!key.id().is_empty());
        // A key of any shape refuses a signature that nobody has made.
        assert!(!key.has_signed("a.b", "AAAA"));
    }
});
