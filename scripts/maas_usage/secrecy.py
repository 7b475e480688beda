"""What cannot be printed: secrets, redaction, and things that look like keys."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Dict, Iterable, List, Optional, Pattern, Sequence, Set, Tuple

from maas_usage.errors import CredentialsInArgument

# Word for word an interface: assistants and other tools show this text.
REFUSAL = """\
For account security, please do not provide Huawei Cloud Access Key ID and Access Key Secret directly in the conversation.

Please use one of the following secure methods to configure credentials:

Method 1: Environment variables
export HW_ACCESS_KEY=<your-access-key-id>
export HW_SECRET_KEY=<your-access-key-secret>

Method 2: Credentials file
Create a file (e.g., ~/aksk.txt) with AK on line 1, SK on line 2.
Then use: --credentials-file ~/aksk.txt

After configuration is complete, please retry your request."""  # noqa: E501

REDACTED = "[redacted]"
SHORTEST_SECRET = 8
PIECE = 16  # so many characters in a row of a secret are no accident

_ACCESS_KEY_ID = re.compile(r"(?<![A-Za-z0-9])(?=[A-Z]*[0-9])[A-Z0-9]{20}(?![A-Za-z0-9])")
# Two of the three kinds of character are "mixed": one secret in a thousand has no digit.
_SECRET_ACCESS_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?![A-Z]{40})(?![a-z]{40})(?![0-9]{40})[A-Za-z0-9]{40}(?![A-Za-z0-9])"
)
_TERMINAL_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_PASSWORD_IN_URL = re.compile(r"//[^/\s@]+@")
_KEY_OPTIONS = {
    "ak",
    "sk",
    "accesskey",
    "accesskeyid",
    "accesskeysecret",
    "secret",
    "secretkey",
    "secretaccesskey",
    "securitytoken",
    "token",
    "password",
    "hwaccesskey",
    "hwsecretkey",
    "hwsecuritytoken",
    "huaweicloudsdkak",
    "huaweicloudsdksk",
    "huaweicloudsdksecuritytoken",
}
LONGEST_INNOCENT_LABEL = 39


class Secret:
    """A value that shows itself only to whoever calls `reveal()`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for signing."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(%s)" % REDACTED

    __str__ = __repr__

    def __reduce__(self) -> Any:
        raise TypeError("a Secret cannot be serialised")


def mask(access_key_id: str) -> str:
    """An access key id as its first four and last two characters."""
    if len(access_key_id) < 12:
        return "****"
    return "%s…%s" % (access_key_id[:4], access_key_id[-2:])


def printable(text: str) -> str:
    """Text without control, format, surrogate and private characters.

    Line breaks and tabs become blanks; everything else that steers a terminal, hides or turns
    text around is dropped.
    """
    spaced = re.sub(r"[\t\r\n\u2028\u2029]+", " ", text)
    return "".join(c for c in spaced if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))


