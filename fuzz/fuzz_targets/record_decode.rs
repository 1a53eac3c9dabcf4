//! Records: as they come, and built of fields, signed, and changed at a place.
//!
//! Nothing may panic, and what is accepted must verify again, be written as the same bytes, and be refused under any
//! other key, in another network, once it has expired, and once a newer one has been seen.

#![no_main]

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use peerage_fuzz::{check, sealed::Sealed};

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Raw(&'a [u8]),
    Sealed(Sealed<'a>),
}

fuzz_target!(|input: Input| {
    match input {
        Input::Raw(bytes) => {
            // What stands in the `ext` of a head that has notes.
            check::noted(&[&[2], bytes].concat());
            check::stored(bytes)
        }
        Input::Sealed(sealed) => check::stored(&sealed.bytes()),
    };
});
