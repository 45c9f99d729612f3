"""The arithmetic of docs/scale.md: `scripts/scale.py` prints its tables, `--write` puts them into the page, `--check` compares.

It must never need more than Python's own library, nor hold a number that the page does not name.
"""

import math
import re
import sys
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "scale.md"
K, M, G, T = 1e3, 1e6, 1e9, 1e12
US, MS = 1e-6, 1e-3

# ---------------------------------------------------------------------------- inputs

BF16 = 0.30 * 989 * T  # documented peak, assumed share
F32 = 0.50 * 67 * T
HBM = 0.80 * 3.35 * T
HBM_BYTES = 80 * G
USABLE = 0.90
NODE = 8
W_NODE = 0.80 * 450 * G  # bytes/s: bus bandwidth inside one node
W_NET = 0.80 * 8 * 50 * G  # a node's eight adapters together: in eight rings each carries an eighth
BUCKET = 25 * 2**20
ITEM = 15 * US  # one number read from the GPU
COPY = 3 * US  # one small copy launched
VOTE_BYTES = 32
UNARY = 230 * US  # processor time of one call of the coordinator, an upper bound
GANG_TIMEOUT_S, GANG_LEASE_S = 60, 120  # heartbeat of 1 s
SHARD_PAIRS = 10_000
SIDE = 224
SUSPECTS, SAFE, HELD_OUT = 200_000, 8_000, 0.1
STEPS = {"stand-in": 40, "unlearn": 184}
BATCH, LARGE = 64, 32_768
READ_BYTES_S, OPEN_FILE_S, OPEN_OBJECT_S = 0.4 * G, 1 * MS, 20 * MS
DECODED_S = 244  # pairs a second and decoding thread (docs/scoring.md)
PCIE = 50 * G  # bytes/s, from pinned memory; queued on the stream that computes
GETS_S = 5_500  # of an object store, a second and prefix
PAIR_BYTES = 25 * K
COPY_S = 5 * G  # one thread of a host copies
NET_COORDINATOR = 1.25 * G
LLAMA = 419 / 54 / 16_384  # interruptions a day and GPU
OPT = 24 / 7.5 / 1_008  # the same of a job of 992 to 1,024 A100
SIZES = (8, 64, 256, 1_024)


