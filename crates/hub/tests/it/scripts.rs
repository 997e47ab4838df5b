//! One test per text script.

use crate::script::run;

macro_rules! scripts {
    ($($name:ident)*) => {
        $(#[test] fn $name() { run(concat!(stringify!($name), ".txt")); })*

        #[test]
        fn every_script_is_run() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");
            let mut files: Vec<_> = std::fs::read_dir(folder)
                .expect("a folder of scripts")
                .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
                .collect();
            files.sort();
            assert_eq!(files, [$(concat!(stringify!($name), ".txt")),*]);
        }
    };
}

scripts! {
    access
    batches
    changes
    credit
    desk
    devices
    ephemeral
    erased
    grace_and_reload
    history
    huge_room
    idempotency
    join_and_leave
    limits
    lost_answer
    moderation
    presence
    private
    private_rooms
    receipts
    reports
    resume
    roles
    seam
    slow
    slow_mode
    store_failure
    survey
    typing
    vacating
}
