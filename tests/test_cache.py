"""First-block caching: what must hold for the gate, for the networks and for whole runs."""

import pytest
import torch
from torch import Tensor

from ldsr.models.unet import UNet
from ldsr.sampling.cache import FORMS, MAX_HITS, FirstBlockCache, cache_for
from ldsr.sampling.ddim import ddim
from ldsr.sampling.schedule import cosine_schedule, timesteps

SCHEDULE = cosine_schedule()
STEPS = 12
INNER = ("shallow", "finest")
"""Forms that store features from within the network, not what is added to the first block's."""
KINDS = ("pixel", "group")
THRESHOLDS = (0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)


def make_unet(kind: str) -> UNet:
    """Ours ("pixel", no attention) or the published kind ("group", attention), tiny and smooth."""
    torch.manual_seed(0)
    local = kind == "pixel"
    unet = UNet(
        channels=8 if local else 32,
        mults=(1, 2) if local else (1, 2, 2),
        attention_levels=() if local else (2,),
        middle_attention=not local,
        head_channels=16,
        norm=kind,
        upsample="bilinear" if local else "nearest",
    )
    with torch.no_grad():
        unet.conv_out.weight *= 4  # else the latent hardly moves and everything is a hit
    return unet.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=KINDS)
def unet(request: pytest.FixtureRequest) -> UNet:
    return make_unet(request.param)


def make_inputs(batch: int = 3) -> tuple[Tensor, Tensor]:
    """Noise and condition, each [B, 4, 8, 8]; the stronger the condition, the less changes."""
    generator = torch.Generator().manual_seed(1)
    scale = torch.linspace(0.2, 4.0, batch).view(-1, 1, 1, 1)
    noise = torch.randn(batch, 4, 8, 8, generator=generator)
    return noise, scale * torch.randn(batch, 4, 8, 8, generator=generator)


def sample(
    unet: UNet, noise: Tensor, cond: Tensor, cache: FirstBlockCache | None, **extra: object
) -> Tensor:
    """A whole run of the real sampler."""
    with torch.inference_mode():
        return ddim(
            lambda x, t: unet(x, t, cond, cache=cache, **extra),
            noise,
            schedule=SCHEDULE,
            timesteps=timesteps(SCHEDULE, STEPS),
        )


