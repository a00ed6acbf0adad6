use super::*;

const ID: &str = "7e57e57e-0000-4000-8000-000000000003";
/// As access keys of caches look, shortened.
const KEY: &str = "Kq8x2mB1nS7vLc9RwT4yHzJd6fGpAeUiOaZbXcVdNfQ=";

#[test]
fn an_id_is_known_by_its_form() {
    assert!(is_id(ID) && is_id(&ID.to_uppercase()));
    for other in ["", "me", KEY, &ID[1..], &format!("{ID}0"), &ID.replace('-', "0"), &ID.replace('7', "g")] {
        assert!(!is_id(other), "{other}");
    }
    // As many bytes, and fewer characters.
    assert!(!is_id(&format!("é{}", &ID[2..])));
}

#[test]
fn what_may_be_a_key_in_the_wrong_place_is_not_shown() {
    for name in [ID, "default", "my-client-id"] {
        let user = UserName::new(name);
        assert_eq!((user.to_string(), format!("{user:?}")), (name.to_owned(), format!("{name:?}")));
    }
    let user = UserName::new(KEY);
    assert_eq!((user.to_string().as_str(), format!("{user:?}")), (NO_ID, format!("{NO_ID:?}")));
    assert_eq!(user.expose(), KEY);
    assert_eq!((shown(ID), shown(KEY), shown_tenant(ID), shown_tenant(KEY)), (ID, NO_ID, ID, NO_ID));
    assert_eq!(shown_tenant("contoso.onmicrosoft.com"), "contoso.onmicrosoft.com");
    assert_eq!(shown_resource(KEY), NO_ID);
}

#[test]
fn a_server_that_quotes_it_does_not_show_it_either() {
    let token = Secret::new("eyJhbGciOiJub25lIn0.e30.");
    let said = UserName::new(KEY).scrub(&token, &format!("unknown user '{KEY}', {}", token.expose()));
    assert!(!said.contains(&KEY[..12]) && !said.contains("eyJhbGci"), "{said}");
    assert!(said.starts_with("unknown user '"), "{said}");
    let said = scrub([&token], "tester", "no such user: 'tester', said the tests");
    assert_eq!(said, format!("no such user: '{NO_ID}', said the tests"));
    assert_eq!(scrub([&token], "me", "some of these"), "some of these");
    for surrounded in [format!("{ID}\r\n"), format!(" '{ID}'")] {
        let other = ID.replace("0003", "cccc");
        assert_eq!(scrub([&token], &surrounded, &other), other, "it begins as the id does");
    }
    let said = UserName::new(ID).scrub(&token, &format!("unknown user '{ID}'"));
    assert_eq!(said, format!("unknown user '{ID}'"));
}
