"""The captions whose token ids are stored in tokens.json: what scraped alt text looks like, and what breaks a tokenizer.

It must never import a tokenizer: the strings are the question, make_reference.py writes the answer.
"""

import itertools

PLAIN = [
    "", " ", "\t\n ", "a", "A", "1", ".", "a photo of a t-shirt.", "A photo of a Dress", "AN ANKLE BOOT", "a photo of an ankle boot",
    "a photo of a dress, on white background", "the cat sat on the mat", "dog", "Dogs' toys", "it's a dog's life", "I'VE SEEN IT",
    "we'll they're i'm you'd can't", "don't 'quote' me", "he'said 'S 'T 'RE", "rock'n'roll", "x'", "''", "'''s", "o'clock at 12:30pm",
    "supercalifragilisticexpialidocious", "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "hello world", "hello  world", " hello world ", "hello\nworld", "hello\tworld", "hello\r\nworld", "hello\u00a0world",
    "hello\u2003world", "hello\u200bworld", "hello\u3000world", "\ufeffhello", "hel\u00adlo", "a\x00b", "a\x07b", "\x1b[31mred\x1b[0m",
    "<start_of_text>", "<end_of_text>", "a <start_of_text> b <end_of_text> c", "<START_OF_TEXT>", "<|startoftext|>", "<|endoftext|>",
    "<start_of_text", "<b>bold</b> text<br/>", "<!-- comment -->", "<img src=\"a.jpg\" alt='x'>",
]

NUMBERS = [
    "0", "42", "2024", "3.14159", "1,000,000", "10%", "$19.99", "€5", "£7.50", "¥1000", "+1 (555) 123-4567", "192.168.0.1",
    "2024-11-22T11:02:04Z", "1/2", "½ cup", "x²+y²=z²", "10^6", "0xDEADBEEF", "1e-6", "№5", "1st 2nd 3rd", "IMG_20231105_123456.jpg", "DSC00042",
    "size 8.5 / EU 42", "12x12cm", "1920x1080", "4K", "A4", "٣٤٥", "१२३", "①②③", "Ⅳ", "１２３", "1\u00a0000", "#1", "#hashtag #2024",
]

PUNCTUATION = [
    "!", "!!", "!!!", "!!!!!!!!!!!!!!!!!!!!", "?", "?!", "...", "…", "-", "--", "---", "—", "–", "hello!", "wait... what?!", "(a)", "[b]", "{c}",
    "a/b/c", "a\\b\\c", "a_b_c", "a-b-c", "a.b.c", "a,b,c", "a;b:c", "a|b", "a&b", "a&&b", "a*b", "a=b", "~a", "`code`", "^_^", ":-)", ";)", ":D",
    "\"quoted\"", "“quoted”", "‘quoted’", "«guillemets»", "„deutsch“", "it’s", "• bullet", "© 2024", "™", "®", "§ 5", "¶", "†", "→", "a → b",
    "★★★★☆", "♥", "☎ call", "!a!", "!0!", "===== title =====", "@user", "user@example.com", "https://example.com/a?b=c&d=e#f", "www.example.com",
    "C:\\Windows\\System32", "foo();", "a<b>c", "1<2 && 3>2", "100%!",
]

ENTITIES = [
    "&amp;", "&amp;amp;", "&amp;amp;amp;", "&lt;b&gt;", "salt &amp; pepper", "&quot;hi&quot;", "&#39;s", "it&#39;s", "&apos;", "&nbsp;", "a&nbsp;b",
    "&eacute;", "caf&eacute;", "&#233;", "&#xe9;", "&euro;", "&hellip;", "&mdash;", "&copy;", "&notanentity;", "&", "& ", "&;", "&#;", "&#x;",
    "&#0;", "&#128;", "&#1234567;", "&#x1F600;", "&amp;#39;", "&lt", "&ampamp", "AT&T", "AT&amp;T", "R&D", "a&ltb", "&LT;", "&zwj;", "&shy;",
]

UNICODE = [
    "café", "cafe\u0301", "naïve", "Zürich", "STRASSE straße", "ẞ", "İstanbul", "ıI", "ÀÉÎÕÜ", "ñandú", "œuvre", "Ærøskøbing", "Łódź", "Ångström", "A\u030angstro\u0308m",
    "Привет мир", "ПРИВЕТ", "Ελληνικά", "ΟΔΟΣ", "שלום", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดี", "你好世界", "你好，世界！", "こんにちは", "カタカナ", "ｶﾀｶﾅ", "ＦＵＬＬ　ＷＩＤＴＨ", "한국어", "ᄒ\u1161\u11ab",
    "Tiếng Việt", "தமிழ்", "ქართული", "ᏣᎳᎩ", "𝓯𝓪𝓷𝓬𝔂", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "Ⓐⓑⓒ", "ﬁne ﬂow", "ﬃ", "ǅ", "Ǆ", "µm", "μm", "Ω", "Ω", "K", "a\u0327\u0301", "\u0301", "z\u0336a\u0336l\u0336g\u0336o\u0336",
    "e\u200de", "\u202eright to left\u202c", "a\u2028b", "a\u2029b", "a\x85b", "\ue000private", "\U0010ffff", "\ufffd", "\ud7ff",
]

EMOJI = [
    "😀", "😀😀😀", "I ❤ NY", "I ❤️ NY", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇷🇩🇪", "1️⃣2️⃣", "☀️", "🎉party🎉", "dog🐶cat🐱", "😂lol😂", "🧑🏿‍🚀 in space", "✨ new ✨ dress ✨", "🤷‍♀️",
]

MOJIBAKE = [
    "schÃ¶n", "cafÃ©", "itâ€™s", "â€œquotedâ€\x9d", "Ã¼ber", "l’humanitÃ©", "âœ” done", "ðŸ˜€", "Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "\x91quote\x92", "\x96dash", "&lt;&amp;Ã©",
]

LONG = [
    "word " * 100, "a" * 300, "dress " * 76, "dress " * 75, "dress " * 74, "x " * 14, "x " * 15, "x " * 13, "1234567890" * 20, "!" * 200, "😀" * 40,
    "你好" * 60, "a photo of a very " + "very " * 30 + "long dress", "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor "
    "incididunt ut labore et dolore magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris.", "supercalifragilistic" * 12,
    "." * 5 + " " * 50 + "end", "-" * 90,
]

CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
TEMPLATES = ["a photo of a {}.", "{} | Free Shipping!", "Women's {} (NEW)"]


def captions():
    """Every string once, in a fixed order."""
    made = [template.format(name) for template, name in itertools.product(TEMPLATES, CLASSES)]
    groups = (PLAIN, NUMBERS, PUNCTUATION, ENTITIES, UNICODE, EMOJI, MOJIBAKE, LONG, made)
    return list(dict.fromkeys(itertools.chain.from_iterable(groups)))
