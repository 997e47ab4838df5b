//! Which server, and as whom: the arguments that `chat` and `tail` share.

use std::future::ready;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use parlour_client::{Client, Error, Lost, Updates};

/// Where a token is taken from, so that it does not stand in the list of processes.
const TOKEN: &str = "PARLOUR_TOKEN";

/// Which server, and as whom.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The server
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws", value_name = "URL")]
    url: String,
    /// The authorities to believe with wss://, in PEM; without it, those of the system
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A name, where the server lets anybody take one (`parlour dev` does)
    #[arg(long, short, value_name = "NAME")]
    user: Option<String>,
    /// A file with a token, read again before that one expires; without it, the variable PARLOUR_TOKEN
    /// counts
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    token_file: Option<PathBuf>,
}

impl ServerArgs {
    /// Connects; `otherwise` is the name of somebody who gave neither a name nor a token.
    pub(crate) async fn connect(&self, otherwise: Option<&str>) -> anyhow::Result<(Client, Updates)> {
        let mut builder = Client::builder(&self.url);
        if let Some(file) = &self.ca {
            builder = builder.authorities(file);
        }
        match (self.user.as_deref(), &self.token_file, token_of_environment()) {
            (Some(user), ..) => builder = builder.user(user),
            (None, Some(file), _) => {
                // A file that is not there is a mistake, and not a token that will come.
                read_token(file)?;
                let file = file.clone();
                builder = builder.token_from(move || ready(read_token(&file)));
            }
            (None, None, Some(token)) => builder = builder.token(token),
            (None, None, None) => {
                let who = anyhow!("who are you? Give --user, or a token with --token-file or {TOKEN}");
                builder = builder.user(otherwise.ok_or(who)?);
            }
        }
        builder.connect().await.map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &Error) -> anyhow::Error {
        let hint = match error {
            Error::Connect(Lost::Transport(error)) if error.kind() == ErrorKind::InvalidData => {
                "\nAn authority of your own is named with --ca."
            }
            Error::Connect(Lost::Transport(_)) => "\nIs the server running? `parlour dev` starts one here.",
            Error::Connect(Lost::Refused { status: 401, .. }) => "\nThis server wants a valid token.",
            _ => "",
        };
        let cause = super::plain(&error.to_string());
        anyhow!("{}: {cause}{hint}", self.url)
    }
}

fn token_of_environment() -> Option<String> {
    std::env::var(TOKEN).ok().filter(|token| !token.is_empty())
}

fn read_token(file: &Path) -> anyhow::Result<String> {
    let token = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(token.trim().to_owned())
}
