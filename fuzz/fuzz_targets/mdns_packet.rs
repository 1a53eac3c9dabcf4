//! What anybody on the local network may send to a node that discovers peers there: no bytes bring it down, and what is
//! read keeps to the bounds.

#![no_main]

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use peerage::fuzzing::mdns;
use peerage_fuzz::mutation::{Mutation, mutate};

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    /// Any bytes.
    Raw(&'a [u8]),
    /// A packet that was right.
    Packet { which: u8, mutations: Vec<Mutation<'a>> },
}

fuzz_target!(|input: Input<'_>| match input {
    Input::Raw(bytes) => mdns::packet(bytes),
    Input::Packet { which, mutations } => {
        let mut all = mdns::packets();
        let which = usize::from(which) % all.len();
        let mut packet = all.swap_remove(which);
        mutate(&mut packet, &mutations);
        mdns::packet(&packet);
    }
});
