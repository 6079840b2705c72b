//! `portti completions` and `portti man`: what the command line knows of itself, for shells and for man(1).

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::say;

/// A shell that is to complete words.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// For which shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Pages for man(1).
#[derive(Debug, Args)]
pub(crate) struct Manual {
    /// Write a page for each command into this folder. Without it, the first page is printed.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl Completions {
    /// Prints the script of a shell.
    pub(crate) fn run(&self, mut command: Command) -> ExitCode {
        let (name, mut script) = (command.get_name().to_owned(), Vec::new());
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        say(io::stdout(), String::from_utf8_lossy(&script));
        ExitCode::SUCCESS
    }
}

impl Manual {
    /// Prints or writes the pages.
    pub(crate) fn run(&self, command: Command) -> ExitCode {
        match self.pages(command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(io::stderr(), format_args!("portti: cannot write the pages: {error}\n"));
                ExitCode::FAILURE
            }
        }
    }

    fn pages(&self, command: Command) -> io::Result<()> {
        if let Some(folder) = &self.out {
            fs::create_dir_all(folder)?;
            return clap_mangen::generate_to(command, folder);
        }
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        say(io::stdout(), String::from_utf8_lossy(&page));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_each_command() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new");
        let command = || Command::new("gate").subcommand(Command::new("config").subcommand(Command::new("diff")));
        Manual { out: Some(out.clone()) }.pages(command()).unwrap();
        let mut pages: Vec<_> = fs::read_dir(&out).unwrap().map(|page| page.unwrap().file_name()).collect();
        pages.sort();
        assert_eq!(pages, ["gate-config-diff.1", "gate-config.1", "gate.1"]);
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(Manual { out: Some(folder.path().join("file")) }.pages(command()).is_err());
    }
}
