"""Sequences out of files: whole, in time, at native size, whatever the file."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from aqs_batch import ffmpeg
from aqs_batch.errors import MediaError, RefusedMedia
from aqs_batch.ingest import decode, sampling
from aqs_batch.ingest.frames import Sequence
from aqs_batch.ingest.probe import probe
from aqs_batch.ingest.stamps import Stamps
from aqs_batch.records import Pixels, Video

X264 = ("-c:v", "libx264", "-crf", "18", "-preset", "ultrafast")


def read(path: Path, ffmpeg_path: str, interval_s: float = 1.0) -> tuple[Video, list[Sequence]]:
    video = probe(path)
    plan = sampling.plan(video, interval_s, 600)
    height, width = sampling.analysed_size(video, 1080)
    decoding = decode.Decoding(ffmpeg_path, height, width, 60)
    return video, list(decode.sequences(video, plan, decoding, Stamps()))


def both_ways(
    path: Path, ffmpeg_path: str, monkeypatch: pytest.MonkeyPatch, interval_s: float
) -> dict[bool, list[Sequence]]:
    """The sequences of a video in one pass (False) and by seeking (True)."""
    found = {}
    for seeks in (False, True):
        monkeypatch.setattr(decode, "seek_pays", lambda video, plan, seeks=seeks: seeks)
        found[seeks] = read(path, ffmpeg_path, interval_s)[1]
    return found


def rgb(sequence: Sequence) -> Pixels:
    """All seven frames of a sequence whole, uint8[7,H,W,3]."""
    frames = sequence.frames
    return frames.crop(0, 0, frames.height, frames.width)


def test_sequences_are_seven_consecutive_frames_with_their_real_times(
    make_clip, ffmpeg_path: str
) -> None:
    path = make_clip(seconds=4, rate=25)
    _, sequences = read(path, ffmpeg_path, interval_s=0.5)
    assert [int(s.t_s / 0.5 + 0.001) for s in sequences] == list(range(8))
    assert all(rgb(s).shape == (7, 240, 320, 3) for s in sequences)
    assert all(np.abs(np.diff(rgb(s).astype(int), axis=0)).mean() > 0 for s in sequences)


def test_the_picture_is_the_one_ffmpeg_shows(make_clip, ffmpeg_path: str) -> None:
    path = make_clip("red.mkv", source="color=c=red", seconds=1, options=("-c:v", "ffv1"))
    _, sequences = read(path, ffmpeg_path)
    colour = rgb(sequences[0])[3].reshape(-1, 3).mean(0)
    assert colour == pytest.approx([254, 0, 0], abs=4)


def test_a_cut_inside_a_window_starts_it_over(make_clip, ffmpeg_path: str) -> None:
    graph = "[0:v]trim=end=0.16,setpts=N/25/TB[a];[1:v]setpts=N/25/TB[b];[a][b]concat=n=2[v]"
    path = make_clip(
        "cut.mkv",
        source="color=c=black",
        inputs=("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=1"),
        options=("-filter_complex", graph, "-map", "[v]", "-r", "25", "-c:v", "ffv1"),
    )
    _, sequences = read(path, ffmpeg_path)
    assert sequences[0].t_s == pytest.approx(0.16, abs=0.01)
    assert sequences[0].scene == 1
    assert all(rgb(s)[0].std() > 20 for s in sequences)


def test_where_no_scene_has_seven_frames_the_longest_one_is_taken(
    make_clip, ffmpeg_path: str
) -> None:
    """The last one was, however short."""
    cuts = ("-vf", "negate=enable='between(n,3,8)'", *X264)
    video = probe(make_clip(seconds=0.44, options=cuts))  # scenes of three, six and two frames
    plan, stamps = sampling.plan(video, 1.0, 600), Stamps()
    decoding = decode.Decoding(ffmpeg_path, video.height, video.width, 60)
    (only,) = decode.sequences(video, plan, decoding, stamps)
    assert (only.t_s, only.scene, stamps.turned) == (pytest.approx(0.12), 1, 6)
    assert np.array_equal(rgb(only)[4], rgb(only)[6])


@pytest.mark.parametrize("seconds", [0.04, 0.12, 0.2])
def test_fewer_than_seven_frames_run_forth_and_back(
    make_clip, ffmpeg_path: str, seconds: float
) -> None:
    _, sequences = read(make_clip(seconds=seconds), ffmpeg_path)
    (only,) = sequences
    count = round(seconds * 25)
    assert rgb(only).shape[0] == 7
    if count == 3:  # 0 1 2 1 0 1 2
        assert np.array_equal(rgb(only)[1], rgb(only)[3])
        assert np.array_equal(rgb(only)[0], rgb(only)[4])
        assert not np.array_equal(rgb(only)[0], rgb(only)[1])


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("ten_bit.mkv", {"options": ("-c:v", "ffv1", "-pix_fmt", "yuv420p10le")}, (240, 320)),
        ("four22.mkv", {"options": ("-c:v", "ffv1", "-pix_fmt", "yuv422p")}, (240, 320)),
        ("four44.mp4", {"options": (*X264, "-pix_fmt", "yuv444p")}, (240, 320)),
        ("odd.mkv", {"source": "testsrc", "size": "321x243", "options": ("-c:v", "ffv1")},
         (243, 321)),
        ("small.mp4", {"size": "64x48"}, (48, 64)),
        ("tall.mp4", {"size": "240x426"}, (426, 240)),
        ("anamorphic.mp4", {"options": ("-vf", "setsar=16/11", *X264)}, (240, 320)),
        ("interlaced.mp4", {"options": ("-vf", "interlace", *X264, "-flags", "+ilme+ildct")},
         (240, 320)),
        ("uhd.mp4", {"size": "3840x2160", "seconds": 0.4}, (1080, 1920)),
    ],
)  # fmt: skip
def test_every_shape_of_video_is_read(
    make_clip, ffmpeg_path: str, name: str, arguments: dict, shape: tuple[int, int]
) -> None:
    _, sequences = read(make_clip(name, **arguments), ffmpeg_path)
    assert sequences
    assert all(rgb(s).shape[1:3] == shape for s in sequences)
    assert all(rgb(s).std() > 20 for s in sequences)


def test_variable_frame_rate_keeps_its_times(make_clip, ffmpeg_path: str) -> None:
    choose = "select='not(mod(n,5))+lt(n,30)'"
    path = make_clip("vfr.mkv", seconds=4, options=("-vf", choose, "-fps_mode", "vfr", *X264))
    video, sequences = read(path, ffmpeg_path, interval_s=0.5)
    assert video.variable_frame_rate
    times = np.array(video.frame_times_s)
    assert all(np.abs(times - s.t_s).min() < 0.002 for s in sequences)


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_that_says_nothing_but_its_transfer_is_tone_mapped(
    make_clip, ffmpeg_path: str, transfer: str
) -> None:
    params = f"log-level=error:transfer={transfer}"
    options = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le")
    path = make_clip("hdr.mkv", seconds=0.6, options=(*options, "-x265-params", params))
    video, sequences = read(path, ffmpeg_path, interval_s=1.0)
    assert video.hdr and not video.color_primaries
    assert sequences and rgb(sequences[0]).std() > 20


@pytest.mark.parametrize(
    ("pixels", "tags"),
    [
        ("yuv420p", "colorspace=ycgco"),
        ("yuv444p", "colorspace=bt2020c"),
        ("yuv420p10le", "colorspace=bt2020c:color_primaries=bt2020:color_trc=smpte2084"),
        ("yuv420p", "colorspace=chroma-derived-nc"),
        (
            "yuv422p10le",
            "colorspace=chroma-derived-c:color_primaries=bt2020:color_trc=arib-std-b67",
        ),
        ("yuv420p10le", "colorspace=ictcp:color_primaries=bt2020:color_trc=smpte2084"),
        ("gbrp10le", "colorspace=gbr:color_primaries=bt2020:color_trc=smpte2084"),
    ],
)
def test_colours_that_the_scaler_refuses_are_read(
    make_clip, ffmpeg_path: str, pixels: str, tags: str
) -> None:
    """They were said to be damaged or encrypted."""
    dim = f"eq=contrast=0.4:brightness=-0.2,format={pixels},setparams={tags}"
    path = make_clip("tagged.mkv", seconds=0.4, options=("-vf", dim, "-c:v", "ffv1"))
    _, sequences = read(path, ffmpeg_path)
    assert rgb(sequences[0]).std() > 20


def test_ictcp_has_the_colours_that_it_was_made_of(make_clip, ffmpeg_path: str) -> None:
    """It had been called damaged or encrypted."""
    seen = []
    for matrix in ("bt2020nc", "ictcp"):
        hdr = f"zscale=min=gbr:rin=full:t=smpte2084:p=bt2020:m={matrix}:r=limited:npl=200"
        made = ("-vf", f"format=gbrp,setparams=color_primaries=bt709:color_trc=bt709,{hdr}")
        options = (*made, "-pix_fmt", "yuv444p10le", "-c:v", "ffv1")
        path = make_clip(f"{matrix}.mkv", seconds=0.4, source="smptebars", options=options)
        _, sequences = read(path, ffmpeg_path)
        seen.append(rgb(sequences[0])[0].astype(float))
    assert np.abs(seen[0] - seen[1]).mean() < 4


def test_ycgco_has_its_own_colours(make_clip, ffmpeg_path: str) -> None:
    """Little green is magenta there; by other matrices these planes are green."""
    planes = "format=yuv420p,geq=lum=128:cb=64:cr=128,setparams=colorspace=ycgco"
    path = make_clip("own.mkv", seconds=0.4, options=("-vf", planes, "-c:v", "ffv1"))
    _, sequences = read(path, ffmpeg_path)
    red, green, blue = rgb(sequences[0])[3].reshape(-1, 3).mean(0)
    assert green < 80 < 180 < red == pytest.approx(blue, abs=3)


@pytest.mark.parametrize(
    ("file", "facts"),
    [
        ("fate_displaymatrix.mp4", {"width": 240, "height": 160, "rotation_deg": 270}),
        ("exo_portrait_4k60.mp4", {"width": 2160, "height": 3840}),
        ("tc_bt2020_10bit.mp4", {"hdr": "PQ", "bit_depth": 10}),
        ("fate_dv84.mp4", {"hdr": "HLG", "rotation_deg": 270}),
        ("fate_interlaced_crop.mp4", {"field_order": "tt", "interlaced": True}),
        ("exo_video_desks.3gp", {"variable_frame_rate": True}),
        ("fate_high-qp.mkv", {"width": 352}),
        ("mpy_no_duration.webm", {"duration_s": pytest.approx(4.93, abs=0.1)}),
        ("exo_sample.flv", {"frame_rate": pytest.approx(30, abs=0.05)}),
        ("oh264_Error_I_P.264", {"codec": "h264"}),
    ],
)
def test_odd_files_are_described_as_they_are(media: Path, file: str, facts: dict) -> None:
    video = probe(media / "odd" / file)
    found = dataclasses.asdict(video) | {
        "interlaced": video.interlaced,
        "frame_rate": video.frame_rate.value,
    }
    assert {key: found[key] for key in facts} == facts


@pytest.mark.parametrize(
    ("file", "least"),
    [
        ("fate_frame_size_change.webm", 9),
        ("fate_dvd_single_frame.mpg", 1),
        ("fate_mpeg2_field_encoding.ts", 3),
        ("fate_empty_edit_5s.mp4", 9),
        ("fate_brokensps.flv", 7),
        ("tc_bt2020_10bit.mp4", 8),
        ("mpy_bitmap.mp4", 1),
        ("fate_scte20.mp4", 8),
        ("oh264_BA_MW_D_IDR_LOST.264", 5),
        ("imageio-binaries_newtonscradle.gif", 4),
    ],
)
def test_odd_files_decode(media: Path, ffmpeg_path: str, file: str, least: int) -> None:
    _, sequences = read(media / "odd" / file, ffmpeg_path)
    assert len(sequences) >= least
    starts = [s.t_s for s in sequences]
    assert starts == sorted(starts)


def test_encrypted_video_says_so_instead_of_scoring_noise(media: Path, ffmpeg_path: str) -> None:
    with pytest.raises(RefusedMedia, match="encrypted"):
        read(media / "odd" / "fate_mov-3elist-encrypted.mp4", ffmpeg_path)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("closed.mp4", ("-c:v", "libx264", "-preset", "ultrafast", "-g", "12", "-bf", "2")),
        ("open.mkv", ("-c:v", "libx264", "-x264-params", "keyint=20:open-gop=1:bframes=3")),
        ("late.mkv", (*X264, "-g", "15", "-output_ts_offset", "7.3")),
        ("vfr.mkv", ("-vf", "select='not(mod(n,3))+lt(n,60)'", "-fps_mode", "vfr", *X264)),
        ("hevc.mp4", ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
                      "keyint=25:log-level=none")),
    ],
)  # fmt: skip
def test_seeking_and_one_pass_give_the_same_sequences(
    make_clip, ffmpeg_path: str, monkeypatch, name: str, options: tuple[str, ...]
) -> None:
    cuts = "negate=enable='mod(floor(t/0.9),2)'"  # so that some windows start over
    if "-vf" in options:
        options = tuple(f"{cuts},{o}" if o.startswith("select") else o for o in options)
    else:
        options = ("-vf", cuts, *options)
    path = make_clip(name, seconds=6, size="160x120", options=options)
    found = both_ways(path, ffmpeg_path, monkeypatch, interval_s=0.8)
    assert len(found[True]) >= 6
    assert len({s.scene for s in found[True]}) > 2
    for one, two in zip(found[False], found[True], strict=True):
        assert one.t_s == pytest.approx(two.t_s, abs=1e-3)
        assert one.scene == two.scene
        assert np.array_equal(rgb(one), rgb(two))


def test_sequences_that_adjoin_are_the_same_by_a_coarse_clock(
    make_clip, ffmpeg_path: str, monkeypatch
) -> None:
    """A seek to 1 ms before a keyframe is none by whole ticks of QuickTime's 1/600 s."""
    options = ("-video_track_timescale", "600", *X264, "-g", "25")
    path = make_clip("coarse.mov", seconds=2, size="160x120", options=options)
    found = both_ways(path, ffmpeg_path, monkeypatch, interval_s=0.1)
    begun = {seeks: [s.t_s for s in sequences] for seeks, sequences in found.items()}
    assert len(begun[True]) == 7
    assert begun[True] == pytest.approx(begun[False], abs=1e-5)