class Model:
    """A CLIP by its shape; counts and operations follow from it."""

    def __init__(self, name, embed, image, text):
        self.name, self.embed = name, embed
        (self.width, self.layers, self.patch), (self.text_width, self.text_layers) = image, text
        self.tokens = (SIDE // self.patch) ** 2 + 1

    @staticmethod
    def block(width):
        return 12 * width * width + 13 * width  # two matrices of attention, two of the MLP, biases, two norms

    def parameters(self):
        w, v = self.width, self.text_width
        image = 3 * self.patch**2 * w + w + self.tokens * w + self.layers * self.block(w) + 4 * w + w * self.embed
        text = (49_408 + 77) * v + self.text_layers * self.block(v) + 2 * v + v * self.embed
        return image + text + 1

    @staticmethod
    def tower(width, tokens, layers):
        return layers * (2 * 12 * width * width * tokens + 4 * tokens * tokens * width)

    def image(self):
        """Operations of one forward of one image."""
        return self.tower(self.width, self.tokens, self.layers) + 2 * 3 * self.patch**2 * self.width * (self.tokens - 1)

    def text(self):
        return self.tower(self.text_width, 77, self.text_layers)

    def score(self):
        """A forward, and a backward to the tokens alone, which takes no gradient of a weight; one caption."""
        return 2 * self.image() + self.text()

    def unlearn(self):
        """A pair of the batch: 3/4 safe (both towers trained, frozen image), 1/4 to forget (image trained, words not)."""
        return 3.75 * self.image() + 2.5 * self.text()

    def cached(self):
        """What gradient caching computes again."""
        return 1.75 * self.image() + self.text()

    def backward(self):
        return 2 * (self.image() + 0.75 * self.text())

    def recipe(self, batch):
        """Both trainings."""
        image, text = self.image(), self.text()
        a_pair = {"stand-in": 3.75 * image + 3 * text, "unlearn": self.unlearn()}
        return sum(steps * batch * a_pair[name] for name, steps in STEPS.items())

    def held(self, width, tokens, layers):
        return 4 * 17 * width * tokens * layers  # f32; 17 widths a token and layer, see the page

    def activations(self):
        """Bytes that backward needs of one pair of the batch, f32."""
        image = self.held(self.width, self.tokens, self.layers)
        return image + 0.75 * self.held(self.text_width, 77, self.text_layers)


MODELS = (
    Model("ViT-B/32", 512, (768, 12, 32), (512, 12)),
    Model("ViT-L/14", 768, (1024, 24, 14), (768, 12)),
    Model("ViT-H/14", 1024, (1280, 32, 14), (1024, 24)),
)

# ---------------------------------------------------------------------------- the collectives, after NCCL's tuner

BASE = {"tree": (6.8, 14.0, 8.4), "ring": (6.6, 14.0, 8.4)}  # us: LL, LL128, Simple
NVLINK = {"tree": (0.6, 1.25, 4.0), "ring": (0.6, 1.9, 3.4)}
NET = {"tree": (5.0, 8.5, 14.0), "ring": (2.7, 4.0, 14.0)}
OVERHEAD = (1.0, 1.0, 3.0)  # us of a network's post, for every step of a ring across nodes


def bus(n):
    return W_NODE if n <= NODE else W_NET


def latency(algorithm, protocol, n, passes):
    """Seconds; `passes` is 2 for a sum, 1 for a gather or a scatter, which have rings only."""
    nodes, ranks = max(1, n // NODE), min(n, NODE)
    inner, outer = NVLINK[algorithm][protocol], NET[algorithm][protocol]
    if algorithm == "tree":
        return (BASE["tree"][protocol] + 2 * ((ranks - 1) * inner + math.log2(nodes) * outer)) * US
    if nodes > 1:
        inner = max(inner, OVERHEAD[protocol])
    across = passes * (nodes - 1)
    return (BASE["ring"][protocol] + (passes * (n - 1) - across) * inner + across * outer) * US


def all_reduce(size, n):
    """Seconds of the best of ring and tree in three protocols."""
    if n == 1:
        return 0.0
    w, found = bus(n), []
    low = 141 * G if n <= NODE else 20.4 * G
    for algorithm in ("ring", "tree"):
        ring = algorithm == "ring"
        simple = w if ring else 0.92 * w
        for protocol, rate in enumerate((min(low, simple / (2 if ring else 3.8)), 0.92 * simple, simple)):
            volume = 2 * size * ((n - 1) / n if ring else 1)
            found.append(latency(algorithm, protocol, n, 2) + volume / rate)
    return min(found)


def gather(size, n):
    """Of `size` bytes in all; a scatter of sums costs the same."""
    if n == 1:
        return 0.0
    low = 141 * G if n <= NODE else 20.4 * G
    rates = (min(low, bus(n) / 2), 0.92 * bus(n), bus(n))
    return min(latency("ring", p, n, 1) + size * (n - 1) / n / rate for p, rate in enumerate(rates))


# ---------------------------------------------------------------------------- one step


class Step:
    """One step of unlearning in bf16 with f32 gradients, by its parts; seconds."""

    def __init__(self, model, n, batch):
        self.model, self.n = model, n
        self.local, safe = batch / n, 0.75 * batch
        p = model.parameters()
        self.matrices = 2 * safe * model.embed * 4  # bytes of the gathered features
        self.block = safe / n * safe * 4  # bytes of one block of logits
        room = USABLE * HBM_BYTES - 24 * p - 8 * self.block - 6 * self.matrices
        self.fits = room / (model.activations() / 2)
        self.pieces = max(1, math.ceil(self.local / self.fits))
        self.ideal = self.local * model.unlearn() / BF16
        again = self.local * model.cached() / BF16 if self.pieces > 1 else 0.0
        loss = 14 * (safe / n) * safe * model.embed / BF16
        self.compute = self.ideal + again + loss
        self.backward = self.local * model.backward() / BF16 / self.pieces
        self.gathering = gather(self.matrices, n)
        self.slopes = all_reduce(self.matrices, n)
        self.scatter = gather(self.matrices, n)
        self.whole = all_reduce(4 * p, n)
        self.buckets = math.ceil(4 * p / BUCKET) * all_reduce(BUCKET, n)
        self.tail = all_reduce(4 * 49_408 * model.text_width, n)  # the words' table comes last; fewer words, less
        self.vote = gather(VOTE_BYTES * n, n)
        self.reading = n * ITEM
        self.vote_once = all_reduce(VOTE_BYTES, n) + 4 * ITEM
        self.lists = 2 * n * COPY
        self.weights = gather(4 * p, n)  # where the optimiser is sharded
        self.pictures = self.local * 1.75 * SIDE * SIDE * 3 * (2 if self.pieces > 1 else 1)
        self.pixels = self.pictures / PCIE
        self.adam = 7 * 4 * p / HBM

    def exposed(self):
        """What of the gradient's sum backward does not hide."""
        return max(self.tail, self.buckets - self.backward) if self.n > 1 else 0.0

    def now(self):
        votes = self.vote + self.reading + self.lists
        step = self.pixels + self.compute + self.gathering + self.slopes + self.exposed() + votes + self.adam
        return max(step, self.pictures / COPY_S)  # a thread puts the next batch together meanwhile

    def then(self):
        """A vote that is one sum, a gather into one tensor, nothing frozen twice."""
        twice = self.local * (0.75 * self.model.image() + 0.25 * self.model.text()) / BF16 if self.pieces > 1 else 0.0
        talk = self.gathering + self.slopes + self.exposed() + self.vote_once
        return self.compute - twice + talk + self.adam


# ---------------------------------------------------------------------------- tables


def table(head, rows):
    line = lambda cells: "| " + " | ".join(cells) + " |"
    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def num(x, digits=2):
    """So many digits that count, with commas."""
    if x == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(x))))
    rounded = round(x, places) if places else round(x, digits - 1 - math.floor(math.log10(abs(x))))
    return f"{rounded:,.{places}f}"


