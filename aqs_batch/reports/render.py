"""The report: a folder of pages that opens offline, straight from the disk."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from aqs_batch import __version__, wording
from aqs_batch.atomic import atomic_file, remove_abandoned, replace_text, sync
from aqs_batch.records import Artifact, Outcome, QualityLevel, RunRecord
from aqs_batch.reports import svg
from aqs_batch.reports.charts import severity_bars
from aqs_batch.reports.explanations import label
from aqs_batch.reports.frame_map import QUALITY_STEPS
from aqs_batch.reports.index_page import index_page
from aqs_batch.reports.names import is_page_name, visible, visible_name
from aqs_batch.reports.origin import is_of, marked, origin
from aqs_batch.reports.own import PAGE, is_ours
from aqs_batch.reports.summary import Row, row_of
from aqs_batch.reports.video_page import video_page

_TEMPLATES = Path(__file__).parent / "templates"
_PAGES = "videos"


def render(output_dir: Path, outcomes: Iterable[Outcome], run: RunRecord) -> Path:
    """Write index.html and a page per video, and return the path of the index.

    One pass over `outcomes`, one video in memory at a time. Pages of files that are no longer in
    the report are removed, pages of the same origin are not made again. Raises OSError.
    """
    video_template = _environment().get_template("video.html.j2")
    pages = output_dir / _PAGES
    rows, written = [], []
    for outcome in outcomes:
        row = row_of(outcome)
        of = origin(outcome, run.settings)
        if not is_of(pages / row.page, of):
            html = video_template.render(page=video_page(outcome, run.settings))
            # Not synced each by itself: the disk had been waited for 10,000 times.
            with atomic_file(pages / row.page, synced=False) as page:
                page.write(marked(html, of))
            written.append(pages / row.page)
        rows.append(row)
    sync(written)  # before the index leads to them
    index = render_index(output_dir, rows, run)
    _remove_stale(pages, {row.page for row in rows})  # last: the old index may still be open
    remove_abandoned(output_dir, now_s=time.time())
    return index


def render_index(output_dir: Path, rows: Sequence[Row], run: RunRecord) -> Path:
    """Write index.html alone, from the lines of all files, and return its path."""
    index = output_dir / "index.html"
    template = _environment().get_template("index.html.j2")
    replace_text(index, template.render(page=index_page(rows, run)))
    return index


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible_text,
    )
    script = (_TEMPLATES / "index.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    environment.globals.update(
        version=__version__,
        style=Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_digest=digest,  # the page's policy allows this script and no other
        levels=list(QualityLevel),
        artifacts=list(Artifact),
        severity_steps=svg.SEVERITY_STEPS,
        quality_steps=QUALITY_STEPS,
    )
    environment.filters.update(
        aqs=wording.aqs_words,
        bars=severity_bars,
        video_time=wording.video_time,
        decimal=wording.decimal,
        level_class=svg.LEVEL_CLASSES.__getitem__,
        moment=wording.moment,
        name=visible_name,
        percent=wording.percent,
        size=wording.size,
        label=label,
        kbps=wording.kbps,
        counted=wording.count,
        cut=wording.cut,
        none_recommended=wording.none_recommended,
    )
    return environment


def _visible_text(value: object) -> object:
    """Spell out what UTF-8 cannot hold; Markup (a subclass of str) is ours and stays."""
    return visible(value) if type(value) is str else value


def _remove_stale(pages: Path, current: set[str]) -> None:
    """Remove pages this module wrote for files no longer in the report, and nothing else."""
    if not pages.is_dir():
        return
    remove_abandoned(pages, now_s=time.time())
    for page in pages.iterdir():
        is_stale = is_page_name(page.name) and page.name not in current
        if is_stale and is_ours(page, PAGE):  # "trip-1234567890123456.html" may be somebody's own
            page.unlink(missing_ok=True)
