//! What makes a shell complete the commands, and the manual page.

use std::io::{self, Write as _};

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::error::{CliError, Result};

const NAME: &str = "arrow-salesforce";

/// Prints what makes `shell` complete the commands.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn completions(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    print(&script)
}

/// Prints the manual page: of the whole, and then of each command.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn man() -> Result<()> {
    print(&page().map_err(unwritten)?)
}

fn page() -> io::Result<Vec<u8>> {
    let mut root = Cli::command();
    root.build();
    let mut page = Vec::new();
    let man = Man::new(root.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    for command in root.get_subcommands() {
        section(command, &mut page)?;
        for task in command.get_subcommands() {
            section(task, &mut page)?;
        }
    }
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// A section of one command, whose parts are sections of pages of their own.
fn section(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    if command.get_name() == "help" {
        return Ok(());
    }
    let man = Man::new(command.clone());
    let mut parts = Vec::new();
    man.render_synopsis_section(&mut parts)?;
    man.render_description_section(&mut parts)?;
    man.render_options_section(&mut parts)?;
    man.render_extra_section(&mut parts)?;
    let parts = String::from_utf8_lossy(&parts).replace(".SH ", ".SS ");
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let title = name
        .strip_prefix(NAME)
        .unwrap_or(name)
        .trim()
        .to_uppercase();
    write!(page, ".SH {title}\n{parts}")
}

fn print(text: &[u8]) -> Result<()> {
    io::stdout().write_all(text).map_err(unwritten)
}

#[expect(clippy::needless_pass_by_value, reason = "map_err hands it over")]
fn unwritten(error: io::Error) -> CliError {
    CliError::failed(format!("stdout cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_each_command_with_its_options() {
        let page = String::from_utf8(page().unwrap()).unwrap();
        for part in [
            ".SH LOAD",
            ".SH RESUME",
            ".SH RUNS PRUNE",
            ".SH REJECTS",
            "SF_CLIENT_ID",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(page.contains(r"\-\-ignore\-unknown"));
    }
}
