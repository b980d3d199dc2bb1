"""Scores of translations: metrics, their significance, and the evaluation of a trained system on a split."""

from nmt.evaluation.metrics import Metrics

__all__ = ["Metrics"]
