//! Rotation is invisible: no command fails, waits or is reordered because a token rotated, whatever one link's re-AUTH
//! comes to.

mod reauth_faults;
mod traffic;
