//! What can be seen of it: events, figures, health, spans and log lines, metrics; and that the guide's tables tell the
//! truth.
#![allow(clippy::unchecked_time_subtraction, reason = "a test may panic")]

mod events;
#[cfg(feature = "metrics")]
mod facade;
mod health;
mod log;
mod page;
mod stats;

use common::{Azure, HOUR, SECOND, within};
use entra_redis::{
    EntraRedis, Event,
    emulator::{EmulatorBuilder, FrontConnection},
};
use redis::{AsyncCommands, RedisResult};
use tokio::{sync::broadcast::Receiver, task::JoinHandle};

/// The emulator, with all that is told from now on noted for the comparison with the guide. No other subscriber can be
/// there: it is the process's only one.
async fn start(builder: EmulatorBuilder) -> Azure {
    log::watch();
    common::start(builder).await
}

/// Waits for an event that `pick` makes something of; those before it are passed over. Those of the start are, too:
/// they may still be on their way.
async fn told<T>(events: &mut Receiver<Event>, what: &str, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    within(what, 20 * SECOND, async {
        loop {
            let event = events.recv().await.unwrap();
            let of_the_start = matches!(event, Event::LinkUp { generation: 1, reconnect: false, .. });
            if !of_the_start && let Some(picked) = pick(event) {
                return picked;
            }
        }
    })
    .await
}

/// A read that is under way until Redis answers.
fn read(redis: &EntraRedis) -> JoinHandle<RedisResult<Option<String>>> {
    let mut con = redis.clone();
    tokio::spawn(async move { con.get::<_, Option<String>>("key").await })
}

fn freeze_all(emulator: &Azure) {
    emulator.redis_front().connections().iter().for_each(FrontConnection::freeze);
}

/// Starts a read that Redis does not get to see, and waits until it has been sent.
async fn held_up(emulator: &Azure, redis: &EntraRedis) -> JoinHandle<RedisResult<Option<String>>> {
    let before = redis.manager().stats().commands.sent;
    freeze_all(emulator);
    let call = read(redis);
    common::eventually("it is sent", 5 * SECOND, async || {
        (redis.manager().stats().commands.sent > before).then_some(())
    })
    .await;
    call
}
