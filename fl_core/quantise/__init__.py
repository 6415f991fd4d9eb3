"""Floats to bounded integers and back: clip, weigh, round stochastically; decode a sum; choose the next clip.

Between clipping and decoding everything is an integer, so sums are exact in any order; decoding is a fixed sequence of
elementwise float64 operations, so everybody who decodes gets the same bits. The law and its error bounds are explained
and proved in ``docs/explanation/quantisation.md``.
"""

from fl_core.quantise.clipping import next_clip
from fl_core.quantise.law import MAX_CONTRIBUTIONS, Block, Law
from fl_core.quantise.quantiser import Dequantised, Quantised, Quantiser

__all__ = [
    "MAX_CONTRIBUTIONS",
    "Block",
    "Dequantised",
    "Law",
    "Quantised",
    "Quantiser",
    "next_clip",
]
