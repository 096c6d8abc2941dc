"""Fill in the job template: `python -m training.cloud.template filter --image … --data gs://…`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

TEMPLATE = Path(__file__).with_name("vertex-job.yaml")


@dataclass(frozen=True)
class Training:
    """A module and its arguments; {data} and {work} are filled in where the job runs."""

    module: str
    arguments: tuple[str, ...]


TRAININGS: Mapping[str, Training] = {
    "model": Training(
        "training.train", ("--cache", "{work}", "--run", "{work}/run", "--hours", "6")
    ),
    "ladders": Training(
        "training.preprocess.ladders", ("--media", "{data}", "--cache", "{work}/preprocess")
    ),
    "filter": Training(
        "training.preprocess.train_filter",
        ("--cache", "{work}/preprocess", "--run", "{work}/run", "--steps", "20000"),
    ),
}


def fill(training: Training, values: Mapping[str, str]) -> str:
    """The job as YAML. Every value is written as a JSON string, so none can become structure."""
    safe = {key: json.dumps(value) for key, value in values.items()}
    safe["timeout_s"] = str(int(values["timeout_s"]))
    safe["module"] = json.dumps(training.module)
    safe["arguments"] = _lines(training.arguments)
    return Template(TEMPLATE.read_text()).substitute(safe)


def _lines(arguments: Sequence[str]) -> str:
    return "\n".join(f"        - {json.dumps(a)}" for a in arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("training", choices=sorted(TRAININGS))
    parser.add_argument("--image", required=True)
    parser.add_argument("--data", required=True, help="gs://bucket/folder of the media")
    parser.add_argument("--work", required=True, help="gs://bucket/folder of cache and results")
    parser.add_argument("--machine", default="g2-standard-8")
    parser.add_argument("--accelerator", default="NVIDIA_L4")
    parser.add_argument("--timeout-s", default="86400")
    args = vars(parser.parse_args())
    print(fill(TRAININGS[args.pop("training")], args), end="")


if __name__ == "__main__":
    main()
