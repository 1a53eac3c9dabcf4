//! Operations on the timer wheel, which must agree with an ordered map.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| peerage::fuzzing::wheel(bytes));
