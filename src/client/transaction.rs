//! Optimistic transactions: what is watched, read and written is tried again if somebody else comes between.

use super::{Dedicated, EntraRedis};
use crate::{
    cluster::slot::Slot,
    exec::{
        again::{Again, Ended},
        lease::Place,
        session::{Gone, Session},
    },
};
use redis::{ErrorKind, Pipeline, RedisResult, ToRedisArgs};
use std::sync::Arc;

impl EntraRedis {
    /// A connection for the caller alone; on a cluster, to any node, which serves its own keys. See [`Dedicated`].
    ///
    /// It is one of [`max_leased`](crate::Config::max_leased), and comes after what this handle has sent before.
    ///
    /// # Errors
    ///
    /// After the command timeout, if as many as there may be are in use until then, or none comes up; at once without a
    /// valid token, and after `shutdown`.
    pub async fn dedicated(&self) -> RedisResult<Dedicated> {
        self.dedicated_at(&Place::Owner(None), None).await
    }

    /// As [`dedicated`](Self::dedicated); on a cluster, to the node that has this key now.
    ///
    /// # Errors
    ///
    /// Those of [`dedicated`](Self::dedicated).
    pub async fn dedicated_for<K: ToRedisArgs>(&self, key: K) -> RedisResult<Dedicated> {
        let slot = key.to_redis_args().first().map(|key| Slot::of(key));
        self.dedicated_at(&Place::Owner(slot), None).await
    }

    async fn dedicated_at(&self, place: &Place, gone: Option<Gone>) -> RedisResult<Dedicated> {
        let session = Session::open(self.manager.core(), &mut self.memory.clone(), place, gone).await?;
        Ok(Dedicated::new(session, Arc::clone(&self.manager)))
    }

    /// An optimistic transaction: what `body` writes by its pipeline is written only if nobody has changed `keys` since
    /// `body` began.
    ///
    /// `keys` are watched, then `body` gets the connection, to read from, and an atomic pipeline, which it fills and
    /// sends over that connection. With `Ok(None)`, which `query_async` of the pipeline gives when a key has been
    /// changed, it is called again, after a short random delay, 100 times at most; `Ok(Some(_))` is the transaction's
    /// result, whether it has sent anything or not. All keys are in one slot on a cluster.
    ///
    /// It is also called again if the connection is lost before the pipeline was sent, or the cluster sends it
    /// elsewhere, for the command timeout at most. If it is lost with the pipeline on its way, nobody knows whether it
    /// has run, and the error says so; an error that comes after the pipeline has run is returned. In both cases it is
    /// never run again. What `body` writes by the connection itself, and not by the pipeline, happens each time that it
    /// is called.
    ///
    /// While a slot is on its way to another node, a transaction runs where all of its `keys` are, if `body` uses these
    /// alone. One whose keys are on both sides, or that uses others too, waits for the end of that, within the command
    /// timeout.
    ///
    /// In a task that may move between threads (`tokio::spawn`), `body` takes what it uses by value (`async move`): the
    /// compiler does not see yet that one that borrows may be sent to another thread.
    ///
    /// ```
    /// # use entra_redis::EntraRedis;
    /// # use redis::AsyncCommands;
    /// # async fn example(redis: EntraRedis) -> redis::RedisResult<()> {
    /// let (stock,): (i64,) = redis
    ///     .transaction(&["stock"], async |con, pipe| {
    ///         let stock: i64 = con.get("stock").await?;
    ///         pipe.set("stock", stock - 1).ignore().get("stock").query_async(con).await
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What `body` returns; kind [`Conflict`](crate::ErrorKind::Conflict) after 100 attempts; those of
    /// [`dedicated`](Self::dedicated); kind `Client` without any keys.
    pub async fn transaction<K, T, F>(&self, keys: K, mut body: F) -> RedisResult<T>
    where
        K: ToRedisArgs,
        F: AsyncFnMut(&mut Dedicated, &mut Pipeline) -> RedisResult<Option<T>>,
    {
        let mut watch = redis::cmd("WATCH");
        watch.arg(keys);
        let Some(redis::Arg::Simple(first)) = watch.args_iter().nth(1) else {
            let what = "a transaction needs at least one key to watch";
            return Err((ErrorKind::Client, what).into());
        };
        let mut again = Again::new(self.manager.core(), Some(Slot::of(first)));
        let mut start = again.start();
        loop {
            let gone = start.asking.map(|until| Gone::new(&watch, until));
            let mut con = self.dedicated_at(&start.place, gone).await?;
            con.session_mut().begin();
            let result = match watch.exec_async(&mut con).await {
                Ok(()) => body(&mut con, redis::pipe().atomic()).await,
                Err(error) => Err(error),
            };
            if con.is_open() && con.session().is_watching() {
                // If that fails the connection is closed, and nothing is watched either.
                _ = redis::cmd(if con.session().is_in_multi() { "DISCARD" } else { "UNWATCH" })
                    .exec_async(&mut con)
                    .await;
            }
            match result {
                Ok(Some(value)) => return Ok(value),
                _ if con.session().may_have_committed() => return Err(result.err().unwrap_or_else(uncertain)),
                Ok(None) => {
                    if con.session().is_asking() {
                        // The redirect was for this attempt: by the next one the keys may have come back.
                        start = again.start();
                    }
                    // Others may need the connection while this one waits.
                    drop(con);
                    again.after_conflict().await?;
                }
                Err(error) => {
                    let session = con.session();
                    let (node, asking) = (Arc::clone(session.node()), session.is_asking());
                    let ended = Ended { node, asking, is_open: con.is_open() };
                    drop(con);
                    match again.after(&error, ended).await {
                        Some(elsewhere) => start = elsewhere,
                        None => return Err(error),
                    }
                }
            }
        }
    }
}

/// What is told if the body of a transaction has kept its error for itself.
fn uncertain() -> redis::RedisError {
    let text = "the transaction has been sent, and may have run; it is not run again";
    std::io::Error::new(std::io::ErrorKind::BrokenPipe, text).into()
}
