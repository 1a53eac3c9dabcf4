//! Random walks on which the wheel must agree with an ordered map.

use proptest::prelude::*;

use super::*;
use crate::engine::wheel::model::{Model, Step};

/// Evenly over the orders of magnitude, so that every level is used.
fn span() -> impl Strategy<Value = u64> {
    // Up to 2^59 nanoseconds: eighteen years, and a thousand steps stay within 2^69.
    (0..60_u32, any::<u64>()).prop_map(|(bits, n)| n & ((1 << bits) - 1))
}

/// Mostly what an engine asks for, up to two minutes.
fn delay() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..120_000_000_000_u64, 2 => 0..1_000_000_000_u64, 1 => span()]
}

fn step() -> impl Strategy<Value = Step> {
    let pick = any::<usize>;
    prop_oneof![
        30 => delay().prop_map(|delay| Step::Insert { delay }),
        2 => span().prop_map(|by| Step::InsertPast { by }),
        1 => Just(Step::InsertNever),
        15 => pick().prop_map(|pick| Step::Cancel { pick }),
        3 => pick().prop_map(|pick| Step::CancelStale { pick }),
        8 => (pick(), delay()).prop_map(|(pick, delay)| Step::Reschedule { pick, delay }),
        8 => (0..2_000_000_000_u64).prop_map(|by| Step::Forward { by }),
        1 => span().prop_map(|by| Step::Forward { by }),
        1 => span().prop_map(|by| Step::Backward { by }),
        6 => Just(Step::ToNextDeadline),
        10 => (1..20_u8).prop_map(|times| Step::Poll { times }),
        5 => (1..20_u8, 0..40_usize).prop_map(|(times, moves)| Step::PollWithin { times, moves }),
        5 => Just(Step::PollUntilIdle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    // 256 walks of 2,000 to 8,000 steps: more than a million.
    #[test]
    fn the_wheel_agrees_with_an_ordered_map(
        tick in prop_oneof![
            Just(TICK),
            Just(Duration::from_nanos(1)),
            Just(Duration::from_micros(977)),
            Just(Duration::from_secs(1)),
        ],
        steps in proptest::collection::vec(step(), 2_000..8_000),
    ) {
        let mut model = Model::new(tick);
        for step in steps {
            model.step(step);
        }
        model.finish();
    }
}
