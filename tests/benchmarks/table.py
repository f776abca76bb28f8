"""What the cases say together: ratios, bars held or not, and the tables that are printed.

Knows figures only.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.benchmarks.work import Work

Found = Mapping[str, Mapping[str, Any]]
"""What was measured, by case; {"error": ...} of one that failed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bar:
    """Something to be reached.

    Attributes:
        title: what is measured.
        figure: its key in what `derive` gives.
        limit: to be reached, or None where the figure is only reported.
        at_least: whether more is better.
        form: of figure and limit.
        device: it belongs to.
        at: values of Work for which it was set; with others it is not judged.
    """

    title: str
    figure: str
    limit: float | None = None
    at_least: bool = True
    form: str = "{:.2f} x"
    device: str = "cpu"
    at: Mapping[str, Any] = dataclasses.field(default_factory=dict)


FEW = {"size": 128, "steps": 4}
DRAWN = {"size": 128, "samples": 15}
SHORT = {"at_least": False, "form": "{:.2f} s"}
BARS = (
    Bar(title="LDSR-S2, fp32, faster than the peer", figure="fp32 speed", limit=1.8, at=FEW),
    Bar(title="  beside the peer with huge pages", figure="fp32 speed, huge pages"),
    Bar(title="  memory of the peer's", figure="fp32 memory", limit=0.45, at_least=False,
        form="{:.1%}", at=FEW),
    Bar(title="  largest difference to the peer", figure="fp32 difference", limit=1e-4,
        at_least=False, form="{:.1e}", at=FEW),
    Bar(title="LDSR-S2, bf16, faster than the peer", figure="bf16 speed", limit=3.5, at=FEW),
    Bar(title="  beside the peer with huge pages", figure="bf16 speed, huge pages"),
    Bar(title="  to ours in fp32", figure="bf16 db", limit=45, form="{:.1f} dB", at=FEW),
    Bar(title="LDSR-S2, samples of 3 steps, faster than as many runs of the peer",
        figure="samples speed", limit=1.4, at=DRAWN),
    Bar(title="  beside the peer with huge pages", figure="samples speed, huge pages"),
    Bar(title="LDSR-S2, skipping, faster than ours without", figure="skip speed", limit=2.0,
        at={"skip_steps": 100}),
    Bar(title="  to ours without", figure="skip db", form="{:.1f} dB"),
    Bar(title="  the residual form, faster", figure="skip residual speed"),
    Bar(title="  the residual form, to ours without", figure="skip residual db", form="{:.1f} dB"),
    Bar(title="mini, skipping, faster than without", figure="mini skip speed"),
    Bar(title="  to mini without", figure="mini skip db", form="{:.1f} dB"),
    Bar(title="mini, balanced, after loading", figure="mini seconds", limit=4.0, at={"size": 128},
        **SHORT),
    Bar(title="  first run, imports and loading included", figure="mini first", limit=8.0,
        at={"size": 128}, **SHORT),
    Bar(title="  to mini without any fast path", figure="mini db", form="{:.1f} dB"),
    Bar(title="mini, balanced, four times the side, memory", figure="mini large memory", limit=4.0,
        at_least=False, form="{:.2f} GB", at={"size": 128}),
    Bar(title="page, start to first HTML", figure="page seconds", limit=6.0, **SHORT),
    Bar(title="GPU, bf16, faster than the peer", figure="bf16 speed", limit=3.0, device="cuda",
        at=FEW),
    Bar(title="GPU, compiled, faster than the peer", figure="compiled speed", limit=3.0,
        device="cuda", at=FEW),
    Bar(title="GPU, bf16, batch 8, faster than the peer", figure="bf16 batch 8 speed", limit=3.0,
        device="cuda", at=FEW),
    Bar(title="GPU, compiled, batch 8, faster than the peer", figure="compiled batch 8 speed",
        limit=3.0, device="cuda", at=FEW),
)  # fmt: skip
"""Of issue F, and what belongs beside them."""

SPEEDS = {
    "fp32 speed": ("peer", "ours"),
    "fp32 speed, huge pages": ("peer huge pages", "ours"),
    "bf16 speed": ("peer", "ours bf16"),
    "bf16 speed, huge pages": ("peer huge pages", "ours bf16"),
    "compiled speed": ("peer", "compiled"),
    "bf16 batch 8 speed": ("peer batch 8", "bf16 batch 8"),
    "compiled batch 8 speed": ("peer batch 8", "compiled batch 8"),
    "skip speed": ("skip off", "skip"),
    "skip residual speed": ("skip off", "skip residual"),
    "mini skip speed": ("mini skip off", "mini skip"),
}
"""Figures that are seconds of the first case over those of the second."""

DECIBELS = {
    "bf16 db": ("ours bf16", "ours"),
    "skip db": ("skip", "skip off"),
    "skip residual db": ("skip residual", "skip off"),
    "mini skip db": ("mini skip", "mini skip off"),
    "mini db": ("mini", "mini plain"),
}
"""Figures that say how far the first case's picture is from the second's."""

VALUES = {
    "mini seconds": ("mini", "seconds"),
    "mini first": ("mini", "first_s"),
    "mini large memory": ("mini large", "peak_gb"),
    "page seconds": ("page", "seconds"),
}
"""Figures as they were measured."""


