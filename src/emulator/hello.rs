//! `HELLO [version [AUTH user password] [SETNAME name]]`, which the front reads and the store, too.

use super::resp::decimal;

/// What a `HELLO` says, up to what is wrong with it.
#[derive(Default)]
pub(super) struct Hello<'a> {
    /// Whether it asks for RESP3; none if it asks for nothing.
    pub(super) resp3: Option<bool>,
    pub(super) login: Option<(&'a [u8], &'a [u8])>,
    pub(super) name: Option<&'a [u8]>,
    /// The error that it is answered with, unless it is its login that is wrong.
    pub(super) problem: Option<Vec<u8>>,
}

impl<'a> Hello<'a> {
    /// Of the arguments after the command's name.
    pub(super) fn read(args: &'a [Vec<u8>]) -> Self {
        let mut hello = Self::default();
        hello.problem = hello.take(args).err();
        hello
    }

    fn take(&mut self, args: &'a [Vec<u8>]) -> Result<(), Vec<u8>> {
        let Some((version, mut options)) = args.split_first() else {
            return Ok(());
        };
        self.resp3 = match decimal(version) {
            Some(2) => Some(false),
            Some(3) => Some(true),
            Some(_) => return Err(b"NOPROTO unsupported protocol version".to_vec()),
            None => return Err(b"ERR Protocol version is not an integer or out of range".to_vec()),
        };
        while let [option, rest @ ..] = options {
            options = match (c_string(option).to_ascii_uppercase().as_slice(), rest) {
                (b"AUTH", [user, password, rest @ ..]) => {
                    self.login = Some((user, password));
                    rest
                }
                (b"SETNAME", [name, rest @ ..]) => {
                    self.name = Some(client_name(name)?);
                    rest
                }
                _ => return Err([b"ERR Syntax error in HELLO option '", c_string(option), b"'"].concat()),
            };
        }
        Ok(())
    }
}

/// A name that a connection may have; the empty one takes it away.
pub(super) fn client_name(name: &[u8]) -> Result<&[u8], Vec<u8>> {
    let refusal = b"ERR Client names cannot contain spaces, newlines or special characters.";
    if is_plain(name) { Ok(name) } else { Err(refusal.to_vec()) }
}

/// Whether it is all characters that can be seen.
pub(super) fn is_plain(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_graphic)
}

/// What C takes for the text: Redis compares and quotes words of its own as C does.
pub(super) fn c_string(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == 0);
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests;
