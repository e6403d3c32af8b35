# See LICENSE for copyright and license details.
"""Tables in Markdown, and the plot."""
import math
import statistics

UNITS = ((1 << 20, "MiB"), (1 << 10, "KiB"), (1, "bytes"))


def size_text(size):
    """13 bytes, 64 KiB."""
    for unit, name in UNITS:
        if size >= unit:
            return f"{size // unit} {name}"
    return "0"


def number(x):
    """Three significant digits, or all of an integer part."""
    if x == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(x))))
    return f"{x:,.{digits}f}"


def spread(values):
    """Median (minimum to maximum)."""
    if not values:
        return "–"
    if min(values) == max(values):
        return number(values[0])
    return (f"{number(statistics.median(values))} "
            f"({number(min(values))}–{number(max(values))})")


def ratios(over, under):
    """Round by round, for both were measured beside each other."""
    return [a / b for a, b in zip(over, under) if b]


def table(header, rows):
    """Markdown; the first column is text, the others are figures."""
    lines = ["| " + " | ".join(header) + " |",
             "|---" + "|---:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


class Targets:
    """What was to be reached, and whether it was."""

    def __init__(self):
        self.rows = []
        self.header = ("what", "measured", "to be reached", "")

    def at_most(self, what, values, limit, unit=""):
        """The median of values; None or empty: it was not measured."""
        self._add(what, values, f"at most {limit}{unit}",
                  lambda x: x <= limit)

    def at_least(self, what, values, limit, unit=""):
        """The same."""
        self._add(what, values, f"at least {limit}{unit}",
                  lambda x: x >= limit)

    def _add(self, what, values, text, test):
        if not values:
            self.rows.append((what, "–", text, "not measured"))
            return
        good = test(statistics.median(values))
        self.rows.append((what, spread(values), text,
                          "yes" if good else "**no**"))


# ---- the plot ----

WIDTH, HEIGHT = 820, 500
LEFT, RIGHT, TOP, BOTTOM = 80, 220, 50, 60
LINE_GAP = 15

STYLE = """
  .paper { fill: #fff } text { fill: #222; font: 12px sans-serif }
  .title { font-size: 15px } .grid { stroke: #ddd }
  .s0 { color: #0969da } .s1 { color: #777 } .s2 { color: #cf222e }
  .s3 { color: #1a7f37 } .s4 { color: #8250df }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } text { fill: #ddd } .grid { stroke: #333 }
    .s0 { color: #58a6ff } .s1 { color: #999 } .s2 { color: #ff7b72 }
    .s3 { color: #3fb950 } .s4 { color: #bc8cff }
  }
  .line { stroke: currentColor; fill: none; stroke-width: 2 }
  .dash { stroke-dasharray: 6 4 } .dot, .name { fill: currentColor }
"""


class Plot:
    """Log-log: CPU of the proxy per request against the size of the body."""

    def __init__(self, sizes, series):
        """series: (name, colour 0 to 4, dashed, one list of values a size)."""
        values = [v for *_, lists in series for vs in lists for v in vs
                  if v > 0] or [1]
        self.sizes = sizes
        self.series = series
        self.low = math.floor(math.log10(min(values)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(values))))
        self.out = []

    def x(self, size):
        """Where a size is."""
        lo, hi = math.log10(self.sizes[0]), math.log10(self.sizes[-1])
        part = (math.log10(size) - lo) / (hi - lo) if hi > lo else 0.5
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def y(self, us):
        """Where so many microseconds are."""
        part = (math.log10(us) - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)

    def _text(self, x, y, text, anchor="middle", cls=""):
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{cls}" '
                        f'text-anchor="{anchor}">{text}</text>')

    def _axes(self):
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        self._text(LEFT, 28, "CPU of the proxy per request, against the size "
                   "of the body", "start", "title")
        for e in range(self.low, self.high + 1):
            y = self.y(10 ** e)
            self.out.append(f'<path class="grid" d="M{LEFT} {y:.1f}'
                            f'H{right}"/>')
            text = f"{10 ** e:g} µs" if e < 3 else f"{10 ** (e - 3):,} ms"
            self._text(LEFT - 8, y + 4, text, "end")
        for size in self.sizes:
            x = self.x(size)
            self.out.append(f'<path class="grid" d="M{x:.1f} {TOP}'
                            f'V{bottom}"/>')
            self._text(x, bottom + 20, size_text(size))
        self._text((LEFT + right) / 2, HEIGHT - 14,
                   "medians; the bars are minimum and maximum")

    def _line(self, colour, dashed, lists):
        points = [(self.x(s), self.y(statistics.median(vs)), vs)
                  for s, vs in zip(self.sizes, lists) if vs and min(vs) > 0]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
        self.out.append(f'<g class="s{colour}"><polyline class="line'
                        f'{" dash" if dashed else ""}" points="{path}"/>')
        for x, y, vs in points:
            self.out.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" '
                            f'r="3"/><path class="line" d="M{x:.1f} '
                            f'{self.y(min(vs)):.1f}V{self.y(max(vs)):.1f}"/>')
        self.out.append("</g>")
        return points[-1][1] if points else None

    def _names(self, ends):
        """Beside the ends of the lines, but not upon each other."""
        ends.sort()
        at = [y for y, *_ in ends]
        for i in range(1, len(at)):
            at[i] = max(at[i], at[i - 1] + LINE_GAP)
        limit = HEIGHT - BOTTOM
        for i in reversed(range(len(at))):
            at[i] = min(at[i], limit)
            limit = at[i] - LINE_GAP
        for y, (end, colour, name) in zip(at, ends):
            x = WIDTH - RIGHT
            self.out.append(f'<g class="s{colour}"><path class="line" '
                            f'style="stroke-width:1" d="M{x + 4} {end:.1f}'
                            f'L{x + 22} {y:.1f}"/>')
            self._text(x + 26, y + 4, name, "start", "name")
            self.out.append("</g>")

    def svg(self):
        """The whole file."""
        self._axes()
        ends = []
        for name, colour, dashed, lists in self.series:
            end = self._line(colour, dashed, lists)
            if end is not None:
                ends.append((end, colour, name))
        self._names(ends)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" '
                f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
                f'height="{HEIGHT}">\n<style>{STYLE}</style>\n'
                f'<rect class="paper" width="100%" height="100%"/>\n' +
                "\n".join(self.out) + "\n</svg>\n")
