"""The two sizes of the one model class: arguments of LatentSR."""

MINI = {
    "value_range": "sqrt",
    "detail_scale": 0.05,
    "regression": {"channels": 64, "blocks": 8, "head": 32},
    "autoencoder": {
        "channels": 32,
        "mults": (1, 2, 3),
        "blocks": 1,
        "attention": False,
        "norm": "pixel",
        "upsample": "bilinear",
        "guided": True,
    },
    "denoiser": {
        "channels_in": 68,
        "channels": 64,
        "mults": (1, 2, 3),
        "attention_levels": (),
        "middle_attention": False,
        "norm": "pixel",
        "upsample": "bilinear",
    },
}
"""Ours: 11.8 million parameters, local throughout; the condition is features of the input."""

PUBLISHED = {
    "value_range": "reflectance",
    "detail_scale": 1.0,
    "regression": None,
    "autoencoder": {},
    "denoiser": {},
}
"""LDSR-S2 v1 (opensr-model): KL-f4 of 55 million and U-Net of 114 million parameters."""
