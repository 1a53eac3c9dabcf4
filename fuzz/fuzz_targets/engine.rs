//! What callers, peers and clocks do to the engine: every call is answered exactly once, none later than its deadline
//! and a tick, with nothing older than what had been seen, and at the end nothing is retained.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| peerage::fuzzing::engine(bytes));
