"""Layers of other libraries, each in a process of its own with an environment of its own (see `benchmarks.external`).

Nothing here imports throughtime or the other benchmarks: these environments have neither.
"""
