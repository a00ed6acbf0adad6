use super::*;
use tokio::time::advance;

const ID: &str = "7e57e57e-0000-4000-8000-000000000003";
const SECOND: Duration = Duration::from_secs(1);

fn current(generation: u64, lifetime: Duration) -> Arc<Current> {
    let token = AccessToken::opaque("t", lifetime, "me").unwrap();
    Arc::new(Current { token, generation, username: UserName::new(ID) })
}

#[tokio::test(start_paused = true)]
async fn what_is_shown_of_the_newest_token_stays_after_its_end() {
    let (tokens, state, _wishes, plan) = Tokens::new();
    assert!(tokens.stats().is_none() && tokens.newest().is_none() && !tokens.is_dead());

    let newest = current(3, 60 * SECOND);
    state.send_replace(State::Live(Arc::clone(&newest)));
    *lock(&plan) = Plan::at(Instant::now() + 40 * SECOND);
    advance(10 * SECOND).await;
    assert!(tokens.live().is_some() && tokens.late().is_none() && tokens.dead().is_none());
    let stats = tokens.stats().unwrap();
    assert_eq!((stats.generation, &*stats.username, stats.in_use), (3, ID, true));
    assert_eq!((stats.age, stats.remaining, stats.refresh_in), (10 * SECOND, 50 * SECOND, 30 * SECOND));

    advance(60 * SECOND).await;
    assert!(tokens.live().is_none() && tokens.late().is_some() && tokens.dead().is_none());
    state.send_replace(State::Dead(Error::new(ErrorKind::TokenEndpoint, "x"), Some(newest)));
    let stats = tokens.stats().unwrap();
    assert_eq!((stats.generation, stats.in_use, tokens.is_dead()), (3, false, true));
    assert_eq!((stats.age, stats.remaining, stats.refresh_in), (70 * SECOND, Duration::ZERO, Duration::ZERO));
}

#[tokio::test]
async fn a_user_name_that_is_no_id_is_not_shown() {
    let (tokens, state, ..) = Tokens::new();
    let token = AccessToken::opaque("t", SECOND, "an-access-key").unwrap();
    let username = token.user_name().unwrap().clone();
    state.send_replace(State::Live(Arc::new(Current { token, generation: 1, username })));
    let shown = format!("{:?}", tokens.stats().unwrap());
    assert!(!shown.contains("access-key") && shown.contains(crate::ids::NO_ID), "{shown}");
}

#[tokio::test]
async fn whoever_waits_for_a_token_learns_that_nobody_fetches_one_any_more() {
    let (mut tokens, state, _wishes, _plan) = Tokens::new();
    state.send_replace(State::Live(current(1, SECOND)));
    assert!(tokens.changed().await);
    state.send_replace(State::Pending);
    drop(state);
    assert!(tokens.changed().await, "the last change is told first");
    assert!(!tokens.changed().await);
    assert_eq!(tokens.current().await.err().map(|error| error.kind()), Some(ErrorKind::Closed));
}
