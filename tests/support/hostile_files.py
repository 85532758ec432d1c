"""Files and names that nobody should trust, the commands that read them, and what must come of it.

The table's rows are what `tests/benchmarks/hostile.py` runs under limits of time and memory, and
`tests/cli/test_hostile.py` in one process.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import json
import os
import pickle
import socket
import sqlite3
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Make = Callable[[Path], object]
COMMANDS = (
    "start tiny.toml --engine inline",
    "train tiny.toml --save net.npz",
    "export tiny --out e.json",
    "export tiny --out e.csv --what trials",
)
"""What runs in the folder first: a database of one stage, a network, exports; `foreign` adds another Optuna study."""

ESCAPES = "\x1b[31mred\x1b]0;title\x07\x9b2J\r\x00\x08\u202e"
MARKUP = '<a href="https://example.org"><b>bold</b></a> & <script>alert(1)</script>'
TABLE = "label,a,b\n" + "".join(f"{n % 2},{n % 7}.5,{n * n % 11}\n" for n in range(40))
GIB = 2**30


@dataclass(frozen=True)
class Case:
    """A hostile input and a command over it."""

    kind: str
    line: str  # the command, split at blanks
    make: Make
    code: int | None  # the exit code; None for 0 or 2
    says: str = ""  # what it must say
    more: tuple[str, ...] = ()  # more arguments
    big: bool = False  # takes seconds to make: in the benchmark only

    @property
    def command(self) -> tuple[str, ...]:
        return *self.line.split(), *self.more

    @property
    def name(self) -> str:
        return ascii(f"{self.kind}: {' '.join(self.command)}"[:90])[1:-1]


def shortfall(case: Case, code: int, out: str, err: str) -> str:
    """Return in what an outcome falls short of one line and its exit code, or of the right result; empty if in none."""
    text = out + err
    raw = sorted({c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs")})
    if raw:
        return f"prints {', '.join(map(repr, raw[:4]))}"
    if "Traceback" in text or "internal error" in text:
        return "internal error"
    if code not in ((0, 2) if case.code is None else (case.code,)):
        return f"exit code {code}, not {case.code}"
    if code == 2 and (out or err.count("\n") != 1 or len(err) > 1_000):
        return f"refused in {text.count(chr(10))} lines of {len(text)} characters"
    if max(map(len, text.split("\n"))) > 2_000:
        return f"a line of {max(map(len, text.splitlines()))} characters"
    return "" if case.says in text else f"does not say {case.says!r}"


# Contents of files


def deflated(begin: bytes, block: bytes, size: int = 3 * GIB) -> tuple[bytes, int]:
    """Return a raw deflate stream of ``begin`` and of blocks up to ``size`` bytes, and how many bytes it decodes to."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = packer.compress(begin) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    count = size // len(block)
    return head + piece * count + packer.flush(zlib.Z_FINISH), len(begin) + count * len(block)


def bomb(begin: bytes, block: bytes, size: int = GIB // 4) -> bytes:
    """Return a gzip file that decodes to ``size`` bytes."""
    stream, total = deflated(begin, block, size)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + stream + struct.pack("<II", 0, total % 2**32)


def npy(header: str, content: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n" + content


def described(shape: str) -> str:
    return f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"


def zipped(declared: int | None = None, method: int = 8, size: int = 3 * GIB) -> bytes:
    """Return a .npz whose array ``x`` decodes to ``size`` bytes; its directory states ``declared`` instead."""
    stream, total = deflated(npy(described(f"({size // 4},4)")), bytes(2**20), size)
    sizes = struct.pack("<HHHHIII", 0, method, 0, 33, 0, len(stream), total if declared is None else declared)
    local = b"PK\3\4\x14\0" + sizes + struct.pack("<HH", 5, 0) + b"x.npy" + stream
    entry = b"PK\1\2\x14\0\x14\0" + sizes + struct.pack("<HHHHHII", 5, 0, 0, 0, 0, 0, 0) + b"x.npy"
    return local + entry + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local), 0)


