//! The entry point of a program that begins without the start-up of Rust's standard library.
//!
//! That start-up guards the main thread's stack: it reads `/proc/self/maps`, maps a signal stack and installs two
//! handlers, and it brings C's `scanf` with it. A program that lives for a few milliseconds and is executed twice for
//! each container gains by leaving it out. What it does for safety is done here.

/// Makes `$run`, a `fn() -> u8`, the program: what it returns is the exit status.
///
/// The crate says `#![no_main]`, but not for its unit tests, whose entry point is the harness's.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        // SAFETY: the one symbol of this name in the program, with the signature that C gives it; `no_main` keeps the
        // compiler from making another.
        #[unsafe(no_mangle)]
        extern "C" fn main() -> i32 {
            $crate::entry::begin();
            $crate::entry::end($run())
        }
    };
}

/// Opens `/dev/null` in place of each standard stream that is closed, so that no file that is opened later becomes one,
/// and ignores `SIGPIPE`, so that a reader that goes away is an error of the write.
#[doc(hidden)]
pub fn begin() {
    let mut streams = [0, 1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: the pointer and the length are those of an array that outlives the call.
    let polled = unsafe { libc::poll(streams.as_mut_ptr(), 3, 0) };
    for _ in streams.iter().filter(|stream| polled > 0 && stream.revents & libc::POLLNVAL != 0) {
        // SAFETY: the path is a constant that ends with NUL. The lowest free number is the one of the closed stream, since
        // the streams are gone through in order; it is for the life of the process.
        if unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) } < 0 {
            std::process::abort();
        }
    }
    // SAFETY: the disposition is a constant; no handler of ours is replaced, since nothing ran before.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Flushes and ends.
#[doc(hidden)]
pub fn end(status: u8) -> ! {
    std::process::exit(i32::from(status))
}
