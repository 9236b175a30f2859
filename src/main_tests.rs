//! The definition of the command line: every command has a valid example.

use clap::CommandFactory as _;

use super::*;

/// Collects every executable command with its words.
fn leaves(command: &clap::Command, words: &[String], found: &mut Vec<(Vec<String>, clap::Command)>) {
    let words: Vec<String> = words.iter().cloned().chain([command.get_name().to_owned()]).collect();
    if command.has_subcommands() {
        command.get_subcommands().for_each(|below| leaves(below, &words, found));
    }
    found.push((words, command.clone()));
}

/// Splits an example into words like a shell, without leading variables and trailing redirections.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    assert!(!quoted, "{line}");
    words.retain(|word| !word.is_empty() && !word.starts_with('>'));
    let variables = words.iter().take_while(|word| word.contains('=')).count();
    words.split_off(variables)
}

#[test]
fn the_command_line_definition_is_valid() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_a_valid_example() {
    let mut found = Vec::new();
    leaves(&Cli::command(), &[], &mut found);
    assert!(found.len() > 15, "{found:?}");
    for (name, command) in found.iter().filter(|(name, _)| name.len() > 1) {
        let help = command.get_after_help().unwrap_or_else(|| panic!("{name:?} has no example")).to_string();
        let examples: Vec<_> = help.lines().skip_while(|line| *line != "Example:").skip(1).map(words).collect();
        assert!(examples.iter().any(|example| example.starts_with(name)), "{name:?}: {help}");
        for example in examples {
            if let Err(error) = Cli::try_parse_from(&example) {
                panic!("{example:?}: {error}");
            }
        }
    }
}

#[test]
fn an_example_is_split_into_words_like_in_a_shell() {
    let line = "A=1 B='2 3' recall-bridge explain --url 'http://host/?a=1&b=2' >file";
    assert_eq!(words(line), ["recall-bridge", "explain", "--url", "http://host/?a=1&b=2"]);
}
