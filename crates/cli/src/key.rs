//! `parlour key`: keys of backends for the HTTP API.

use clap::{Args, Subcommand};
use parlour_server::api::key::{self, Digest, Scope};

/// Arguments of `parlour key`.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key, and print it with the lines for the configuration
    New(NewArgs),
}

/// Arguments of `parlour key new`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct NewArgs {
    /// Names the key: lower-case letters, digits and hyphens
    #[arg(long)]
    id: String,
    /// What it is good for: publish, history, presence, rooms, users, moderate, tokens, stats, or all
    #[arg(long, value_delimiter = ',', default_value = "publish")]
    scopes: Vec<String>,
    /// Where: names of rooms, or prefixes followed by `*`
    #[arg(long, value_delimiter = ',', default_value = "*")]
    rooms: Vec<String>,
    /// In whose name it speaks; the id unless told
    #[arg(long)]
    sender: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  parlour key new --id shop --scopes publish,history --rooms 'orders:*' --sender Shop
  parlour key new --id admin --scopes all --rooms '*,@*'

The key is shown once; the configuration holds only its hash.";

pub(crate) fn run(args: &KeyArgs) -> anyhow::Result<()> {
    let KeyCommand::New(args) = &args.command;
    anyhow::ensure!(key::is_id(&args.id), "an id is 1 to 32 lower-case letters, digits and hyphens");
    if let Some(word) = args.scopes.iter().find(|word| Scope::parse(word).is_none()) {
        let known: Vec<_> = Scope::ALL.iter().map(|scope| scope.word()).collect();
        anyhow::bail!("there is no scope {word:?}; the scopes are {}, and all", known.join(", "));
    }
    print!("{}", lines(args, &key::generate(&args.id)));
    Ok(())
}

/// The key, then what the configuration needs: TOML in which the key itself is a comment to remove.
fn lines(args: &NewArgs, key: &str) -> String {
    let sender = args.sender.as_ref().map_or(String::new(), |sender| format!("sender = {sender:?}\n"));
    format!(
        "# For the backend, and nobody else; it is not shown again:\n# {key}\n\n# For the configuration:\n\
         [[api_key]]\nid = {:?}\nsha256 = \"{}\"\nscopes = {:?}\nrooms = {:?}\n{sender}",
        args.id,
        Digest::of(key),
        args.scopes,
        args.rooms,
    )
}

#[cfg(test)]
mod tests {
    use parlour_server::config::{Config, Flags, Mode};

    use super::*;

    #[test]
    fn what_is_printed_is_a_configuration_that_knows_the_key() {
        let args = NewArgs {
            id: "shop".into(),
            scopes: vec!["publish".into(), "history".into()],
            rooms: vec!["orders:*".into()],
            sender: Some("The Shop".into()),
        };
        let shown = key::generate(&args.id);
        let toml = lines(&args, &shown);
        let config = Config::from_sources(Some(&toml), std::iter::empty(), Flags::new(Mode::Dev));
        let config = config.expect("accepted");
        let found = key::find(&config.api_keys, &shown).expect("known");
        assert_eq!((found.sender.as_str(), found.has(Scope::History)), ("The Shop", true));
        assert!(!toml.lines().any(|line| !line.starts_with('#') && line.contains(&shown)));
    }
}
