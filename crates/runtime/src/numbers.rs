//! Numbers, and lists of them as the kernel writes those of CPUs and memory nodes: `0-3,7` (cpuset(7), "List format").

/// The numbers of a list, each below `bound`, in its order; the part that is neither a number nor a range of them where one
/// is, or that brings more than `bound` of them together, however short the list is. Blanks around numbers are nothing.
pub(crate) fn numbers(list: &str, bound: usize) -> Result<Vec<usize>, &str> {
    let mut all = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (number(first), number(last)) {
            (Some(first), Some(last))
                if first <= last && last < bound && all.len() + (last - first) < bound =>
            {
                all.extend(first..=last);
            }
            _ => return Err(part),
        }
    }
    Ok(all)
}

/// Digits and nothing else.
fn number(text: &str) -> Option<usize> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The number that digits are to this base; the standard library would take a sign as well.
pub(crate) fn radix(digits: &str, base: u32) -> Option<u64> {
    digits.chars().all(|digit| digit.is_digit(base)).then(|| u64::from_str_radix(digits, base).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::{numbers, radix};

    #[test]
    fn digits_are_digits() {
        assert_eq!((radix("ff", 16), radix("017", 8)), (Some(255), Some(15)));
        assert_eq!([radix("+1", 16), radix("-1", 8), radix("", 10), radix("8", 8)], [None; 4]);
    }

    #[test]
    fn a_list_that_names_the_same_again_and_again_is_refused() {
        assert_eq!(numbers("0-2, 7,1", 8), Ok(vec![0, 1, 2, 7, 1]));
        assert_eq!(numbers("0-7,0-7", 8), Err("0-7"));
        assert_eq!(numbers(&"0-65535,".repeat(1 << 20), 1 << 16), Err("0-65535"));
    }
}
