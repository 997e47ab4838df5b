//! The one binary: `parlour`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod chat;
mod check_config;
mod dev;
mod exit;
mod options;
mod serve;
mod tail;

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
  parlour serve --config parlour.toml";

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
