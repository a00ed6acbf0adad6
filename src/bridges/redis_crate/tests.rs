use super::*;
use crate::bridges::tests::start;
use futures_util::StreamExt;
use std::time::Duration;
use tokio::time::timeout;

type Credentials = Pin<Box<dyn Stream<Item = RedisResult<BasicAuth>> + Send>>;

async fn next(stream: &mut Credentials) -> RedisResult<BasicAuth> {
    timeout(Duration::from_secs(10), stream.next()).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_subscriber_gets_the_current_token_and_each_new_one() {
    let credentials = start(&["one", "two", "three"]);
    let (mut early, mut other) = (credentials.subscribe(), credentials.subscribe());
    for expected in ["one", "two"] {
        for stream in [&mut early, &mut other] {
            let auth = next(stream).await.unwrap();
            assert_eq!((auth.username(), auth.password()), ("me", expected));
        }
    }
    // One that comes late starts with what is in use; the provider itself is not needed for what follows.
    let mut late = credentials.subscribe();
    drop((credentials, other));
    assert_eq!(next(&mut late).await.unwrap().password(), "two");
    for stream in [&mut early, &mut late] {
        assert_eq!(next(stream).await.unwrap().password(), "three");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_token_that_does_not_come() {
    let credentials = start(&["", "", "after all"]);
    let mut stream = credentials.subscribe();
    let error = next(&mut stream).await.unwrap_err();
    assert_eq!(error.kind(), redis::ErrorKind::AuthenticationFailed);
    assert!(error.to_string().contains("refused"), "{error}");
    assert_eq!(next(&mut stream).await.unwrap().password(), "after all");
    // The script is at its end: told once the token has died, not before.
    assert!(next(&mut stream).await.is_err());
}
