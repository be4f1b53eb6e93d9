//! Lists of numbers as the kernel writes those of CPUs and memory nodes: `0-3,7` (cpuset(7), "List format").

/// The numbers of a list, each below `bound`, in its order; the part that is neither a number nor a range of them where one
/// is. Blanks around numbers are nothing.
pub(crate) fn numbers(list: &str, bound: usize) -> Result<Vec<usize>, &str> {
    let mut all = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last && last < bound => all.extend(first..=last),
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