def size(b):
    for unit, scale in (("TB", T), ("GB", G), ("MB", M), ("KB", K)):
        if abs(b) >= scale:
            return f"{num(b / scale, 3)} {unit}"
    return f"{b:.0f} B"


def time(s):
    if s >= 2 * 3600:
        return f"{num(s / 3600)} h"
    if s >= 120:
        return f"{num(s / 60)} min"
    return f"{num(s)} s" if s >= 1 else f"{num(s * 1e3)} ms"


def percent(x):
    return f"{100 * x:.0f} %"


def given():
    rows = [
        ["H100: bf16, f32; memory; NVLink", "989, 67 TFLOP/s; 80 GB at 3.35 TB/s; 450 GB/s each way", "documented: NVIDIA's data sheet, dense"],
        ["share of the peak reached", f"bf16 {percent(BF16 / 989 / T)}, f32 {percent(F32 / 67 / T)}", "assumed; L/14 on 1,024 A100 had 77 pairs a second and GPU, 13 % (LAION, trained_models_info.csv)"],
        ["bus bandwidth of a sum", f"{num(W_NODE / G, 3)} GB/s in a node, {num(W_NET / G, 3)} GB/s across", "assumed: 80 % of NVLink, and of a node's eight adapters of 50 GB/s, one for each of NCCL's rings"],
        ["latency of a hop, us: LL, LL128, Simple", "NVLink ring 0.6, 1.9, 3.4, tree 0.6, 1.25, 4; network ring 2.7, 4, 14, tree 5, 8.5, 14", "documented: NCCL 2.30, src/graph/tuning.cc"],
        ["a number read from a GPU; a small copy begun", f"{ITEM / US:.0f} us; {COPY / US:.0f} us", "assumed"],
        ["pinned memory to a GPU", f"{PCIE / G:.0f} GB/s", "assumed; queued on the stream that computes"],
        ["a shard; a pair; decoded", f"{SHARD_PAIRS:,} pairs; {PAIR_BYTES / K:.0f} KB; {DECODED_S} a second and thread", "assumed; assumed; measured (docs/scoring.md): a worker has as many threads as torch leaves cores, at most 16"],
        ["stand-in, unlearn", f"{', '.join(map(str, STEPS.values()))} steps of {BATCH}; {SUSPECTS:,} suspects, {SAFE:,} safe pairs", "read: the spec's defaults"],
        ["waits at a heartbeat of 1 s", f"collective {GANG_TIMEOUT_S} s, rank without progress {GANG_LEASE_S} s, shrink 15 s", "read: engine/src/knobs.rs"],
        ["coordinator; one of four ranks lost", "9,070 leases and commits a second, 230 us of a processor for both, 164 MB, takeover 4.9 s; 1.27 s", "measured: `lethe bench control-plane --seconds 5 --repetitions 1`; `lethe bench collective --no-torchrun`"],
        ["a rank reads its inputs", f"{READ_BYTES_S / G:.1f} GB/s, {OPEN_FILE_S / MS:.0f} ms a blob; object store {OPEN_OBJECT_S / MS:.0f} ms, {GETS_S:,} GETs a second and prefix", "assumed; the GETs documented: Amazon S3's guide"],
        ["losses a day of 1,024 GPUs", f"{LLAMA * 1_024:.2f} to {OPT * 1_024:.1f}", "documented: Llama 3, 419 unexpected in 54 days on 16,384; OPT-175B, one in 7.5 h on 992 to 1,024"],
        ["a host copies; an NCCL group forms", f"{COPY_S / G:.0f} GB/s; 3 s to 64 ranks, 10 s beyond", "assumed"],
    ]
    return table(["input", "value", "from"], rows)


