"""How long side-by-side calls take, as a ratio within one run: `make bench`."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import string
import time
from unittest import mock

from maas_usage import cli, demo
from stage import Reply, Stage

DELAY_S = 0.2


def main() -> None:
    """Prints how many calls one after another each query takes as long as."""
    key_id = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(20))
    secret = secrets.token_hex(20)
    service = demo.Service(access_key_id=key_id, secret_access_key=secret)

    def slowly(request):
        time.sleep(DELAY_S)
        answer = service.answer(request.method, request.target, dict(request.headers), request.body)
        return Reply(answer.status, answer.body, answer.headers)

    with Stage(slowly) as stage:
        keys = {"HW_ACCESS_KEY": key_id, "HW_SECRET_KEY": secret, "HW_PROJECT_ID": demo.PROJECT_ID}
        with mock.patch.dict(os.environ, {**stage.over(os.environ), **keys}, clear=True):
            for words in ("--last 1h", "--last 30d --by day", "--last 7d --by hour"):
                before, began = len(stage.requests), time.monotonic()
                with contextlib.redirect_stdout(io.StringIO()):
                    status = cli.main([*words.split(), "--timezone", "Asia/Shanghai"])
                took_s, calls = time.monotonic() - began, len(stage.requests) - before
                ratio, peak = took_s / DELAY_S, stage.in_flight_peak
                print(f"{words}: status {status}, {calls} calls in the time of {ratio:.1f} (at most {peak} at once)")


if __name__ == "__main__":
    main()
