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
mod tests {
    use super::*;

    fn read(words: &[&str], problem: &str) {
        let args: Vec<_> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let said = Hello::read(&args).problem.unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&said), problem, "{words:?}");
    }

    #[test]
    fn what_is_wrong_is_told_in_redis_s_words() {
        for good in [&[][..], &["2"], &["3"], &["3", "auth", "me", "secret", "SetName", "x"], &["3", "SETNAME", ""]] {
            read(good, "");
        }
        for version in ["1", "4", "-2"] {
            read(&[version, "BOGUS"], "NOPROTO unsupported protocol version");
        }
        for version in ["", "x", "+3", "03", "3.0"] {
            read(&[version], "ERR Protocol version is not an integer or out of range");
        }
        read(&["3", "AUTH", "me"], "ERR Syntax error in HELLO option 'AUTH'");
        read(&["3", "bogus\0\r"], "ERR Syntax error in HELLO option 'bogus'");
        let refusal = "ERR Client names cannot contain spaces, newlines or special characters.";
        read(&["3", "SETNAME", "a b"], refusal);
    }

    #[test]
    fn a_login_before_the_mistake_is_found() {
        let args: Vec<_> = ["3", "AUTH", "me", "secret", "BOGUS"].iter().map(|word| word.as_bytes().to_vec()).collect();
        let hello = Hello::read(&args);
        assert_eq!(hello.login, Some((&b"me"[..], &b"secret"[..])));
        assert!(hello.problem.is_some());
    }
}
