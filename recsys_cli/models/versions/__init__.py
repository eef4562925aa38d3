"""Stored model versions: their files, manifest, trained settings and which one is promoted."""
