//! What is said of PKCS#12 in a build that does not read it.

use super::{Parts, SETTING};
use crate::{error::Error, secret::Secret, transport::pem};

pub(super) fn read(bytes: &[u8], _: &Secret) -> Result<Parts, Error> {
    let problem = if pem::contains(bytes, pem::MARK) {
        "is PEM, and given as PKCS#12: use `ClientCertificate::pem` or `pem_file`"
    } else {
        "is not PEM, and PKCS#12 is read with the feature `pkcs12` of `entra-redis` only: turn it on, or convert the \
         file with `openssl pkcs12 -in FILE -nodes -out app.pem`, and use that"
    };
    Err(Error::config(SETTING, problem))
}

#[cfg(test)]
mod tests;
