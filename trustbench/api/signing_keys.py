"""Ed25519 keys in files, as OpenSSL writes and reads them."""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from trustbench.errors import UserError
from trustbench.store.files import write_atomically
from trustbench.store.reading import Damaged, read_bytes

PASSWORD = "TRUSTBENCH_KEY_PASSWORD"  # the name of a variable
_LARGEST = 2**16


def make_keys(private: Path) -> Path:
    """Writes a new private key, readable by its owner only, and its public key beside it.

    Returns the public key's file.

    Raises:
        UserError: one of the files exists, or is the same as the other.
        StorageError: it cannot be written.
    """
    public = private.with_suffix(".pub")
    for path in (private, public):
        if path == private and private.suffix == ".pub":
            raise UserError(f"{private} is a name for a public key; give one such as bank.key.")
        if os.path.lexists(path):
            raise UserError(f"{path} exists; a key is never overwritten. Give another name.")
    key = Ed25519PrivateKey.generate()
    made = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_atomically(private, made, mode=0o600)
    write_atomically(public, to_pem(key.public_key()))
    return public


def read_private(path: Path) -> Ed25519PrivateKey:
    """Reads a private key; an encrypted one with the password in TRUSTBENCH_KEY_PASSWORD.

    Raises:
        UserError: it cannot be read, or is not an Ed25519 key.
    """
    password = os.environ.get(PASSWORD)
    try:
        key = load_pem_private_key(_content(path), password.encode() if password else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UserError(
            f"{path} cannot be read as a private key ({error}); make one with `trustbench sign "
            f"--new-key bank.key`. The password of an encrypted key is read from ${PASSWORD}."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(f"{path} is a private key of another kind; an Ed25519 key is needed.")
    return key


def read_public(path: Path) -> Ed25519PublicKey:
    """Reads a public key; raises UserError if the file does not hold an Ed25519 one."""
    try:
        key = load_pem_public_key(_content(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UserError(
            f"{path} cannot be read as a public key; give the file that the signer published."
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise UserError(f"{path} is a public key of another kind; an Ed25519 key is needed.")
    return key


def to_pem(key: Ed25519PublicKey) -> bytes:
    """A public key as the content of its file."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _content(path: Path) -> bytes:
    try:
        data = read_bytes(path, _LARGEST)
    except Damaged as damage:
        raise UserError(f"the key {path} cannot be used: {damage}.") from damage
    if data is None:
        raise UserError(f"the key {path} does not exist; give the file of a key.")
    return data
