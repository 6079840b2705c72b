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
