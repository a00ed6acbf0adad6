//! Commands mean what they mean on the redis crate's connections, take effect in their order, and travel on the
//! connection that suits them.

mod driver;
mod multiplexed;
mod order;
mod routing;
mod scripts;