def scoring():
    head = ["model", "parameters", "GFLOP: image, text", "GFLOP to score", "pairs a second and GPU, f32 (bf16)",
            "400 M pairs, 1,024 GPUs, f32", "2 B pairs", "decoding threads a GPU keeps busy"]
    rows = []
    for m in MODELS:
        rate = F32 / m.score()
        rows.append([m.name, f"{m.parameters() / M:.1f} M", f"{m.image() / G:.1f}, {m.text() / G:.1f}",
                     num(m.score() / G, 3), f"{num(rate)} ({num(BF16 / m.score())})",
                     time(400 * M / rate / 1_024), time(2_000 * M / rate / 1_024), num(rate / DECODED_S)])
    return table(head, rows)


def traffic():
    head = ["bytes", *(m.name for m in MODELS)]
    steps = [Step(m, 1_024, LARGE) for m in MODELS]
    cell = lambda f: [size(f(s)) for s in steps]
    share = 1_023 / 1_024
    rows = [
        ["gradient, f32: 4P", *cell(lambda s: 4 * s.model.parameters())],
        ["sent for its sum: 2(n-1)/n 4P", *cell(lambda s: 2 * share * 4 * s.model.parameters())],
        ["features gathered, received: (n-1)/n 2 (3/4 B) D 4", *cell(lambda s: share * s.matrices)],
        ["slopes summed, sent: 2(n-1)/n of the same; scattered they were half", *cell(lambda s: 2 * share * s.matrices)],
        ["weights gathered, where the optimiser is sharded: (n-1)/n 4P", *cell(lambda s: share * 4 * s.model.parameters())],
    ]
    return table(head, rows)


def times():
    head = ["ms, ViT-L/14, global batch 32,768", *(f"n = {n:,}" for n in SIZES)]
    steps = [Step(MODELS[1], n, LARGE) for n in SIZES]
    cell = lambda f: [num(f(s) * 1e3) for s in steps]
    rows = [
        ["features gathered (ring)", *cell(lambda s: s.gathering)],
        ["slopes summed", *cell(lambda s: s.slopes)],
        ["slopes, were they scattered (ring)", *cell(lambda s: s.scatter)],
        ["pictures to the GPU; put together by a thread meanwhile", *(f"{num(s.pixels * 1e3)}; {num(s.pictures / COPY_S * 1e3)}" for s in steps)],
        ["gradient in one piece", *cell(lambda s: s.whole)],
        ["66 buckets of 25 MiB, one after the other", *cell(lambda s: s.buckets)],
        ["backward of the last piece, which hides them", *cell(lambda s: s.backward)],
        ["what it does not hide", *cell(lambda s: s.exposed())],
        ["vote: gather of 32 bytes a rank (ring)", *cell(lambda s: s.vote)],
        ["vote: n answers read one by one, and lists of n outputs copied", *cell(lambda s: s.reading + s.lists)],
        ["a vote that is one sum (tree); the barrier", *cell(lambda s: all_reduce(VOTE_BYTES, s.n))],
        ["AdamW, fused: 7 passes over 4P", *cell(lambda s: s.adam)],
        ["AdamW of two parts of n, and their weights gathered",
         *(f"{num(s.adam * 1e3 * min(1, 2 / s.n))} + {num(s.weights * 1e3)}" for s in steps)],
    ]
    return table(head, rows)


