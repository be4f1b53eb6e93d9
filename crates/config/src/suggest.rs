//! "Did you mean": the known word that is closest to one that isn't known.

/// The known word that `word` was probably meant to be: at most a third of its letters are wrong, left out, too many
/// or swapped with their neighbour; case and `-` for `_` don't count.
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.to_lowercase().replace(['-', '.', ' '], "_");
    let word = plain(word);
    if word.chars().count() > 64 {
        return None;
    }
    let distances = known.into_iter().map(|known| (distance(&word, &plain(known)), known));
    let (distance, known) = distances.min_by_key(|(distance, _)| *distance)?;
    let allowed = (known.chars().count() / 3).max(1);
    (distance <= allowed).then_some(known)
}

/// `; did you mean …?`, or nothing.
pub(crate) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    closest(word, known).map(|known| format!("; did you mean {known:?}?")).unwrap_or_default()
}

/// Letters to change, add, remove or swap (Damerau and Levenshtein, restricted).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["image", "mounts", "memory_bytes", "env"];
        for (word, meant) in
            [("imgae", "image"), ("Image", "image"), ("mount", "mounts"), ("memory-bytes", "memory_bytes")]
        {
            assert_eq!(closest(word, known), Some(meant), "{word}");
        }
        for word in ["ports", "x", "", "environment"] {
            assert_eq!(closest(word, known), None, "{word}");
        }
    }
}
