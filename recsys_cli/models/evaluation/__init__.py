"""Offline metrics, the evaluation of a day's lists, and checks of a model before it is used."""
