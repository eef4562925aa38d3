"""Kernels: numeric functions that numba compiles, for the work that is done for each user and item."""
