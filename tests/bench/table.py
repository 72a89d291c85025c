"""Rows of numbers, as text for a terminal and as Markdown."""
import statistics


class Table:
    """A title, its first column's heading, and rows of the same number of cells."""

    def __init__(self, title, *headings):
        self.title = title
        self.headings = headings
        self.rows = []

    def add(self, *cells):
        self.rows.append(cells)

    def lines(self):
        """Markdown that reads well in a terminal too."""
        rows = [self.headings, *self.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(len(self.headings))]
        ruler = ["-" * width for width in widths]
        return [f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths))} |"
                for row in (self.headings, ruler, *self.rows)]


def spread(values, unit, digits):
    """`2.1 s (1.9-2.4)`: the median, with the least and the most where there are several."""
    middle = f"{statistics.median(values):.{digits}f}"
    text = f"{middle} {unit}".strip()
    if len(values) > 1:
        text += f" ({min(values):.{digits}f}-{max(values):.{digits}f})"
    return text


def median(values):
    """The median alone."""
    return statistics.median(values)


def verdict(values, most):
    """Whether the median keeps the target."""
    return "ok" if statistics.median(values) <= most else "miss"
