//! Who clients are: tokens good and bad, how they end, and what stands in for them.

mod bad_tokens;
mod doors;
pub(crate) mod issuer;
mod life;
mod rotation;
