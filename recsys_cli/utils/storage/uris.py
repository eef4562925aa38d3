"""URIs in the place of paths: which they are, how a message shows them, where their copies lie."""

import re
from hashlib import sha256
from pathlib import Path

from recsys_cli.utils.errors import SettingsError

STORES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}  # scheme and extra: the module of its file system
WEB = ("https", "http")
COPIES = ".remote"  # folder of a workspace: what is in stores, as it was last seen
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_PARTS = re.compile(r"(?s:([^:]*://)([^/?#]*@)?([^/?#]*)([^?#]*)(.*))")  # scheme, user, host, path, the rest
_DRIVE = re.compile(
    r"https://(?:drive|docs)\.google\.com/(?:file/d/|(?:open|uc)\?(?:.*&)?id=)([\w-]{10,})", re.ASCII
)


def is_uri(path: str) -> bool:
    """Tell whether a setting names something elsewhere, and no path of this machine."""
    return _SCHEME.match(path) is not None


def is_glob(path: str) -> bool:
    """Tell whether a path names what matches it, and no single file or folder."""
    return any(sign in path for sign in "*?[")


def scheme_of(uri: str) -> str:
    """Return the scheme of a URI.

    Raises: SettingsError where it is none that can be read, or the URI holds a password.
    """
    found = _SCHEME.match(uri)
    scheme = found[1].lower() if found else ""
    if scheme not in (*STORES, *WEB):
        raise SettingsError(
            f"the scheme {scheme!r} is unknown; there are {', '.join((*STORES, *WEB))}",
            where=shown(uri),
            fix="correct the path in settings/settings.toml",
        )
    if scheme in STORES and _parts(uri)[1]:
        raise SettingsError(
            "a URI of an object store holds no user and password",
            where=shown(uri),
            fix=f"give them by the environment, or as storage.{scheme} in settings/.secrets.toml",
        )
    return scheme


def drive_id(uri: str) -> str | None:
    """Return the id of the file that a share link of Google Drive means; None for any other URI."""
    found = _DRIVE.match(uri)
    return found[1] if found else None


def shown(uri: str) -> str:
    """Return a URI as a message may show it: without password and query, which may be a signature."""
    scheme, _, host, path, rest = _parts(uri)
    return f"{scheme}{host}{path}" + ("?…" if rest and drive_id(uri) is None else "")


def shown_path(path: str, root: Path) -> str:
    """Return a path of the settings as messages show it."""
    return shown(path) if is_uri(path) else str(root / path)


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Return the URI of an object's bucket, and the object's key, folder or glob in it.

    Raises: SettingsError for a URI that names none, or leads out of the bucket.
    """
    scheme, (bucket, _, key) = scheme_of(uri), uri.partition("://")[2].partition("/")
    parts = [part for part in key.split("/") if part]
    if not bucket or {".", ".."} & {bucket, *parts}:
        raise SettingsError(
            "it names no bucket and key", where=shown(uri), fix=f"write it as {scheme}://bucket/folder/file"
        )
    return f"{scheme}://{bucket}", "/".join(parts)


def copy_of(uri: str, root: Path) -> Path:
    """Return where the copy of a store's file, folder or glob lies in the workspace `root`.

    Raises: SettingsError for a URI that would lead out of there.
    """
    bucket, key = bucket_and_key(uri)
    return root / COPIES / bucket.replace("://", "/") / key


def web_folder_of(uri: str, root: Path) -> Path:
    """Return the folder of the workspace `root` where the copy of a file of the web lies."""
    key = drive_id(uri)
    if key is not None:
        return root / COPIES / "drive" / key
    host = re.sub(r"[^A-Za-z0-9.-]", "_", _parts(uri)[2]).strip(".") or "_"
    return root / COPIES / scheme_of(uri) / host / sha256(uri.encode()).hexdigest()[:16]


def _parts(uri: str) -> tuple[str, str, str, str, str]:
    """Return scheme with its slashes, user with its sign, host, path and all behind it; any may be empty."""
    found = _PARTS.match(uri)
    return found.groups("") if found else ("", "", "", uri, "")  # type: ignore[return-value]
