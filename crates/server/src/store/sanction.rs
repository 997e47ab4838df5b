//! How the databases keep a mute or a ban that was set: its end, or `never`; its kind; why.

use parlour_protocol::UserId;
use parlour_protocol::content::{Sanction, SanctionKind};

/// In the place of an end where there is none.
const NEVER: &str = "never";

/// Returns the text for a sanction, which begins with its end: the databases look at it.
pub(super) fn sanction_value(Sanction { kind, until_ms, reason, .. }: &Sanction) -> String {
    let until = until_ms.map_or_else(|| NEVER.to_owned(), |until| until.to_string());
    let reason = reason.as_ref().map_or_else(String::new, |reason| format!(" {reason}"));
    format!("{until} {}{reason}", kind.word())
}

/// Reads what [`sanction_value`] wrote; `None` if it did not.
pub(super) fn sanction_of_value(user: UserId, value: &str) -> Option<Sanction> {
    let mut parts = value.splitn(3, ' ');
    let until_ms = match parts.next()? {
        NEVER => None,
        until => Some(until.parse().ok()?),
    };
    let kind = SanctionKind::parse(parts.next()?)?;
    Some(Sanction { user, kind, until_ms, reason: parts.next().map(Into::into) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sanctions_are_read_back() {
        let user = UserId::parse("Eve").expect("valid");
        for (until_ms, reason) in [(None, None), (Some(0), Some("")), (Some(-5), Some(" two  words "))] {
            for kind in [SanctionKind::Mute, SanctionKind::Ban] {
                let sanction =
                    Sanction { user: user.clone(), kind, until_ms, reason: reason.map(Into::into) };
                assert_eq!(sanction_of_value(user.clone(), &sanction_value(&sanction)), Some(sanction));
            }
        }
        for bad in ["", "ban", "5", "x ban", "5 flog"] {
            assert_eq!(sanction_of_value(user.clone(), bad), None, "{bad}");
        }
    }
}
