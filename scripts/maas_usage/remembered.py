"""The project that was looked up last time, so that it need not be looked up again.

A cache and nothing more: whatever goes wrong with it is as if nothing had been remembered.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from typing import Dict, Optional

from maas_usage.account import Account
from maas_usage.credentials import Credentials
from maas_usage.errors import InternalError
from maas_usage.files import write_whole
from maas_usage.statistics import PROJECT_ID

_MOST = 1000  # entries; far more than anybody has accounts


def recall(account: Account, keys: Credentials) -> Optional[str]:
    """The id remembered for this key, region and endpoint, or None."""
    project_id = _load().get(_name(account, keys))
    return project_id if project_id is not None and PROJECT_ID.fullmatch(project_id) else None


def remember(account: Account, keys: Credentials, project_id: str) -> None:
    """From now on `recall` knows the id."""
    known = _load()
    if len(known) >= _MOST:
        known = {}
    _store({**known, _name(account, keys): project_id})


def forget(account: Account, keys: Credentials) -> None:
    """The id is not known any more."""
    known = _load()
    if known.pop(_name(account, keys), None) is not None:
        _store(known)


def _name(account: Account, keys: Credentials) -> str:
    parts = (keys.access_key_id.reveal(), account.region, account.endpoint or "")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _path() -> str:
    import platformdirs

    folder = platformdirs.user_cache_dir("huawei-cloud-maas-tokens-usage", appauthor=False)
    return os.path.join(folder, "projects.json")


def _load() -> Dict[str, str]:
    with suppress(OSError, ValueError, RecursionError), open(_path(), encoding="utf-8") as kept:
        known = json.load(kept)
        if isinstance(known, dict):
            return {name: value for name, value in known.items() if isinstance(value, str)}
    return {}


def _store(known: Dict[str, str]) -> None:
    with suppress(OSError, InternalError):
        os.makedirs(os.path.dirname(_path()), mode=0o700, exist_ok=True)
        write_whole(_path(), json.dumps(known, indent=1).encode())
