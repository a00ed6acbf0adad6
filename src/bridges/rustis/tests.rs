use super::*;
use crate::bridges::tests::start;
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn each_handshake_gets_the_token_in_use() {
    let credentials = start(&["one", "two"]);
    for expected in ["one", "one", "two"] {
        let given = credentials.credentials().await.unwrap();
        assert_eq!((given.username.as_deref(), &*given.password), (Some("me"), expected));
        // Each lives for a second, and is renewed when 0.7 of it are over.
        sleep(Duration::from_millis(400)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn why_there_is_no_token_is_told() {
    let credentials = start(&["", "after all"]);
    let error = credentials.credentials().await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    let rustis::ErrorKind::IO(error) = error.into_kind() else { panic!("of another kind") };
    assert!(error.get_ref().unwrap().is::<crate::error::Error>());
    while credentials.credentials().await.is_err() {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(credentials.credentials().await.unwrap().password, "after all");
}
