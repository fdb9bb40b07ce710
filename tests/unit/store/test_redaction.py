"""Credentials never reach a screen, a log or a record."""

import html
import json
import os
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustbench.errors import ConfigError
from trustbench.store.addresses import checked
from trustbench.store.redaction import conceal, conceal_given, redact, shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ann:pw@host:5000/x", "http://***@host:5000/x"),
        ("'postgresql+psycopg2://ann:p/w:@@host/db'", "'postgresql+psycopg2://***@host/db'"),
        ("a http://u:1@a and https://u:2@b", "a http://***@a and https://***@b"),
        ("mysql://h/d?user=u&password=pw&x=1", "mysql://h/d?user=***&password=***&x=1"),
        ("https://h/?access_token=abc", "https://h/?access_token=***"),
        ("sqlite:////tmp/a@b.db", "sqlite:////tmp/a@b.db"),
        ("write to ann@host, see http://host/a", "write to ann@host, see http://host/a"),
        ("at http://h:80 or by mail, ann@host", "at http://h:80 or by mail, ann@host"),
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


MARK = "s3cr3tX"  # in every part that is secret
SCHEMES = ("http", "https", "postgresql", "postgresql+psycopg", "mysql+pymysql", "databricks")
ANY = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=6)
NAMES = st.sampled_from(["ann", "a b", "", "ann@corp", "a'b", 'a"b', "ä:b"])
SECRETS = st.tuples(ANY, ANY).map(MARK.join)
PLACES = st.sampled_from(
    ["host", "host:5000", "[::1]:80", "host:99999", "host:5o00", "a_b.c:0", ""]
)
OPTIONS = st.sampled_from(["sig", "auth", "credential", "x", "password", "sslmode", ""])


@st.composite
def addresses(draw):
    """An address with a secret in one or several places, and what stands there otherwise."""
    scheme, place = draw(st.sampled_from(SCHEMES)), draw(PLACES)
    password, option, fragment = (draw(st.none() | SECRETS) for _ in range(3))
    if password is None and option is None and fragment is None:
        password = draw(SECRETS)
    user = "" if password is None else f"{draw(NAMES)}:{password}@"
    asked = "" if option is None else f"?{draw(OPTIONS)}={option}"
    slashes = draw(st.sampled_from(["//", "//", "//", ""])) if password else "//"
    tail = "" if fragment is None else f"#{fragment}"
    return f"{scheme}:{slashes}{user}{place}/db{asked}{tail}"


SAID = ["{}", "tracking at {} failed.", "tracking_uri: '{}'", '{{"uri": "{}"}}', "a {} b@c and d"]


@given(addresses(), st.sampled_from(SAID))
@settings(max_examples=400, deadline=None)
def test_no_secret_of_any_address_is_shown_however_it_is_written(address, said):
    spelt = (address, repr(address), json.dumps(address), html.escape(address), quote(address))
    for text in spelt:
        assert MARK not in redact(said.format(text), address), text
    assert MARK not in shown(address)
    with pytest.raises(ConfigError) as refused:
        checked(f"{address}\n", "tracking_uri")
    assert MARK not in str(refused.value)


@given(addresses())
@settings(max_examples=200, deadline=None)
def test_a_refused_address_is_not_quoted_with_its_secret(address):
    said = ""
    try:
        checked(address, "tracking_uri")
    except ConfigError as refused:
        said = str(refused)
    assert MARK not in said


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr("trustbench.store.redaction._known", {})


def test_what_the_process_was_given_is_hidden_wherever_it_stands(known, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken-of-env")
    given = ["--option", "header.Authorization=Bearer ABCDE"]
    conceal_given(["run", "tracking_uri='http://a:it is 5ecret@h'", *given], os.environ)
    conceal("postgresql://ann:pass word@h/db?x=longer-value")
    secrets = ("it is 5ecret", "Bearer ABCDE", "ABCDE", "t0ken-of-env", "pass word", "longer-value")
    for text in secrets:
        assert redact(f"so {text} was refused") == "so *** was refused", text
    assert redact("nothing of theirs") == "nothing of theirs"
