//! Texts that are small and would be large: each is read or refused within the memory that its size allows.

use forgeone_config::{parse_config, Format};

/// What a text may have.
const MAX: usize = 4 << 20;

/// `open` and `close` around `inner`, as often as said.
fn nested(open: &str, inner: &str, close: &str, times: usize) -> String {
    format!("{}{inner}{}", open.repeat(times), close.repeat(times))
}

fn texts() -> Vec<(Format, &'static str, String)> {
    use Format::{Json, Toml, Yaml};
    let fill = |piece: &str| piece.repeat((MAX - 200) / piece.len());
    let anchors = |inner: &str| {
        let open: String = (0..28).map(|level| format!("&a{level} [")).collect();
        format!("args: {open}{inner}{}", "]".repeat(28))
    };
    vec![
        (Json, "brackets", fill("[")),
        (Json, "braces", fill("{\"a\":")),
        (Json, "empty lists", format!("[{}0]", fill("[],"))),
        (Json, "numbers", format!("[{}0]", fill("0,"))),
        (Json, "one number", fill("9")),
        (Json, "escapes", format!("{{\"image\": \"{}\"}}", fill("\\u0061"))),
        (Yaml, "brackets", fill("[")),
        (Yaml, "dashes", fill("- ")),
        (Yaml, "questions", fill("? ")),
        (Yaml, "anchored lists of many", anchors(&"x,".repeat(150_000))),
        (Yaml, "anchored lists of a long text", anchors(&fill("x"))),
        (Yaml, "aliases of aliases", {
            let lists = (1..9).map(|n| format!("l{n}: &l{n} [{}]\n", format!("*l{},", n - 1).repeat(9)));
            format!("l0: &l0 [x]\n{}", lists.collect::<String>())
        }),
        (
            Yaml,
            "one text again and again",
            format!("a: &a {}\nb: [{}]", "x".repeat(1 << 20), "*a,".repeat(1_000_000)),
        ),
        (Yaml, "tags", fill("!!str ")),
        (Yaml, "comments", fill("# x\n")),
        (Yaml, "one key", fill("k")),
        (Toml, "brackets", format!("a = {}", fill("["))),
        (Toml, "a dotted key", format!("{}a = 1", fill("a."))),
        (Toml, "a dotted table", format!("[{}a]", fill("a."))),
        (Toml, "inline tables", format!("a = {}", nested("{a=", "1", "}", MAX / 8))),
        (Toml, "empty lists", format!("a = [{}]", fill("[],"))),
        (Toml, "tables", fill("[[a]]\n")),
        (Toml, "deep tables", (0..9).map(|_| format!("[{}a]\n", "a.".repeat(70))).collect()),
        (Toml, "one number", format!("a = {}", fill("9"))),
    ]
}

/// The most memory that this process has had, in MiB: proc_pid_status(5).
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
fn a_hostile_text_costs_no_more_than_its_size_allows() {
    let texts = texts();
    let before = most_memory();
    for (format, name, text) in texts {
        assert!(text.len() <= MAX, "{format} {name}");
        let error = parse_config(&text, format).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.len() < 2000, "{format} {name}: {} bytes of error", error.len());
        // The most is what the crate `toml` has of 4 MiB of brackets before it refuses them: some 250 MiB.
        let cost = most_memory() - before;
        assert!(cost < 384, "{format} {name}: {cost} MiB");
    }
}
