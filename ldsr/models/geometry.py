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

REGRESSION = {"channels": 64, "blocks": 16, "head": 32}
"""Arguments of Regression for the base "regression"; it works on the square root of reflectance."""

REFINER = {
    "denoiser": MINI["denoiser"],
    "control": {"channels_in": 68, "channels": 64, "mults": (1, 2, 3)},
    "fusion": {"z_channels": 4, "cond_channels": 64, "channels": 32},
    "tags": 10,
}
"""Arguments of Refiner; `tags` is the size of the land-cover vocabulary."""

SR3 = {
    "channels": 48,
    "mults": (1, 2, 4),
    "blocks": 1,
    "head": 24,
    "value_range": "sqrt",
    "residual_scale": 0.036,
}
"""Arguments of SR3 for the base "sr3": 2.2 million parameters; the scale is measured on x4."""
