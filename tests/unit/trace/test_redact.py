"""S63 - S68: secrets go, whatever they are packed in; what only looks like one stays."""

from __future__ import annotations

import base64
import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_crewai_trace.trace.redact import FAILED, TOO_DEEP, Redactor, known_secrets
from pytest_crewai_trace.trace.secret_names import Strength, strength_of
from pytest_crewai_trace.trace.secret_shapes import SHAPES as KNOWN

# What must be gone -> a text that holds it. In two pieces, so that no scanner takes them for real.
CANARIES = {
    "OpenAI": ("Canary0123456789abcdef", "the key sk-" + "proj-Canary0123456789abcdef works"),
    "OpenAI, old": ("Canary0123456789abcdefCanary", "sk-" + "Canary0123456789abcdefCanary"),
    "Anthropic": ("Canary-0123456789_abcdef", "sk-" + "ant-api03-Canary-0123456789_abcdef"),
    "Google": ("Canary0123456789abcdefghijklmnopq", "?key=AIza" + "SyCanary0123456789abcdefghijklmnopq"),
    "AWS id": ("CANARY7EXAMPLE", "AKIA" + "IOCANARY7EXAMPLE"),
    "AWS secret": ("wJalrXUtnFEMI/K7MDENG+bPxRfiCY", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG+bPxRfiCY"),
    "Azure": ("canary0123+/abc", "Endpoint=sb://x/;AccountKey=canary0123+/abc==;EntityPath=y"),
    "Azure SAS": ("canary%2Babc0123", "https://x.blob.core.windows.net/c?sv=2020&sig=canary%2Babc0123%3D&se=1"),
    "Azure OpenAI": ("0123456789abcdef0123456789abcdef", "api-key: 0123456789abcdef0123456789abcdef"),
    "GitHub": ("Canary0123456789abcdefghijklmnopqr", "ghp_" + "Canary0123456789abcdefghijklmnopqr"),
    "GitHub, fine-grained": ("11CANARY0_abcdefghij", "github_pat_" + "11CANARY0_abcdefghij"),
    "Hugging Face": ("CanaryabcdefghijklmnopqrstuvwX", "hf_" + "CanaryabcdefghijklmnopqrstuvwX"),
    "Slack": ("123456789012-Canary", "xoxb-" + "123456789012-Canary"),
    "JWT": ("eyJzdWIiOiJjYW5hcnkifQ", "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"),
    "PEM": (
        "MIIEcanary0123456789abcdefgh",
        "-----BEGIN RSA PRIVATE " + "KEY-----\nMIIEcanary0123456789abcdefgh\nx==\n-----END RSA PRIVATE KEY-----",
    ),
    "PEM, cut off": (
        "MIIEcanary0123456789abcdefgh",
        "-----BEGIN PRIVATE " + "KEY-----\nMIIEcanary0123456789abcdefgh\nMIIE",
    ),
    "user info": ("canary-pa55", "postgres://bob:canary-pa55@db.example.org:5432/x"),
    "token as user": ("canary0123456789canary", "git clone https://canary0123456789canary@example.org/x.git"),
    "Cookie": ("dark-canary", "Cookie: session=abc123; theme=dark-canary\nAccept: x"),
    "Set-Cookie": ("canary-sid", "Set-Cookie: sid=canary-sid; Path=/"),
    "Authorization": ("canary.value-1", "Authorization: Bearer canary.value-1"),
    "Authorization, quoted": ("Y2FuYXJ5OnBhc3N3b3Jk", "curl -H 'Authorization: Basic Y2FuYXJ5OnBhc3N3b3Jk' x"),
    "Authorization, a pair": ("canary", "[(b'authorization', b'Token canary')]"),
    "Bearer": ("canary.0123456789", "with the header Bearer canary.0123456789"),
    "YAML": ("canary-1", "headers:\n  x-api-key:\n  - canary-1\n"),
    "password": ("hunter22", "password=hunter22"),
    "JSON": ("canary", '{"client_secret": "canary", "x": 1}'),
    "Python": ("canary", 'os.environ["OPENAI_API_KEY"] = "canary"'),
    "XML": ("canary", "<db><password>canary</password></db>"),
    "option": ("canary123", "crewai --api-key canary123 run"),
    "known": ("A rather long canary!", "it is A rather long canary! indeed"),
}
# By how it begins, the rest of a key: each is known by its shape alone.
SHAPES = {
    "sk-ant-": "api03-Canary0123456789",
    "sk-proj-": "Canary0123456789",
    "sk-svcacct-": "Canary0123456789",
    "sk-admin-": "Canary0123456789",
    "sk-or-v1-": "canary0123456789",
    "sk-": "Canary0123456789abcdef",
    "sess-": "Canary0123456789abcdefgh",
    "AIza": "SyCanary0123456789abcdefghijklmnopq",
    "AQ.": "Canary0123456789abcdefghijklmnopq",
    "ya29.": "Canary0123456789",
    "GOCSPX-": "Canary0123456789",
    "1//0": "Canary0123456789abcdefghijklmnopq",
    "AKIA": "IOCANARY7EXAMPLE",
    "ASIA": "IOCANARY7EXAMPLE",
    "ABSK": "Canary0123456789abcdefghijklmnopq",
    **dict.fromkeys(("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), "Canary0123456789abcdef"),
    "github_pat_": "11CANARY0_abcdefghij",
    "glpat-": "Canary0123456789",
    "hf_": "CanaryabcdefghijklmnopqrstuvwX",
    "api_org_": "CanaryabcdefghijklmnopqrstuvwX",
    "xox": "b-123456789012-Canary",
    "xapp-": "1-A0123456789-Canary",
    "hooks.slack.com/": "services/T0CANARY/B0CANARY/canary",
    "gsk_": "Canary0123456789abcdef",
    "xai-": "Canary0123456789abcdef",
    "pplx-": "Canary0123456789abcdef",
    "nvapi-": "Canary0123456789abcdef",
    "r8_": "Canary0123456789abcdef",
    "tvly-": "dev-Canary0123456789",
    "pcsk_": "Canary_0123456789abcdef",
    "lsv2_": "pt_canary0123456789abcdef",
    "dapi": "0123456789abcdef0123456789abcdef",
    **dict.fromkeys(("sk_live_", "sk_test_", "rk_live_", "rk_test_"), "Canary0123456789abcdef"),
    "sk_": "0123456789abcdef0123456789abcdef",
    "npm_": "Canary0123456789abcdefghijklmnopq",
    "pypi-AgE": "IcHlwaS5vcmcCanary0123456789",
    "SG.": "Canary0123456789.Canary0123456789",
    "hvs.": "Canary0123456789abcdef",
    "eyJ": "hbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl",
}
redactor = Redactor(secrets={"A rather long canary!": "MY_SECRET", 'we"ird\\canary/é': "OTHER_KEY"})
each_canary = pytest.mark.parametrize(("canary", "text"), CANARIES.values(), ids=CANARIES)


def unicode_escaped(text: str) -> str:
    return "".join(f"\\u{ord(c):04x}" if c.isascii() and c.isalnum() and i % 3 == 0 else c for i, c in enumerate(text))


PACKED = {
    "as it is": str,
    "JSON": lambda text: json.dumps({"a": f"x\n{text}"}),
    "JSON in JSON": lambda text: json.dumps({"b": json.dumps({"a": f"x\t{text}"})}),
    "JSON in JSON in JSON": lambda text: json.dumps({"c": json.dumps({"b": json.dumps({"a": f"x\n{text}"})})}),
    "JSON with slashes escaped": lambda text: json.dumps({"a": text}).replace("/", "\\/"),
    "unicode escapes": unicode_escaped,
    "base64": lambda text: "data: " + base64.b64encode(f"some {text} text".encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(f"some {text} text".encode()).decode(),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(f"some {text} text".encode())).decode(),
    "gzip in base64": lambda text: base64.b64encode(gzip.compress(text.encode())).decode(),
    "zlib in base64": lambda text: base64.b64encode(zlib.compress(text.encode())).decode(),
}


@each_canary
@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_s63_s64_each_secret_goes_whatever_it_is_packed_in(canary, text, pack):
    packed = pack(text)

    clean = redactor.text(packed)

    assert clean != packed
    assert "[redacted" in clean
    assert canary not in clean
    assert redactor.text(clean) == clean


@pytest.mark.parametrize(("label", "begin"), sorted({(label, begin.lstrip("|")) for label, begin, _ in KNOWN}))
@pytest.mark.parametrize("around", ["see {}", "{}, it says", "say '{}'!", "a/{}?b"])
def test_s63_a_key_is_known_by_its_shape_alone(label, begin, around):
    assert redactor.text(around.format(begin + SHAPES[begin])) == around.format(f"[redacted {label}]")


@pytest.mark.parametrize(
    "key", ["Canary0123456789abcdef" + "JQQJ99" + "CANARYABCDEF", "abc8" + "Q~Canary0123456789abcdefgh"]
)
def test_s63_an_azure_key_is_known_by_what_stands_in_it(key):
    assert redactor.text(f"see {key}, it says") == "see [redacted Azure key], it says"


@each_canary
def test_s63_secrets_go_from_data_wherever_they_stand(canary, text):
    value = {"list": [{"inner": (text, 1)}], text: 2, "packed": gzip.compress(text.encode()), "n": 3}

    clean = redactor.value(value)

    assert canary not in repr(clean)
    assert clean["n"] == 3
    assert len(clean) == 4
    assert redactor.value(clean) == clean


def test_what_stands_beside_a_secret_is_kept():
    assert (
        redactor.text("Ask sk-" + "ant-api03-Canary0123456789, politely.") == "Ask [redacted Anthropic key], politely."
    )
    assert redactor.text("https://a:b@example.org/x?y=1") == "https://[redacted user]@example.org/x?y=1"
    assert redactor.text('{"api_key": "a\\"b", "c": 1}') == '{"api_key": "[redacted value]", "c": 1}'
    assert redactor.text("A rather long canary!") == "[redacted $MY_SECRET]"


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ({"api_key": "x", "n": 1}, {"api_key": "[redacted value]", "n": 1}),
        ({"credentials": {"user": "a1b2c3d4e5f6g7"}}, {"credentials": {"user": "[redacted value]"}}),
        ({"Authorization": ["Bearer x"]}, {"Authorization": ["[redacted value]"]}),
        ([["x-api-key", "abc"]], [["x-api-key", "[redacted value]"]]),
        ({"password": 1234}, {"password": "[redacted value]"}),
        ({"api_key": b"abc"}, {"api_key": b"[redacted value]"}),
        ({"token": 5, "api_key": None, "secret": True}, {"token": 5, "api_key": None, "secret": True}),
    ],
)
def test_s63_what_has_the_name_of_a_secret_is_one(value, clean):
    assert redactor.value(value) == clean


def test_what_holds_no_secret_is_given_back_as_it_is():
    value = {"a": [1, "text", {"b": ("c", None)}]}

    assert redactor.value(value) is value


def test_equal_keys_after_redaction_stay_two():
    clean = Redactor(["k[0-9]"]).value({"k1": "a", "k2": "b"})

    assert list(clean.values()) == ["a", "b"]


def test_data_too_deep_to_look_through_is_dropped():
    value: object = "sk-" + "proj-Canary0123456789"
    for _ in range(5_000):
        value = [value]

    assert TOO_DEEP in repr(redactor.value(value))


def test_a_key_that_was_redacted_says_nothing_of_its_value():
    """S68: else a second time would take it out too."""
    once = Redactor().value({CANARIES["Anthropic"][1]: "a sentence"})

    assert once == {"[redacted Anthropic key]": "a sentence"}
    assert Redactor().value(once) == once


def test_s65_values_of_secret_variables_are_known_in_every_form():
    environ = {
        "OPENAI_API_KEY": 'we"ird/cänary\\',
        "DB_PASSWORD": "correct horse battery",
        "GITHUB_TOKEN": "short",
        "MAX_TOKENS": "100000000",
        "PGPASSWORD": "postgres",
        "HOME": "/home/somebody",
        "GOOGLE_APPLICATION_CREDENTIALS": "/etc/account1.json",
    }
    secrets = known_secrets(environ)
    assert set(secrets.values()) == {"OPENAI_API_KEY", "DB_PASSWORD"}

    knowing = Redactor(secrets=secrets)
    for form in (
        'we"ird/cänary\\',
        json.dumps('we"ird/cänary\\'),
        "a=we%22ird%2Fc%C3%A4nary%5C",
        "correct+horse+battery",
    ):
        assert "nary" not in knowing.text(f"before {form} after")
        assert "battery" not in knowing.text(f"before {form} after")
        assert knowing.text(f"before {form} after").endswith(" after")


# -- the user's own ---------------------------------------------------------------------------------------------------


def test_patterns_of_the_user():
    own = Redactor([r"ORD-\d+", r"customer (?P<secret>\w+)"])

    assert own.text("ORD-12 of customer Jane today") == "[redacted] of customer [redacted] today"
    assert own.text(own.text("ORD-12")) == "[redacted]"


@pytest.mark.parametrize("pattern", ["(", "a*", ""])
def test_a_pattern_that_makes_no_sense_is_named(pattern):
    with pytest.raises(ValueError, match=r"no regular expression|matches the empty text"):
        Redactor([pattern])


def test_the_hook_has_the_last_word_and_sees_no_secret():
    seen = []

    def hook(text, where):
        seen.append((text, where))
        return text.replace("Jane", "somebody") if "Jane" in text else None

    made = Redactor(hook=hook).value({"a": ["Jane, sk-" + "proj-Canary0123456789"]}, "tool search.arguments")

    assert made == {"a": ["somebody, [redacted OpenAI key]"]}
    assert ("Jane, [redacted OpenAI key]", "tool search.arguments.a") in seen


@pytest.mark.parametrize("given_back", [5, b"x", object()])
def test_s66_a_hook_that_raises_or_lies_lets_nothing_through(given_back):
    def raising(text, where):
        raise LookupError("boom")

    for hook in (raising, lambda text, where: given_back):
        own = Redactor(hook=hook)
        assert own.text("Jane") == FAILED
        assert len(own.failures) == 1


# -- time and false alarms ---------------------------------------------------------------------------------------------

UNITS = [
    *(
        "a",
        "A",
        "0",
        "-",
        "_",
        "=",
        "\\",
        '"',
        "[",
        "://",
        "://a:",
        "a@",
        "sk-",
        "sk-ant-",
        "eyJ",
        "eyJ.",
        "aQ~",
        "xox",
    ),
    *("token", "token=", "key:", "auth", "cookie: a", "password: ", "password=${", "bearer ", "Bearer a", "--token "),
    *(
        "secret='",
        'secret=\\"',
        'secret="\\',
        "\\u0061",
        "\\\\u",
        "-----BEGIN PRIVATE KEY-----",
        "?sig=",
        "aQ~",
        "<password>",
    ),
]


@pytest.mark.timeout(120)  # quadratic would be hours
@pytest.mark.parametrize("unit", UNITS)
def test_s67_a_megabyte_of_anything_is_looked_through(unit):
    """S67: in linear time; what is not would not come to an end."""
    assert redactor.text((unit * 1_000_000)[:1_000_000])


HARMLESS = [
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b by d41d8cd98f00b204e9800998ecf8427e",
    "123e4567-e89b-12d3-a456-426614174000",
    "call_AbCdEfGhIjKlMnOpQrStUvWx chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012 run-2026-11-22",
    "total_tokens: 1200, max_tokens=500, tokens_per_second: 12.5",
    '{"prompt_tokens": 12, "token_count": 5, "token": "Hello", "logprob": -0.3}',
    "author: Jane Doe, authors: a1b2c3d4e5f6, authored_by=Ann123456789, authority=x1234567890",
    "tokenizer = AutoTokenizer.from_pretrained('gpt2')",
    "tokenizer: cl100k_base, token = tokenizer.encode(text1), token = tokens[0]",
    "the token: a unit of text. The password is a secret.",
    "task-sk-learn-pipeline and risk-assessment-2026-results",
    "git@github.com:a/b.git ssh://git@github.com/x https://medium.com/@user/x mail a@example.org",
    "api_key=os.environ['KEY_NAME_1'] api_key=${OPENAI_API_KEY} api_key: <your key>",
    "keyboard: qwerty1234 monkey=banana12345 primary_key: id12345678 cache_key=abc12345678901",
    "Basic understanding of bearer authentication",
    "secret_name: payments-key-2026, password_policy=strict2026, api_key_prefix: abc123456, access_token_count: 1234a",
    "search_the_internet_with_serper(search_query='AI agents 2026')",
    base64.b64encode(b"Nothing but a harmless text, long enough to look at.").decode(),
    "https://example.org/a?key=title&author=jane&token_type=x",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_s68_no_false_alarm(text):
    assert redactor.text(text) == text
    assert redactor.value({"a": [text]}) == {"a": [text]}


@pytest.mark.parametrize(
    "value",
    ["${MY_KEY}", "$MY_KEY", "{{ api_key }}", "<your key>", "%(key)s", "****", "xxxx", "...", "None", "changeme"],
)
def test_s68_what_only_stands_for_a_secret_stays(value):
    """A template, or a word in the place of one, under a name that says that its value is secret."""
    for text in (f'password = "{value}"', json.dumps({"api_key": value})):
        assert redactor.text(text) == text
    assert redactor.value({"api_key": value}) == {"api_key": value}


@given(st.text(st.sampled_from('ak1=:"\\/@ -.\n') | st.characters(codec="utf-8"), max_size=40), st.data())
def test_redacting_twice_is_redacting_once(text, data):
    words = [
        "token=",
        "password: ",
        "sk-",
        "Bearer ",
        "cookie: ",
        "://",
        "[redacted",
        "api_key",
        *dict(CANARIES.values()),
    ]
    mixed = text + "".join(data.draw(st.lists(st.sampled_from(words) | st.text(max_size=3), max_size=5)))
    once = redactor.text(mixed)

    assert redactor.text(once) == once


@pytest.mark.parametrize(
    ("name", "strength"),
    [
        ("OPENAI_API_KEY", Strength.KEY),
        ("awsSecretAccessKey", Strength.KEY),
        ("accessToken", Strength.KEY),
        ("PGPASSWORD", Strength.PASSWORD),
        ("Proxy-Authorization", Strength.HEADER),
        ("set-cookie", Strength.HEADER),
        ("token", Strength.WEAK),
        ("max_tokens", Strength.NONE),
        ("token_type", Strength.NONE),
        ("tokenizer", Strength.NONE),
        ("author", Strength.NONE),
        ("key", Strength.NONE),
        ("monkey", Strength.NONE),
        ("", Strength.NONE),
    ],
)
def test_what_a_name_says(name, strength):
    assert strength_of(name) is strength
