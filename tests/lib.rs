//! End-to-end tests of ForgeOne. Everything is in the test binaries.
#![forbid(unsafe_code)]
