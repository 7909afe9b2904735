"""Keys that are known by their shape."""

from __future__ import annotations

import re

# Keys by how they begin; the longer beginning first. ``|``: only where no letter or digit stands before it.
SHAPES: tuple[tuple[str, str, str], ...] = (
    ("Anthropic key", "sk-ant-", r"[\w-]{8,}"),
    ("OpenAI key", "sk-proj-", r"[\w-]{8,}"),
    ("OpenAI key", "sk-svcacct-", r"[\w-]{8,}"),
    ("OpenAI key", "sk-admin-", r"[\w-]{8,}"),
    ("OpenRouter key", "sk-or-v1-", r"[\w-]{8,}"),
    ("OpenAI key", "|sk-", r"(?:[A-Za-z0-9]{20,}[\w-]*|(?=[A-Za-z_-]{0,64}[0-9])[\w-]{16,})"),
    ("OpenAI key", "|sess-", r"[A-Za-z0-9]{24,}"),
    ("Google key", "AIza", r"[\w-]{30,}"),
    ("Google key", "|AQ.", r"[\w-]{30,}"),
    ("Google token", "ya29.", r"[\w.-]{16,}"),
    ("Google secret", "GOCSPX-", r"[\w-]{16,}"),
    ("Google token", "|1//0", r"[\w-]{30,}"),
    ("AWS key", "|AKIA", r"[A-Z0-9]{12,}"),
    ("AWS key", "|ASIA", r"[A-Z0-9]{12,}"),
    ("AWS key", "|ABSK", r"[A-Za-z0-9+/]{30,}={0,2}"),
    ("GitHub token", "ghp_", r"[A-Za-z0-9]{16,}"),
    ("GitHub token", "gho_", r"[A-Za-z0-9]{16,}"),
    ("GitHub token", "ghu_", r"[A-Za-z0-9]{16,}"),
    ("GitHub token", "ghs_", r"[A-Za-z0-9]{16,}"),
    ("GitHub token", "ghr_", r"[A-Za-z0-9]{16,}"),
    ("GitHub token", "github_pat_", r"\w{16,}"),
    ("GitLab token", "glpat-", r"[\w-]{16,}"),
    ("Hugging Face token", "|hf_", r"[A-Za-z0-9]{16,}"),
    ("Hugging Face token", "|api_org_", r"[A-Za-z0-9]{16,}"),
    ("Slack token", "xox", r"[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("Slack token", "xapp-", r"[A-Za-z0-9-]{10,}"),
    ("Slack webhook", "hooks.slack.com/", r"(?:services|workflows|triggers)/[\w/-]{10,}"),
    ("Groq key", "gsk_", r"[A-Za-z0-9]{20,}"),
    ("xAI key", "|xai-", r"[A-Za-z0-9]{20,}"),
    ("Perplexity key", "|pplx-", r"[A-Za-z0-9]{20,}"),
    ("NVIDIA key", "nvapi-", r"[\w-]{20,}"),
    ("Replicate token", "|r8_", r"[A-Za-z0-9]{20,}"),
    ("Tavily key", "|tvly-", r"[A-Za-z0-9-]{16,}"),
    ("Pinecone key", "pcsk_", r"\w{20,}"),
    ("LangSmith key", "lsv2_", r"(?:pt|sk)_\w{16,}"),
    ("Databricks token", "|dapi", r"[0-9a-f]{32}"),
    ("Stripe key", "|sk_live_", r"[A-Za-z0-9]{16,}"),
    ("Stripe key", "|sk_test_", r"[A-Za-z0-9]{16,}"),
    ("Stripe key", "|rk_live_", r"[A-Za-z0-9]{16,}"),
    ("Stripe key", "|rk_test_", r"[A-Za-z0-9]{16,}"),
    ("ElevenLabs key", "|sk_", r"[0-9a-f]{32,}"),
    ("npm token", "npm_", r"[A-Za-z0-9]{30,}"),
    ("PyPI token", "pypi-AgE", r"[\w-]{16,}"),
    ("SendGrid key", "|SG.", r"[\w-]{16,}\.[\w-]{16,}"),
    ("Vault token", "|hvs.", r"[\w-]{20,}"),
    # Begun once in a row of its characters, so that many beginnings in one row do not each look to its end.
    ("JWT", "eyJ", r"(?<![\w-]eyJ)[\w-]{8,}(?:\.[\w-]*){2,4}"),
    ("JWT", "eyJ", r"(?<=\\[nrt]eyJ)[\w-]{8,}(?:\.[\w-]*){2,4}"),
)


def _begin(prefix: str) -> str:
    if not prefix.startswith("|"):
        return re.escape(prefix)
    found = re.escape(prefix[1:])
    # What an escape ends with is no part of a word: \nsk-..., %3Dsk-..., \u000ask-...
    ends = (r"\\[nrtbf]", "%[0-9A-Fa-f]{2}", r"\\u[0-9A-Fa-f]{4}")
    return f"{found}(?:(?<![A-Za-z0-9]{found}){''.join(f'|(?<={end}{found})' for end in ends)})"


TOKEN = re.compile("|".join(_begin(prefix) + rest for _, prefix, rest in SHAPES), re.ASCII)
_LABELS = [(prefix.lstrip("|"), label) for label, prefix, _ in SHAPES]


def label_of(found: str) -> str:
    """What a text is that ``TOKEN`` has found."""
    return next(label for prefix, label in _LABELS if found.startswith(prefix))
