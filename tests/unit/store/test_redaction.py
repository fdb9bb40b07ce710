"""Credentials never reach a screen, a log or a record."""

import pytest

from trustbench.store.redaction import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ann:pw@host:5000/x", "http://***@host:5000/x"),
        ("'postgresql+psycopg2://ann:p/w:@@host/db'", "'postgresql+psycopg2://***@host/db'"),
        ("a http://u:1@a and https://u:2@b", "a http://***@a and https://***@b"),
        ("mysql://h/d?user=u&password=pw&x=1", "mysql://h/d?user=u&password=***&x=1"),
        ("https://h/?access_token=abc", "https://h/?access_token=***"),
        ("sqlite:////tmp/a@b.db", "sqlite:////tmp/a@b.db"),
        ("write to ann@host, see http://host/a", "write to ann@host, see http://host/a"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_what_an_address_hides_is_hidden(text, shown):
    assert redact(text) == shown


def test_the_password_of_an_address_is_hidden_wherever_it_stands():
    address = "postgresql://ann:p%40ss@host/db"
    text = "FATAL: p@ss and p%40ss are wrong for user ann"
    assert redact(text, address, None) == "FATAL: *** and *** are wrong for user ann"


def test_an_address_that_is_none_hides_what_it_can():
    assert redact("x", "http://[broken") == "x"
