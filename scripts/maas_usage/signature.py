"""The SDK's request signature, put on just before a request is sent."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Callable
from urllib.parse import parse_qsl, urlsplit

import requests
import requests.auth

# These two modules alone: importing the SDK's client writes an id file into the home folder.
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from maas_usage.credentials import Credentials


class Signature(requests.auth.AuthBase):
    """Signs a prepared request as it is about to be sent.

    An `auth` callable, because requests would otherwise let a line of ~/.netrc replace the
    signature. The date is set anew for each send.
    """

    def __init__(self, credentials: Credentials, now: Callable[[], float]) -> None:
        self._credentials = credentials
        self._now = now

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        url = urlsplit(prepared.url or "")
        sent_at = datetime.fromtimestamp(self._now(), timezone.utc)
        signed = {"Host": url.netloc, "X-Sdk-Date": sent_at.strftime("%Y%m%dT%H%M%SZ")}
        for name in ("Content-Type", "X-Project-Id"):
            if name in prepared.headers:
                signed[name] = prepared.headers[name]
        if self._credentials.security_token is not None:
            signed["X-Security-Token"] = self._credentials.security_token.reveal()
        request = SdkRequest(
            method=prepared.method,
            schema=url.scheme,
            host=url.netloc,
            resource_path=url.path,
            query_params=parse_qsl(url.query, keep_blank_values=True),
            header_params=signed,
            body=prepared.body or b"",
        )
        Signer(
            SimpleNamespace(
                ak=self._credentials.access_key_id.reveal(),
                sk=self._credentials.secret_access_key.reveal(),
            )
        ).sign(request)
        prepared.headers.update(request.header_params)
        return prepared
