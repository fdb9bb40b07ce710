"""Downloads declared files: to a temporary file, verified, and only then moved into place."""

import hashlib
import lzma
import shutil
import stat
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from trustbench.datasets.loading.files import BLOCK, RemoteFile, digest, safe
from trustbench.errors import DataError

TIMEOUT_S = 30.0
LARGEST = 2**30  # far above the size of every declared file; stops zip bombs
# Raised by zipfile for a file that is not an archive, or is encrypted, truncated, or compressed by
# an unknown method.
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    LookupError,
    RuntimeError,
    OSError,
    EOFError,
)


def download(name: str, files: tuple[RemoteFile, ...], folder: Path, mirror: str | None) -> None:
    """Puts `files` of dataset `name` into `folder`, each either whole and verified or not at all.

    `mirror` replaces everything in an address except the last part of its path.

    Raises:
        DataError: an address is unreachable, or a file is broken or foreign; one sentence.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"dataset {name}: {folder} cannot be created ({error.strerror}); give a writable "
            f"data_dir."
        ) from error
    for url in dict.fromkeys(f.url for f in files):
        wanted = [f for f in files if f.url == url]
        if url is None:
            raise DataError(_no_address(name, wanted[0], folder))
        with _fetched(name, _at(url, mirror), folder) as arrived:
            for file in wanted:
                _install(name, file, arrived, folder / file.path)


def _no_address(name: str, file: RemoteFile, folder: Path) -> str:
    return (
        f"dataset {name}: {file.path} has no official address; put the file with sha256 "
        f"{file.sha256} at {folder / file.path}."
    )


def _at(url: str, mirror: str | None) -> str:
    return url if mirror is None else f"{mirror.rstrip('/')}/{url.rsplit('/', 1)[-1]}"


@contextmanager
def _fetched(name: str, url: str, folder: Path) -> Iterator[Path]:
    """Downloads the bytes at `url` to a temporary file next to their destination."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"dataset {name}: {url} is not a web address; give http:// or https://.")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
        path = Path(temporary) / "arrived"
        try:
            _stream(name, url, path)
        except (urllib.error.URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", None) or error
            raise DataError(
                f"dataset {name}: {url} cannot be downloaded ({reason}); check the network, or "
                f"put the file into {folder} by hand."
            ) from error
        yield path


def _stream(name: str, url: str, path: Path) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "trustbench"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer, path.open("wb") as out:
        announced, size = answer.headers.get("Content-Length"), 0
        while block := answer.read(BLOCK):
            size += len(block)
            if size > LARGEST:
                raise DataError(f"dataset {name}: {url} sends more than 1 GiB; it is not the file.")
            out.write(block)
    if announced is not None and size != int(announced):
        raise DataError(
            f"dataset {name}: {url} was cut off after {size} of {announced} bytes; try again."
        )


def _install(name: str, file: RemoteFile, arrived: Path, destination: Path) -> None:
    source = arrived if file.member is None else _member(name, file, arrived)
    size = source.stat().st_size
    if file.size is not None and size != file.size:
        raise DataError(
            f"dataset {name}: {file.path} from {file.url} has {size} bytes instead of "
            f"{file.size}; it was not kept."
        )
    found = digest(source)
    if file.sha256 is not None and found != file.sha256:
        raise DataError(
            f"dataset {name}: {file.path} from {file.url} has sha256 {found} instead of "
            f"{file.sha256}; it was not kept."
        )
    destination.parent.mkdir(parents=True, exist_ok=True)
    source.replace(destination)


def _member(name: str, file: RemoteFile, archive: Path) -> Path:
    """Unpacks the declared member of a zip archive next to it.

    An archive with a name outside its own folder, or with a link, is refused as a whole: such
    archives do not arise by accident.
    """
    out = archive.with_name(hashlib.sha256(str(file.member).encode()).hexdigest())
    try:
        with zipfile.ZipFile(archive) as z:
            unsafe = next((n for n in z.namelist() if not safe(n)), None)
            if unsafe is not None:
                raise DataError(
                    f"dataset {name}: the archive at {file.url} holds {unsafe!r}, a path outside "
                    "of its folder; nothing of it was unpacked."
                )
            link = next((i.filename for i in z.infolist() if _irregular(i)), None)
            if link is not None:
                raise DataError(
                    f"dataset {name}: in the archive at {file.url}, {link!r} is a link or a "
                    "device; nothing of it was unpacked."
                )
            if z.getinfo(str(file.member)).file_size > LARGEST:
                raise DataError(f"dataset {name}: {file.member} in {file.url} exceeds 1 GiB.")
            # no more is unpacked than the archive announces: zipfile stops there
            with z.open(str(file.member)) as source, out.open("wb") as target:
                shutil.copyfileobj(source, target, BLOCK)
    except BROKEN as error:
        raise DataError(
            f"dataset {name}: {file.url} is not a zip archive with {file.member!r} in it "
            f"({error}); nothing was kept."
        ) from error
    return out


def _irregular(info: zipfile.ZipInfo) -> bool:
    """Whether an entry declares that it is neither a file nor a folder; many declare nothing."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    return kind not in (0, stat.S_IFREG, stat.S_IFDIR)
