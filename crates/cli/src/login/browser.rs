//! The browser of the person who logs in.

use std::env;
use std::process::Stdio;

use tokio::process::Command;
use url::Url;

/// Opens an address in the browser that there is. False if there is none.
pub(crate) fn open(address: &Url) -> bool {
    let Some((program, arguments)) = browser() else {
        return false;
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(address.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().is_ok()
}

/// What opens addresses, and the arguments before them.
fn browser() -> Option<(String, &'static [&'static str])> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(browser) = set("BROWSER") {
        return Some((browser, &[]));
    }
    if cfg!(target_os = "macos") {
        return Some(("open".to_owned(), &[]));
    }
    if cfg!(windows) {
        return Some(("rundll32".to_owned(), &["url.dll,FileProtocolHandler"]));
    }
    if set("WSL_DISTRO_NAME").is_some() {
        return Some(("wslview".to_owned(), &[]));
    }
    // Without a display it would open a browser in this terminal.
    let display = set("DISPLAY").or_else(|| set("WAYLAND_DISPLAY"));
    display.map(|_| ("xdg-open".to_owned(), [].as_slice()))
}
