"""Settings: where a value comes from, and what a wrong one says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from aqs_batch.config import PROFILES, flatten, load
from aqs_batch.errors import SettingsError
from aqs_batch.settings import ENCODE_KEY, Settings

ROOT = Path(__file__).resolve().parent.parent
TOML = ROOT / "aqs.toml"


def test_aqs_toml_holds_every_setting_with_its_default() -> None:
    in_file = dict(flatten(tomllib.loads(TOML.read_text())))
    defaults = dict(flatten(Settings().model_dump(mode="json")))
    assert in_file == defaults | {"encode.preset": ""}  # the encoder's own
    assert load(TOML, {}, {}).settings == Settings()


def test_every_setting_in_aqs_toml_is_explained() -> None:
    lines = TOML.read_text().splitlines()
    section, explained = "", ""
    for number, line in enumerate(lines):
        if line.startswith("["):
            section = line.strip("[]")
            # A table of like values may be explained once, at its first key.
            explained = ""
        elif "=" in line and not line.startswith("#"):
            above = lines[number - 1]
            if above.startswith("#"):
                explained = section
            assert above.startswith("#") or (section.count(".") and explained == section), line


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    file = tmp_path / "aqs.toml"
    file.write_text("[analysis]\ntiles = 2\nalpha = 0.5\ninterval_s = 3.0\n")
    loaded = load(
        file, {"AQS_ANALYSIS_TILES": "3", "AQS_ANALYSIS_ALPHA": "0.7"}, {"analysis.tiles": 5}
    )
    assert loaded.settings.analysis.tiles == 5
    assert loaded.settings.analysis.alpha == 0.7
    assert loaded.settings.analysis.interval_s == 3.0
    assert loaded.origins["analysis.tiles"] == "--tiles"
    assert loaded.origins["analysis.alpha"] == "environment"
    assert loaded.origins["analysis.interval_s"] == str(file)
    assert loaded.origins["analysis.max_height"] == "default"


def test_the_file_in_the_current_folder_counts_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aqs.toml").write_text("[analysis]\ntiles = 2\n", encoding="utf-8-sig")  # Notepad
    (tmp_path / "other.toml").write_text("[analysis]\nalpha = 0.5\n")
    here, other = load(None, {}, {}), load(Path("other.toml"), {}, {})
    assert (here.settings.analysis.tiles, here.origins["analysis.tiles"]) == (2, "aqs.toml")
    assert (other.settings.analysis.tiles, other.settings.analysis.alpha) == (4, 0.5)


def test_lists_in_variables_may_have_blanks_and_a_comma_too_many() -> None:
    assert load(None, {"AQS_ENCODE_CRF": "20, 30,"}, {}).settings.encode.crf == (20.0, 30.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[analysis]\ntile = 2\n", "unknown setting analysis.tile"),
        ("[analysis]\nalpha = 2.0\n", "analysis.alpha"),
        ("[analysis\n", ""),
        ("[encode]\ncrf = [20, nan]\n", "encode.crf, number 2: must be a finite number"),
        ("[encode]\ncrf = 22\n", "encode.crf: must be a list"),
        ("[encode]\ncrf = []\n", "encode.crf: must not be empty"),
        ("[encode]\npreset = 'fasst'\n", "encode: x265 has no preset fasst"),
        ("[output]\nexport = ['pdf']\n", "output.export, number 1: must be 'json', 'csv' or"),
        (
            "[[watch.folders]]\ndir = '/x'\nfailunder = 1\n",
            "watch.folders, number 1: unknown setting failunder",
        ),
        ("[[watch.folders]]\nencode = 'on'\n", "watch.folders, number 1, dir: is missing"),
        ("[analysis]\ntiles = 2.5\n", "analysis.tiles: must be a whole number"),
        # No file has such an ending: an archive had been "0 files to look at", and all was well.
        ("[run]\nextensions = []\n", "run.extensions: must not be empty"),
        ("[run]\nextensions = ['mp4', '*.mkv']\n", "run.extensions, number 2: '*.mkv' is not"),
        ("[run]\nextensions = ['mp4 ']\n", "run.extensions, number 1: 'mp4 ' is not understood"),
        ("[run]\nextensions = ['.']\n", "run.extensions, number 1: '.' is not understood"),
    ],
)
def test_a_wrong_file_says_what_and_where(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "aqs.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file, {}, {})
    assert str(caught.value).startswith(f"{file}: {says}")


def test_an_unknown_name_is_an_error_that_says_which_is_like_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="AQS_TILES"):
        load(None, {"AQS_TILES": "3"}, {})
    file = tmp_path / "aqs.toml"
    file.write_text("[[watch.folders]]\ndir = '/x'\nfailunder = 1\n")
    for where, variables, like in (
        (None, {"AQS_ENCODE_CRFS": "3"}, "Is AQS_ENCODE_CRF meant?"),
        (file, {}, "Is fail_under meant?"),
    ):
        with pytest.raises(SettingsError) as caught:
            load(where, variables, {})
        assert caught.value.hint.startswith(like)


def test_a_wrong_part_of_a_list_in_a_variable_is_found() -> None:
    with pytest.raises(SettingsError, match=r"environment: encode\.crf, number 2: must"):
        load(None, {"AQS_ENCODE_CRF": "20,x"}, {})


def test_the_settings_key_changes_with_what_changes_a_score_and_only_then() -> None:
    key = Settings().key("weights")
    changed = load(None, {}, {"analysis.tiles": 5}).settings
    heavier = load(None, {}, {"analysis.penalties.blocking": 2.0}).settings
    other_threshold = load(None, {}, {"analysis.threshold": 0.3, "output.dir": "x"}).settings
    assert key != changed.key("weights")
    assert key != heavier.key("weights")
    assert key != Settings().key("other weights")
    assert key == other_threshold.key("weights")


def test_the_key_of_a_re_encode_changes_with_what_it_makes_and_only_then() -> None:
    """A key that stays keeps old rungs for a new request; one that changes encodes all anew."""

    def key(score: str = "score", version: str = "n9", **encode: object) -> str:
        flags = {f"encode.{name}": value for name, value in encode.items()}
        return load(None, {}, flags).settings.encode.key(score, version)

    asked: list[dict[str, object]] = [
        {}, {"preset": "slow"}, {"codec": "x264"}, {"crf": (22.5, 26, 30, 34)}, {"params": "a=1"},
        {"samples": 3}, {"full": True}, {"target_vmaf": 95}, {"keep": "all"}, {"preprocess": "1"},
        {"aqs": False},
    ]  # fmt: skip
    keys = [key(**encode) for encode in asked]
    assert len({*keys, key(version="n10"), key("other score")}) == len(asked) + 2
    assert key(aqs=False) == key("other score", aqs=False)  # nothing is scored
    assert key(enabled=True, parallel=2, crf=(22, 26, 30, 34)) == keys[0]
    assert all(one.startswith(ENCODE_KEY) for one in keys)


def test_a_profile_sets_what_it_says_and_has_a_key_of_its_own() -> None:
    keys = {n: load(None, {}, PROFILES[n]).settings.key("weights") for n in PROFILES}
    assert len(set(keys.values())) == len(PROFILES)
    assert keys["standard"] == Settings().key("weights")
    mixed = load(None, {}, {**PROFILES["quick"], "analysis.tiles": 9}).settings.analysis
    assert (mixed.tiles, mixed.interval_s) == (9, 5.0)


_AV1 = {"encode.codec": "svtav1", "encode.preset": "8"}


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"encode.preset": "nonsense"}, "x265 has no preset nonsense"),
        (_AV1 | {"encode.preset": "slow"}, "svtav1 has no preset slow; it has 0 to 13"),
        ({"encode.crf": ["60"]}, "crf of x265 goes from 0 to 51"),
        (_AV1 | {"encode.crf": ["0"]}, "crf of svtav1 goes from 1 to 63, in whole numbers"),
        (_AV1 | {"encode.crf": ["30", "30.5"]}, "in whole numbers"),
        ({"encode.params": "aq-mode=3:crf=10"}, "params must not set crf"),
        ({"encode.params": "preset=2:min_qp=9"}, "params must not set min-qp, preset"),
        ({"encode.params": "--CRF=10:qp_min=3"}, "params must not set crf, qp-min"),
        ({"analysis.interval_s": float("inf")}, "--interval-s: must be a finite number"),
        ({"encode.preprocess": "7"}, "'7' is not understood; it is off, auto, or a strength"),
        ({"watch.until": "25:99"}, "'25:99' is not understood; it is a time from 00:00 to 23:59"),
        ({"model.device": "tpu"}, "'tpu' is not understood; it is auto, cpu, cuda"),
        ({"analysis.threshold": 1.5}, 'must be a probability, 0-1, or "model"'),
        ({"analysis.threshold": float("nan")}, "must be a probability"),
        ({"analysis.tiles": True}, "--tiles: true is for settings that are on or off"),
        ({"encode.crf": True}, "--crf: true is for settings that are on or off"),
        ({"output.dir": "a\0b"}, "--output-dir: must not hold a NUL character"),
        ({"watch.folders": ["a\0b"]}, "--watch-dir, number 1, dir: must not hold a NUL character"),
    ],
)
def test_what_an_encoder_or_a_clock_cannot_do_is_told_at_once(
    flags: dict[str, object], says: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {}, flags)
    assert says in str(caught.value)
    for fine, crf in ((_AV1, (1.0, 63.0)), ({}, (0.0, 22.5, 51.0))):
        assert load(None, {}, fine | {"encode.crf": crf}).settings.encode.crf == crf


def test_an_encoder_alone_has_a_preset_of_its_own() -> None:
    """`--codec svtav1` had been refused: it has no medium, which nobody had asked for."""
    assert load(None, {}, {"encode.codec": "svtav1"}).settings.encode.preset == "8"
    assert load(None, {}, {"encode.codec": "x264"}).settings.encode.preset == "medium"
    assert load(None, {}, _AV1 | {"encode.preset": "4"}).settings.encode.preset == "4"


def test_an_error_names_what_was_typed_or_where_it_was_written(tmp_path: Path) -> None:
    """`flag: encode.keep` had been said of --keep, `flag: encode` of two that do not fit."""
    file = tmp_path / "aqs.toml"
    file.write_text("[encode]\npreset = 'slow'\n")
    for flags, says in (
        ({"encode.keep": "some"}, "--keep: must be 'none', 'best' or 'all'"),
        ({"encode.codec": "svtav1"}, f"{file}: encode: svtav1 has no preset slow; it has 0 to 13"),
        (_AV1 | {"encode.preset": "slow"}, "svtav1 has no preset slow; it has 0 to 13"),
    ):
        with pytest.raises(SettingsError) as caught:
            load(file, {}, flags)
        assert str(caught.value) == says


def test_a_number_needs_no_quotes_where_a_word_may_stand_too(tmp_path: Path) -> None:
    """`preset = 8` and `preprocess = 1` "must be text", while `--preset 8` was taken."""
    file = tmp_path / "aqs.toml"
    file.write_text("[encode]\ncodec = 'svtav1'\npreset = 8\ncrf = [30]\npreprocess = 0.5\n")
    encode = load(file, {}, {}).settings.encode
    assert (encode.preset, encode.preprocess, encode.strength) == ("8", "0.5", 0.5)
    file.write_text("[encode]\npreprocess = 3\n")
    with pytest.raises(SettingsError, match="a strength from 0 to 2"):
        load(file, {}, {})


def test_a_home_folder_is_meant_by_its_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of the name ~ was made; shells put in the home of neither --output_dir=~/reports
    nor of a setting.
    """
    monkeypatch.setenv("HOME", str(tmp_path))
    flags = {"output.dir": "~/reports", "watch.folders": [{"dir": "~/in", "move_done": "~/done"}]}
    found = load(None, {"AQS_MODEL_CACHE_DIR": "~/cache"}, flags).settings
    assert (found.output.dir, found.model.cache_dir) == (f"{tmp_path}/reports", f"{tmp_path}/cache")
    (folder,) = found.watch.folders
    assert (folder.dir, folder.move_done) == (f"{tmp_path}/in", f"{tmp_path}/done")


def test_settings_that_are_there_but_cannot_be_read_are_never_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to settings whose disk was not mounted had meant the built-in ones, without a word."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "aqs.toml"
    file.symlink_to("nowhere.toml")
    with pytest.raises(SettingsError, match=r"aqs\.toml: cannot be read: No such file"):
        load(None, {}, {})
    file.unlink()
    file.write_bytes(b"[output]\ndir = '\xfcber'\n")
    with pytest.raises(SettingsError, match=r"aqs\.toml: line 2 is not UTF-8$"):
        load(None, {}, {})


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("run = 3", "run is a section, not a setting", "[run]"),
        ("[analysis]\npenalties = 3", "analysis.penalties is a section", "[analysis.penalties]"),
        ("[watch.folders]\ndir = '/in'", "watch.folders is no section", "[[watch.folders]]"),
        ("[run.extensions]\na = 1", "run.extensions is no section", "run.extensions ="),
    ],
)
def test_a_section_and_a_setting_are_told_apart(
    text: str, words: str, hint: str, tmp_path: Path
) -> None:
    """[watch.folders] in single brackets had been "Is watch.folders meant?"."""
    file = tmp_path / "aqs.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=re.escape(words)) as caught:
        load(file, {}, {})
    assert hint in caught.value.hint
