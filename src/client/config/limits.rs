//! How much there may be of what users cause: commands, links of their own, messages that wait.

use super::Config;
use crate::admission::Overload;

impl Config {
    /// How many commands may be without an answer, over all connections, a pipeline counting as one; at least 1,
    /// default 65,536.
    ///
    /// It bounds what a server which does not keep up can cost: so many times the size of your commands.
    /// [`overload`](Self::overload) says what happens to further commands.
    pub fn max_in_flight(mut self, commands: usize) -> Self {
        self.max_in_flight = commands;
        self
    }

    /// Whether a command beyond [`max_in_flight`](Self::max_in_flight) fails at once or waits; default
    /// [`Overload::Refuse`].
    pub fn overload(mut self, overload: Overload) -> Self {
        self.overload = overload;
        self
    }

    /// How many connections there may be, over all nodes, that one user at a time has alone; at least 1, default 256.
    ///
    /// Each command that blocks takes one for as long as it blocks, and so does each [`Dedicated`](crate::Dedicated)
    /// and each transaction of [`EntraRedis::transaction`](crate::EntraRedis::transaction). They are opened when they
    /// are needed, in addition to [`pool_size`](Self::pool_size), used again, and closed after a minute without a user.
    /// A caller that finds all of them in use waits for one, for the command timeout at most.
    pub fn max_leased(mut self, connections: usize) -> Self {
        self.max_leased = connections;
        self
    }

    /// How many messages may wait for one consumer of [`pubsub`](crate::EntraRedis::pubsub); at least 1, default
    /// 16,384.
    ///
    /// A consumer that does not take them holds up nobody: further messages are dropped, and in their place it gets a
    /// gap that says how many they were.
    pub fn pubsub_buffer(mut self, messages: usize) -> Self {
        self.pubsub_buffer = messages;
        self
    }
}
