//! The command line: runs one command and maps its error to an exit code.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use recall_bridge::commands::output::{Output, note};
use recall_bridge::commands::{self, CommandError};
use recall_bridge::{telemetry, version};

/// Receives Tencent Cloud Chat recall webhooks and publishes them to Apache Kafka, exactly once.
#[derive(Debug, Parser)]
#[command(version = version::FULL, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Demonstrate the bridge on this machine, without configuration or broker.
    #[command(after_help = "Example:\n  recall-bridge demo\n  recall-bridge demo --keep-running")]
    Demo(commands::demo::DemoArgs),
    /// Run the bridge, configured by environment variables.
    #[command(
        after_help = "Example:\n  BRIDGE_APPS=1400000001:token KAFKA_BOOTSTRAP_SERVERS=localhost:9092 recall-bridge serve"
    )]
    Serve,
    /// Send signed webhooks, as the vendor does.
    #[command(
        after_help = "Example:\n  recall-bridge send --url http://localhost:8080/ --app 1400000001 --token token --count 1000"
    )]
    Send(commands::send::SendArgs),
    /// Print the records of the topic, or verify that none is missing or duplicated.
    #[command(
        after_help = "Example:\n  KAFKA_BOOTSTRAP_SERVERS=localhost:9092 recall-bridge tail --from 24h --account '#TOA#_1'\n  KAFKA_BOOTSTRAP_SERVERS=localhost:9092 recall-bridge tail --until-end --verify --status-url http://localhost:9100/status"
    )]
    Tail(commands::tail::TailArgs),
    /// Check configuration, spool directory and broker, and print the effective settings.
    #[command(
        after_help = "Example:\n  BRIDGE_APPS=1400000001:token KAFKA_BOOTSTRAP_SERVERS=localhost:9092 recall-bridge check-config"
    )]
    CheckConfig(commands::check_config::CheckConfigArgs),
    /// Show the outcome of a webhook, and the reason.
    #[command(
        after_help = "Example:\n  BRIDGE_APPS=1400000001:token recall-bridge explain --url 'http://host/?SdkAppid=1400000001&…' --body body.json"
    )]
    Explain(commands::explain::ExplainArgs),
    /// Inspect a spool: its content, its integrity, its unpublished events.
    #[command(after_help = "Example:\n  recall-bridge spool status --dir /var/lib/recall-bridge")]
    Spool(commands::spool::SpoolArgs),
    /// List the entries in quarantine, and requeue or drop them.
    #[command(after_help = "Example:\n  recall-bridge quarantine list\n  recall-bridge quarantine requeue 3")]
    Quarantine(commands::quarantine::QuarantineArgs),
    /// List refused webhooks, and replay the authentic ones.
    #[command(after_help = "Example:\n  recall-bridge refused list --since 1h\n  recall-bridge refused replay 17")]
    Refused(commands::refused::RefusedArgs),
    /// Show where a recall is: spool, quarantine, refused journal, and with Kafka configured the topic.
    ///
    /// A key is an account, a MsgKey or an `event_id`. Exit 0 if each key was found, 1 if not.
    #[command(
        after_help = "Example:\n  recall-bridge find 71_1_1698741698\n  KAFKA_BOOTSTRAP_SERVERS=localhost:9092 recall-bridge find '#TOA#_123' --since 7d --json"
    )]
    Find(commands::find::FindArgs),
    /// Publish again what the topic holds for a time, for a consumer that lost its state.
    ///
    /// Without --yes the command changes nothing: it counts the records, and prints the command that publishes exactly
    /// these. They keep key, value and `event_id`, and get the header `bridge_replay`. They go through the spool of the
    /// node that runs here, or with --to-topic directly to another topic.
    #[command(
        after_help = "Example:\n  recall-bridge replay --since 2026-01-31T00:00:00Z --until 2026-02-01T00:00:00Z\n  recall-bridge replay --since 24h --account '#TOA#_1' --to-topic recalls-again --yes"
    )]
    Replay(commands::replay::ReplayArgs),
    /// Ask /readyz of the bridge on this host: exit 0 if it can accept webhooks, 1 if not.
    #[command(after_help = "Example:\n  BRIDGE_OPS_LISTEN=0.0.0.0:9100 recall-bridge health")]
    Health {
        /// URL of /readyz, if it is not at `BRIDGE_OPS_LISTEN`.
        #[arg(long)]
        url: Option<String>,
    },
    /// Print the state of a running node in words: exit 0, or 1 if it loses recalls.
    #[command(after_help = "Example:\n  recall-bridge status\n  recall-bridge status --url http://node-1:9100 --json")]
    Status(commands::status::StatusArgs),
    /// Show the state, the last minutes and the tables of a running node, until Ctrl-C.
    #[command(after_help = "Example:\n  recall-bridge top --url http://node-1:9100\n  recall-bridge top --once --json")]
    Top(commands::top::TopArgs),
    /// Print completions for a shell.
    #[command(after_help = "Example:\n  recall-bridge completions bash >/etc/bash_completion.d/recall-bridge")]
    Completions(commands::completions::Completions),
    /// Write man pages, for packages.
    #[command(hide = true, after_help = "Example:\n  recall-bridge man target/man")]
    Man(commands::completions::Man),
}

/// The exit code of a defect, as for a component that exited.
const PANICKED: u8 = 70;

fn main() -> ExitCode {
    let result = std::panic::catch_unwind(|| match Cli::try_parse() {
        Ok(cli) => run(cli.command),
        Err(error) if error.use_stderr() => error.exit(),
        Err(help) => print(&help),
    });
    let code = match &result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            note(format_args!("recall-bridge: {error}"));
            exit(error)
        }
        // The panic hook has logged it. Rust's own code, 101, is not documented.
        Err(_) => ExitCode::from(PANICKED),
    };
    telemetry::flush();
    code
}

/// Prints help or version on stdout: the user asked for them.
fn print(help: &clap::Error) -> Result<(), CommandError> {
    let text = help.render();
    let mut output = Output::new();
    if std::io::stdout().is_terminal() {
        output.styled(text.ansi().to_string().trim_end());
    } else {
        output.line(text.to_string().trim_end());
    }
    output.finish()
}

fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Demo(args) => commands::demo::run(&args),
        Command::Serve => commands::serve::run(),
        Command::Send(args) => commands::send::run(&args),
        Command::Tail(args) => commands::tail::run(&args),
        Command::CheckConfig(args) => commands::check_config::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Spool(args) => commands::spool::run(&args),
        Command::Quarantine(args) => commands::quarantine::run(&args),
        Command::Refused(args) => commands::refused::run(&args),
        Command::Find(args) => commands::find::run(&args),
        Command::Replay(args) => commands::replay::run(&args),
        Command::Health { url } => commands::health::run(url.as_deref()),
        Command::Status(args) => commands::status::run(&args),
        Command::Top(args) => commands::top::run(&args),
        Command::Completions(args) => commands::completions::completions(&mut Cli::command(), &args),
        Command::Man(args) => commands::completions::man(Cli::command(), &args),
    }
}

fn exit(error: &CommandError) -> ExitCode {
    ExitCode::from(error.exit_code())
}

#[cfg(test)]
#[path = "main_tests.rs"]
mod tests;
