"""Measures a running platform (`run`) and judges what was measured (`check`): two programs."""
