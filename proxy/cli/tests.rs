use clap_complete::{Shell, generate};

use super::*;

#[test]
fn the_command_line_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
        let mut script = Vec::new();
        generate(shell, &mut Arguments::command(), "portti", &mut script);
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains("maintenance") && script.contains("token-file"), "{shell}");
    }
}

/// What a person would type of docs/commands.md: the commands of its blocks, without what the shell does around them.
fn examples() -> Vec<Vec<&'static str>> {
    let blocks = include_str!("../../docs/commands.md").split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(str::lines).flat_map(|line| line.split('#').next().unwrap().split("&&"));
    let commands = lines.map(|line| line.split(['|', '>']).next().unwrap().split_whitespace().collect::<Vec<_>>());
    commands.filter(|words| words.first() == Some(&"portti")).collect()
}

/// Every command that does something, with the words that call it.
fn commands(of: &clap::Command, words: &[String], all: &mut Vec<Vec<String>>) {
    let words = [words, &[of.get_name().to_owned()]].concat();
    if of.has_subcommands() {
        of.get_subcommands().for_each(|command| commands(command, &words, all));
    } else {
        all.push(words);
    }
}

#[test]
#[cfg(feature = "top")]
fn every_example_of_the_docs_can_be_typed() {
    let examples = examples();
    assert!(examples.len() > 30, "{examples:?}");
    for example in examples {
        if let Err(error) = Arguments::try_parse_from(&example) {
            panic!("{}: {error}", example.join(" "));
        }
    }
}

#[test]
fn every_command_has_an_example_in_the_docs() {
    let mut all = Vec::new();
    commands(&Arguments::command(), &[], &mut all);
    assert!(all.len() > 15, "{all:?}");
    let examples = examples();
    for words in all {
        let shown = examples
            .iter()
            .any(|example| example.len() >= words.len() && words.iter().zip(example).all(|(a, b)| a == b));
        assert!(shown, "docs/commands.md has no example of {}", words.join(" "));
    }
}
