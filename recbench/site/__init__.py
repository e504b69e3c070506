"""Records to a static site: pages with tables to sort and filter, plots, and comparisons made in the browser."""

from recbench.site.build import build, check

__all__ = ["build", "check"]
