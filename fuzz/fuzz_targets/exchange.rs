//! What two nodes say to each other directly: what reads as a frame is written the same again, and a comparison comes
//! to its end within its bounds whatever the other side says, and to the right one where nobody lies.

#![no_main]

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use peerage::fuzzing::exchange;
use peerage_fuzz::mutation::{Mutation, mutate};

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    /// Any bytes.
    Raw(&'a [u8]),
    /// A frame that was right.
    Frame { which: u8, mutations: Vec<Mutation<'a>> },
    /// A comparison of two catalogues. From some message on, each is changed.
    Dialogue { sizes: [u16; 3], crowded: bool, from: u8, mutations: Vec<Mutation<'a>> },
}

fuzz_target!(|input: Input<'_>| match input {
    Input::Raw(bytes) => {
        exchange::frame(bytes);
        exchange::message(bytes);
    }
    Input::Frame { which, mutations } => {
        let frames = exchange::frames();
        let mut frame = frames[usize::from(which) % frames.len()].clone();
        mutate(&mut frame, &mutations);
        exchange::frame(&frame);
    }
    Input::Dialogue { sizes, crowded, from, mutations } => {
        let mut message = 0_u8;
        exchange::dialogue(sizes, crowded, |bytes| {
            if message >= from % 16 {
                mutate(bytes, &mutations);
            }
            message = message.saturating_add(1);
        });
    }
});
