"""Secrets that are known by their first bytes: what their issuers promise of their form, by the name of the rule.

Each is `(name, triggers, pattern, back)`: the pattern matches `back` bytes before a trigger (anywhere in the line where that is
None), and keeps its first group. A token starts where no letter or digit is before it.
"""

from __future__ import annotations

TOKENS: tuple[tuple[str, tuple[str, ...], bytes, int | None], ...] = (
    (
        "ai",  # Anthropic, OpenAI; OpenRouter and DeepSeek, which took over the form
        ("sk-ant-", "sk-proj-", " sk-", '"sk-'),
        rb"sk-(?<![\w-]sk-)(?:(?:ant|proj|svcacct|admin|or-v[0-9])-[\w-]{16,}+|[A-Za-z0-9]{20,}+)",
        None,
    ),
    ("huggingface", ("hf_",), rb"hf_(?<!\whf_)[A-Za-z0-9]{30,}+", 0),
    ("aws", ("AKIA", "ASIA"), rb"A[KS]IA(?<![A-Za-z0-9]A[KS]IA)[0-9A-Z]{16}(?![A-Za-z0-9])", 0),
    (
        "google",
        ("AIza", "ya29."),
        rb"AIza(?<![\w-]AIza)[\w-]{35}(?![\w-])|ya29\.(?<!\wya29\.)[\w-]{20,}+",
        0,
    ),
    ("digitalocean", ("dop_v1_",), rb"dop_v1_(?<!\wdop_v1_)[a-f0-9]{64}(?!\w)", 0),
    (
        "github",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        rb"gh[pousr]_(?<!\wgh[pousr]_)[A-Za-z0-9]{36,}+|github_pat_(?<!\wgithub_pat_)\w{22,}+",
        0,
    ),
    (
        "gitlab",
        ("glpat-", "glrt-"),
        rb"gl(?<![\w-]gl)(?:pat|rt)-[\w.-]{20,}+",
        0,
    ),
    ("docker", ("dckr_",), rb"dckr_(?<!\wdckr_)[po]at_[\w-]{20,}+", 0),
    ("vault", ("hvs.",), rb"hvs\.(?<!\whvs\.)[\w-]{20,}+", 0),
    ("grafana", ("glsa_",), rb"glsa_(?<!\wglsa_)[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}(?!\w)", 0),
    (
        "slack",
        ("xox", "xapp-", "ks.slack.com/services/"),
        rb"(?:xox[abeprs]|xapp)-(?<![\w-]xo..-)(?<![\w-]xapp-)[\w-]{10,}+|(ks\.slack\.com/services/)[\w/]{20,}+",
        0,
    ),
    ("telegram", ("/bot000000",), rb"(/bot[0-9]{6,12}+(?::|%3A))[\w-]{30,}+", 0),
    ("sendgrid", ("SG.",), rb"SG\.(?<!\wSG\.)[\w-]{16,64}+\.[\w-]{16,64}+", 0),
    ("stripe", ("k_live_",), rb"[sr]k_live_(?<!\w[sr]k_live_)\w{16,}+", 1),
    ("shopify", ("shpat_",), rb"shpat_(?<!\wshpat_)[a-fA-F0-9]{32}(?!\w)", 0),
    (
        "signature",
        ("sig=", "signature="),
        rb"((?i:sig(?:nature)?=(?:(?<=[?&;]sig=)|(?<=[?&;]signature=)|(?<=-signature=))))[^\s&\"'<>\\]{8,}+",
        0,
    ),
    ("npm", ("npm_",), rb"npm_(?<!\wnpm_)[A-Za-z0-9]{36}(?!\w)", 0),
    ("pypi", ("pypi-AgE",), rb"pypi-AgE(?<!\wpypi-AgE)[\w-]{50,}+", 0),
)
"""In the order in which they are applied."""
