"""docs/benchmarks.svg: added cost in proportion to the best peer's, readable on light and dark pages."""

from . import summary

WIDTH = 760
LEFT = 96
RIGHT = 52
TOP = 84
BAR = 13
GAP = 16
# Bars longer than this many times the best peer are cut; their number tells the rest.
LONGEST = 3.0

COLOURS = {"portti": "#e8590c", "haproxy": "#4c78a8", "nginx": "#54a24b", "envoy": "#9d74c9"}
OTHER = "#8a8a8a"

# Grey where a viewer does not say whether its page is light or dark: readable on both.
STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #768390; }
.title { font-weight: 600; font-size: 14px; }
.axis { stroke: #8c959f; stroke-dasharray: 3 3; }
@media (prefers-color-scheme: light) {
  text { fill: #24292f; }
  .faint { fill: #57606a; }
}
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .faint { fill: #9198a1; }
}"""


def draw(tables):
    """The plot of [(workload, lines)], as text."""
    names = list(dict.fromkeys(line.contestant for _, lines in tables for line in lines if line.added))
    parts = [*_legend(names)]
    y = TOP
    for workload, lines in tables:
        drawn, y = _group(workload, lines, y)
        parts += drawn
    parts.append(f'<line class="axis" x1="{_x(1):.1f}" x2="{_x(1):.1f}" y1="{TOP - 8}" y2="{y - GAP + 4}"/>')
    parts.append(f'<text class="faint" x="{_x(1):.1f}" y="{TOP - 13}" text-anchor="middle">best peer</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">'
    title = "Added CPU (idle: memory) relative to the best peer; shorter is better"
    body = "\n".join(parts)
    return (
        f"{head}\n<title>{title}</title>\n<style>\n{STYLE}\n</style>\n"
        f'<text class="title" x="{LEFT}" y="22">{title}</text>\n{body}\n</svg>\n'
    )


def _legend(names):
    for index, name in enumerate(names):
        x = LEFT + 86 * index
        yield f'<rect x="{x}" y="35" width="11" height="11" rx="2" fill="{COLOURS.get(name, OTHER)}"/>'
        yield f'<text x="{x + 16}" y="45">{name}</text>'


def _group(workload, lines, y):
    """The bars of one workload, from `y` down, and where the next begin."""
    best = summary.best_peer(lines)
    bars = [line for line in lines if line.added and best and best > 0]
    if not bars:
        return [], y
    middle = y + len(bars) * BAR / 2 + 4
    parts = [f'<text x="{LEFT - 10}" y="{middle:.1f}" text-anchor="end">{workload.name}</text>']
    for line in bars:
        share = line.added.median / best
        parts += _bar(line.contestant, share, y)
        y += BAR
    return parts, y + GAP


def _bar(name, share, y):
    end = _x(min(max(share, 0), LONGEST))
    more = " →" if share > LONGEST else ""
    yield (
        f'<rect x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR - 2}" rx="2" fill="{COLOURS.get(name, OTHER)}">'
        f"<title>{name}: {share:.2f}</title></rect>"
    )
    yield f'<text class="faint" x="{end + 5:.1f}" y="{y + BAR - 3}" font-size="10">{share:.2f}{more}</text>'


def _x(share):
    return LEFT + share / LONGEST * (WIDTH - LEFT - RIGHT)