def test_a_short_clip_by_seeking_too(make_clip, ffmpeg_path: str, monkeypatch) -> None:
    monkeypatch.setattr(decode, "seek_pays", lambda video, plan: True)
    _, sequences = read(make_clip(seconds=0.12), ffmpeg_path)
    assert len(sequences) == 1


def test_a_decoder_ended_at_its_limit_is_waited_for(make_clip, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(ffmpeg, "TERM_GRACE_S", 0.2)  # which this one needs to its end
    slow = tmp_path / "ffmpeg"
    slow.write_text("#!/bin/sh\ntrap '' TERM\nexec >&-\nwhile :; do sleep 600; done\n")
    slow.chmod(0o755)
    decoding = decode.Decoding(str(slow), 240, 320, wall_limit_s=0.1)
    video = probe(make_clip())
    with pytest.raises(MediaError, match="no frame could be decoded"):
        list(decode.sequences(video, sampling.plan(video, 1.0, 600), decoding, Stamps()))


def test_the_command_reads_files_only_and_takes_no_name_for_an_option(make_clip) -> None:
    video = dataclasses.replace(probe(make_clip()), path=Path("/tmp/-i concat:x.mp4"))
    plan = sampling.SamplePlan(1.0, 4)
    argv = decode.argv(video, plan, decode.Decoding("ffmpeg", 240, 320, 60))
    at = argv.index("-i")
    assert argv[at + 1] == "file:/tmp/-i concat:x.mp4"
    assert argv[argv.index("-protocol_whitelist") + 1] == "file,pipe"
    allowed = argv[argv.index("-format_whitelist") + 1].split(",")
    assert not {"hls", "concat", "image2", "dash", "imf", "sdp"} & set(allowed)
    assert argv[argv.index("-fps_mode") + 1] == "passthrough"
    assert argv[-1] == "pipe:1"


def filters(video: Video, **decoding: int) -> list[str]:
    """The names of the filters between decoder and pipe, in their order."""
    size = {"height": video.height, "width": video.width} | decoding
    made = decode.Decoding("ffmpeg", wall_limit_s=60, **size)
    argv = decode.argv(video, sampling.SamplePlan(1.0, 4), made)
    graph = argv[argv.index("-filter_complex") + 1]
    return re.findall(r"\](\w+)=", graph)


def test_fields_are_parted_before_frames_are_chosen_and_hdr_is_mapped_after(make_clip) -> None:
    video = probe(make_clip())
    plain = ["scale", "select", "metadata", "scale", "format", "showinfo"]
    assert filters(dataclasses.replace(video, codec="vp9")) == plain
    parted = ["scale", "select", "bwdif", *plain[1:]]  # the first choice takes all, and tells
    assert filters(video) == parted  # any picture of H.264 may have fields
    assert filters(dataclasses.replace(video, width=1)) == plain  # too small for the filter
    video = dataclasses.replace(video, codec="vp9")
    for order in ("tt", "bb", "tb", "bt"):
        fields = dataclasses.replace(video, field_order=order)
        assert filters(fields) == parted
    tagged = {"color_primaries": "bt2020", "color_matrix": "bt2020nc"}
    hdr = dataclasses.replace(video, hdr="PQ", **tagged)
    mapped = ["zscale", "format", "zscale", "tonemap", "zscale"]
    assert filters(hdr) == [*plain[:3], *mapped, *plain[3:]]
    untagged = dataclasses.replace(video, hdr="PQ", color_primaries="", color_matrix="")
    assert filters(untagged) == [*plain[:3], "setparams", *mapped, *plain[3:]]


def test_a_stream_without_times_has_those_of_its_rate(make_clip, ffmpeg_path: str) -> None:
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "0")
    path = make_clip("raw.264", seconds=4, rate=50, options=options)
    video, sequences = read(path, ffmpeg_path)
    moments = sampling.Moments(video.frame_times_s, sampling.plan(video, 1.0, 600))
    expected = [video.frame_times_s[start] for start in moments.starts()]
    assert [s.t_s for s in sequences] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("ending", ["ts", "vob"])
