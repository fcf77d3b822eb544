//! Where bytes come from: which log objects a SOURCE names, and how their text is reached.
//!
//! A [`LogObject`] is a place, a key and a size; nothing is read before it is asked for, and a folder of a million
//! objects is walked as it is consumed. Nothing here knows records or the lake.

pub mod decode;
pub mod layout;
pub mod local;

pub use decode::Body;
pub use layout::{KeyInfo, Layout};
pub use local::{Found, LogObject, Skipped, Sources};
