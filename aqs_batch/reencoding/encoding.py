"""One video from file to measured rungs: plan, encode, measure, score, choose, keep."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aqs_batch.atomic import remove_abandoned
from aqs_batch.encode import admission, choose, covers, output, plan, service, siting, vmaf
from aqs_batch.encode.child import Tool
from aqs_batch.encode.codec import Recipe, crf_range
from aqs_batch.encode.inventory import Inventory
from aqs_batch.encode.ladder import LadderMaker, LadderProgress, Made, Tools, Wanted
from aqs_batch.encode.output import Container, Draft
from aqs_batch.encode.scratch import scratch
from aqs_batch.encode.search import Goal, broken, goals, met, search, together, within
from aqs_batch.errors import Misaligned, TargetError
from aqs_batch.ffmpeg import Ffmpeg
from aqs_batch.ingest.files import ENCODES
from aqs_batch.ingest.fingerprint import fingerprint as fingerprint_of
from aqs_batch.ingest.probe import probe
from aqs_batch.records import MIXED, Rung, WorstFrame
from aqs_batch.reencoding import preprocessing
from aqs_batch.reencoding.seekable import seekable
from aqs_batch.reports.thumbnail import jpeg
from aqs_batch.settings import Encode, Settings
from aqs_batch.store import StoredRung

LOGS = "vmaf"
PICTURE_PX = 644  # two crops of 320 with a seam between them
_MOST_PARALLEL = 8
_UHD_PIXELS = 2560 * 1440

Known = Callable[[str], Rung | None]
Best = tuple[int, str] | None  # position of the rung to take, and why
ScoreFiles = Callable[[Sequence[Path]], float]  # the AQS of an encode's files, one a window


@dataclass(frozen=True)
class Order:
    """What is to be made of one file, and what that takes."""

    path: Path
    fingerprint: str
    settings: Settings
    ffmpeg: Ffmpeg
    known: Known
    score: ScoreFiles | None  # None: no AQS is asked for
    aqs_key: str = ""  # the settings key of that score
    progress: LadderProgress = lambda done, planned, what: None
    has_fields: bool = False  # in part: its header says progressive
    spare: Callable[[Sequence[StoredRung]], None] = lambda rungs: None  # of one that fails

    @property
    def tool(self) -> Tool:
        return Tool(self.ffmpeg.path, self.settings.limits.stall_s)


@dataclass(frozen=True)
class Result:
    """The rungs of one order, and the best one's kept file with what it lost, if one is kept."""

    rungs: tuple[StoredRung, ...]
    best: Path | None
    losses: tuple[str, ...]


def encode(order: Order) -> Result:
    """Make and measure the ladder of one file as [encode] says.

    Raises AqsError when the file cannot be encoded, an encode is not what its source is, or the
    target is out of reach; of the last two, which would come again, finished rungs are spared.
    """
    asked, limits = order.settings.encode, order.settings.limits
    video = siting.told(order.ffmpeg.path, probe(order.path, limits))
    if order.has_fields:
        video = replace(video, field_order=MIXED)
    held = service.take(order.ffmpeg.path, order.path, video.stream_index)
    warnings = admission.admit(video, held, asked)
    recipe = Recipe(asked.codec, asked.preset, asked.params)
    container = output.container_of(order.ffmpeg.path, video, held, recipe.codec)
    output_dir = Path(order.settings.output.dir)
    remove_abandoned(output_dir / LOGS, now_s=time.time())
    places = [output_dir, output_dir / ENCODES]
    # What is kept is made where it stays: that may be a link to another disk.
    is_there = asked.keeps != "none" and os.path.lexists(places[1])
    with scratch(places.pop(is_there), places) as folder:
        seen = seekable(order.tool, video, folder, limits, order.progress)
        is_whole = asked.full or asked.keeps == "all"
        chosen = plan.whole(seen) if is_whole else plan.samples(seen, asked.samples, asked.sample_s)
        wanted = Wanted(
            seen, order.fingerprint, chosen, recipe,
            {} if video.hdr else vmaf.models(video.width, video.height, with_v1=asked.vmaf_v1),
            original=None if seen is video else video,
        )  # fmt: skip
        if asked.keeps != "none":
            own = covers.take_out(order.tool, order.path, container.covers, folder)
            container = replace(container, along=replace(container.along, covers=own))
            wanted = _complete(wanted, container) if chosen.full else wanted
        work = _Work(order, wanted, container, held, folder, warnings)
        try:
            return work.kept(work.rungs())
        except (TargetError, Misaligned):
            order.spare(work.finished())
            raise


