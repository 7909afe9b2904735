"""Which names say that their value is a secret, and which of their values are."""

from __future__ import annotations

import re
from enum import IntEnum
from functools import lru_cache


class Strength(IntEnum):
    """How sure a name makes it that its value is a secret."""

    NONE = 0
    WEAK = 1  # "token": also a word of a text
    KEY = 2  # "api_key", "access_token"
    HEADER = 3  # "authorization", "cookie": the value goes on to the end of the line
    PASSWORD = 4  # any value at all


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_PASSWORDS = ("password", "passwd", "passphrase", "pwd", "passcode")
_SECRETS = _words("secret secrets apikey accesskey secretkey privatekey authtoken accesstoken")
_OF_KEYS = _words(
    "api access private secret signing encryption account auth master service shared subscription ssh x license admin"
    " deploy aws azure openai anthropic groq gemini google mistral cohere serper tavily exa"
)
_OF_TOKENS = _words(
    "access refresh auth authentication bearer api session security csrf xsrf bot app user personal id client secret"
    " github gitlab hf slack oauth oauth2 jwt sas service platform integration action deploy vault"
)
# What is said about a secret is none: key_id, token_count, password_policy.
_ABOUT = _words(
    "count counts usage limit limits budget name names type types id ids length len size path file filename url uri"
    " endpoint expiry expires expiration ttl env var variable field header prefix policy hint label description"
    " required enabled disabled present valid version status cost price details index error errors manager provider"
    " store format pattern rotation min max total strength mode method"
)
_HARMLESS = _words(
    "none null nil true false yes no on off bearer basic digest token string str int bool bytes object required"
    " optional default empty unset undefined environ hidden redacted password secret changed missing invalid"
    " postgres changeme testing example development production"
)
_TEMPLATE = re.compile(r"\$\{?\w|\{\{|<[\w .-]+>$|%\(|\*{3,}$|x{4,}$|\.{3}$")
_LIKE_A_CREDENTIAL = re.compile("[0-9=]|[a-z][A-Z]")
_DIGIT = re.compile("[0-9]")
_PLACEHOLDER = re.compile(r"\[redacted[^\]]{0,200}\]")


@lru_cache(maxsize=4096)
def strength_of(name: str) -> Strength:
    """What a name says of its value: by its words, in whatever style they are joined."""
    # A placeholder names what is gone, not what stands under it.
    words = [word.lower() for word in _WORD.findall(_PLACEHOLDER.sub(" ", name) if "[redacted" in name else name)]
    if not words or words[-1] in _ABOUT:
        return Strength.NONE
    if any(word.endswith(_PASSWORDS) for word in words):
        return Strength.PASSWORD
    if words[-1] in ("authorization", "cookie", "cookies"):
        return Strength.HEADER
    if not _SECRETS.isdisjoint(words):
        return Strength.KEY
    if {"credential", "credentials", "jwt"} & {*words} or words[-1] in ("auth", "pass", "bearer"):
        return Strength.WEAK
    before = words[-2] if len(words) > 1 else ""
    if words[-1] in ("key", "keys"):
        return Strength.KEY if before in _OF_KEYS else Strength.NONE
    if words[-1] in ("token", "tokens") and before in _OF_TOKENS:
        return Strength.KEY
    return Strength.WEAK if words[-1] == "token" else Strength.NONE


def is_secret(value: str, strength: Strength, *, quoted: bool = True) -> bool:
    """Whether a value under such a name is to be taken out; without quotes it may be a word of a sentence."""
    stripped = value.strip()
    if not stripped or stripped.startswith("[redacted") or stripped.lower() in _HARMLESS or _TEMPLATE.match(stripped):
        return False
    if strength is Strength.PASSWORD:
        return quoted or len(stripped) >= 6
    has_digit = _DIGIT.search(stripped) is not None
    if strength is Strength.HEADER:
        return quoted or (len(stripped) >= 8 and _LIKE_A_CREDENTIAL.search(stripped) is not None)
    if strength is Strength.WEAK:
        return len(stripped) >= 12 and has_digit and not any(character.isspace() for character in stripped)
    if quoted:
        return True
    return len(stripped) >= 6 and has_digit and not stripped.isdecimal()