def derive(found: Found, differences: Mapping[str, Any]) -> dict[str, float]:
    """Ratios and differences from what was measured; what was not measured is left out."""
    there = {name: case for name, case in found.items() if "error" not in case}
    figures = {}
    for figure, (slow, fast) in SPEEDS.items():
        if slow in there and fast in there:
            figures[figure] = there[slow]["seconds"] / there[fast]["seconds"]
    for figure, (case, key) in VALUES.items():
        if case in there:
            figures[figure] = there[case][key]
    for figure, (case, reference) in DECIBELS.items():
        if reference in differences.get(case, {}):
            figures[figure] = differences[case][reference]["db"]
    if "peer" in there and "ours" in there:
        figures["fp32 memory"] = there["ours"]["peak_gb"] / there["peer"]["peak_gb"]
    if "peer" in differences.get("ours", {}):
        figures["fp32 difference"] = differences["ours"]["peer"]["largest"]
    for pages in ("", " huge pages"):
        peer = f"peer 3 steps{pages}"
        if peer in there and "ours samples" in there:
            ours = there["ours samples"]
            ratio = ours["samples"] * there[peer]["seconds"] / ours["seconds"]
            figures["samples speed" + (pages and f",{pages}")] = ratio
    return figures


def unit_use(found: Found) -> dict[str, float]:
    """Share of the measured ceiling that each case of LDSR-S2's geometry reaches, 0..1.

    The operations are those that are computed: ours saves some by doubling in phases, which the
    peer and the plain form do not.
    """
    measured = found.get("ceiling", {})
    if "ceiling" not in measured:
        return {}
    plain = ("peer", "peer huge pages", "peer batch 8", "ours plain", "without doubling by phases")
    half = ("ours bf16", "compiled", "bf16 batch 8", "compiled batch 8")
    whole = ("ours", *(name for name in found if name.startswith("without ")))
    shares = {}
    for name in (*plain, *half, *whole):
        if name in found and "error" not in found[name]:
            case = found[name]
            flops = case["batch"] * measured["flops"]["plain" if name in plain else "ours"]
            most = measured["ceiling"]["bf16" if name in half else "fp32"]["ceiling"]
            shares[name] = flops / case["seconds"] / most
    return shares


def judge(figures: Mapping[str, float], work: Work, bars: Sequence[Bar] = BARS) -> list[dict]:
    """Each bar of the device: title, figure, wanted, measured, held (None: not judged) and why."""
    judged = []
    for bar in bars:
        if bar.device != work.device:
            continue
        value = figures.get(bar.figure)
        other = {name: getattr(work, name) for name in bar.at}
        held = None
        if value is None:
            verdict = "not measured"
        elif bar.limit is None:
            verdict = "reported"
        elif other != dict(bar.at):
            differ = [f"{name} {other[name]}" for name in bar.at if other[name] != bar.at[name]]
            verdict = f"not judged: {', '.join(differ)}"
        else:
            held = value >= bar.limit if bar.at_least else value <= bar.limit
            verdict = "held" if held else "MISSED"
        sign = ">=" if bar.at_least else "<="
        judged.append(
            {
                "title": bar.title.strip(),
                "figure": bar.figure,
                "wanted": "" if bar.limit is None else f"{sign} {bar.form.format(bar.limit)}",
                "limit": bar.limit,
                "measured": "" if value is None else bar.form.format(value),
                "value": value,
                "held": held,
                "verdict": verdict,
                "shown": bar.title,
            }
        )
    return judged


def case_lines(found: Found, differences: Mapping[str, Any]) -> Iterator[str]:
    """The table of cases, a line each."""
    use = unit_use(found)
    head = f"{'case':28}{'seconds':>9}{'first':>8}{'peak GB':>9}{'in huge':>9}"
    yield f"{head}{'use':>6}  difference to"
    for name, case in found.items():
        if "error" in case:
            yield f"{name:28}  {case['error']}"
            continue
        line = f"{name:28}{case['seconds']:9.2f}{case['first_s']:8.2f}{case['peak_gb']:9.2f}"
        line += f"{case['huge_gb']:9.2f}{use[name]:6.0%}" if name in use else (
            f"{case['huge_gb']:9.2f}{'':6}"
        )  # fmt: skip
        for reference, far in differences.get(name, {}).items():
            line += f"  {reference}: {far['db']:.1f} dB, {far['largest']:.1e}"
        if case.get("skipped"):
            line += f"  {case['computed']} computed, {case['skipped']} skipped"
        yield line.rstrip()


def ceiling_lines(found: Found) -> Iterator[str]:
    """What the machine can do at most."""
    for name, most in found.get("ceiling", {}).get("ceiling", {}).items():
        yield (
            f"ceiling {name}: {most['matmul'] / 1e12:.2f} TFLOP/s of a matrix product, "
            f"{most['convolution'] / 1e12:.2f} of a 3x3 convolution"
        )


def bar_lines(judged: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The table of bars, a line each."""
    yield f"{'bar':70}{'wanted':>12}{'measured':>12}  "
    for bar in judged:
        yield f"{bar['shown']:70}{bar['wanted']:>12}{bar['measured']:>12}  {bar['verdict']}"
