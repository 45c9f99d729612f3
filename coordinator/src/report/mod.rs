//! The page a person reads at the end of an audit: one HTML file that needs no network and no script.
//!
//! It must never trust a caption, a key or a reason: all of them are escaped text.
