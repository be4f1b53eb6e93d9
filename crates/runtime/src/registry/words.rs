//! The words that names of containers are made of, when nobody gives one.

/// The first word.
pub(super) const ADJECTIVES: &[&str] = &[
    "agile", "amber", "ample", "apt", "azure", "balmy", "bold", "brave", "breezy", "bright", "brisk", "calm",
    "candid", "cheery", "civil", "clear", "clever", "cobalt", "copper", "cosy", "crisp", "curious", "dapper",
    "daring", "deft", "distant", "dusky", "eager", "early", "earnest", "easy", "even", "exact", "fabled",
    "fair", "faithful", "fond", "frank", "fresh", "frosty", "gentle", "gilded", "glad", "golden", "grand",
    "hardy", "hasty", "hazel", "hearty", "honest", "humble", "ivory", "jaunty", "jolly", "keen", "kind",
    "late", "leafy", "lively", "loyal", "lucid", "lucky", "lunar", "mellow", "merry", "mighty", "mild",
    "misty", "modest", "neat", "nimble", "noble", "olive", "patient", "placid", "plucky", "polite", "prime",
    "proud", "quick", "quiet", "rapid", "ready", "rosy", "rustic", "sage", "sandy", "scarlet", "serene",
    "sharp", "silent", "silver", "sleek", "smart", "snug", "solar", "solid", "spry", "stable", "steady",
    "still", "stout", "sturdy", "subtle", "sunny", "sure", "swift", "tall", "tender", "tidy", "trim",
    "trusty", "upbeat", "vast", "velvet", "vivid", "warm", "wary", "wise", "witty", "young", "zesty",
];

/// The second word.
pub(super) const NOUNS: &[&str] = &[
    "acorn", "alder", "anchor", "anvil", "arch", "aspen", "badger", "barge", "basin", "beacon", "beaver",
    "beech", "birch", "bison", "bramble", "bridge", "brook", "canal", "canyon", "cedar", "chisel", "cliff",
    "clover", "comet", "coral", "crane", "creek", "crow", "dale", "delta", "dolphin", "dune", "eagle", "elm",
    "falcon", "fern", "ferry", "finch", "fjord", "forge", "fountain", "fox", "garnet", "geyser", "glacier",
    "glade", "granite", "grove", "gull", "hammer", "harbour", "hare", "hawk", "hazel", "heath", "heron",
    "hill", "ibis", "inlet", "iris", "island", "jay", "juniper", "kestrel", "kiln", "lagoon", "lantern",
    "larch", "lark", "ledge", "lemur", "lichen", "lily", "linden", "lynx", "magpie", "maple", "marble",
    "marsh", "marten", "meadow", "mesa", "mill", "moss", "nettle", "newt", "oak", "oasis", "orchard",
    "osprey", "otter", "owl", "pebble", "pelican", "pine", "plover", "pond", "poplar", "quail", "quarry",
    "raven", "reef", "ridge", "river", "robin", "rowan", "salmon", "shore", "slate", "sparrow", "spruce",
    "stork", "summit", "swan", "thistle", "thrush", "tiller", "trout", "tundra", "vale", "valley", "walnut",
    "willow", "wren", "yarrow", "yew",
];
