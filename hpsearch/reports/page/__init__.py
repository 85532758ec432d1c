"""The report of a search: plain data in, one page of HTML or Markdown out.

`report` says what stands on the page, `to_html` and `to_markdown` how it looks.
"""

from hpsearch.reports.page.contents import Page
from hpsearch.reports.page.html import to_html
from hpsearch.reports.page.judgements import Confirmation, Look, Repeated
from hpsearch.reports.page.markdown import to_markdown
from hpsearch.reports.page.material import Material, StageTrials
from hpsearch.reports.page.report import report

__all__ = ["Confirmation", "Look", "Material", "Page", "Repeated", "StageTrials", "report", "to_html", "to_markdown"]
