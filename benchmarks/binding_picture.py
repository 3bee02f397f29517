"""The owner matrices of the binding bench as a picture."""

from __future__ import annotations

import io

from lumosx_core.packages import matplotlib

_STANDPOINTS = {2: ("left", "right"), 3: ("left", "middle", "right")}


def draw_owner_matrices(row: dict) -> bytes:
    """A PNG: for each number of people, whose face and whose things were found on whom."""
    package = matplotlib()
    results = row["results"]
    figure = package.figure.Figure(figsize=(6.4, 3.1 * len(results)), dpi=110, layout="constrained")
    grid = figure.subplots(len(results), 2, squeeze=False)
    for line, result in zip(grid, results):
        for axes, key, title in zip(line, ("face_owners", "worn_owners"), ("faces", "things worn")):
            _draw(axes, result[key], _STANDPOINTS[result["people"]], f"{result['people']} people: {title}")
    content = io.BytesIO()
    package.backends.backend_agg.FigureCanvasAgg(figure).print_png(content)
    return content.getvalue()


def _draw(axes, matrix: list[list[float]], names: tuple[str, ...], title: str) -> None:
    axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    for row, shares in enumerate(matrix):
        for column, share in enumerate(shares):
            axes.text(column, row, f"{share:.1%}", ha="center", va="center", color="white" if share > 0.5 else "black")
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("looks like the references of")
    axes.set_ylabel("person in the video")
    axes.set_title(title, fontsize=11)
