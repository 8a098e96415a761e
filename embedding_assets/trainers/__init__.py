"""Trainers: frozen dataclasses of settings whose `fit` turns counted pairs into vectors. JAX is loaded by `fit`."""
