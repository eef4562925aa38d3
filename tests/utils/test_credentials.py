"""Credentials are masked by their form and by the environment; other texts stay as they are."""

import time

import pytest

from recsys_cli.utils.credentials import secrets_in, without_credentials
from recsys_cli.utils.errors import InputError, first_line
from recsys_cli.utils.storage.network_limits import StoreError

SECRET = "hunter2secret"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "AWS_ENDPOINT_URL", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://user:hunter2secret@host:9/x", "http://********@host:9/x"),
        (
            "`http://127.0.0.1:9/?sig=hunter2secret` was not a valid URI",
            "`http://127.0.0.1:9/?…` was not a valid URI",
        ),
        ("see https://host/x?hunter2secret, then", "see https://host/x?… then"),
        ("url: /x.parquet?X-Amz-Signature=hunter2secret (Caused by", "url: /x.parquet?… (Caused by"),
        ("('Connection aborted.', 'GET /x?a=b&sig=hunter2secret')", "('Connection aborted.', 'GET /x?…')"),
        (
            "{'Authorization': 'AWS4-HMAC-SHA256 Credential=A/b, Signature=hunter2secret'}",
            "{'Authorization': '********'}",
        ),
        ("Proxy-Authorization: Basic aHVudGVyMnNlY3JldA==", "Proxy-Authorization: ********"),
        ("a Bearer eyJhbGciOi1.hunter2secret expired", "a Bearer ******** expired"),
        (
            "AccountName=shop;AccountKey=hunter2secret==;EndpointSuffix=x",
            "AccountName=shop;AccountKey=********;EndpointSuffix=x",
        ),
        ("SharedAccessSignature=sv=2020&sig=hunter2secret", "SharedAccessSignature=********&sig=********"),
        ("filesystem(key='shop', secret='hunter2secret')", "filesystem(key='shop', secret='********')"),
        ('{"client_secret": "hunter2secret", "x": 1}', '{"client_secret": "********", "x": 1}'),
        ("postgres://me:hunter2secret@db/shop", "postgres://********@db/shop"),
    ],
)
def test_what_looks_like_a_credential_is_masked_alone(text: str, masked: str) -> None:
    assert without_credentials(text) == masked
    assert without_credentials(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "s3://shop/data/events.parquet (part-0.parquet) does not answer as it should",
        "/srv/what?/date=2026-03-02/x.parquet",
        "/srv/C#/date=2026-03-02/x.parquet, line 3",
        "the user 'acct:joe@example.com' is unknown",
        "settings.secret = ********, output.models = 7",
        "basic authentication failed: a bearer is missing",
        "no token was found: expected one of a, b",
        "date=2026-03-02 key=7 a@b.c x ? y : z",
        "https://drive.google.com/file/d/1AbC_d-EfGhIjKlMnOp/view",
    ],
)
def test_an_ordinary_text_stays(text: str) -> None:
    assert without_credentials(text) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (
            "AWS_ENDPOINT_URL",
            "user:hunter2secret@127.0.0.1:9",
            "Invalid endpoint: user:hunter2secret@127.0.0.1:9",
        ),
        ("AWS_ENDPOINT_URL_S3", "http://h/?sig=hunter2secret", "the header hunter2secret is wrong"),
        ("HTTPS_PROXY", "http://me:hunter2secret@proxy:1", "cannot connect as me:hunter2secret to proxy"),
        (
            "https_proxy",
            "http://me:p/a#hunter2secret@proxy:1",
            "http://me:p/a#hunter2secret@proxy:1 is no proxy",
        ),
        ("HTTP_PROXY", "http://me:p%40hunter2secret@proxy", "p@hunter2secret was refused"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2secret", "the key hunter2secret is wrong"),
        ("AWS_SESSION_TOKEN", "hunter2secret", "ExpiredToken: hunter2secret"),
        (
            "AZURE_STORAGE_CONNECTION_STRING",
            "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=hunter2secret==",
            "the key is hunter2secret==, of AccountName=shop",
        ),
    ],
)
def test_what_the_environment_gives_to_stores_and_proxies_is_masked(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, text: str
) -> None:
    assert "hunter2secret" in text
    monkeypatch.setenv(name, value)
    for written in (
        without_credentials(text),
        first_line(ValueError(text)),
        str(StoreError(text)),
        *vars(InputError(text, where=text, fix=text)).values(),
        str(InputError(text)),
    ):
        assert "********" in written and SECRET not in written


def test_a_variable_that_holds_no_credential_masks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing-the-shop")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/secrets/token-of-the-shop")
    text = "http://127.0.0.1:9000 testing-the-shop /var/run/secrets/token-of-the-shop"
    assert without_credentials(text) == text


def test_the_secrets_of_an_address_are_found_as_written_and_decoded() -> None:
    assert secrets_in("https://me:p%40ss@h/x") == {"me:p%40ss", "p%40ss", "me:p@ss", "p@ss"}
    assert secrets_in("https://h/x?sig=a%2Fbcdefgh&n=7") == {
        "sig=a%2Fbcdefgh&n=7",
        "a%2Fbcdefgh",
        "sig=a/bcdefgh&n=7",
        "a/bcdefgh",
    }
    assert secrets_in("https://h:80/x") == set()


def test_a_long_text_is_masked_in_no_time() -> None:
    for text in ("a." * 5_000 + "=", "secret" * 2_000 + "=", "/?" * 5_000, "http://" * 2_000 + "?"):
        started = time.perf_counter()
        without_credentials(text)
        assert time.perf_counter() - started < 2
