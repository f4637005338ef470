"""Labelled text: reading, checking, tokenising, models, training, recipes."""
