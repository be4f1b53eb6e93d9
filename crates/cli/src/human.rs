//! Sizes and times as people say them.

/// `7.81MB`, as Docker says it: three digits, by thousands.
pub fn size(bytes: u64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// `7.81MiB`: the same by 1024.
pub fn binary(bytes: u64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

fn scaled(bytes: u64, step: f64, units: &[&str]) -> String {
    let (mut value, mut unit) = (bytes as f64, 0);
    // What would be rounded to a whole larger unit is one.
    while value >= step - 0.5 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let unit_name = units[unit];
    match value {
        _ if unit == 0 => format!("{bytes}{unit_name}"),
        v if v < 9.995 => format!("{v:.2}{unit_name}"),
        v if v < 99.95 => format!("{v:.1}{unit_name}"),
        v => format!("{v:.0}{unit_name}"),
    }
}

/// `3 minutes`: the largest unit alone.
pub fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (31_536_000, "year"),
        (2_592_000, "month"),
        (604_800, "week"),
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
    ];
    let found = UNITS.iter().find(|(length, _)| seconds >= *length);
    let (count, unit) = found.map_or((seconds, "second"), |(length, unit)| (seconds / length, unit));
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
