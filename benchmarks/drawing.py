"""Curves as SVG: readable on a light and on a dark page, as it brings its own ground."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Curves = Mapping[str, Sequence[tuple[float, float]]]
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT = 620, 200, 70, 46, 170
_STYLE = """<style>
text{fill:#24292f}.ground{fill:#fff}.grid{stroke:#e4e4e4}
.c0{stroke:#0b6e4f}.c1{stroke:#8a8a8a}.c2{stroke:#c2410c}.c3{stroke:#1d4ed8}.c4{stroke:#9333ea}.c5{stroke:#b45309}
@media (prefers-color-scheme:dark){
text{fill:#d4d4d4}.ground{fill:#16191d}.grid{stroke:#33383e}
.c0{stroke:#34d399}.c1{stroke:#9a9a9a}.c2{stroke:#fb923c}.c3{stroke:#7aa7ff}.c4{stroke:#d8a4ff}.c5{stroke:#fbbf24}}
</style>"""


@dataclass(frozen=True)
class Panel:
    """Some curves over one axis, the first of them ours; ``log`` draws both axes in powers of ten."""

    title: str
    curves: Curves
    log: bool = False


def picture(panels: Sequence[Panel]) -> str:
    size = f"0 0 {_LEFT + _WIDTH + _RIGHT} {(_HEIGHT + 2 * _TOP) * len(panels)}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" font-family="sans-serif" font-size="12">',
            _STYLE,
            '<rect class="ground" width="100%" height="100%"/>',
            *(line for n, panel in enumerate(panels) for line in _panel(panel, _TOP + n * (_HEIGHT + 2 * _TOP))),
            "</svg>",
            "",
        ]
    )


def _panel(panel: Panel, top: int) -> list[str]:
    points = [point for curve in panel.curves.values() for point in curve]
    across, up = (_axis([point[place] for point in points], log=panel.log) for place in (0, 1))
    bottom = top + _HEIGHT
    parts = [f'<text x="{_LEFT}" y="{top - 14}" font-weight="bold">{_escaped(panel.title)}</text>']
    for value in up.ticks:
        y = bottom - up.share(value) * _HEIGHT
        parts += [
            f'<path class="grid" d="M{_LEFT} {y:.1f}H{_LEFT + _WIDTH}"/>',
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(value)}</text>',
        ]
    for value in across.ticks:
        x = _LEFT + across.share(value) * _WIDTH
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{_number(value)}</text>')
    ends: list[float] = []
    for number, (name, curve) in enumerate(panel.curves.items()):
        placed = [(_LEFT + across.share(x) * _WIDTH, bottom - up.share(y) * _HEIGHT) for x, y in curve]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        width = 2.5 if number == 0 else 1.5
        colour = f"c{number % 6}"
        parts.append(f'<polyline class="{colour}" fill="none" stroke-width="{width}" points="{line}"/>')
        y = _free(placed[-1][1], ends)
        ends.append(y)
        after = _LEFT + _WIDTH
        parts += [
            f'<path class="{colour}" stroke-width="{width}" d="M{after + 6} {y:.1f}h12"/>',
            f'<text x="{after + 22}" y="{y + 4:.1f}">{_escaped(name)}</text>',
        ]
    return parts


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    ticks: Sequence[float]
    log: bool

    def share(self, value: float) -> float:
        """Where a value lies between the ends, from 0 to 1."""
        if self.log:
            value, low, high = (math.log10(one) for one in (value, self.low, self.high))
        else:
            low, high = self.low, self.high
        return (value - low) / (high - low)


def _axis(values: Sequence[float], *, log: bool) -> _Axis:
    if not log:
        most = max(values) * 1.05
        return _Axis(0.0, most, [share * most for share in (0.0, 0.25, 0.5, 0.75, 1.0)], log)
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return _Axis(
        10.0**low, 10.0 ** max(high, low + 1), [10.0**place for place in range(low, max(high, low + 1) + 1)], log
    )


def _free(y: float, taken: Sequence[float]) -> float:
    """A height near ``y`` where no other name stands."""
    return next(
        place
        for step in range(40)
        for place in (y + 14 * step, y - 14 * step)
        if all(abs(place - other) >= 14 for other in taken)
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:g}" if value < 1e-3 else f"{value:.3g}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
