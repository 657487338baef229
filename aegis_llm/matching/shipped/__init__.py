"""Weights, thresholds and calibration scores, written by benchmarks/matching/train.py."""
