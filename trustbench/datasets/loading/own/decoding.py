"""Image files as arrays: torchvision's transforms by name, and a cache of what was decoded."""

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from trustbench.contracts import Array
from trustbench.datasets.loading.own.image_files import refuse
from trustbench.errors import did_you_mean, warn

Transform = Mapping[str, str | int | float | bool | tuple[int, ...]]
FIXED = ("CenterCrop", "Grayscale", "Pad", "Resize")
"""Transforms that always give the same: images are decoded once, not for each epoch."""
FOLDER = "images-cache"
SEAL = 32
"""Bytes of the checksum at the end of a file of the cache."""


@dataclass(frozen=True)
class Decoder:
    """Decodes image files to uint8 [channels, size, size] after transforms.

    The last step scales the image to a square.
    """

    channels: Literal["grey", "colour"]
    size: int
    transforms: tuple[Transform, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of an image."""
        return (1 if self.channels == "grey" else 3, self.size, self.size)

    def decoded(self, files: Sequence[Path], cache: Path | None) -> Array:
        """The images of the files, uint8 [n, *shape]; the folder `cache` keeps them.

        Raises:
            DataError: a file is not an image, or a transform is unknown.
        """
        steps = self._steps()
        kept = cache / FOLDER / f"{self._key(files)}.npy" if cache else None
        found = None if kept is None else _kept(kept)
        if found is not None:
            return found
        images = np.empty((len(files), *self.shape), dtype=np.uint8)
        for place, file in enumerate(files):
            images[place] = _decoded(file, self.channels, steps)
        if kept is not None:
            _keep(kept, images)
        return images

    def _key(self, files: Sequence[Path]) -> str:
        """A digest of the decoder, and of the name, size and date of each file."""
        digest = hashlib.sha256(
            json.dumps([self.channels, self.size, [dict(t) for t in self.transforms]]).encode()
        )
        for file in files:
            state = file.stat()
            digest.update(f"{file.resolve()} {state.st_size} {state.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]

    def _steps(self) -> Callable[[Any], Any]:
        from torchvision import transforms

        steps = [_transform(transforms, given) for given in self.transforms]
        return transforms.Compose(  # type: ignore[no-any-return]
            [*steps, transforms.Resize((self.size, self.size), antialias=True)]
        )


def _transform(known: Any, given: Transform) -> Any:
    """One of torchvision's transforms; `name` is its class, the rest are its arguments."""
    name, arguments = str(given.get("name")), {k: v for k, v in given.items() if k != "name"}
    if name not in FIXED:
        random = " (a data set is read once, so random transforms are refused)"
        raise refuse(
            f"dataset.transforms names {name!r}; {did_you_mean(name, FIXED).rstrip('.')}"
            f"{random if hasattr(known, name) else ''}"
        )
    try:
        return getattr(known, name)(**arguments)
    except (TypeError, ValueError) as error:
        raise refuse(
            f"dataset.transforms gives {name} {arguments or 'no arguments'} ({error}); give those "
            f"of torchvision.transforms.{name}, for example {{name: CenterCrop, size: 178}}"
        ) from error


def _decoded(file: Path, channels: str, steps: Callable[[Any], Any]) -> Array:
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            upright = ImageOps.exif_transpose(opened)
            image = steps(upright.convert("L" if channels == "grey" else "RGB"))
            pixels = np.asarray(image.convert("L" if channels == "grey" else "RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise refuse(
            f"{file} cannot be read as an image ({' '.join(str(error).split())}); replace it, or "
            "take it out"
        ) from error
    return pixels[None] if channels == "grey" else np.moveaxis(pixels, -1, 0)


def _kept(path: Path) -> Array | None:
    """The images in the cache; None without any, or if they have changed since."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    content, seal = data[:-SEAL], data[-SEAL:]
    if _seal(path, content) != seal:
        warn(f"the decoded images in {path} are not as they were written; they are decoded again")
        return None
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))


def _seal(path: Path, content: bytes) -> bytes:
    """The checksum at the end of a file of images, over its name too."""
    return hashlib.sha256(path.name.encode() + content).digest()


def _keep(path: Path, images: Array) -> None:
    """Writes the cache, whole or not at all; a folder that cannot be written is a warning."""
    part, content = path.with_suffix(".part.npy"), io.BytesIO()
    np.save(content, images, allow_pickle=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content.getvalue() + _seal(path, content.getvalue()))
        part.replace(path)
    except OSError as error:
        warn(f"decoded images are not kept in {path.parent} ({error.strerror})")
