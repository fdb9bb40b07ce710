"""Signed sweeps: a list of checksums of records and tables, and a signature over it."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from trustbench import __version__
from trustbench.api.records import Records, existing_store, read_records
from trustbench.api.signing_keys import read_private, read_public, to_pem
from trustbench.api.tables import chosen_table, evaluations_to_read
from trustbench.errors import UserError, did_you_mean
from trustbench.store.files import write_own
from trustbench.store.reading import ARRAYS, Damaged, parse, read_bytes
from trustbench.store.records import Store, Sweep
from trustbench.summary.render import stored_tables
from trustbench.summary.table.table import summarize

SCHEMA = 1
_PREFIX = b"trustbench signed sweep 1\n"  # so that a signature is never one of something else


@dataclass(frozen=True)
class SignedSweep:
    """A signature that is valid, and what has changed since."""

    experiment: str
    signed: str
    """When it was signed, by the signer's clock."""
    files: int
    wrong: tuple[str, ...]
    """A sentence for each file that is not as signed; empty if all are."""


def sign(
    folder: str | Path,
    key: str | Path,
    experiment: str | None = None,
    config_dir: str | None = None,
) -> Path:
    """Signs the last sweep of an experiment: its records, arrays, list of arms and tables.

    Returns the file with the signature.

    Raises:
        UserError: no sweep of the experiment is stored, an arm of it has no finished record, or a
            stored table does not follow from the records.
        StorageError: it cannot be written.
    """
    private = read_private(Path(key).expanduser())
    records = read_records(folder, experiment)
    sweep, store = records.sweep, records.store
    if sweep is None:
        raise UserError(f"{folder} holds no sweep; run an experiment first.")
    _refuse_unfinished(records, sweep)
    files = {
        store.sweep_file(sweep.experiment),
        *(store.arm_dir(a) / name for a in sweep.arms for name in ("record.json", "arrays.npz")),
        *_tables(records, sweep, config_dir),
    }
    manifest = {
        "schema": SCHEMA,
        "experiment": sweep.experiment,
        "signed": datetime.now(UTC).isoformat(timespec="seconds"),
        "trustbench": __version__,
        "files": {p.relative_to(store.root).as_posix(): _checksum(p) for p in sorted(files)},
    }
    public = private.public_key()
    content = {
        "manifest": manifest,
        "public_key": to_pem(public).decode(),
        "signature": base64.b64encode(private.sign(_message(manifest))).decode(),
    }
    path = store.signature_file(sweep.experiment)
    write_own(path, (json.dumps(content, indent=1) + "\n").encode())
    return path


def verify(
    folder: str | Path, public_key: str | Path, experiment: str | None = None
) -> SignedSweep:
    """Compares a signed sweep with its signature.

    Raises:
        UserError: there is no signature, or it is not one of this key.
    """
    key, store = read_public(Path(public_key).expanduser()), existing_store(folder)
    path = store.signature_file(experiment or _only(store))
    manifest = _manifest(path, key)
    files: Mapping[str, str] = manifest["files"]
    return SignedSweep(
        manifest["experiment"], manifest["signed"], len(files), tuple(_wrong(store, manifest))
    )


def _wrong(store: Store, manifest: Mapping[str, Any]) -> Iterator[str]:
    for name, wanted in manifest["files"].items():
        path = store.inside(name)
        try:
            found = _checksum(path)
        except UserError as error:
            yield str(error)
            continue
        if found != wanted:
            yield f"{path} has changed since it was signed."


def _manifest(path: Path, key: Ed25519PublicKey) -> dict[str, Any]:
    """The signed list, once its signature is that of the key."""
    try:
        data = read_bytes(path)
        if data is None:
            raise UserError(f"{path} does not exist; `trustbench sign` writes it.")
        content = parse(data)
        manifest, signature = content["manifest"], base64.b64decode(content["signature"])
        key.verify(signature, _message(manifest))
    except InvalidSignature as error:
        raise UserError(
            f"{path} was not signed with this key, or was changed after it was signed."
        ) from error
    except (Damaged, LookupError, TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a complete signature.") from error
    if manifest["schema"] != SCHEMA:
        raise UserError(
            f"{path} has schema {manifest['schema']}; this trustbench reads {SCHEMA}. Use the "
            f"version that signed it, {manifest['trustbench']}."
        )
    found: dict[str, Any] = manifest
    return found


def _refuse_unfinished(records: Records, sweep: Sweep) -> None:
    """Raises UserError for a sweep with an arm that has no usable record, or no result."""
    known = {r.id: r for r in records.arms}
    for arm in sweep.arms:
        if arm not in known or known[arm].status in ("started", "failed", "timeout"):
            status = known[arm].status if arm in known else "missing"
            raise UserError(
                f"arm {arm} of the sweep is {status}; only a complete sweep is signed. Run the "
                "same command again, which runs only what is missing."
            )


def _tables(records: Records, sweep: Sweep, config_dir: str | None) -> Iterator[Path]:
    """The stored tables of the sweep; raises UserError if one is not what its records give."""
    table = chosen_table(records, None, config_dir)
    results = summarize(records.arms, table, evaluations_to_read(records))
    for path, same in stored_tables(results, records.store, sweep.experiment):
        if not same:
            raise UserError(
                f"{path} is not the table of these records; run the same command again, which "
                "writes it anew and computes nothing twice."
            )
        yield path


def _only(store: Store) -> str:
    known = store.experiments()
    if len(known) != 1:
        raise UserError(
            f"{store.root} holds {len(known)} sweeps; name one with --experiment. "
            f"{did_you_mean('', known)}"
        )
    return known[0]


def _checksum(path: Path) -> str:
    """The checksum of a file; raises UserError if it cannot be read."""
    try:
        data = read_bytes(path, ARRAYS)
    except Damaged as damage:
        raise UserError(f"{path} cannot be read: {damage}.") from damage
    if data is None:
        raise UserError(f"{path} is missing.")
    return hashlib.sha256(data).hexdigest()


def _message(manifest: Mapping[str, Any]) -> bytes:
    """What is signed: the same for any layout of the file."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return _PREFIX + text.encode()
