"""From tiles of pixels to scores."""

import sys

# OpenVINO tells a web service of every import and every conversion through this package, and leaves
# a number for that in the user's home. Where the package is missing it goes on without.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
