"""The offline page, Markdown and CSV, made from the records of runs."""

from harness.report.page import write

__all__ = ["write"]
