//! The README and the guide: that their commands run, that the files which they show are read by real parsers, and that
//! their tables, errors and figures are those of the code and of `benches/results/`.
#![cfg(unix)]

mod azure;
mod commands;
mod errors;
mod figures;
mod kubernetes;
mod metrics;
mod page;
mod pages;
mod pictures;
