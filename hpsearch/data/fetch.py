"""Downloads of data sets: checked against known hashes, complete or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from hpsearch.data.datasets import KNOWN, SHIPPED, WITH_SKLEARN, cache_folder
from hpsearch.errors import BadArgument, BadData, DownloadFailure, MissingExtra, nearest
from hpsearch.files import expanded

# Receives a file's name, the bytes of it received so far, and its size (0 where the server does not say it).
Progress: TypeAlias = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Source:
    """The address of a data set."""

    url: str  # the folder of its files, with a slash at the end
    files: dict[str, str]  # sha256 of each file by its name


SOURCES = {
    "mnist": Source(
        # PyTorch's copy; the original address often refuses.
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "fashion-mnist": Source(
        # Its publisher's own, without TLS; the hashes verify it.
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
}


def fetch(
    name: str,
    *,
    data_dir: Path | None = None,
    base_url: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Download a data set; return its folder. A file that is there already, whole, is not downloaded again.

    Args:
        name: One of `SOURCES`.
        data_dir: Put the files into its subfolder ``name``; into the user's cache without it.
        base_url: Another folder to download the same files from (a mirror).
        progress: Called as bytes arrive.

    Raises:
        BadData: The name is unknown, or that of a data set that is not downloaded.
        DownloadFailure: A file did not arrive, or has another hash than expected.
        MissingExtra: pooch is not installed.
    """
    if name not in SOURCES:
        if name in KNOWN:
            raise BadData(f"{name} is not downloaded: it is {WITH_SKLEARN if name == 'digits' else SHIPPED}")
        raise BadData(f"no data set {name!r} to fetch{nearest(name, SOURCES)}")
    source = SOURCES[name]
    base = source.url if base_url is None else base_url.rstrip("/") + "/"
    if not base.startswith(("http://", "https://")):
        raise BadData(f"base_url = {base_url!r}; give an address that begins with http:// or https://")
    folder = cache_folder(name) if data_dir is None else expanded(data_dir) / name
    if folder is None:
        raise BadArgument("data_dir", None, "there is no home folder to keep it in", "give a folder")
    for file, sha256 in source.files.items():
        _fetch_file(base + file, folder, file, sha256, progress)
    return folder


def _fetch_file(url: str, folder: Path, file: str, sha256: str, progress: Progress | None) -> None:
    try:
        import pooch  # an extra
    except ImportError as error:
        raise MissingExtra('downloading needs pooch; pip install "hpsearch[data]"') from error

    bar = None if progress is None else _Bar(file, progress)
    downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=2**16, headers={"User-Agent": "hpsearch"})
    pooch.get_logger().setLevel(logging.WARNING)  # it would name each file on stderr
    try:
        # pooch downloads only a file that is not there with this hash, and renames only one that has it.
        pooch.retrieve(url, f"sha256:{sha256}", fname=file, path=folder, downloader=downloader)
    except (OSError, ValueError) as error:  # no connection, another answer, no place to write; another hash
        raise DownloadFailure(
            f"could not download {url}: {' '.join(str(error).split())}; "
            f"try again or another folder, or put the four files into {folder} yourself"
        ) from error


@dataclass
class _Bar:
    """A progress bar for pooch, which hands on the bytes of one file."""

    file: str
    progress: Progress
    total: int = 0  # set by pooch
    received: int = 0

    def update(self, count: int) -> None:
        self.received = min(self.received + count, self.total)
        self.progress(self.file, self.received, self.total)

    def reset(self) -> None:
        self.received = 0

    def close(self) -> None:
        pass
