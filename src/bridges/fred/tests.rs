use super::*;
use crate::bridges::tests::start;

/// The password that a connection which is opened now gets.
async fn opened(credentials: &EntraCredentials) -> Result<String, Error> {
    let server = Server::new("localhost", 10_000);
    let (username, password) = credentials.fetch(Some(&server)).await?;
    assert_eq!(username.as_deref(), Some("me"));
    Ok(password.unwrap())
}

/// The password that live connections get next.
async fn refreshed(credentials: &EntraCredentials) -> Result<String, Error> {
    Ok(credentials.fetch(None).await?.1.unwrap())
}

#[tokio::test(start_paused = true)]
async fn all_clients_are_refreshed_as_soon_as_there_is_a_new_token() {
    let credentials = start(&["one", "two", "three"]);
    assert_eq!(opened(&credentials).await.unwrap(), "one");
    let (began, mut rotated) = (Instant::now(), Vec::new());
    for expected in ["two", "three"] {
        let client = async || {
            let mut password = refreshed(&credentials).await.unwrap();
            // What is given before is the old one once more.
            while password != expected {
                sleep(PACE).await;
                password = refreshed(&credentials).await.unwrap();
            }
            began.elapsed()
        };
        let (first, second) = tokio::join!(client(), client());
        rotated.extend([first, second]);
        assert_eq!(opened(&credentials).await.unwrap(), expected);
    }
    // Each lives for a second, and is renewed when 0.7 of it are over. A refresh that sleeps at that moment comes back
    // 100 ms later, and repeats the token after a quarter of the margin, 75 ms.
    for (at, due) in rotated.iter().zip([700, 700, 1400, 1400]) {
        let due = Duration::from_millis(due);
        assert!((due..due + Duration::from_millis(210)).contains(at), "{rotated:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_given_again_within_the_time_in_which_the_last_one_is_still_good() {
    let credentials = start(&["one", "two"]);
    assert_eq!(opened(&credentials).await.unwrap(), "one");
    let began = Instant::now();
    for _ in 0..4 {
        assert_eq!(refreshed(&credentials).await.unwrap(), "one");
    }
    // Four times in what is left when the second one is due: 300 ms.
    assert!((290..=310).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn why_there_is_no_token_is_told_and_a_refresh_waits_for_one() {
    let credentials = start(&["", "", "after all"]);
    let error = opened(&credentials).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Auth);
    assert!(error.to_string().contains("refused"), "{error}");
    // Whatever part of the spread it waits for.
    let many = std::iter::repeat_with(|| refreshed(&credentials)).take(1_000);
    for password in futures_util::future::join_all(many).await {
        assert_eq!(password.unwrap(), "after all");
    }

    // The script is at its end.
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    assert_eq!(refreshed(&credentials).await.unwrap_err().kind(), &ErrorKind::Auth);
    // fred calls again 100 ms after that, and logs each of these errors.
    assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
}

/// The runtime that fetched has ended, and the client's own goes on.
#[test]
fn nothing_spins_when_nobody_fetches_tokens_any_more() {
    let fetches = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let credentials = fetches.block_on(async { start(&["one"]) });
    drop(fetches);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let began = Instant::now();
        assert!(opened(&credentials).await.is_err());
        assert!(refreshed(&credentials).await.is_err());
        assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
    });
}
