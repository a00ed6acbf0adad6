//! What a client needs to find the emulator: lines for a shell, and files.

use super::write_file;
use crate::failure::Failure;
use entra_redis::emulator::Emulator;
use std::{
    borrow::Cow,
    fs,
    io::{self, Write, stdout},
    path::Path,
    time::Duration,
};

/// Nobody renews the file of the federated token, as a cluster does: it has to last as long as the emulator may run.
const FEDERATED_TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// Writes the files of the other kinds of credentials, and says which variables lead to them.
pub(super) fn other_credentials(
    emulator: &Emulator,
    dir: Option<&Path>,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let Some(dir) = dir else {
        return Ok(Vec::new());
    };
    fs::create_dir_all(dir)
        .map_err(|error| Failure::new(format!("cannot make the directory {} of --write-dir", dir.display()), error))?;
    let certificate = dir.join("client-certificate.pem");
    write_file(&certificate, emulator.client_certificate_pem())?;
    let token = dir.join("federated-token");
    write_file(&token, emulator.federated_token_with_lifetime(FEDERATED_TOKEN_LIFETIME))?;
    emulator.arc_key_dir(dir);
    Ok(vec![
        ("AZURE_CLIENT_CERTIFICATE_PATH", certificate.display().to_string()),
        ("AZURE_FEDERATED_TOKEN_FILE", token.display().to_string()),
        ("IDENTITY_ENDPOINT", format!("{}/msi/token", emulator.authority_host())),
        ("IDENTITY_HEADER", emulator.identity_header().to_owned()),
    ])
}

pub(super) fn print(emulator: &Emulator, ca_file: &Path, others: &[(&str, String)]) -> io::Result<()> {
    let mut out = stdout().lock();
    for (name, value) in emulator.env() {
        writeln!(out, "export {name}={}", quoted(&value))?;
    }
    writeln!(out, "export REDIS_CA_CERT={}", quoted(&ca_file.display().to_string()))?;
    if emulator.cluster().is_ok() {
        writeln!(
            out,
            "# This is a cluster, whose nodes are named by their addresses: verify the certificates of all of them"
        )?;
        writeln!(out, "# for REDIS_HOST.")?;
    }
    writeln!(
        out,
        "# MSAL and Azure's identity libraries (Node's, Python's and others) refuse http in AZURE_AUTHORITY_HOST. For"
    )?;
    writeln!(
        out,
        "# them, use this one instead; let them trust REDIS_CA_CERT (NODE_EXTRA_CA_CERTS, REQUESTS_CA_BUNDLE,"
    )?;
    writeln!(out, "# SSL_CERT_FILE), and switch instance discovery off in the credential's options:")?;
    writeln!(out, "# export AZURE_AUTHORITY_HOST={}", quoted(&emulator.https_identity_host()))?;
    for (name, value) in others {
        writeln!(out, "# export {name}={}", quoted(value))?;
    }
    // Whoever reads this through a pipe waits for it.
    out.flush()
}

/// A value as every shell takes it. A tilde is an ordinary character, except at the beginning and behind a colon.
fn quoted(value: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+=,-~".contains(c);
    let expands = value.starts_with('~') || value.contains(":~");
    if value.chars().all(plain) && !expands {
        value.into()
    } else {
        format!("'{}'", value.replace('\'', r"'\''")).into()
    }
}
