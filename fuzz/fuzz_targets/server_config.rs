#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    parlour_fuzz::config::check(text);
});