def test_recordings_that_were_joined_are_looked_at_to_the_end(
    make_clip, ffmpeg_path: str, tmp_path: Path, ending: str
) -> None:
    codec = ("-c:v", "mpeg2video", "-g", "12", "-bf", "2", "-b:v", "1M")
    first = make_clip(f"a.{ending}", seconds=4, options=codec)
    second = make_clip(f"b.{ending}", source="smptebars", seconds=4, options=codec)
    joined = tmp_path / f"joined.{ending}"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    video, sequences = read(joined, ffmpeg_path, interval_s=1.0)
    assert video.duration_s == pytest.approx(8, abs=0.3)
    assert len(sequences) == 8
    assert max(s.t_s for s in sequences) - sequences[0].t_s > 6


def test_a_cut_in_the_first_window_shifts_no_later_time(
    make_clip, ffmpeg_path: str, monkeypatch
) -> None:
    options = ("-vf", "drawbox=t=fill:color=white:enable='lt(n,4)'", *X264, "-g", "12")
    path = make_clip("early.mp4", seconds=6, size="160x120", options=options)
    found = both_ways(path, ffmpeg_path, monkeypatch, interval_s=0.8)
    starts = {seeks: [s.t_s for s in sequences] for seeks, sequences in found.items()}
    assert starts[True] == pytest.approx(starts[False], abs=1e-3)
    assert starts[True][0] == pytest.approx(0.16, abs=1e-3)


