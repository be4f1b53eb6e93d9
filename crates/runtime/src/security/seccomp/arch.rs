//! ABIs (what libseccomp calls architectures), and which of them a kernel can be called through.
//!
//! A filter says something about the ABIs of its machine only: no other can ever be reported to it, so what a
//! profile lists beyond them (Docker's lists do) costs nothing.

use super::numbers::{Column, Name, Numbers};

/// An ABI: how system calls are numbered, and how the kernel shows them to a filter.
#[derive(Debug)]
pub struct Arch {
    /// As the runtime specification writes it: `SCMP_ARCH_…`.
    pub name: &'static str,
    /// `AUDIT_ARCH_…`, as in `seccomp_data.arch`.
    pub(super) audit: u32,
    /// Whether arguments are compared as 64 bits; if not, only the lower half counts, as in libseccomp.
    pub(super) wide: bool,
    pub(super) big_endian: bool,
    /// Whether `socketcall` and `ipc` do the work of calls that newer ABIs have one by one.
    pub(super) multiplexed: bool,
    /// Whether call 0 is what the kernel shows for one that it doesn't know.
    pub(super) zero_is_unknown: bool,
    /// Added to each number of the table.
    offset: u32,
    numbers: Numbers,
}

/// What one kernel can be called through.
#[derive(Debug)]
pub struct Machine {
    /// The ABI that is always filtered, listed or not.
    pub native: &'static Arch,
    /// The ones that are filtered if listed.
    pub compat: &'static [&'static Arch],
    /// ABIs that the kernel may have, but this crate has no table for; their calls are killed.
    pub(super) missing: &'static [&'static str],
}

/// Set in each system call's number of the x32 ABI.
pub(super) const X32_BIT: u32 = 1 << 30;

/// `AUDIT_ARCH_X86_64`, which x86_64 and x32 share.
pub(super) const AUDIT_X86_64: u32 = 0xc000_003e;

/// All names that a profile may list, by the runtime specification (libseccomp 2.6).
pub const KNOWN: [&str; 23] = [
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
];

/// An ABI with 64-bit little-endian arguments, which is what most are.
const fn arch(name: &'static str, audit: u32, column: Column) -> Arch {
    Arch {
        name,
        audit,
        wide: true,
        big_endian: false,
        multiplexed: false,
        zero_is_unknown: false,
        offset: 0,
        numbers: Numbers::column(column),
    }
}

static X86_64_ABI: Arch = arch("SCMP_ARCH_X86_64", AUDIT_X86_64, Column::X86_64);
static X32_ABI: Arch =
    Arch { wide: false, offset: X32_BIT, ..arch("SCMP_ARCH_X32", AUDIT_X86_64, Column::X32) };
static X86_ABI: Arch =
    Arch { wide: false, multiplexed: true, ..arch("SCMP_ARCH_X86", 0x4000_0003, Column::X86) };
static AARCH64_ABI: Arch = arch("SCMP_ARCH_AARCH64", 0xc000_00b7, Column::Aarch64);
static ARM_ABI: Arch = Arch { wide: false, ..arch("SCMP_ARCH_ARM", 0x4000_0028, Column::Arm) };
static RISCV64_ABI: Arch = arch("SCMP_ARCH_RISCV64", 0xc000_00f3, Column::Riscv64);
static LOONGARCH64_ABI: Arch = arch("SCMP_ARCH_LOONGARCH64", 0xc000_0102, Column::Loongarch64);
static PPC64LE_ABI: Arch =
    Arch { multiplexed: true, ..arch("SCMP_ARCH_PPC64LE", 0xc000_0015, Column::Ppc64) };
static PPC64_ABI: Arch =
    Arch { multiplexed: true, big_endian: true, ..arch("SCMP_ARCH_PPC64", 0x8000_0015, Column::Ppc64) };
static S390X_ABI: Arch = Arch {
    multiplexed: true,
    big_endian: true,
    zero_is_unknown: true,
    ..arch("SCMP_ARCH_S390X", 0x8000_0016, Column::S390x)
};

/// A 64-bit PC.
pub static X86_64: Machine = Machine { native: &X86_64_ABI, compat: &[&X32_ABI, &X86_ABI], missing: &[] };
/// A 32-bit program's view of a PC, whose kernel may be a 64-bit one.
pub static X86: Machine = Machine { native: &X86_ABI, compat: &[&X86_64_ABI, &X32_ABI], missing: &[] };
/// 64-bit Arm.
pub static AARCH64: Machine = Machine { native: &AARCH64_ABI, compat: &[&ARM_ABI], missing: &[] };
/// A 32-bit program's view of Arm, whose kernel may be a 64-bit one.
pub static ARM: Machine = Machine { native: &ARM_ABI, compat: &[&AARCH64_ABI], missing: &[] };
/// 64-bit RISC-V.
pub static RISCV64: Machine = Machine { native: &RISCV64_ABI, compat: &[], missing: &[] };
/// 64-bit LoongArch.
pub static LOONGARCH64: Machine = Machine { native: &LOONGARCH64_ABI, compat: &[], missing: &[] };
/// 64-bit little-endian PowerPC.
pub static PPC64LE: Machine = Machine { native: &PPC64LE_ABI, compat: &[], missing: &[] };
/// 64-bit big-endian PowerPC.
pub static PPC64: Machine = Machine { native: &PPC64_ABI, compat: &[], missing: &["SCMP_ARCH_PPC"] };
/// 64-bit IBM Z.
pub static S390X: Machine = Machine { native: &S390X_ABI, compat: &[], missing: &["SCMP_ARCH_S390"] };

/// The machine that this program was built for, or `None` if there is no table for it.
pub fn native() -> Option<&'static Machine> {
    #[cfg(target_arch = "x86_64")]
    return Some(&X86_64);
    #[cfg(target_arch = "x86")]
    return Some(&X86);
    #[cfg(target_arch = "aarch64")]
    return Some(&AARCH64);
    #[cfg(target_arch = "arm")]
    return Some(&ARM);
    #[cfg(target_arch = "riscv64")]
    return Some(&RISCV64);
    #[cfg(target_arch = "loongarch64")]
    return Some(&LOONGARCH64);
    #[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
    return Some(&PPC64LE);
    #[cfg(all(target_arch = "powerpc64", target_endian = "big"))]
    return Some(&PPC64);
    #[cfg(target_arch = "s390x")]
    return Some(&S390X);
    #[allow(unreachable_code)]
    None
}

impl Arch {
    /// Whether this is x32, which shares x86_64's `AUDIT_ARCH_…` and differs by a bit of the number.
    pub(super) fn is_x32(&self) -> bool {
        self.offset == X32_BIT
    }

    /// The number of `name` in this ABI, or `None` if it has no such call.
    pub(super) const fn number(&self, name: Name) -> Option<u32> {
        match self.numbers.get(name) {
            Some(number) => Some(number + self.offset),
            None => None,
        }
    }
}

impl Machine {
    /// The ABI called `name` (`SCMP_ARCH_…`), if this machine has it.
    pub(super) fn arch(&self, name: &str) -> Option<&'static Arch> {
        std::iter::once(self.native).chain(self.compat.iter().copied()).find(|arch| arch.name == name)
    }
}
