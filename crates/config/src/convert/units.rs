//! Numbers with units, and words of a shell.

/// A size in bytes as Docker writes it: `512m`, `1g`, `64kb`, by 1024.
pub(super) fn docker_bytes(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1u64 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err(format!("{text:?} is no size such as 512m")),
    };
    scaled(digits, factor as f64).ok_or_else(|| format!("{text:?} is no size such as 512m"))
}

/// A quantity of Kubernetes: `512Mi`, `1G`, `500m`, in thousandths where `thousandths`.
pub(super) fn quantity(text: &str, thousandths: bool) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no quantity such as 512Mi");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "m" => 0.001,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => (1u64 << 20) as f64,
        "Gi" => (1u64 << 30) as f64,
        "Ti" => (1u64 << 40) as f64,
        _ => return Err(wrong()),
    };
    scaled(digits, if thousandths { factor * 1000.0 } else { factor }).ok_or_else(wrong)
}

fn scaled(digits: &str, factor: f64) -> Option<u64> {
    // Whole numbers stay exact.
    if let (Ok(whole), true) = (digits.parse::<u64>(), factor >= 1.0) {
        return whole.checked_mul(factor as u64);
    }
    let number: f64 = digits.parse().ok()?;
    let bytes = (number * factor).round();
    (number.is_finite() && (0.0..1.8e19).contains(&bytes)).then_some(bytes as u64)
}

/// The words of a command line as a shell splits it, without filling in anything.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(end), _) if c == end => quote = None,
            (Some('"'), '\\') => {
                let next = rest.next().ok_or("it ends with a backslash")?;
                let kept = if "$`\"\\\n".contains(next) { "" } else { "\\" };
                let word = word.get_or_insert_default();
                word.push_str(kept);
                if next != '\n' {
                    word.push(next);
                }
            }
            (Some(_), _) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') => match rest.next().ok_or("it ends with a backslash")? {
                '\n' => {}
                next => word.get_or_insert_default().push(next),
            },
            (None, '#') if word.is_none() => drop(rest.by_ref().find(|c| *c == '\n')),
            (None, ';' | '|' | '&' | '<' | '>' | '(' | ')' | '`') => {
                return Err(format!("{c} is for a shell; give one command alone"));
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    match quote {
        Some(quote) => Err(format!("a {quote} isn't closed")),
        None => {
            words.extend(word);
            Ok(words)
        }
    }
}

/// A word as a shell reads it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// What is between commas, quoted as in CSV where it has one.
pub(super) fn fields(text: &str) -> Vec<String> {
    let (mut fields, mut field, mut inside) = (Vec::new(), String::new(), false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if inside && rest.peek() == Some(&'"') => field.extend(rest.next()),
            '"' => inside = !inside,
            ',' if !inside => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields
}

/// A field that is read back by [`fields`].
pub(super) fn field(text: &str) -> String {
    if text.contains([',', '"']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_their_units() {
        for (text, bytes) in [("512m", 512 << 20), ("1.5g", 3 << 29), ("64KB", 64 << 10), ("7", 7), ("7b", 7)]
        {
            assert_eq!(docker_bytes(text), Ok(bytes), "{text}");
        }
        for (text, milli, number) in
            [("500m", true, 500), ("2", true, 2000), ("1Gi", false, 1 << 30), ("1.5k", false, 1500)]
        {
            assert_eq!(quantity(text, milli), Ok(number), "{text}");
        }
        assert!(docker_bytes("m").is_err() && docker_bytes("-1").is_err() && quantity("1X", false).is_err());
        assert!(docker_bytes("99999999999999999999").is_err());
    }

    #[test]
    fn words_come_back_as_they_were() {
        let words = ["a b", "", "it's", "$HOME", "\\", "ä\n", "--x=1", "\"q\""].map(str::to_owned).to_vec();
        let line: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        assert_eq!(split(&line.join(" ")), Ok(words.clone()));
        let csv: Vec<_> = words.iter().map(|word| field(word)).collect();
        assert_eq!(fields(&csv.join(",")), words);
        assert_eq!(split("a \\\n \"b \\\" \\x\" # c"), Ok(vec!["a".into(), "b \" \\x".into()]));
        assert!(split("'a").is_err() && split("a; b").is_err() && split("a \\").is_err());
    }
}
