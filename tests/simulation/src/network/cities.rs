//! Where hosts stand, and how long a packet takes between them.

use std::time::Duration;

pub(crate) const CITIES: [&str; 10] = [
    "Dallas",
    "Toronto",
    "Washington",
    "Frankfurt",
    "London",
    "Madrid",
    "Osaka",
    "Sydney",
    "Tokyo",
    "São Paulo",
];

/// Round trips in milliseconds, as IBM measured them between the regions of its cloud from 17 August to 15 September 2024
/// (IBM Cloud documentation, "Network latency dashboards", table of inter-region latency; the mean of both directions). A
/// city with itself: two homes whose providers meet there.
const ROUND_TRIPS: [[u64; 10]; 10] = [
    [8, 34, 32, 123, 113, 119, 151, 186, 143, 146],
    [34, 8, 20, 93, 83, 109, 169, 215, 162, 130],
    [32, 20, 8, 91, 76, 89, 174, 215, 166, 119],
    [123, 93, 91, 8, 13, 29, 232, 250, 230, 198],
    [113, 83, 76, 13, 8, 27, 244, 261, 242, 187],
    [119, 109, 89, 29, 27, 8, 259, 275, 257, 206],
    [151, 169, 174, 232, 244, 259, 8, 122, 9, 291],
    [186, 215, 215, 250, 261, 275, 122, 8, 115, 328],
    [143, 162, 166, 230, 242, 257, 9, 115, 8, 285],
    [146, 130, 119, 198, 187, 206, 291, 328, 285, 8],
];

/// How long a packet takes one way, without what queues add to it.
pub(crate) fn one_way(from: usize, to: usize) -> Duration {
    Duration::from_micros(ROUND_TRIPS[from % 10][to % 10] * 500)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_there_is_as_long_as_the_way_back() {
        for from in 0..10 {
            for to in 0..10 {
                assert_eq!(
                    one_way(from, to),
                    one_way(to, from),
                    "{} and {}",
                    CITIES[from],
                    CITIES[to]
                );
            }
        }
    }
}
