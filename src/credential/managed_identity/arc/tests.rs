use super::*;
use proptest::prelude::*;

#[test]
fn the_realm_is_the_path() {
    for challenge in ["Basic realm=/a/b.key", "basic realm=\"/a/b.key\"", " BASIC REALM=/a/b.key "] {
        assert_eq!(realm(challenge), Some(PathBuf::from("/a/b.key")), "{challenge}");
    }
    for nonsense in ["", "Basic", "Basic realm=", "Bearer realm=/a/b.key", "Basic realm=\"\"", "é"] {
        assert_eq!(realm(nonsense), None, "{nonsense}");
    }
}

struct Agent {
    root: tempfile::TempDir,
    tokens: PathBuf,
}

impl Agent {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let tokens = root.path().join("tokens");
        fs::create_dir_all(tokens.join("deeper")).unwrap();
        Self { root, tokens }
    }

    fn file(&self, path: &str, bytes: usize) -> PathBuf {
        let path = self.root.path().join(path);
        fs::write(&path, "k".repeat(bytes)).unwrap();
        path
    }

    fn refuses(&self, path: &Path, why: &str) {
        let error = read_key(path, &self.tokens).unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::TokenEndpoint, false), "{}", path.display());
        let text = error.to_string();
        assert!(text.contains(why) && !text.contains("kkkk"), "{}: {text}", path.display());
    }
}

#[test]
fn a_challenge_file_is_read() {
    let agent = Agent::new();
    assert_eq!(read_key(&agent.file("tokens/a.key", 4096), &agent.tokens).unwrap().expose().len(), 4096);
    let path = agent.file("tokens/b.key", 0);
    fs::write(&path, "content\n").unwrap();
    assert_eq!(read_key(&path, &agent.tokens).unwrap().expose(), "content");
}

#[test]
fn hostile_paths_are_refused_unread() {
    let agent = Agent::new();
    let elsewhere = "outside of the agent's directory";
    agent.refuses(&agent.file("secret.key", 10), elsewhere);
    agent.refuses(&agent.file("tokens/deeper/a.key", 10), elsewhere);
    _ = agent.file("tokens/a.key", 10);
    agent.refuses(&agent.tokens.join("../secret.key"), elsewhere);
    agent.refuses(&agent.tokens.join("../tokens/a.key"), elsewhere);
    agent.refuses(&agent.tokens.join("deeper/../a.key"), elsewhere);
    agent.refuses(Path::new("a.key"), elsewhere);
    agent.refuses(&agent.tokens, elsewhere);
    agent.refuses(&agent.file("tokens/a.txt", 10), "`.key`");
    agent.refuses(&agent.file("tokens/key", 10), "`.key`");
    agent.refuses(&agent.file("tokens/large.key", 5 * 1024), "4096 bytes");
    let directory = agent.tokens.join("d.key");
    fs::create_dir(&directory).unwrap();
    agent.refuses(&directory, "not a plain file");
}

#[cfg(unix)]
#[test]
fn a_symlink_is_refused_wherever_it_leads() {
    let agent = Agent::new();
    for (name, target) in [("out.key", agent.file("secret.key", 10)), ("in.key", agent.file("tokens/a.key", 10))] {
        let link = agent.tokens.join(name);
        std::os::unix::fs::symlink(&target, &link).unwrap();
        agent.refuses(&link, "not a plain file");
    }
}

#[test]
fn a_file_that_cannot_be_read_names_the_group() {
    let agent = Agent::new();
    let error = read_key(&agent.tokens.join("missing.key"), &agent.tokens).unwrap_err();
    assert_eq!((error.kind(), error.hint()), (ErrorKind::CredentialUnavailable, Some(hints::KEY_GROUP)));
}

proptest! {
    #[test]
    fn no_challenge_is_a_reason_to_panic(text in any::<String>()) {
        for challenge in [text.clone(), format!("Basic realm={text}"), format!("Basic realm=\"{text}")] {
            _ = realm(&challenge);
        }
    }
}