def test_a_picture_that_shrinks_half_way_is_read_the_same_every_time(
    media: Path, ffmpeg_path: str
) -> None:
    """Every other run had crashed, and the others had scored what lay behind the small frames."""
    path = media / "odd" / "fate_av1-1-b8-03-sizedown.ivf"
    runs = [read(path, ffmpeg_path)[1] for _ in range(4)]
    for other in runs[1:]:
        assert [(s.t_s, s.scene) for s in other] == [(s.t_s, s.scene) for s in runs[0]]
        assert all(np.array_equal(rgb(a), rgb(b)) for a, b in zip(runs[0], other, strict=True))


def test_a_stream_that_refreshes_gradually_is_not_sought_in(make_clip) -> None:
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-x264-params")
    rolling = (*options, "intra-refresh=1:keyint=12")
    for name in ("rolling.mp4", "rolling.ts"):
        video = probe(make_clip(name, seconds=3, options=rolling))
        assert len(video.keyframe_times_s) == 1
    for name in ("open.mp4", "open.ts"):
        video = probe(make_clip(name, seconds=3, options=(*options, "open-gop=1:keyint=12")))
        assert len(video.keyframe_times_s) > 4


@pytest.mark.parametrize("name", ["dv.dv", "dv.avi"])
def test_dv_is_deinterlaced_though_its_header_says_nothing(make_clip, name: str) -> None:
    options = ("-vf", "interlace=scan=bff", "-c:v", "dvvideo", "-pix_fmt", "yuv420p")
    video = probe(make_clip(name, size="720x576", rate=50, options=(*options, "-r", "25")))
    assert video.interlaced and video.field_order == "bb"


