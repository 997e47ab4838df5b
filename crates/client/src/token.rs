//! Where the client gets its tokens.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// Why there is no token.
pub(crate) type NoToken = Box<dyn Error + Send + Sync>;
/// A token that is on its way.
pub(crate) type Getting = Pin<Box<dyn Future<Output = Result<String, NoToken>> + Send>>;

/// A way to a token.
#[derive(Clone)]
pub(crate) struct TokenSource {
    get: Arc<dyn Fn() -> Getting + Send + Sync>,
    /// Whether there will be another token when this one has expired.
    pub(crate) is_renewable: bool,
}

impl TokenSource {
    /// Always the same token.
    pub(crate) fn fixed(token: String) -> Self {
        let get = move || -> Getting { Box::pin(std::future::ready(Ok(token.clone()))) };
        Self { get: Arc::new(get), is_renewable: false }
    }

    /// A new token whenever one is needed.
    pub(crate) fn renewable<F, T, E>(get: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<NoToken>,
    {
        let get = move || -> Getting {
            let token = get();
            Box::pin(async move { token.await.map_err(E::into) })
        };
        Self { get: Arc::new(get), is_renewable: true }
    }

    pub(crate) fn get(&self) -> Getting {
        (self.get)()
    }
}

/// Tokens never reach a log.
impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource(..)")
    }
}
