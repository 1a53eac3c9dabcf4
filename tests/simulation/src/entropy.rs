//! The randomness of the process: the operating system's, answered from the seed on a thread that simulates.
//!
//! All ways to ask for it are covered: the C library's functions, and the system call by its number.

use std::{
    ffi::{c_int, c_long, c_uint, c_void},
    sync::OnceLock,
};

use peerage::Entropy;
use process::Random;

type Syscall = unsafe extern "C" fn(c_long, i64, i64, i64, i64, i64, i64) -> c_long;

/// Takes the place of the C library's, which takes as many arguments as it is given. On the platforms that are simulated
/// on (x86-64 and AArch64), they are passed as those of a function that takes them all.
///
/// # Safety
/// As for the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    a: i64,
    b: i64,
    c: i64,
    d: i64,
    e: i64,
    f: i64,
) -> c_long {
    if number == libc::SYS_getrandom {
        // SAFETY: these are the arguments of that system call.
        return unsafe { getrandom(a as *mut c_void, b as usize, c as c_uint) } as c_long;
    }
    // SAFETY: what the caller has asked for.
    unsafe { real()(number, a, b, c, d, e, f) }
}

/// The system call itself, for what is not simulated.
///
/// # Safety
/// As for that system call.
pub(crate) unsafe fn real_syscall(number: c_long, a: i64, b: i64, c: i64) -> c_long {
    // SAFETY: the caller's promise.
    unsafe { real()(number, a, b, c, 0, 0, 0) }
}

fn real() -> Syscall {
    static REAL: OnceLock<Syscall> = OnceLock::new();
    *REAL.get_or_init(|| {
        // SAFETY: the name ends in a zero, and the C library has a function of that name and type.
        unsafe {
            let found = libc::dlsym(libc::RTLD_NEXT, c"syscall".as_ptr());
            assert!(!found.is_null(), "the C library has no `syscall`");
            std::mem::transmute::<*mut c_void, Syscall>(found)
        }
    })
}

/// Takes the place of the C library's.
///
/// # Safety
/// As for the C library's: so many bytes can be written there.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(bytes: *mut c_void, count: usize, flags: c_uint) -> isize {
    if process::now().is_none() {
        // SAFETY: the system call of that name, with its own arguments.
        return unsafe {
            real_syscall(libc::SYS_getrandom, bytes as i64, count as i64, flags.into())
        } as isize;
    }
    if count > 0 {
        // SAFETY: the caller's promise.
        process::fill(unsafe { std::slice::from_raw_parts_mut(bytes.cast(), count) });
    }
    count as isize
}

/// Takes the place of the C library's.
///
/// # Safety
/// As for the C library's: so many bytes can be written there.
#[unsafe(no_mangle)]
unsafe extern "C" fn getentropy(bytes: *mut c_void, count: usize) -> c_int {
    // SAFETY: the caller's promise.
    let filled = unsafe { getrandom(bytes, count, 0) };
    if filled == count as isize { 0 } else { -1 }
}

/// A node's own randomness.
#[derive(Debug)]
pub(crate) struct Seeded(pub(crate) Random);

impl Entropy for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        hash::{BuildHasher as _, RandomState},
        thread,
    };

    /// What somebody is given on a thread that simulates from this seed.
    fn drawn<T: Send + 'static>(seed: u64, draw: fn() -> T) -> T {
        let simulation = move || {
            process::begin(seed);
            draw()
        };
        thread::spawn(simulation).join().expect("no panic")
    }

    fn follows_from_the_seed<T: Send + PartialEq + std::fmt::Debug + 'static>(draw: fn() -> T) {
        assert_eq!(drawn(1, draw), drawn(1, draw));
        assert_ne!(drawn(1, draw), drawn(2, draw));
        let unsimulated = || thread::spawn(draw).join().expect("no panic");
        assert_ne!(unsimulated(), unsimulated());
    }

    #[test]
    fn each_version_of_getrandom_follows_from_the_seed() {
        follows_from_the_seed(|| {
            let mut bytes = [0u8; 32];
            getrandom02::getrandom(&mut bytes).expect("randomness");
            bytes
        });
        follows_from_the_seed(|| {
            let mut bytes = [0u8; 32];
            getrandom03::fill(&mut bytes).expect("randomness");
            bytes
        });
        follows_from_the_seed(|| {
            let mut bytes = [0u8; 32];
            getrandom04::fill(&mut bytes).expect("randomness");
            bytes
        });
    }

    #[test]
    fn the_order_of_hash_maps_follows_from_the_seed() {
        follows_from_the_seed(|| RandomState::new().hash_one("key"));
        follows_from_the_seed(|| {
            (0..100).map(|n| (n, n)).collect::<HashMap<u32, u32>>().into_keys().collect::<Vec<_>>()
        });
    }

    #[test]
    fn keys_follow_from_the_seed() {
        follows_from_the_seed(|| {
            peerage::identity::Keypair::generate_ed25519().public().to_peer_id()
        });
    }

    #[test]
    fn the_c_library_and_the_system_call_follow_from_the_seed() {
        follows_from_the_seed(|| {
            let mut bytes = [0u8; 16];
            // SAFETY: the bytes are there.
            unsafe { assert_eq!(libc::getentropy(bytes.as_mut_ptr().cast(), 16), 0) };
            bytes
        });
        follows_from_the_seed(|| {
            let mut bytes = [0u8; 16];
            // SAFETY: the bytes are there.
            unsafe {
                assert_eq!(libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), 16usize, 0), 16)
            };
            bytes
        });
    }
}
