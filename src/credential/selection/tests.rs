use super::*;

fn chosen(value: &str) -> Result<Vec<Candidate>, Error> {
    candidates(&ProcessEnv::of_pairs(&[(VARIABLE, value)]))
}

#[test]
fn groups_and_names_are_understood_in_any_case() {
    assert_eq!(chosen("").unwrap(), Candidate::ALL);
    assert_eq!(chosen("PROD").unwrap(), Candidate::ALL[..3]);
    assert_eq!(chosen(" dev ").unwrap(), [Candidate::AzureCli, Candidate::AzureDeveloperCli]);
    for candidate in Candidate::ALL {
        assert_eq!(chosen(candidate.name()).unwrap(), [candidate]);
        assert_eq!(chosen(&candidate.name().to_lowercase()).unwrap(), [candidate]);
    }
}

#[test]
fn anything_else_lists_what_there_is() {
    for nonsense in ["all", "VisualStudioCodeCredential", "dev,prod"] {
        let error = chosen(nonsense).unwrap_err().to_string();
        assert!(error.starts_with("`AZURE_TOKEN_CREDENTIALS` must be one of `dev`, `prod`"), "{error}");
        assert!(Candidate::ALL.iter().all(|candidate| error.contains(candidate.name())), "{error}");
    }
}
