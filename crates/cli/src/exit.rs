//! How the program ends: what went wrong, what to do about it, and the exit code.

use std::io;
use std::process::ExitCode;

use parlour_server::StartError;
use parlour_server::config::ConfigErrors;
use parlour_server::data_dir::ClaimError;

use crate::REFUSED;

/// Reports an error and returns the exit code.
pub(crate) fn code(outcome: anyhow::Result<()>) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error:#}");
    if let Some(hint) = hint(&error) {
        eprintln!("{hint}");
    }
    let is_refused = error.is::<ConfigErrors>() || error.is::<ClaimError>();
    if is_refused { REFUSED.into() } else { ExitCode::FAILURE }
}

fn hint(error: &anyhow::Error) -> Option<String> {
    match error.downcast_ref() {
        Some(StartError::Listen { address, source }) if source.kind() == io::ErrorKind::AddrInUse => {
            Some(format!(
                "Another program listens there, perhaps another parlour. Stop it, or choose another port:\n  \
                 --listen {0}:0 --admin-listen {0}:0   (0 means any free port)",
                address.ip()
            ))
        }
        Some(StartError::Listen { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            Some("Ports below 1024 need a privilege; choose a higher one.".into())
        }
        _ => None,
    }
}
