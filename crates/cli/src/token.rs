//! `parlour token`: sign tokens for trying out, and see what a token says.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use parlour_server::clock::Clock;
use parlour_server::config::{Config, Flags, Mode};
use parlour_server::identity::key::algorithm;
use parlour_server::identity::signing::SigningKey;
use parlour_server::identity::token::{TOKEN_BYTES, readable};
use parlour_server::identity::{Algorithm, Authenticator, Records};
use serde_json::{Map, Value, json};

use crate::options::configure;
use crate::tail::plain;

/// Arguments of `parlour token`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = "\
Examples:
  head -c 32 /dev/urandom | base64 > secret && chmod 600 secret
  parlour token mint --secret-file secret --issuer https://login.example.com --audience parlour \\
      --user alice --room 'general=member' --room 'news=join,read,history'
  parlour token inspect --config parlour.toml < token

docs/identity.md has the claims.";

#[derive(Debug, Subcommand)]
enum Action {
    /// Sign a token
    Mint(Box<MintArgs>),
    /// Show what a token says, and whether a server would accept it
    Inspect(InspectArgs),
}

#[derive(Debug, Args)]
struct MintArgs {
    /// The secret of an algorithm such as HS256
    #[arg(long, value_name = "FILE", required_unless_present = "private_key_file")]
    secret_file: Option<PathBuf>,
    /// The private key of another algorithm, in PEM
    #[arg(long, value_name = "FILE", conflicts_with = "secret_file", requires = "algorithm")]
    private_key_file: Option<PathBuf>,
    /// HS256, HS384, HS512, RS256, PS256, ES256, ES384 or EdDSA
    #[arg(
        long,
        value_name = "NAME",
        default_value_if("secret_file", clap::builder::ArgPredicate::IsPresent, "HS256")
    )]
    algorithm: Option<String>,
    /// The id of the key in the configuration of the server
    #[arg(long, value_name = "ID")]
    key_id: Option<String>,
    /// The configuration of the server, for issuer, audience and type
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Who signs: `auth.issuer` of the server
    #[arg(long, value_name = "TEXT", required_unless_present = "config")]
    issuer: Option<String>,
    /// For whom it is: `auth.audience` of the server
    #[arg(long, value_name = "TEXT", required_unless_present = "config")]
    audience: Option<String>,
    /// Whose token it is
    #[arg(long, short, value_name = "NAME")]
    user: String,
    /// How long it counts, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    life_s: u32,
    /// What it allows: a room or a prefix with `*`, and `all`, `member` or actions with commas between them
    #[arg(long = "room", value_name = "ROOM=ACTIONS", value_parser = room)]
    rooms: Vec<(String, Value)>,
}

#[derive(Debug, Args)]
struct InspectArgs {
    /// The token; without it, the standard input is read
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The configuration of a server, which then decides about the token
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) fn run(args: &TokenArgs) -> anyhow::Result<()> {
    match &args.action {
        Action::Mint(args) => {
            println!("{}", mint(args)?);
            Ok(())
        }
        Action::Inspect(args) => inspect(args),
    }
}

fn mint(args: &MintArgs) -> anyhow::Result<String> {
    let config = args.config.as_deref().map(read_config).transpose()?;
    let auth = config.map(|config| config.auth).unwrap_or_default();
    let (id, name) = (args.key_id.as_deref(), args.algorithm.as_deref().unwrap_or_default());
    let algorithm: Algorithm = algorithm(name).with_context(|| format!("there is no algorithm {name:?}"))?;
    let file = args.secret_file.as_ref().or(args.private_key_file.as_ref()).context("there is no key")?;
    let key = SigningKey::from_file(id, algorithm, file)?;
    let now_s = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let mut claims = json!({
        "iss": args.issuer.as_ref().or(auth.issuer.as_ref()).context("the configuration has no `auth.issuer`")?,
        "aud": args.audience.as_ref().or(auth.audience.as_ref()).context("the configuration has no `auth.audience`")?,
        "sub": args.user,
        "iat": now_s,
        "exp": now_s + i64::from(args.life_s),
        "jti": parlour_server::identity::token::fresh_id(),
    });
    if !args.rooms.is_empty() {
        claims["rooms"] = args.rooms.iter().cloned().collect::<Map<_, _>>().into();
    }
    Ok(key.sign(&auth.typ.0, &claims)?)
}

fn room(text: &str) -> Result<(String, Value), &'static str> {
    let (room, actions) = text.rsplit_once('=').ok_or("expected ROOM=ACTIONS")?;
    let actions = match actions {
        "all" | "member" => actions.into(),
        actions => actions.split(',').map(str::trim).collect::<Vec<_>>().into(),
    };
    Ok((room.into(), actions))
}

fn inspect(args: &InspectArgs) -> anyhow::Result<()> {
    let token = read_token(args.file.as_deref())?;
    let token = token.trim();
    let (header, claims) = readable(token).map_err(|flaw| anyhow!("this is no token: {flaw}"))?;
    for (name, json) in [("header", header), ("claims", claims)] {
        let json: Value = serde_json::from_str(&json).context("this is no token")?;
        // What does not come from us does not steer the terminal.
        let shown = serde_json::to_string_pretty(&json)?;
        println!("{name} {}", shown.lines().map(plain).collect::<Vec<_>>().join("\n"));
    }
    let Some(config) = &args.config else {
        println!("Not checked: --config names the configuration of a server that decides about it.");
        return Ok(());
    };
    let (config, clock) = (read_config(config)?, Clock::start());
    let records = Arc::new(Records::new(&config.auth));
    match Authenticator::new(&config, records, clock).check(token, clock.now()) {
        Ok(claims) => {
            println!("Accepted: a token of {}.", plain(claims.user.as_str()));
            Ok(())
        }
        Err(flaw) => bail!("not accepted: {flaw}"),
    }
}

fn read_config(file: &Path) -> anyhow::Result<Config> {
    configure(Some(file), Flags::new(Mode::Serve))
}

/// Reads a token; more than could be one is not read.
fn read_token(file: Option<&Path>) -> anyhow::Result<String> {
    let (mut text, most) = (String::new(), 2 * TOKEN_BYTES as u64);
    match file {
        Some(path) => {
            let file =
                std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            file.take(most).read_to_string(&mut text)
        }
        None => std::io::stdin().take(most).read_to_string(&mut text),
    }
    .context("this is no token")?;
    Ok(text)
}
