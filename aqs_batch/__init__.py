"""No-reference video quality (AQS) with ten named artifacts, for whole archives."""

__version__ = "0.1.0"
