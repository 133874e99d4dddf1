//! The certificates that are trusted: the system's, or those that the environment names.
//!
//! The TLS of the HTTP clients reads them by itself (rustls-native-certs). It leaves out in silence
//! what it cannot read, after which no server is trusted; so they are proved before.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::NetworkError;

/// Variable that names a file of certificates, which take the place of the system's.
pub(super) const FILE: &str = "SSL_CERT_FILE";
const FOLDERS: &str = "SSL_CERT_DIR";

/// Fails if the environment names certificates, and there are none.
pub(super) fn check(variable: impl Fn(&str) -> Option<OsString>) -> Result<(), NetworkError> {
    if let Some(file) = variable(FILE) {
        return check_file(Path::new(&file)).map_err(|reason| NetworkError {
            variable: FILE,
            reason,
        });
    }
    let Some(folders) = variable(FOLDERS).filter(|folders| !folders.is_empty()) else {
        return Ok(());
    };
    let mut files = std::env::split_paths(&folders)
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .flatten();
    if files.any(|file| check_file(&file.path()).is_ok()) {
        return Ok(());
    }
    Err(NetworkError {
        variable: FOLDERS,
        reason: format!(
            "names no folder with certificates in PEM form ({}); correct it, or unset it to trust \
             the system's",
            folders.display()
        ),
    })
}

fn check_file(file: &Path) -> Result<(), String> {
    const CURE: &str = "name a file of certificates in PEM form, or unset it to trust the system's";
    if file.as_os_str().is_empty() {
        return Err(format!("is empty; {CURE}"));
    }
    let shown = file.display();
    let text = fs::read(file)
        .map_err(|error| format!("names {shown}, which cannot be read ({error}); {CURE}"))?;
    if CertificateDer::pem_slice_iter(&text).any(|certificate| certificate.is_ok()) {
        return Ok(());
    }
    Err(format!(
        "names {shown}, which holds no certificate (-----BEGIN CERTIFICATE-----); {CURE}"
    ))
}