def all_frames(path: Path, ffmpeg_path: str) -> set[bytes]:
    _, sequences = read(path, ffmpeg_path, interval_s=0.01)
    return {frame.tobytes() for s in sequences for frame in s.frames.data}


@pytest.mark.parametrize(
    ("name", "order"), [("mpeg2video", "tt"), ("libx264", "progressive")], ids=["mpeg2", "h264"]
)
def test_video_that_follows_film_is_deinterlaced(
    make_clip, ffmpeg_path: str, tmp_path: Path, name: str, order: str
) -> None:
    """The header goes by the first picture: all of such a file had been scored with its combs."""
    codec = ("-c:v", name, "-b:v", "2M")
    film = make_clip("film.ts", seconds=2, options=codec)
    fields = ("-vf", "interlace", *codec, "-flags", "+ilme+ildct")
    interlaced = make_clip("video.ts", seconds=2, rate=50, options=fields)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(film.read_bytes() + interlaced.read_bytes())
    video, sequences = read(joined, ffmpeg_path)
    assert video.field_order == order
    assert probe(film).field_order == "progressive"
    assert sequences[0].frames.data[0].tobytes() in all_frames(film, ffmpeg_path)
    parted = all_frames(interlaced, ffmpeg_path)
    assert all(frame.tobytes() in parted for frame in sequences[-1].frames.data)


def test_fields_count_though_the_header_says_there_are_none(
    make_clip, ffmpeg_path: str, tmp_path: Path
) -> None:
    coded = ("-vf", "interlace", *X264, "-flags", "+ilme+ildct")
    source, denied = make_clip("fields.mp4", rate=50, options=coded), tmp_path / "denied.mkv"
    copied = [ffmpeg_path, "-nostdin", "-i", str(source), "-c", "copy"]
    finished = ffmpeg.run([*copied, "-field_order", "progressive", str(denied)], timeout_s=60)
    assert finished.returncode == 0
    assert probe(source).field_order == probe(denied).field_order == "tt"


@pytest.mark.parametrize(("name", "rate"), [("raw.264", 60), ("raw.hevc", 50)])
def test_a_raw_stream_has_the_rate_that_it_says(make_clip, name: str, rate: int) -> None:
    codec = "libx265" if name.endswith("hevc") else "libx264"
    options = ("-c:v", codec, "-preset", "ultrafast", "-bf", "0")
    video = probe(make_clip(name, seconds=2, rate=rate, options=options))
    assert video.frame_rate.value == rate
    assert video.duration_s == pytest.approx(2, abs=0.05)