def npz(**members: Any) -> bytes:
    """Return a .npz of arrays, or of the bytes of .npy files."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, value in members.items():
            member = io.BytesIO(value if isinstance(value, bytes) else b"")
            if not isinstance(value, bytes):
                np.save(member, value, allow_pickle=True)
            archive.writestr(f"{name}.npy", member.getvalue())
    return whole.getvalue()


class Runs:
    """Makes a file ``ran`` when it is unpickled."""

    def __reduce__(self) -> Any:
        return open, ("ran", "w")


def png(width: int, height: int, colour: int = 0, *more: bytes) -> bytes:
    """Return a PNG of zeros, whose content is cut off after 1 MiB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    rows = min(2**20, height * (width * (4 if colour == 6 else 1) + 1))
    chunks = [head, *(chunk(kind[:4], kind[4:]) for kind in more), chunk(b"IDAT", zlib.compress(bytes(rows)))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def parquet(times: Any = 1, **columns: Any) -> bytes:
    """Return a Parquet file with these rows so many times."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    whole, part = io.BytesIO(), pa.table(columns)
    with pq.ParquetWriter(whole, part.schema) as writer:
        for _ in range(times):
            writer.write_table(part)
    return whole.getvalue()


def trials(cells: str, header: str = "params_lr,params_n,value,state") -> str:
    """Return a table of trials as Optuna writes one, the last row of which is given."""
    return f"number,{header}\n0,0.1,3,0.5,COMPLETE\n1,0.2,4,0.6,COMPLETE\n2,{cells}\n"


# What is put into the folder


def nothing(at: Path) -> None:
    pass


def both(*makes: Make) -> Make:
    return lambda at: [make(at) for make in makes]


def placed(name: str, make: Make) -> Make:
    """Make what ``name`` names, with its folder; in a folder of pictures, beside good ones."""

    def made(at: Path) -> None:
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        for label, n in itertools.product("ab", range(4)) if name.startswith("pics/") else ():
            (at / "pics" / label).mkdir(exist_ok=True)
            (at / "pics" / label / f"{n}.png").write_bytes(png(8, 8))
        if name.startswith("d/"):
            (at / "d" / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\1\0\0\0\4\0\1\0\1")
        make(at / name)

    return made


def written(name: str, content: str | bytes | Callable[[], bytes]) -> Make:
    def make(file: Path) -> None:
        data = content() if callable(content) else content
        file.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape"))

    return placed(name, make)


def fifo(name: str) -> Make:
    return placed(name, os.mkfifo)


def link(name: str, target: str) -> Make:
    return placed(name, lambda file: file.symlink_to(target))


def sparse(name: str, size: int, begin: bytes) -> Make:
    def make(file: Path) -> None:
        file.write_bytes(begin)
        os.truncate(file, size)

    return placed(name, make)


def unix_socket(name: str) -> Make:
    def make(file: Path) -> None:
        with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(file.parent):  # its path has at most 107 bytes
            made.bind(file.name)

    return placed(name, make)


def sql(database: str, statement: str) -> Make:
    def make(file: Path) -> None:
        with contextlib.closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(statement)

    return placed(database, make)


def foreign(at: Path) -> None:
    """Write o.db, an Optuna study of one parameter of each kind."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=f"sqlite:///{at}/o.db", study_name="o", direction="maximize")
    ranges: dict[str, Any] = {
        "lr": optuna.distributions.FloatDistribution(1e-5, 1.0, log=True),
        "n": optuna.distributions.IntDistribution(1, 9),
        "act": optuna.distributions.CategoricalDistribution(("relu", "tanh")),
    }
    for n in range(4):
        values = {"lr": 0.1 / (n + 1), "n": n + 1, "act": "relu"}
        study.add_trial(optuna.trial.create_trial(params=values, distributions=ranges, value=n / 10))


def edited(change: Callable[[Any], object]) -> Make:
    """Write x.json, the JSON export with a change."""

    def make(at: Path) -> None:
        content = json.loads((at / "e.json").read_text())
        change(content)
        (at / "x.json").write_text(json.dumps(content))

    return make


def study(old: str, new: str) -> Make:
    """Write bad.toml, the small study file with a change."""

    def make(at: Path) -> None:
        text = (at / "tiny.toml").read_text()
        assert old in text
        (at / "bad.toml").write_text(text.replace(old, new), errors="surrogateescape")

    return make


READERS = {  # every command that reads a file: the file, and the other files that it needs
    "data show {}": ("x.csv", "x.tsv", "x.csv.gz", "x.npz", "x.parquet", "d/train-images-idx3-ubyte"),
    "check bad.toml": ("x.csv",),
    "check {}": ("x.toml",),
    "import {} --name m": ("x.csv", "x.parquet", "x.json"),
    "import sqlite:///{} --name m": ("x.db",),
    "model show {}": ("x.npz",),
    "predict {} e.csv": ("x.npz",),
    "predict net.npz {}": ("x.csv", "x.npz", "x.png"),
    "status --storage {}": ("x.db",),
    "db check --storage {}": ("x.db",),
    "start tiny.toml --engine dask --scheduler {}": ("x.json",),
}
NO_FILES: dict[str, Callable[[str], Make]] = {
    "fifo": fifo,
    "zeros without end": lambda name: link(name, "/dev/zero"),
    "socket": unix_socket,
    "loop": lambda name: link(name, Path(name).name),
    "link to nothing": lambda name: link(name, "gone"),
    "64 GiB": lambda name: sparse(name, 64 * GIB, b"PK\3\4" if name.endswith("npz") else b"{"),
    "process memory": lambda name: link(name, "/proc/self/mem"),
}
LONG, DEEP, DIGITS, NOISE = "x" * 50_000, "[" * 100_000, "9" * 5_000, np.random.default_rng(0).bytes(9_999)
WIDE = ",".join(f"c{n}" for n in range(25_000)) + "\n" + "1," * 24_999 + "1\n"
SHOWN: list[Any] = [  # what `data show` refuses: a file
    ("bomb", "x.csv.gz", lambda: bomb(b"label,a\n", b"1,2\n" * 2**18)),
    ("bomb", "x.npz", lambda: zipped()),
    ("bomb that lies", "x.npz", lambda: zipped(declared=99)),
    ("bomb of a header", "x.npz", lambda: npz(x=npy(described("(1000000000000,)")), y=[1])),
    ("bomb of dimensions", "x.npz", lambda: npz(x=npy(described("(4294967296,4294967296)")), y=[1])),
    ("negative dimensions", "x.npz", lambda: npz(x=npy(described("(-4,4)"), bytes(16)), y=[1])),
    ("bomb", "d/train-images-idx3-ubyte.gz", lambda: bomb(b"\0\0\x08\1\xc0\0\0\0", bytes(2**20))),
    ("bomb of a header", "d/train-images-idx3-ubyte", b"\0\0\x08\3" + b"\xff" * 12),
    ("255 dimensions", "d/train-images-idx3-ubyte", b"\0\0\x08\xff" + bytes(2_000)),
    ("bomb declared", "pics/b/2.png", png(50_000, 50_000)),
    ("bomb below Pillow's limit", "pics/b/2.png", png(13_000, 13_000, 6)),
    ("bomb", "x.parquet", lambda: parquet(image=[{"bytes": png(13_000, 13_000, 6)}] * 8, label=[0, 1] * 4)),
    ("25,000 columns", "x.csv", WIDE),
    ("25,000 classes", "x.csv", "label,a\n" + "".join(f"k{n},{n}.5\n" * 2 for n in range(25_000))),
    ("a line without an end", "x.csv", "1" * 2**24),
    ("an open quote", "x.csv", 'label,a\n1,"' + "x\n" * 2**20),
    ("NUL bytes", "x.csv", TABLE + "\0\0\0,1,2\n"),
    ("noise", "x.csv", NOISE),
    ("noise", "x.parquet", b"PAR1" + NOISE + b"PAR1"),
    ("noise", "x.npz", NOISE),
    ("an executable", "x.csv", b"\x7fELF\2\1\1" + bytes(999)),
    ("cut off", "x.csv.gz", gzip.compress(TABLE.encode())[:-9]),
    ("markup", "pics/b/2.png", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
    ("PostScript", "pics/b/2.png", "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(ran) (w) file\nshowpage\n"),
    ("cut off", "pics/b/2.png", png(8, 8)[:45]),
    ("empty", "pics/b/2.png", b""),
    ("another size", "pics/b/2.png", png(9, 8)),
    ("no width", "pics/b/2.png", png(0, 8)),
    ("pickle", "x.npz", lambda: npz(x=np.array([Runs()], object), y=[1])),
    ("pickle alone", "x.npz", pickle.dumps(Runs())),
    ("code", "x.npz", lambda: npz(x=npy("{'descr': open('ran', 'w'), 'fortran_order': False, 'shape': (1,)}"), y=[1])),
    ("nested header", "x.npz", lambda: npz(x=npy("(" * 9_000), y=[1])),
    ("unknown compression", "x.npz", lambda: zipped(method=99, size=2**20)),
    ("records", "x.npz", lambda: npz(x=np.zeros(4, "i4,f8"), y=[0, 1, 0, 1])),
    ("complex numbers", "x.npz", lambda: npz(x=np.ones((4, 2), "c16"), y=[0, 1, 0, 1])),
    ("no rows", "x.npz", lambda: npz(x=np.ones((0, 2)), y=np.ones(0, int))),
    ("one number", "x.npz", lambda: npz(x=np.array(1.0), y=np.array(1))),
    ("infinite", "x.csv", TABLE + "1,inf,2\n"),
    ("5,000 digits", "x.csv", TABLE + f"1,{DIGITS},2\n"),
    ("lists", "x.parquet", lambda: parquet(label=[0, 1], a=[[[1]], [[2]]])),
    ("structures", "x.parquet", lambda: parquet(label=[0, 1], a=[{"b": {"c": 1}}, {"b": {"c": 2}}])),
    ("header only", "x.csv", "label,a\n"),
    ("a header twice", "x.csv", TABLE.replace("a,b", "a,a")),
    ("ragged", "x.csv", TABLE + "1,2,3,4\n"),
]
BIG: list[Any] = [  # likewise, what takes seconds: in the benchmark only
    ("large bomb", "x.csv.gz", lambda: bomb(b"label,a\n", b"1,2\n" * 2**18, 3 * GIB)),
    ("large bomb", "d/train-images-idx3-ubyte.gz", lambda: bomb(b"\0\0\x08\1\xc0\0\0\0", bytes(2**20), 3 * GIB)),
    ("bomb", "x.parquet", lambda: parquet(2**8, label=np.zeros(2**20, "i8"), a=np.zeros(2**20))),
    ("bomb of texts", "x.parquet", lambda: parquet(20, label=["x" * 2**20] * 100, a=range(100))),
    ("25,000 columns", "x.parquet", lambda: parquet(label=[0, 1], **{f"c{n}": [1, 2] for n in range(25_000)})),
]
NAMED: list[Any] = [  # texts that reach a terminal, in files that are fine: a command, a file
    ("data show", "x.csv", TABLE.replace("a,b", f'"{ESCAPES}",b')),
    ("data show", "x.csv", TABLE.replace("a,b", f"{LONG},{LONG}y")),
    ("data show", "x.csv", TABLE.replace("\n1,", f"\n{LONG},")),
    ("data show", "x.csv", TABLE.replace("\n1,", "\n\x1b[31mred\u202e,")),
    ("data show", "x.csv.gz", TABLE),
    ("data show --label \x1b[31m", "x.csv", TABLE),
    ("data show", "\x1b[31m\nx.csv", TABLE),
    ("data show", "\udcff.csv", TABLE),
    ("data show", "pics/\x1b[31mred\n/1.png", png(8, 8)),
    ("data show", "pics/b/2.png", png(8, 8, 0, b"zTXta\0\0" + zlib.compress(bytes(2**27)))),
    ("data show", "x.csv", TABLE + f"1,{10**30},2\n"),
    ("predict net.npz", "x.csv", TABLE),
    ("predict net.npz", "\x1b[31m\n.png", png(28, 28)),
    ("import --name m", "x.csv", trials("0.1,2,0.9,COMPLETE", "params_\x1b[31mlr,params_n,value,state")),
    ("import --name m --metric \x1b[31m" + LONG, "x.csv", trials("0.1,2,0.9,COMPLETE")),
    ("import --name m --range \x1b[31m=1:2", "x.csv", trials("0.1,2,0.9,COMPLETE")),
    ("import --name m --direction maximize", "x.csv", trials("\x1b[31mred,2,0.9,COMPLETE")),
    ("import --name m --direction maximize", "x.csv", trials(f"{LONG},2,0.9,COMPLETE")),
    ("import --name m --direction maximize", "x.csv", trials("0.1,2,inf,COMPLETE")),
    ("import --name m --direction maximize", "x.csv", trials(f"0.1,{2**70},0.7,COMPLETE")),
    ("import --name m --direction maximize", "x.csv", trials(f"0.1,{DIGITS},0.7,COMPLETE")),
    ("import --name m --direction maximize", "x.csv", trials("0.1,2,0.9,\x1b[31mEVIL")),
    ("trials --stage 1", "\x1b[31m\nnone", b""),
    ("trials --format", "\x1b[31m" + LONG, None),
    ("status --storage", "\x1b[31m" + "x" * 10_000 + ".db", None),
    ("data show", "x" * 300 + ".csv", None),
    ("check", "x" * 300 + ".toml", None),
    ("plot history --out", "\x1b[31m\n.html", None),
    ("plot history --out", "x" * 300 + ".html", None),
    ("export tiny --format csv --what trials --out", "/dev/full", None),
    ("\x1b[31m", "\x1b]0;title\x07", None),
]
STUDIES: list[Any] = [  # study files that `check` refuses: what of the small one is changed, and to what
    ("nested", "[data]", f"a = {DEEP}"),
    ("nested tables", "[data]", "[a" + ".a" * 9_999 + "]"),
    ("surrogate", "[data]", "a = '\udcff'\n[data]"),
    ("escapes in a key", "[space]", '[space]\n"\\u001b[31m\\n" = { low = 1, high = 2 }'),
    ("key of 50 kB", "[training]", f"[training]\n{LONG} = 1"),
    ("name of 50 kB", 'name = "tiny"', f'name = "{LONG}"'),
    ("path above", 'name = "tiny"', 'name = "../../tiny"'),
    ("NUL in a path", 'name = "mnist-10k"', 'path = "a\\u0000b.csv"'),
    ("infinite range", "high = 1.0", "high = inf"),
    ("5,000 digits", "high = 1.0", f"high = {DIGITS}"),
    ("beyond 64 bits", "epochs = 3", f"epochs = {2**70}"),
    ("25,000 choices", "[space]", f"[space]\nactivation = {[f'k{n}' for n in range(25_000)]}"),
    ("25,000 parameters", "[space]", "[space]\n" + "".join(f"k{n} = [1, 2]\n" for n in range(25_000))),
    ("25,000 layers", "hidden = [8]", f"hidden = {[8] * 25_000}"),
    ("a layer of 10**12", "hidden = [8]", "hidden = [1_000_000_000_000]"),
    ("layers without end", "hidden = [8]", 'hidden = "9x999999999"'),
]
EXPORTS: list[Any] = [  # changes of a JSON export that `import` refuses
    ("seed beyond 64 bits", lambda e: e["stages"][0].update(seed=2**70)),
    ("number beyond 64 bits", lambda e: e["trials"]["trial"].__setitem__(0, 2**70)),
    ("surrogate", lambda e: e["trials"]["reason"].__setitem__(0, "\ud800")),
    ("surrogate in a name", lambda e: e["stages"][0]["study_file"].update(name="\ud800")),
    ("column cut off", lambda e: e["trials"]["score"].pop()),
    ("unknown state", lambda e: e["trials"]["state"].__setitem__(0, "\x1b[31m")),
    ("layout of text", lambda e: e.update(hpsearch_export=LONG)),
    ("stage of 10**12", lambda e: e["stages"][0].update(number=10**12)),
    ("10**12 trials", lambda e: e["stages"][0].update(trials=10**12)),
    ("infinite score", lambda e: e["trials"]["score"].__setitem__(0, "Infinity")),
    ("stage that is its own parent", lambda e: e["stages"][0].update(parent=1)),
    ("negative trial number", lambda e: e["trials"]["trial"].__setitem__(0, -1)),
    ("trial number twice", lambda e: e["trials"]["trial"].__setitem__(0, 1)),
    ("curve beyond the epochs", lambda e: e["curves"]["epoch"].__setitem__(0, 99)),
    ("value outside its range", lambda e: e["trials"]["params_lr"].__setitem__(0, 1e6)),
    ("year 10000", lambda e: e["trials"]["started"].__setitem__(0, "10000-01-01T00:00:00Z")),
    ("nested", lambda e: e["stages"][0].update(study_file=json.loads("[" * 900 + "]" * 900))),
]
_RANGE = f'{{"name": "IntDistribution", "attributes": {{"low": 1, "high": {2**70}, "log": false, "step": 1}}}}'
FOREIGN: list[Any] = [  # changes of an Optuna study that `import` refuses, or takes where an exit code follows
    ("trigger", "CREATE TRIGGER t AFTER INSERT ON studies BEGIN DELETE FROM trials; END", 0),
    ("value beyond 64 bits", "UPDATE trial_params SET param_value = 1e300 WHERE param_name = 'n'", None),
    ("range beyond 64 bits", f"UPDATE trial_params SET distribution_json = '{_RANGE}' WHERE param_name = 'n'", None),
    ("score as text", "UPDATE trial_values SET value = 'high' WHERE trial_id = 1"),
    ("score as a blob", "UPDATE trial_values SET value = x'00ff' WHERE trial_id = 1"),
    ("value as text", "UPDATE trial_params SET param_value = 'abc' WHERE param_name = 'lr'"),
    ("NUL in a name", "UPDATE trial_params SET param_name = 'l' || char(0) WHERE param_name = 'lr'", 2, "no name"),
    ("unknown direction", "UPDATE study_directions SET direction = 'UP'"),
    ("unknown range", """UPDATE trial_params SET distribution_json = '{"name": "Evil", "attributes": {}}'"""),
    ("range that is no JSON", "UPDATE trial_params SET distribution_json = 'no'"),
    ("nested range", f"UPDATE trial_params SET distribution_json = '{DEEP}'"),
    ("unknown state", "UPDATE trials SET state = 'EVIL' WHERE trial_id = 1"),
    ("time that is none", "UPDATE trials SET datetime_start = 'yesterday'"),
    ("attribute that is no JSON", "INSERT INTO trial_user_attributes VALUES (1, 1, 'a', 'no')"),
    ("nested attribute", f"INSERT INTO trial_user_attributes VALUES (1, 1, 'a', '{DEEP}')"),
    ("name that is no UTF-8", "UPDATE studies SET study_name = CAST(x'ff31' AS TEXT)"),
    ("trial number twice", "UPDATE trials SET number = 0"),
    ("a view", "CREATE VIEW v AS SELECT 1", 0),
    ("choice beyond the choices", "UPDATE trial_params SET param_value = 9 WHERE param_name = 'act'"),
    ("year 10000", "UPDATE trials SET datetime_start = '10000-01-01 00:00:00.000000'"),
    ("newer schema", "UPDATE alembic_version SET version_num = 'v9.9.9'"),
]
NAMED_BY = "INSERT INTO studies VALUES (99, char(27) || '[31mred' || char(10) || '/stage-01')"
REASON = """INSERT INTO trial_user_attributes VALUES (999, 1, 'hpsearch:reason', '"\\u001b[31mred\\nline"')"""
OWN: list[Any] = [  # changes of the study database, and the exit code of each command over it
    ("study named in escapes", NAMED_BY, {"status": None, "db check": None}),
    ("reason of escapes", REASON, {"trials": 0, "report --out r.md": 0}),
    ("score as text", "UPDATE trial_values SET value = 'high'", {"status": None, "trials": None, "db check": 1}),
    ("value as a blob", "UPDATE trial_params SET param_value = x'00ff'", {"trials": None, "db check": 1}),
    ("changed score", "UPDATE trial_values SET value = 0.99 WHERE trial_id = 1", {"db check": 1}),
    (
        "unknown direction",
        "UPDATE study_directions SET direction = 'UP'",
        {"status": 2, "export --out q.json": 2, "db check": 1},
    ),
    ("parameter as text", "UPDATE trial_params SET param_value = 'x'", {"narrow --top 2 --dry-run": 2, "db check": 1}),
    (
        "point as text",
        "UPDATE trial_intermediate_values SET step = 'x' WHERE trial_intermediate_value_id = 1",
        {"export --out q.json": 2, "db check": 1},
    ),
    ("attribute that is none", "UPDATE study_user_attributes SET value_json = NULL", {"status": 2, "db check": 1}),
    (
        "another attribute",
        "UPDATE study_user_attributes SET value_json = '[1]' WHERE key LIKE '%versions'",
        {"export --out q.json": 2},
    ),
    ("nested", f"UPDATE trial_user_attributes SET value_json = '{DEEP}'", {"trials": 2, "db check": 1}),
    ("nested stage", f"UPDATE study_user_attributes SET value_json = '{DEEP}'", {"status": 2, "db check": 1}),
]
CHOICES = "params_a,value\n" + "".join(f"k{n},0.5\n" for n in range(10_001))
ORACLE = written("kt/oracle.json", "{}")
OTHER: list[Any] = [  # a command, a file, and the exit code
    ("fifo among pictures", "data show pics", fifo("pics/a/z.png"), 0),
    ("loop of folders", "data show pics", link("pics/a/up", "../.."), None),
    ("database cut off", "import sqlite:///o.db --name m", lambda at: os.truncate(at / "o.db", 9_000), 2),
    ("database of others", "import sqlite:///x.db --name m", sql("x.db", "CREATE TABLE a (b)"), 2),
    ("text", "db check --storage x.db", written("x.db", "no database " * 99), 2),
    ("bomb", "model show x.npz", written("x.npz", lambda: zipped()), 2),
    ("pickle", "model show x.npz", written("x.npz", lambda: npz(architecture=np.array([Runs()], object))), 2),
    ("nested", "model show x.npz", written("x.npz", lambda: npz(architecture=np.array(DEEP))), 2),
    ("nested", "import x.json", written("x.json", DEEP), 2),
    ("list", "import x.json", written("x.json", "[1, 2]"), 2),
    ("a key twice", "import x.json", written("x.json", '{"hpsearch_export": 1, "hpsearch_export": 1}'), 2),
    ("5,000 digits", "import x.json", written("x.json", f'{{"hpsearch_export": {DIGITS}}}'), 2),
    ("25,000 columns", "import x.csv --name m --metric c0", written("x.csv", WIDE), 2),
    ("10,001 choices", "import x.csv --name m --direction maximize", written("x.csv", CHOICES), 2),
    ("fifo", "import kt --name m", both(ORACLE, fifo("kt/trial_0/trial.json")), 2),
    ("nested", "import kt --name m", both(ORACLE, written("kt/trial_0/trial.json", DEEP)), 2),
    ("unknown server", "import mysql://h/d --name m", nothing, 2),
    ("out to a fifo", "export tiny --out x.csv --what trials", fifo("x.csv"), None),
]


def _cases() -> Iterator[Case]:
    bad = study('name = "mnist-10k"', 'path = "x.csv"')
    for kind, made in NO_FILES.items():
        for command, names in READERS.items():
            for name in names:
                shown = name.partition("/")[0]
                yield Case(kind, command.format(shown), both(bad, made(name)), 2, shown)
    for big, rows in ((False, SHOWN), (True, BIG)):
        for name, file, content in rows:
            shown = file.partition("/")[0]
            yield Case(name, f"data show {shown}", written(file, content), 2, shown.partition(".")[0], big=big)
    for command, file, content in NAMED:
        make = nothing if content is None else written(file, content)
        argument = "pics" if file.startswith("pics") else file
        yield Case("names", command, make, None, more=(argument,))
    for name, old, new in STUDIES:
        yield Case(name, "check bad.toml", study(old, new), 2)
    for name, change in EXPORTS:
        yield Case(name, "import x.json --name m", edited(change), 2)
    for name, statement, *code in FOREIGN:
        yield Case(name, "import sqlite:///o.db --name m", sql("o.db", statement), *(code or (2, "o.db")))
    for name, statement, codes in OWN:
        for command, code in codes.items():
            yield Case(name, command, sql("studies/hpsearch.db", statement), code)
    for name, command, make, code in OTHER:
        yield Case(name, command, make, code)


CASES = list(_cases())
