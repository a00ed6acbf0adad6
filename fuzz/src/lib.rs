//! Fuzz targets: each a function of bytes that panics if what it promises does not hold.

#![forbid(unsafe_code)]

pub mod runner;
mod targets;

pub use targets::*;

/// A target's name and the function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by the names of their files in `fuzz_targets` and of their directories in `corpus`.
pub const TARGETS: [Target; 18] = [
    ("resp_reply", resp_reply),
    ("resp_push", resp_push),
    ("jwt", jwt),
    ("token_answer", token_answer),
    ("expires_on", expires_on),
    ("http_headers", http_headers),
    ("arc_challenge", arc_challenge),
    ("imds_answer", imds_answer),
    ("tool_output", tool_output),
    ("pem", pem),
    ("pkcs12", pkcs12),
    ("secret_scrub", secret_scrub),
    ("cluster_slots", cluster_slots),
    ("cluster_address", cluster_address),
    ("cluster_redirect", cluster_redirect),
    ("emulator_request", emulator_request),
    ("emulator_form", emulator_form),
    ("emulator_commands", emulator_commands),
];