def memory():
    head = ["a rank's GPU memory", *(m.name for m in MODELS)]
    ps = [m.parameters() for m in MODELS]
    cell = lambda f: [size(f(p)) for p in ps]
    pair = [m.activations() for m in MODELS]
    fit = lambda scale, state: [num((USABLE * HBM_BYTES - state * p) / (a * scale)) for p, a in zip(ps, pair)]
    block = lambda n: size(8 * Step(MODELS[0], n, LARGE).block)
    rows = [
        ["beside activations: weights, whole and frozen model, gradient, moments: 24P", *cell(lambda p: 24 * p)],
        ["activations a pair of the batch, f32", *(size(a) for a in pair)],
        ["pairs that fit, f32 (bf16)", *(f"{a} ({b})" for a, b in zip(fit(1, 24), fit(0.5, 24)))],
        ["with shard_optimizer, n large: 16P; pairs that fit", *(f"{size(16 * p)}; {a} ({b})" for p, a, b in zip(ps, fit(1, 16), fit(0.5, 16)))],
        ["a checkpoint, 12P: MB/s where one a minute is written", *(f"{size(12 * p)}: {num(12 * p / 60 / M)}" for p in ps)],
        ["what a step waits for it: two copies at 5 GB/s", *(time(2 * 12 * p / COPY_S) for p in ps)],
        ["gathered features, B = 32,768, six copies", *(size(6 * Step(m, 8, LARGE).matrices) for m in MODELS)],
        ["eight blocks of logits, (3/4 B)/n by 3/4 B: n = 8 (64; 1,024)", *[f"{block(8)} ({block(64)}; {block(1_024)})"] * 3],
    ]
    return table(head, rows)


def scaling():
    """Strong: one batch of 32,768. Weak: 256, 128 and 64 pairs a rank."""
    head = ["model", "n", "B = 32,768: pairs a rank (pieces)", "computes, ms", "as written, ms", "efficiency", "as planned, ms",
            "efficiency", "256, 128, 64 pairs a rank: as written", "as planned"]
    rows = []
    for m, each in zip(MODELS, (256, 128, 64)):
        for n in SIZES:
            s, w = Step(m, n, LARGE), Step(m, n, each * n)
            cells = [f"{s.local:,.0f} ({s.pieces})"]
            for t in (s.now(), s.then()):
                cells += [num(t * 1e3, 3), percent(s.ideal / t)]
            rows.append([m.name, f"{n:,}", cells[0], num(s.ideal * 1e3, 3), *cells[1:], percent(w.ideal / w.now()),
                         percent(w.ideal / w.then())])
    return table(head, rows)


def choice():
    """The two trainings of the default recipe, by the number of ranks."""
    sizes = (1, 8, 32, 256)
    head = ["steps' time of the two trainings (GPU-minutes), as planned", *(f"n = {n}" for n in sizes), "n = 64, batch 32,768"]
    rows = []
    for m in MODELS:
        total = sum(STEPS.values())
        cells = []
        for n, batch in [*((n, BATCH) for n in sizes), (64, LARGE)]:
            t = total * Step(m, n, batch).then()
            cells.append(f"{time(t)} ({num(t * n / 60)})")
        rows.append([m.name, *cells])
    return table(head, rows)


def wire_bytes(audit="march"):
    """One input of a gang's task, as protobuf: phase, shard, one named blob."""
    field = lambda length: 2 + length if length < 128 else 3 + length
    phase, name = "gather", "pairs.parquet"
    path = len(f"{audit}/004/0012345/1.12345/{name}")
    blob = field(path) + 1 + 3 + field(32)
    named = field(len(name)) + field(blob)
    return field(field(len(phase)) + 1 + 3 + field(named))


OUTPUT_BYTES = 56 + 32 + 96 + 32 + 64  # an Output with one blob and its four allocations, in the engine


