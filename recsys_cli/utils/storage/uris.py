"""URIs instead of paths: recognise them, show them in messages, and find the folder of their copies."""

import re
from hashlib import sha256
from pathlib import Path

from recsys_cli.utils.errors import SettingsError
from recsys_cli.utils.storage.safe_paths import UnsafeNameError, path_below

STORES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}  # scheme and extra: the module of its file system
WEB = ("https", "http")
COPIES = ".remote"  # folder of a workspace: copies of what is in stores and on the web
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_COMPONENTS = re.compile(
    r"(?s:([^:]*://)([^/?#]*@)?([^/?#]*)([^?#]*)(.*))"
)  # scheme, user, host, path, the rest
_DRIVE = re.compile(
    r"https://(?:drive|docs)\.google\.com/(?:file/d/|(?:open|uc)\?(?:.*&)?id=)([\w-]{10,})", re.ASCII
)


def is_uri(path: str) -> bool:
    """Return whether a setting is a URI and not a path of this machine."""
    return _SCHEME.match(path) is not None


def is_database(place: str) -> bool:
    """Return whether a table's place is the address of a database, not a path or the URI of a file."""
    found = _SCHEME.match(place)
    return found is not None and found[1].lower() not in (*STORES, *WEB)


def is_glob(path: str) -> bool:
    """Return whether a path is a pattern and not a single file or folder."""
    return any(sign in path for sign in "*?[")


def scheme_of(uri: str) -> str:
    """Return the scheme of a URI.

    Raises: SettingsError if it is not supported, or the URI holds a password.
    """
    found = _SCHEME.match(uri)
    scheme = found[1].lower() if found else ""
    if scheme not in (*STORES, *WEB):
        raise SettingsError(
            f"the scheme {scheme!r} is unknown; there are {', '.join((*STORES, *WEB))}",
            where=shown(uri),
            fix="correct the path in settings/settings.toml; a database has `connection` and `query` instead",
        )
    if scheme in STORES and _split(uri)[1]:
        raise SettingsError(
            "a URI of an object store holds no user and password",
            where=shown(uri),
            fix=f"give them by the environment, or as storage.{scheme} in settings/.secrets.toml",
        )
    return scheme


def drive_id(uri: str) -> str | None:
    """Return the file id of a share link of Google Drive; None for any other URI."""
    found = _DRIVE.match(uri)
    return found[1] if found else None


def shown(uri: str) -> str:
    """Return a URI for a message: without password, and without query, which may be a signature."""
    scheme, _, host, path, rest = _split(uri)
    return f"{scheme}{host}{path}" + ("?…" if rest and drive_id(uri) is None else "")


def shown_path(path: str, root: Path) -> str:
    """Return a path of the settings as messages show it."""
    return shown(path) if is_uri(path) else str(root / path)


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Return the URI of the bucket, and the key, folder or glob in it.

    Raises: SettingsError for a URI without a bucket, or one that leads out of it.
    """
    scheme, (bucket, _, key) = scheme_of(uri), uri.partition("://")[2].partition("/")
    names = [name for name in key.split("/") if name]
    if not bucket or {".", ".."} & {bucket, *names}:
        raise SettingsError(
            "it names no bucket and key", where=shown(uri), fix=f"write it as {scheme}://bucket/folder/file"
        )
    return f"{scheme}://{bucket}", "/".join(names)


def copy_of(uri: str, root: Path) -> Path:
    """Return the path in the workspace `root` of the copy of a store's file, folder or glob.

    Raises: SettingsError for a URI that would lead out of it, or that no file can be called after.
    """
    bucket, key = bucket_and_key(uri)
    scheme, _, name = bucket.partition("://")
    try:
        return path_below(root / COPIES / scheme, f"{name}/{key}" if key else name)
    except UnsafeNameError as error:
        raise SettingsError(
            f"its copy cannot be made: {error}",
            where=shown(uri),
            fix="correct the URI in settings/settings.toml",
        ) from None


def web_folder_of(uri: str, root: Path) -> Path:
    """Return the folder in the workspace `root` for the copy of a file from the web."""
    key = drive_id(uri)
    if key is not None:
        return root / COPIES / "drive" / key
    host = re.sub(r"[^A-Za-z0-9.-]", "_", _split(uri)[2]).strip(".") or "_"
    return root / COPIES / scheme_of(uri) / host / sha256(uri.encode()).hexdigest()[:16]


def _split(uri: str) -> tuple[str, str, str, str, str]:
    """Return scheme with `://`, user with `@`, host, path, and query with fragment; any may be empty."""
    found = _COMPONENTS.match(uri)
    return found.groups("") if found else ("", "", "", uri, "")  # type: ignore[return-value]
