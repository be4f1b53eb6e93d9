//! The compiler against what profiles mean (`reference`) and against libseccomp (`oracle`).
#![allow(clippy::unwrap_used)]
#![cfg_attr(not(test), allow(dead_code, unused_imports, reason = "the rest is for the tests"))]

mod fuzz;
mod interpret;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod properties;
mod reference;
#[cfg(test)]
mod table;

use super::arch::{self, Machine};
use super::{Compiled, Instruction, compile_for};
use crate::spec::Seccomp;
pub(crate) use fuzz::fuzz;
use interpret::{Data, check, run};
use reference::Reference;
use std::collections::BTreeSet;

/// A profile with some 370 names, in the shape of the ones that clients pass.
const LARGE: &[u8] = include_bytes!("../../../../tests/fixtures/seccomp-large.json");

/// All machines that there are tables for.
fn machines() -> [&'static Machine; 9] {
    [
        &arch::X86_64,
        &arch::X86,
        &arch::AARCH64,
        &arch::ARM,
        &arch::RISCV64,
        &arch::LOONGARCH64,
        &arch::PPC64LE,
        &arch::PPC64,
        &arch::S390X,
    ]
}

fn parse(json: &[u8]) -> Seccomp {
    crate::json::from_slice(json).unwrap()
}

/// Where the spaces of numbers of ABIs begin, or would.
const BASES: [u32; 4] = [0, 1 << 30, 1 << 31, 3 << 30];

/// All numbers that any table has, and their neighbours.
fn all_numbers() -> Vec<u32> {
    let numbers = BASES.into_iter().flat_map(|base| (0..600).map(move |number| base + number));
    numbers.chain(0xf0000..0xf0009).chain(borders()).collect()
}

/// The numbers that rules are for, and their neighbours.
fn named_numbers(reference: &Reference) -> Vec<u32> {
    let around = |number: u32| [number.wrapping_sub(1), number, number + 1];
    let mut numbers: Vec<u32> = reference.numbers().flat_map(around).chain(borders()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn borders() -> impl Iterator<Item = u32> {
    BASES.into_iter().flat_map(|base| [base.wrapping_sub(2), base.wrapping_sub(1), base, base + 470])
}

/// Calls with these numbers, and with arguments around the values that the rules compare with.
fn samples(reference: &Reference, numbers: &[u32]) -> Vec<Data> {
    let mut samples = Vec::new();
    let audits: BTreeSet<u32> = reference.archs().map(|arch| arch.audit).chain([0x8000_0014]).collect();
    for (number, arch) in numbers.iter().flat_map(|number| audits.iter().map(move |arch| (*number, *arch))) {
        let mut add = |args| samples.push(Data { number, arch, args });
        add([0; 6]);
        let values = reference.values(number);
        for (at, value) in values.iter().copied().enumerate() {
            let other = values[(at + 1) % values.len()];
            for near in
                [value, value.wrapping_sub(1), value.wrapping_add(1), !value, value ^ 1 << 32, value << 32]
            {
                add([near; 6]);
                add([near, other, near, other, near, other]);
                add([other, near, near, other, value, value]);
            }
        }
    }
    samples
}

/// Asserts that a program does what its profile means, for calls with these numbers.
fn assert_means(compiled: &Compiled, reference: &Reference, machine: &Machine, numbers: &[u32]) {
    check(&compiled.program).unwrap();
    for data in samples(reference, numbers) {
        let (action, _) = run(&compiled.program, &data, machine.native.big_endian);
        let right = reference.verdict(&data);
        assert_eq!(action, right.action, "{} {data:x?}: {action:#x}, not {right:x?}", machine.native.name);
    }
}