def inputs():
    head = ["of the unlearn gang", "40,000 shards (400 M pairs)", "200,000 shards (2 B)"]
    shards = (40_000, 200_000)
    pairs = (SUSPECTS + SAFE) * SIDE * SIDE * 3
    read = lambda s, each: pairs / READ_BYTES_S + s * each
    rows = [
        ["blobs a rank opens: 1 a shard", *(f"{s:,}" for s in shards)],
        ["pixels a rank reads and holds: 208,000 of 150,528 bytes (all ranks, n = 1,024)", *[f"{size(pairs)} ({size(1_024 * pairs)})"] * 2],
        ["time at 0.4 GB/s and 1 ms a blob (20 ms: an object store)",
         *(f"{time(read(s, OPEN_FILE_S))} ({time(read(s, OPEN_OBJECT_S))})" for s in shards)],
        [f"task message; {64 * 2**20 / wire_bytes():,.0f} shards reach its limit of 64 MiB, {64 * 2**20 / wire_bytes('x' * 64):,.0f} with the longest id",
         *(size(s * wire_bytes()) for s in shards)],
        ["the coordinator's copies of it, 280 bytes a blob by its types, n = 8; 64; 1,024",
         *("; ".join(size(n * s * OUTPUT_BYTES) for n in (8, 64, 1_024)) for s in shards)],
        ["all ranks' GETs at 5,500 a second, n = 8 (1,024)",
         *(f"{time(8 * s / GETS_S)} ({time(1_024 * s / GETS_S)})" for s in shards)],
    ]
    return table(head, rows)


def meeting(n):
    """Calls until n ranks are connected by NCCL."""
    return (n + n * n) + (n + n * n + n)


def rendezvous():
    head = ["a generation meets", *(f"n = {n:,}" for n in SIZES)]
    busy = lambda calls, cores: time(calls * UNARY / cores)
    gloo = lambda n: 2 * n + 3 * n * n
    rows = [
        ["calls: ready, n + n^2, and NCCL, n + n^2 + n", *(f"{meeting(n):,}" for n in SIZES)],
        ["processor time at 230 us, on 2 cores (16)", *(f"{busy(meeting(n), 2)} ({busy(meeting(n), 16)})" for n in SIZES)],
        ["calls: ready, and Gloo, n + 2 n^2", *(f"{gloo(n):,}" for n in SIZES)],
        ["Gloo: bytes, 2 n^2 (154 + 8 n)", *(size(2 * n * n * (154 + 8 * n)) for n in SIZES)],
        ["Gloo: connections n(n-1)/2, sockets a rank", *(f"{n * (n - 1) // 2:,}, {n - 1:,}" for n in SIZES)],
    ]
    return table(head, rows)


def losses():
    head = ["ranks", "losses a day, Llama 3's rate", "at OPT-175B's", "a loss with a floor costs", "with a replacement", "lost a day, worst",
            "a loss within 10 minutes, worst"]
    reading = (SUSPECTS + SAFE) * SIDE * SIDE * 3 / READ_BYTES_S + 40_000 * OPEN_FILE_S
    rows = []
    for n in SIZES:
        group = meeting(n) * UNARY / 16 + (3 if n <= 64 else 10) + 1
        floor, replaced = 2 + 15 + group, 2 + reading + group
        rows.append([f"{n:,}", num(n * LLAMA), num(n * OPT), time(floor), time(replaced),
                     percent_small(n * OPT * replaced / 86_400), percent_small(1 - math.exp(-n * OPT * 600 / 86_400))])
    return table(head, rows)


def percent_small(x):
    return f"{num(100 * x)} %"


TABLES = [given, scoring, traffic, times, memory, scaling, choice, inputs, rendezvous, losses]


def filled(page):
    """The page with each table anew under its mark."""
    for make in TABLES:
        mark = f"<!-- {make.__name__} -->\n"
        if mark not in page:
            sys.exit(f"docs/scale.md has no place for the table {make.__name__}")
        page = re.sub(re.escape(mark) + r"(\|.*\n)*", lambda _: mark + make() + "\n", page)
    return page


def main():
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(filled(PAGE.read_text()))
    elif sys.argv[1:] == ["--check"]:
        if filled(PAGE.read_text()) != PAGE.read_text():
            sys.exit("docs/scale.md is not what scripts/scale.py gives: run scripts/scale.py --write")
    else:
        for make in TABLES:
            print(f"{make.__name__}\n\n{make()}\n")


if __name__ == "__main__":
    main()
