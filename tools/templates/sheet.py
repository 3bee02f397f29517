"""A template's description, and where everything stands: two rows of groups, each of columns, each of nodes."""

from __future__ import annotations

from dataclasses import dataclass, field

# All in pixels of the page at a zoom of 1, as LiteGraph measures: a node's place is that of its body, below its title.
TITLE_BAR, GROUP_TITLE = 30, 32
PADDING, BETWEEN_COLUMNS, BETWEEN_NODES, BETWEEN_GROUPS, BETWEEN_ROWS = 8, 24, 16, 24, 35
WIDEST, HIGHEST = 2400, 1400
# What the page covers at its left and top, in screen pixels, and the window in which all is in view when opened.
LEFT_EDGE, TOP_EDGE, WINDOW_WIDTH, WINDOW_HEIGHT = 76, 140, 1700, 1000
# Below it classic nodes have no text; and by how much the page spreads a graph for Vue nodes.
SMALLEST_SCALE, LARGEST_SCALE, VUE_SPREAD = 0.6, 1.0, 1.2
GREEN, OCHRE, PURPLE, BLUE, OLIVE, RED = "#3f6b45", "#8a6a24", "#7a3a82", "#2f6078", "#5c6b3a", "#7a3f3f"


@dataclass
class GraphNode:
    """One node.

    Attributes:
        key: the template's own name for it.
        kind: its type.
        height: of its body; None takes what is left of the column.
        title: instead of its type's.
        links: input to (key of the source, number of its output).
        values: of widgets, where they are not the defaults.
        models: the files that it loads, as the page's dialog of missing models takes them.
        options: of special nodes; "collapsed" holds the size of a node that opens as its title only.
    """

    key: str
    kind: str
    height: int | None = None
    title: str | None = None
    links: dict[str, tuple[str, int]] = field(default_factory=dict)
    values: dict = field(default_factory=dict)
    models: list[dict] = field(default_factory=list)
    options: dict = field(default_factory=dict)
    place: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)


@dataclass
class Column:
    """Nodes below each other.

    Attributes:
        down: by how much it begins lower than the row, so that a wire that passes behind a node does not seem to come
            out of its socket at the same height.
    """

    width: int
    nodes: list[GraphNode]
    down: int = 0

    def least(self):
        """Height without what stretches."""
        heights = [node.height or 0 for node in self.nodes]
        return sum(heights) + (len(heights) - 1) * (TITLE_BAR + BETWEEN_NODES)


@dataclass
class Band:
    """Columns side by side, in a group with a title; without one there is no group."""

    title: str | None
    colour: str | None
    columns: list[Column]
    between: int = BETWEEN_COLUMNS
    box: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def width(self):
        """With what is around the columns."""
        inner = sum(column.width for column in self.columns) + self.between * (len(self.columns) - 1)
        return inner + (2 * PADDING if self.title else 0)


def staggered(columns, step):
    """The columns, each beginning a little lower than the one before."""
    for number, column in enumerate(columns):
        column.down = number * step
    return columns


@dataclass
class Route:
    """Links that go back to the left in the other row, led between the rows: from an output to inputs."""

    source: tuple[str, int]
    targets: list[tuple[str, str]]


@dataclass
class Template:
    """A workflow template.

    Attributes:
        name: of its file, as the template browser shows it.
        api: of the API form in tests/workflows.
        upper: people and board.
        lower: models, sampling, video.
        upper_height, lower_height: of the bodies of the nodes in the rows.
        routes: links that are led between the rows.
    """

    name: str
    api: str
    upper: list[Band]
    lower: list[Band]
    upper_height: int
    lower_height: int
    routes: list[Route] = field(default_factory=list)

    @property
    def bands(self):
        """All groups, row by row."""
        return [*self.upper, *self.lower]

    @property
    def nodes(self):
        """All nodes in the order in which they are read."""
        return [node for band in self.bands for column in band.columns for node in column.nodes]

    def node(self, key):
        """The node of a key."""
        return next(node for node in self.nodes if node.key == key)


def lay_out(template):
    """Give each node and each group of a template its place; returns the template."""
    _widen(template)
    bottom = _lay_row(template.upper, 0, template.upper_height)
    _lay_row(template.lower, bottom + BETWEEN_ROWS, template.lower_height)
    return template


def _widen(template):
    """Let the board, or the video, take what its row is narrower than the other one."""
    upper, lower = (sum(band.width + BETWEEN_GROUPS for band in row) for row in (template.upper, template.lower))
    template.upper[-1].columns[-1].width += max(0, lower - upper)
    template.lower[-1].columns[-1].width += max(0, upper - lower)


def _lay_row(bands, top, height):
    left, first = 0, top + GROUP_TITLE + TITLE_BAR
    for band in bands:
        band.box = (left, top, band.width, GROUP_TITLE + TITLE_BAR + height + PADDING)
        x = left + (PADDING if band.title else 0)
        for column in band.columns:
            # What has no group around it is as high as those that have.
            extra = 0 if band.title else GROUP_TITLE + PADDING
            _lay_column(column, x, first - (GROUP_TITLE if extra else 0) + column.down, height + extra - column.down)
            x += column.width + band.between
        left += band.width + BETWEEN_GROUPS
    return first + height + PADDING


def _lay_column(column, x, y, height):
    stretching = [node for node in column.nodes if node.height is None]
    free = height - column.least()
    for node in column.nodes:
        taken = node.height if node.height is not None else free // len(stretching)
        node.place, node.size = (x, y), node.options.get("collapsed", (column.width, taken))
        y += taken + TITLE_BAR + BETWEEN_NODES


def bounds_of(template):
    """Width and height of a template that is laid out."""
    right = max(x + width for x, _, width, _ in (band.box for band in template.bands))
    bottom = max(y + height for _, y, _, height in (band.box for band in template.bands))
    return right, bottom


def view_of(template):
    """Scale and offset that show the whole template in a usual window, from the page's upper left corner on."""
    width, height = bounds_of(template)
    fits = min((WINDOW_WIDTH - LEFT_EDGE) / (width * VUE_SPREAD), (WINDOW_HEIGHT - TOP_EDGE) / height)
    scale = round(max(SMALLEST_SCALE, min(LARGEST_SCALE, fits)), 3)
    return {"scale": scale, "offset": [round(LEFT_EDGE / scale), round(TOP_EDGE / scale)]}