def make_extras(unet: UNet, batch: int) -> dict:
    """Context and control that differ from sample to sample."""
    generator = torch.Generator().manual_seed(2)
    widths = [stage["blocks"][-1].conv2.out_channels for stage in unet.down]
    sides = [8 // 2**i for i in range(len(widths))]
    shapes = [(width, side, side) for width, side in zip(widths, sides, strict=True)]
    control = [0.1 * torch.randn(batch, *s, generator=generator) for s in (*shapes, shapes[-1])]
    context = 0.1 * torch.randn(batch, 4 * unet.channels, generator=generator)
    return {"context": context, "control": control}


def pick(extras: dict, i: int) -> dict:
    return {
        "context": extras["context"][i : i + 1],
        "control": [level[i : i + 1] for level in extras["control"]],
    }


class Deep:
    """Stands for the deep part: counts what it was asked for, gives ten times the step."""

    def __init__(self, batch: int) -> None:
        self.asked: list[list[int] | None] = []
        self.batch = batch

    def __call__(self, rows: Tensor | None) -> Tensor:
        self.asked.append(None if rows is None else rows.tolist())
        return torch.full((self.batch if rows is None else len(rows), 1), 10.0 * len(self.asked))


def feed(cache: FirstBlockCache, changes: list[list[float]]) -> tuple[list[list[float]], Deep]:
    """Run a cache on changes [steps][B] of one number each; anchor 0 unless it is "shallow"."""
    deep = Deep(len(changes[0]))
    values = []
    for change in changes:
        at = torch.tensor(change)[:, None, None, None]
        anchor = None if cache.form in INNER else torch.zeros(deep.batch, 1)
        values.append(cache(at, deep, anchor=anchor).flatten().tolist())
    return values, deep


@pytest.mark.parametrize("form", FORMS)
def test_threshold_zero_is_no_cache_bit_for_bit(unet: UNet, form: str) -> None:
    noise, cond = make_inputs()
    extras = make_extras(unet, len(noise))
    cache = FirstBlockCache(0.0, form=form)
    assert torch.equal(
        sample(unet, noise, cond, cache, **extras), sample(unet, noise, cond, None, **extras)
    )
    assert cache.computed == [STEPS] * 3 and cache.skipped == [0] * 3


def test_threshold_zero_computes_even_where_nothing_changes() -> None:
    _, deep = feed(FirstBlockCache(0.0), [[1.0]] * 4)
    assert deep.asked == [None] * 4


@pytest.mark.parametrize("form", FORMS)
def test_hits_rise_with_the_threshold_and_counters_add_up(unet: UNet, form: str) -> None:
    noise, cond = make_inputs()
    before = [0] * len(noise)
    for threshold in THRESHOLDS:
        cache = FirstBlockCache(threshold, form=form, max_hits=STEPS)
        sample(unet, noise, cond, cache)
        assert not cache.hits[0].any(), "the first step is never a hit"
        assert cache.hits.shape == (STEPS, 3)
        assert [c + s for c, s in zip(cache.computed, cache.skipped, strict=True)] == [STEPS] * 3
        assert all(a >= b for a, b in zip(cache.skipped, before, strict=True)), threshold
        before = cache.skipped
    assert min(before) > STEPS // 2, "the widest threshold must skip, else this shows nothing"


def test_a_small_threshold_changes_little_a_wide_one_more(unet: UNet) -> None:
    noise, cond = make_inputs()
    exact = sample(unet, noise, cond, None)
    errors = []
    for threshold in (0.03, 1.0):
        cache = FirstBlockCache(threshold, max_hits=STEPS)
        errors.append((sample(unet, noise, cond, cache) - exact).abs().mean().item())
    assert errors[0] < errors[1]


@pytest.mark.parametrize("form", FORMS)
def test_batch_equals_singles(unet: UNet, form: str) -> None:
    noise, cond = make_inputs()
    extras = make_extras(unet, len(noise))
    together = FirstBlockCache(0.15, form=form)
    batch = sample(unet, noise, cond, together, **extras)
    mixed = together.hits.any(1) & ~together.hits.all(1)
    assert mixed.any(), "some step must be a hit for some samples only, else this shows nothing"
    for i in range(len(noise)):
        alone = FirstBlockCache(0.15, form=form)
        single = sample(unet, noise[i : i + 1], cond[i : i + 1], alone, **pick(extras, i))
        assert torch.equal(alone.hits[:, 0], together.hits[:, i])
        assert torch.allclose(single[0], batch[i], atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_interleaved_runs_share_nothing(unet: UNet, form: str) -> None:
    noise, cond = make_inputs(2)
    caches = [FirstBlockCache(0.2, form=form) for _ in range(2)]
    separate = [sample(unet, noise[[i]], cond[[i]], caches[i]) for i in range(2)]
    fresh = [FirstBlockCache(0.2, form=form) for _ in range(2)]
    xs = [noise[[i]] for i in range(2)]
    at = timesteps(SCHEDULE, STEPS)
    with torch.inference_mode():
        for step in range(STEPS):
            for i in range(2):
                ahead = at[step : step + 2]
                last = 1.0 if len(ahead) == 1 else float(SCHEDULE.alphas_cumprod[ahead[1]])
                xs[i] = ddim(
                    lambda x, t, i=i: unet(x, t, cond[[i]], cache=fresh[i]),
                    xs[i],
                    schedule=SCHEDULE,
                    timesteps=ahead[:1],
                    last_alpha_cumprod=last,
                )
    for i in range(2):
        assert torch.equal(fresh[i].hits, caches[i].hits) and any(fresh[i].skipped)
        assert torch.equal(xs[i], separate[i])


@pytest.mark.parametrize("form", FORMS)
def test_a_hit_does_not_touch_the_deep_part(unet: UNet, form: str) -> None:
    noise, cond = make_inputs(1)
    calls = {"middle": 0, "top": 0}

    def count(name: str) -> None:
        calls[name] += 1

    hooks = [
        unet.middle1.register_forward_hook(lambda *_: count("middle")),
        unet.up[-1]["blocks"][0].register_forward_hook(lambda *_: count("top")),
    ]
    cache = FirstBlockCache(0.3, form=form)
    sample(unet, noise, cond, cache)
    for hook in hooks:
        hook.remove()
    assert 0 < cache.computed[0] < STEPS
    assert calls["middle"] == cache.computed[0]
    assert calls["top"] == (STEPS if form == "shallow" else cache.computed[0])


def test_literal_is_the_head_on_the_first_block(unet: UNet) -> None:
    noise, cond = make_inputs(2)
    t = torch.tensor([600, 600])
    seen = []
    hook = unet.down[0]["attention"][0].register_forward_hook(lambda _m, _i, out: seen.append(out))
    with torch.inference_mode():
        cache = FirstBlockCache(0.1, form="literal")
        assert torch.equal(unet(noise, t, cond, cache=cache), unet(noise, t, cond))
        hit = unet(noise, t, cond, cache=cache)
        expected = unet.conv_out(torch.nn.functional.silu(unet.norm_out(seen[-1])))
    hook.remove()
    assert cache.skipped == [1, 1]
    assert torch.equal(hit, expected)


@pytest.mark.parametrize("form", ("residual", *INNER))
def test_an_unchanged_input_gives_the_stored_output(unet: UNet, form: str) -> None:
    noise, cond = make_inputs(2)
    extras, t = make_extras(unet, 2), torch.tensor([600, 600])
    cache = FirstBlockCache(0.1, form=form)
    with torch.inference_mode():
        computed = unet(noise, t, cond, cache=cache, **extras)
        again = unet(noise, t, cond, cache=cache, **extras)
    assert cache.skipped == [1, 1]
    assert torch.allclose(again, computed, atol=1e-5)


def test_the_gate_compares_with_the_last_computed_step_of_each_sample() -> None:
    """Sample 0 drifts by 4 % a step, sample 1 jumps at step 2, sample 2 stands still."""
    drift = [1.0, 1.04, 1.08, 1.12, 1.16]
    changes = [[d, 1.0 if i < 2 else 2.0, 3.0] for i, d in enumerate(drift)]
    cache = FirstBlockCache(0.1, max_hits=9)
    values, deep = feed(cache, changes)
    assert cache.hits.T.tolist() == [
        [False, True, True, False, True],
        [False, True, False, True, True],
        [False, True, True, True, True],
    ]
    assert deep.asked == [None, [1], [0]]
    assert values == [[10] * 3, [10] * 3, [10, 20, 10], [30, 20, 10], [30, 20, 10]]
    assert cache.computed == [2, 2, 1] and cache.skipped == [3, 3, 4]


def test_distance_is_relative_and_the_threshold_exclusive() -> None:
    for scale in (2.0**-10, 1.0, 2.0**10):
        below, at = FirstBlockCache(0.51), FirstBlockCache(0.5)
        feed(below, [[scale], [1.5 * scale]])
        feed(at, [[scale], [1.5 * scale]])
        assert below.skipped == [1] and at.skipped == [0]


def test_consecutive_hits_are_limited() -> None:
    cache = FirstBlockCache(0.1, max_hits=2)
    feed(cache, [[1.0]] * 8)
    assert cache.hits[:, 0].tolist() == [False, True, True] * 2 + [False, True]
    default = FirstBlockCache(0.1)
    feed(default, [[1.0]] * (MAX_HITS + 2))
    assert default.computed == [2]


def test_long_runs_use_more_again_and_for_longer() -> None:
    """Up to 50 steps a run is what it always was; what a person chose stays chosen."""
    found = [cache_for(n, threshold=0.1, form="shallow") for n in (3, 50, 51, 100, 1000)]
    forms = ["shallow", "shallow", "finest", "finest", "finest"]
    assert [(cache.form, cache.max_hits) for cache in found] == list(
        zip(forms, [MAX_HITS, MAX_HITS, MAX_HITS, 6, 62], strict=True)
    )
    assert cache_for(100, threshold=0.1, form="residual").form == "residual"


def test_nothing_and_nan_are_misses() -> None:
    cache = FirstBlockCache(0.5)
    feed(cache, [[0.0, 1.0], [0.0, float("nan")], [0.0, 1.0]])
    assert cache.skipped == [0, 0]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_stored_is_our_own(form: str) -> None:
    """Whoever overwrites what went in or came out does not change what is stored."""
    cache = FirstBlockCache(0.5, form=form)
    anchor = None if form in INNER else torch.ones(2, 1)
    change = torch.ones(2, 1, 1, 1)
    value = cache(change, lambda rows: torch.full((2, 1), 5.0), anchor=anchor)
    change.zero_(), value.zero_()
    for _ in range(2):
        hit = cache(torch.ones(2, 1, 1, 1), lambda rows: torch.full((2, 1), 9.0), anchor=anchor)
        assert hit.tolist() == [[1.0 if form == "literal" else 5.0]] * 2
        hit.zero_()
    assert cache.skipped == [2, 2]


def test_bfloat16_is_gated_in_float32(unet: UNet) -> None:
    """A change of a thousandth is lost in the sum of bfloat16 numbers, not here."""
    noise, cond = make_inputs()
    cache = FirstBlockCache(0.15)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = sample(unet, noise, cond, cache)
    assert any(cache.skipped) and out.isfinite().all()
    gate = FirstBlockCache(1e-3)
    change = torch.ones(1, 1, 64, 64, dtype=torch.bfloat16)
    gate(change, Deep(1), anchor=None)
    change = change.clone()
    change[0, 0, 0, :8] = 2.0
    gate(change, Deep(1), anchor=None)
    assert gate.skipped == [0], "8 of 4096 pixels doubled are 0.2 %"


def test_another_patch_is_refused() -> None:
    cache = FirstBlockCache(0.1)
    feed(cache, [[1.0, 1.0]])
    with pytest.raises(ValueError, match="one run"):
        feed(cache, [[1.0]])


@pytest.mark.parametrize(
    "wrong", [{"threshold": -0.1}, {"threshold": float("nan")}, {"form": "x"}, {"max_hits": 0}]
)
def test_wrong_values_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FirstBlockCache(**({"threshold": 0.1} | wrong))
