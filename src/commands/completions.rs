//! `recall-bridge completions` and `recall-bridge man`: what a package of the bridge installs,
//! written from the same description of the command line that parses it.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap_complete::Shell;

use super::CommandError;
use super::output::Output;
use crate::version::VERSION;

/// For which shell.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Where to.
#[derive(Debug, clap::Args)]
pub struct Man {
    /// A directory, made where it is missing.
    dir: PathBuf,
}

/// Prints the completions of `command` for a shell.
///
/// # Errors
/// They could not be written.
pub fn completions(command: &mut clap::Command, args: &Completions) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "recall-bridge", &mut script);
    // For bash, clap_complete 4.6 spells a name with a hyphen in two ways, and finds nothing below it.
    let script = String::from_utf8_lossy(&script).replace("recall__subcmd__bridge", "recall__bridge");
    let mut output = Output::new();
    output.line(script.trim_end());
    output.finish()
}

/// Writes a man page for `command` and one for each command below it.
///
/// # Errors
/// The directory cannot be written.
pub fn man(command: clap::Command, args: &Man) -> Result<(), CommandError> {
    // `help` repeats every command, and has no page anywhere.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    std::fs::create_dir_all(&args.dir)
        .with_context(|| args.dir.display().to_string())
        .and_then(|()| page(&command, &args.dir))
        .map_err(CommandError::Outside)
}

fn page(command: &clap::Command, dir: &Path) -> anyhow::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let file = dir.join(format!("{name}.1"));
    let mut text = Vec::new();
    // The release without the commit: a page of the same text is the same file.
    let manual = clap_mangen::Man::new(command.clone().version(VERSION)).source(format!("recall-bridge {VERSION}"));
    manual.render(&mut text).context("a man page")?;
    // What stands behind the options is the example, line by line.
    let text = String::from_utf8_lossy(&text).replace(".SH EXTRA\nExample:\n", ".SH EXAMPLES\n.nf\n");
    std::fs::write(&file, text).with_context(|| file.display().to_string())?;
    command.get_subcommands().filter(|below| !below.is_hide_set()).try_for_each(|below| page(below, dir))
}
