//! The one binary: `parlour`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod admin;
mod audit;
mod bench;
mod chat;
mod check_config;
mod database;
mod dev;
mod erase;
mod exit;
mod export;
mod health;
mod import;
mod key;
mod meter;
mod migrate;
mod options;
mod serve;
mod tail;
mod token;

/// Exit code of a refused configuration (EX_CONFIG of sysexits.h).
const REFUSED: u8 = 78;

/// A real-time room server that you run yourself.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Try it:
  parlour dev                                        a server for this machine, in ./parlour-data
  parlour chat --room general --user Alice           talk in a terminal
  websocat 'ws://127.0.0.1:8080/ws?room=general&user=Bob'

Run it for others:
  parlour check-config --example > parlour.toml      every option, with its default
  parlour check-config --config parlour.toml         is this configuration accepted?
  parlour serve --config parlour.toml
  parlour export --config parlour.toml --output rooms.jsonl
  parlour erase --user Alice";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a server for trying out: anybody on this machine may take any name
    Dev(dev::DevArgs),
    /// Run a server for others
    Serve(serve::ServeArgs),
    /// Check a configuration, or print one with every option
    CheckConfig(check_config::CheckConfigArgs),
    /// Talk in a terminal
    Chat(chat::ChatArgs),
    /// Print what happens in rooms
    Tail(tail::TailArgs),
    /// Write rooms to a file
    Export(export::ExportArgs),
    /// Read rooms from a file that `export` wrote
    Import(import::ImportArgs),
    /// Copy the rooms of a data directory into a PostgreSQL database
    Migrate(migrate::MigrateArgs),
    /// Erase all that a user has said
    Erase(erase::EraseArgs),
    /// Sign tokens for trying out, and see what a token says
    Token(token::TokenArgs),
    /// Ask whether a server is ready
    Health(health::HealthArgs),
    /// Make keys for backends
    Key(key::KeyArgs),
    /// Check the log of who did what
    Audit(audit::AuditArgs),
    /// Measure a server
    Bench(bench::BenchArgs),
    /// Print the version
    Version,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Dev(args) => dev::run(args),
        Command::Serve(args) => serve::run(args),
        Command::CheckConfig(args) => check_config::run(&args),
        Command::Chat(args) => options::block_on(chat::run(args)),
        Command::Tail(args) => options::block_on(tail::run(args)),
        Command::Export(args) => options::block_on(export::run(args)),
        Command::Import(args) => options::block_on(import::run(args)),
        Command::Migrate(args) => options::block_on(migrate::run(args)),
        Command::Erase(args) => erase::run(&args),
        Command::Audit(args) => audit::run(args),
        Command::Token(args) => token::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Key(args) => key::run(&args),
        Command::Bench(args) => bench::run(args),
        Command::Version => {
            println!("parlour {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    exit::code(outcome)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
