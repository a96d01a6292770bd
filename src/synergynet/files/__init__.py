"""Bytes of strangers in, arrays out; files written whole or not at all."""
