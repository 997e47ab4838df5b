//! Descriptors belong to the whole process, so this test is alone in one.
#![cfg(target_os = "linux")]

use std::fs;

use parlour_ring::{Ring, Unavailable};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn count() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux has it").count()
}

#[test]
fn rings_give_back_their_descriptors_and_say_when_there_is_none() {
    let before = count();
    for _ in 0..20 {
        match Ring::new(8) {
            Ok(ring) => {
                assert_eq!(count(), before + 1);
                drop(ring);
            }
            Err(reason) => eprintln!("no ring: {reason}"),
        }
        assert_eq!(count(), before);
    }
    let usual = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..usual }).expect("less is always allowed");
    let refused = Ring::new(8).expect_err("it needs a descriptor");
    setrlimit(Resource::Nofile, usual).expect("as it was");
    let may_be = matches!(
        refused,
        Unavailable::Exhausted(_) | Unavailable::Missing | Unavailable::Forbidden | Unavailable::Disabled
    );
    assert!(may_be, "{refused}");
    assert_eq!(count(), before);
}
