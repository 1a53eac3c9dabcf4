//! What peers say to each other about the DHT: no bytes bring a reader down, and what is accepted says the same when it is
//! written and read again.

#![no_main]

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use peerage::fuzzing::wire;
use peerage_fuzz::mutation::{Mutation, mutate};

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    /// Any bytes.
    Raw(&'a [u8]),
    /// A message that was right, with its length.
    Frame { which: u8, mutations: Vec<Mutation<'a>> },
    /// One without.
    Body { which: u8, mutations: Vec<Mutation<'a>> },
}

fuzz_target!(|input: Input<'_>| match input {
    Input::Raw(bytes) => wire::message(bytes),
    Input::Frame { which, mutations } => changed(wire::frames(), which, &mutations),
    Input::Body { which, mutations } => changed(wire::bodies(), which, &mutations),
});

fn changed(mut all: Vec<Vec<u8>>, which: u8, mutations: &[Mutation<'_>]) {
    let which = usize::from(which) % all.len();
    let mut message = all.swap_remove(which);
    mutate(&mut message, mutations);
    wire::message(&message);
}