class Redactor:
    """Takes secrets out of text on its way out."""

    def __init__(self) -> None:
        self._known: List[Tuple[int, Pattern[str], str]] = []
        self._pieces: Set[str] = set()

    def learn(self, secret: Optional[str], shown_as: str = REDACTED) -> None:
        """From now on `secret` is shown as `shown_as`.

        In another case, percent-encoded in whole or in part, or broken by blanks it is the same
        secret.
        """
        if secret is None or len(secret) < SHORTEST_SECRET:
            return
        pattern = re.compile(r"\s*".join(map(_any_spelling, secret)), re.IGNORECASE)
        self._known.append((len(secret), pattern, shown_as))
        self._pieces.update(secret[i : i + PIECE] for i in range(len(secret) - PIECE + 1))
        # The longest first: one that is a part of another must not leave the rest behind.
        self._known.sort(key=lambda known: -known[0])

    def knows(self, text: str) -> bool:
        """Whether a secret learnt so far stands in the text."""
        return any(pattern.search(text) for _, pattern, _ in self._known)

    def clean(self, text: str) -> str:
        """The text without the secrets learnt so far and passwords in URLs; layout is kept."""
        for _, pattern, shown_as in self._known:
            text = pattern.sub(lambda _match, shown=shown_as: shown, text)  # type: ignore[misc]
        return _PASSWORD_IN_URL.sub("//%s@" % REDACTED, text)

    def clean_message(self, text: str) -> str:
        """The same, and without anything that looks like a key: a variable may hold another's value."""
        return _without_keys(self.clean(text))

    def _without_pieces(self, text: str) -> str:
        """The text without stretches of a secret that somebody cut or spelled in part differently."""
        if not self._pieces:
            return text
        covered = bytearray(len(text))
        for start in range(len(text) - PIECE + 1):
            if text[start : start + PIECE] in self._pieces:
                covered[start : start + PIECE] = b"\x01" * PIECE
        runs = re.finditer(b"\x01+|\x00+", bytes(covered))
        return "".join(REDACTED if covered[run.start()] else text[run.start() : run.end()] for run in runs)

    def clean_foreign(self, text: str, longest: int = 300) -> str:
        """Somebody else's text made fit to print: one line, no control characters, no keys at all.

        Looked through before and after control characters are dropped, so that none can hide in the
        middle of a key nor lean on its edge; the cut comes last, so that it leaves no half behind.
        """
        cleaned = _without_keys(self.clean(_TERMINAL_SEQUENCE.sub("", text)))
        cleaned = self._without_pieces(_without_keys(self.clean(printable(cleaned)))).strip()
        return cleaned if len(cleaned) <= longest else cleaned[: longest - 1] + "…"

    def clean_value(self, value: Any) -> Any:
        """A JSON value with every string in it, member names too, made fit to print."""
        if isinstance(value, str):
            return self.clean_foreign(value, longest=100_000)
        if isinstance(value, list):
            return [self.clean_value(item) for item in value]
        if isinstance(value, dict):
            members: Dict[str, Any] = {}
            for name, member in value.items():
                cleaned = self.clean_foreign(name)
                # Two names may look alike once cleaned; neither member may be lost.
                names = (cleaned, *("%s (%d)" % (cleaned, number) for number in range(2, len(value) + 1)))
                members[next(one for one in names if one not in members)] = self.clean_value(member)
            return members
        return value


def _any_spelling(character: str) -> str:
    """A pattern for a character of a secret, also as URLs, JSON and HTML may spell it."""
    if character.isalnum():
        return character
    code = ord(character)
    return r"(?:\\?%s|%%(?:25)?%02X|\\u%04X|&#%d;|&#x%X;)" % (re.escape(character), code, code, code, code)


def _without_keys(text: str) -> str:
    return _ACCESS_KEY_ID.sub(REDACTED, _SECRET_ACCESS_KEY.sub(REDACTED, text))


def refuse_keys_in_arguments(argv: Sequence[str], redactor: Redactor) -> None:
    """Refuses a command line that carries a key, without repeating any of it.

    Raises CredentialsInArgument for an option that names a key, for 20 of `[A-Z0-9]` with a digit,
    for 40 of `[A-Za-z0-9]` mixed, and for any secret that the redactor has learnt.
    """
    for word in argv:
        name, equals, _ = word.partition("=")
        is_option = name.startswith("-") or bool(equals)
        if is_option and re.sub(r"[-_]", "", name).lower() in _KEY_OPTIONS:
            raise key_in_argument()
        if _ACCESS_KEY_ID.search(word) or _SECRET_ACCESS_KEY.search(word) or redactor.knows(word):
            raise key_in_argument()


def refuse_known_secrets(words: Iterable[str], redactor: Redactor) -> None:
    """Refuses words that hold a secret which the redactor has learnt meanwhile, from a file of keys."""
    if any(redactor.knows(word) for word in words):
        raise key_in_argument()


def looks_like_api_key(label: str) -> bool:
    """Whether a label is long and mixed enough to be an API key itself."""
    return (
        len(label) > LONGEST_INNOCENT_LABEL
        and any(c.isupper() for c in label)
        and any(c.islower() for c in label)
        and any(c.isdigit() for c in label)
    )


def key_in_argument() -> CredentialsInArgument:
    """The refusal, as an error to raise."""
    return CredentialsInArgument(
        REFUSAL,
        "Nothing was sent. Keys go into environment variables or a file, never into a command or"
        " a conversation; a key that has been in one should be replaced on My Credentials.",
    )