class _Work:
    """One order while its scratch folder is there."""

    def __init__(
        self,
        order: Order,
        wanted: Wanted,
        container: Container,
        held: Inventory,
        scratch: Path,
        warnings: Sequence[str],
    ) -> None:
        self._order, self._wanted, self._container, self._held = order, wanted, container, held
        self._asked: Encode = order.settings.encode
        self._scratch, self._verdict, self._warnings = scratch, "", tuple(warnings)
        self._ladders: list[LadderMaker] = []
        self._output_dir = Path(order.settings.output.dir)

    def rungs(self) -> list[Made]:
        """Every rung that was asked for or looked at, scored, the best one marked."""
        if preprocessing.applies(self._wanted.video, self._asked):
            made, best, self._verdict = self._with_filter()
        elif self._asked.searches:
            made, best = self._searched(self._ladder(self._wanted))
        else:
            made, best = self._climbed(self._ladder(self._wanted))
        made = [self._told(m) for m in made]
        if best is not None:
            number, why = best
            made[number] = _with(self._pictured(made[number]), recommended=self._why(why))
        return made

    def finished(self) -> list[StoredRung]:
        """What an order that fails has made, so that asking again encodes none of it again."""
        made = [self._told(m) for ladder in self._ladders for m in ladder.made]
        return [StoredRung(m.rung, m.key) for m in made]

    def _told(self, made: Made) -> Made:
        return _with(self._scored(made), recommended="", warnings=self._warnings)

    def _why(self, words: str) -> str:
        """Why a rung is taken, with what is to be said of the filter."""
        return "; ".join(part for part in (words, self._verdict) if part)

    def _climbed(self, ladder: LadderMaker) -> tuple[list[Made], Best]:
        made = ladder.climb(sorted(set(self._asked.crf)))
        return made, choose.recommend([m.rung for m in made], self._asked.good_vmaf)

    def _with_filter(self) -> tuple[list[Made], Best, str]:
        """Rungs with and without the preprocess filter, the recommended kind first, and why."""
        asked = self._asked
        filtered = replace(self._wanted, preprocess=preprocessing.label(asked.strength))
        ladders = [self._ladder(wanted) for wanted in (self._wanted, filtered)]
        climbed = [self._climbed(ladder) for ladder in ladders]
        verdict = preprocessing.judge(*([m.rung for m in made] for made, _ in climbed))
        use = verdict.worth_it or asked.preprocess != "auto"
        made, best = self._searched(ladders[use]) if asked.searches else climbed[use]
        seen = {m.key for m in made}
        others = [m for ladder, _ in climbed for m in ladder if m.key not in seen]
        return [*made, *others], best, verdict.words

    def kept(self, made: list[Made]) -> Result:
        """Finish the files that are to be kept; the others go with the scratch folder."""
        losses: tuple[str, ...] = ()
        best: Path | None = None
        stored = []
        number = next((n for n, m in enumerate(made) if m.rung.recommended), None)
        if self._asked.keeps == "best" and number is not None:
            made = self._whole(made, number)
        for m in made:
            path = self._final(m.rung, m.key) if self._is_to_be_kept(m.rung) else None
            if path is not None:
                m = self._finished(m, path) if m.files else m
                if m.rung.recommended:
                    best = path
                    losses = tuple(output.losses(m.rung.checks, self._container.left_out))
            stored.append(StoredRung(m.rung, m.key, fingerprint_of(path) if path else ""))
        return Result(tuple(stored), best, losses)

    def _is_to_be_kept(self, rung: Rung) -> bool:
        is_best = bool(rung.recommended) and rung.is_full
        return self._asked.keeps == "all" or (self._asked.keeps == "best" and is_best)

    def _finished(self, made: Made, path: Path) -> Made:
        """The rung with its file at `path`, proved to be whole."""
        rung, wanted = made.rung, self._wanted

        def on_frame(frame: int) -> None:
            self._order.progress(frame, rung.frames, f"checking CRF {rung.crf:g}")

        draft = Draft(made.files[0], wanted.place, rung.frames, wanted.source, self._held)
        checks = output.finish(self._order.tool, draft, path, on_frame)
        told = (*rung.warnings, *(f"{words} was left out" for words in self._container.left_out))
        return _with(made, output=str(path), checks=tuple(checks), warnings=told)

    def _ladder(self, wanted: Wanted) -> LadderMaker:
        order, scratch, encoder = self._order, self._scratch, None
        if wanted.preprocess:
            scratch = scratch / "preprocess"  # its rungs have the CRFs of the plain ones
            scratch.mkdir(exist_ok=True)
            encoder = preprocessing.encoder(
                order.tool, wanted.source, wanted.recipe, self._asked.strength
            )
        cores = os.cpu_count() or 1
        big = wanted.video.coded_width * wanted.video.coded_height > _UHD_PIXELS
        parallel = self._asked.parallel or min(max(cores, 2 if big else 4), _MOST_PARALLEL)
        logs = self._output_dir / LOGS
        tools = Tools(order.tool, order.ffmpeg.version, cores, parallel, scratch, logs)
        ladder = LadderMaker(wanted, tools, self._known(wanted), order.progress, encoder)
        self._ladders.append(ladder)
        return ladder

    def _known(self, wanted: Wanted) -> Known:
        """Rungs made before; where files are to be kept, only if theirs is still there."""

        def known(key: str) -> Rung | None:
            rung = self._order.known(key)
            if rung is None or (self._asked.aqs and rung.aqs is None and self._order.score):
                return None
            final = self._final(rung, key)
            is_there = rung.output == str(final) and final.exists()
            return rung if wanted.along is None or is_there else None

        return known

    def _searched(self, ladder: LadderMaker) -> tuple[list[Made], Best]:
        """Look for the CRF that keeps every bound; the rungs on the way are results too."""
        seen: dict[float, Made] = {}

        def rung_at(crf: float) -> Rung:
            if crf not in seen:
                seen[crf] = ladder.climb([crf])[0]
            return seen[crf].rung

        low, high = crf_range(self._wanted.recipe.codec)
        found: list[tuple[Goal, float]] = []
        for goal, value in goals(self._asked):

            def value_at(crf: float, of: Callable[[Rung], float] = value) -> float:
                return of(rung_at(crf))

            found.append((goal, search(value_at, goal, low, high)))
        crf = together(found)
        crfs = sorted(seen)
        return [seen[c] for c in crfs], (crfs.index(crf), met(seen[crf].rung, self._asked))

    def _scored(self, made: Made) -> Made:
        if self._order.score is None or not made.files:
            return made
        return _with(made, aqs=self._order.score(made.files), aqs_key=self._order.aqs_key)

    def _pictured(self, made: Made) -> Made:
        """The rung with pictures of its worst frames beside the source's."""
        if made.log is None or not made.files:
            return made
        worst = []
        for position in made.log.worst():
            picture = choose.side_by_side(
                self._order.ffmpeg.path, self._wanted, made.files, made.log, position
            )
            worst.append(
                WorstFrame(
                    float(made.log.times_s[position]),
                    float(made.log.scores["vmaf"][position]),
                    b"" if picture is None else jpeg(picture, PICTURE_PX),
                )
            )
        return _with(made, worst=tuple(worst))

    def _whole(self, made: list[Made], number: int) -> list[Made]:
        """The ladder with the recommended rung as a whole file with all streams, if it is not."""
        if self._wanted.along:
            return made
        sampled = made[number]
        kind = sampled.rung.preprocess
        wanted = replace(self._wanted, plan=plan.whole(self._wanted.video), preprocess=kind)
        self._wanted = wanted = _complete(wanted, self._container)
        ladder, bounds = self._ladder(wanted), crf_range(wanted.recipe.codec)
        crf = sampled.rung.crf
        whole = self._scored(within(lambda at: ladder.climb([at])[0], self._asked, crf, *bounds))
        warnings = list(sampled.rung.warnings)
        # In the whole file's own figures: its samples were smaller, or looked better.
        if self._asked.searches:  # who asks for a quality gets it at any size
            why = self._why(met(whole.rung, self._asked))
        else:
            samples = [m.rung for m in made if m.rung.preprocess == kind]
            taken = choose.recommend([whole.rung], self._asked.good_vmaf, samples)
            why = self._why(taken[1]) if taken else ""
        if whole.rung.ratio >= 1:
            warnings.append("as a whole file it is no smaller than its source")
        warnings += broken(whole.rung, sampled.rung, self._asked)
        whole = _with(self._pictured(whole), recommended=why, warnings=tuple(warnings))
        made[number] = _with(sampled, recommended="")
        # Beside it those that missed what was asked, or nothing tells why it has another CRF.
        tries = [self._told(m) for m in ladder.made if m.key != whole.key]
        return [*made, *tries, whole]

    def _final(self, rung: Rung, key: str) -> Path:
        name = output.kept_name(self._order.path.stem, rung, key, self._container.suffix)
        return self._output_dir / ENCODES / self._order.fingerprint[:12] / name


def _complete(wanted: Wanted, container: Container) -> Wanted:
    """The same with every stream that the container takes, for files that are kept."""
    return replace(wanted, along=container.along, container=container.name)


def _with(made: Made, **changes: object) -> Made:
    return replace(made, rung=replace(made.rung, **changes))  # type: ignore[arg-type]
