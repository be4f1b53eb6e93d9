//! The seccomp compiler: OCI profiles to classic BPF.
