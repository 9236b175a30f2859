//! `recall-bridge completions` and `recall-bridge man`: files for packages, generated from the definition of the
//! command line.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap_complete::Shell;

use super::CommandError;
use super::output::Output;
use crate::version::VERSION;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// Shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Output directory; created if it does not exist.
    dir: PathBuf,
}

/// Prints the completions of `command` for a shell.
///
/// # Errors
/// The completions could not be written.
pub fn completions(command: &mut clap::Command, args: &Completions) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "recall-bridge", &mut script);
    // For bash, clap_complete 4.6 spells a name with a hyphen in two ways, so subcommands would have no completions.
    let script = String::from_utf8_lossy(&script).replace("recall__subcmd__bridge", "recall__bridge");
    let mut output = Output::new();
    output.line(script.trim_end());
    output.finish()
}

/// Writes a man page for `command` and for each of its subcommands.
///
/// # Errors
/// The directory cannot be written.
pub fn man(command: clap::Command, args: &Man) -> Result<(), CommandError> {
    // The subcommand `help` would get a page for every other command.
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
    // The version has no commit, so that an unchanged text gives an unchanged file.
    let manual = clap_mangen::Man::new(command.clone().version(VERSION)).source(format!("recall-bridge {VERSION}"));
    manual.render(&mut text).context("a man page")?;
    // The text after the options is the example. `.nf` keeps its lines.
    let text = String::from_utf8_lossy(&text).replace(".SH EXTRA\nExample:\n", ".SH EXAMPLES\n.nf\n");
    std::fs::write(&file, text).with_context(|| file.display().to_string())?;
    command.get_subcommands().filter(|below| !below.is_hide_set()).try_for_each(|below| page(below, dir))
}
