"""How strongly the last state depends on the one k steps before: the norm of ∂s_T/∂s_{T-k} = J_T J_{T-1} … J_{T-k+1}.

Small states: the product itself is carried along, and its singular values taken. Large ones: the largest singular value
by block power iteration with products through the chain, the mean one from random probes; no product is formed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from throughtime.flow.chain import Chain

EXACT_SIZE: Final = 256
"""Features of the state up to which products of Jacobians are formed, and eigenvalues taken of full matrices."""
PROBES: Final = 64
"""Random vectors behind a mean singular value that is not exact: its standard error is at most 9 % (where one direction
has all of it), and less the more directions share it (Hutchinson 1990)."""
BLOCK: Final = 8
"""Vectors that an iteration for the largest singular value adds in each round."""
SETTLED: Final = 1e-4
"""The iteration ends when its value changes by less than this share of it. The value is never above the true one."""


@dataclass(frozen=True)
class LagNorms:
    """Singular values of a Jacobian over time: an entry a lag, (rows,), with one number a sequence.

    largest: the norm. mean: root of the mean square of all of them, what a random direction is multiplied by.
    """

    largest: list[Tensor]
    mean: list[Tensor]


def chosen_lags(longest: int, *, dense: bool) -> list[int]:
    """From 0 to the longest: all up to 32 and then six for each doubling; if not dense, two for each doubling."""
    first, each = (32, 6) if dense else (2, 2)
    lags = {*range(min(longest, first) + 1), longest}
    step = float(first)
    while step < longest:
        lags.add(round(step))
        step *= 2 ** (1 / each)
    return sorted(lags)


def lag_norms(
    chain: Chain, lags: Sequence[int], *, exact: bool, generator: torch.Generator
) -> tuple[LagNorms, LagNorms]:
    """Of ∂s_T/∂s_{T-k}, the whole state's, and of ∂h_T/∂h_{T-k} with c_{T-k} held: equal where the state is h alone.

    Args:
        lags: rising, from 0 on, at most the longest sequence's steps.
        exact: form the products.
    """
    parts = (chain.size, chain.steps.sizes[0])
    if exact:
        state, hidden = _by_products(chain, lags, parts)
        return state, hidden
    norms = {part: _by_iteration(chain, lags, part, generator) for part in set(parts)}
    return norms[parts[0]], norms[parts[1]]


def _by_products(chain: Chain, lags: Sequence[int], parts: Sequence[int]) -> list[LagNorms]:
    """One entry for each of `parts`: so many features, the first ones, on both sides of the product."""
    rows = len(chain.lengths)
    product = torch.eye(chain.size, dtype=torch.float64).repeat(rows, 1, 1)
    scale = torch.zeros(rows, dtype=torch.float64)
    norms = [LagNorms([], []) for _ in parts]
    for k in range(max(lags) + 1):
        if k:
            rows = chain.rows(k - 1)
            product = product[:rows] @ chain.full(k - 1)
            product, scale = _scaled(product, scale[:rows])
        if k in lags:
            for part, found in zip(parts, norms, strict=True):
                block = product[:, :part, :part]
                found.largest.append(_times(_norm(block), scale))
                found.mean.append(_times(torch.linalg.matrix_norm(block) / part**0.5, scale))
    return norms


def _norm(matrices: Tensor) -> Tensor:
    """The largest singular value of each, by the eigenvalues of its square: a third of the time of all singular values.

    What squaring costs in digits it costs the small ones.
    """
    largest = matrices.abs().amax((-2, -1)).clamp(min=torch.finfo(matrices.dtype).tiny)
    matrices = matrices / largest[..., None, None]
    squares: Tensor = torch.linalg.eigvalsh(matrices @ matrices.mT)
    return squares[..., -1].clamp(min=0).sqrt() * largest


def _by_iteration(chain: Chain, lags: Sequence[int], part: int, generator: torch.Generator) -> LagNorms:
    inside = (torch.arange(chain.size) < part).to(torch.float64)

    def random(vectors: int) -> Tensor:
        shape = (len(chain.lengths), vectors, chain.size)
        return torch.randn(shape, generator=generator, dtype=torch.float64) * inside

    found = LagNorms([], [])
    start = _orthonormal(random(min(BLOCK, part)))
    for k in lags:
        rows = chain.rows(k - 1) if k else len(chain.lengths)
        start, largest = _largest(chain, k, start[:rows], inside)
        found.largest.append(largest)

    probes = random(PROBES)
    scale = torch.zeros(len(chain.lengths), dtype=torch.float64)
    for k in range(max(lags) + 1):
        if k:
            probes, scale = _through(chain.pull, probes[: chain.rows(k - 1)], scale, [k - 1])
        if k in lags:
            found.mean.append(_times((probes * inside).square().sum(-1).mean(1).div(part).sqrt(), scale))
    return found


def _largest(chain: Chain, k: int, start: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """The largest singular value of P = ∂s_T/∂s_{T-k} for each row, and left singular vectors for the next lag's start.

    Power iteration of a block with P Pᵀ, of which all blocks are kept: the value is that of P on their span (block
    Lanczos iteration), which settles in far fewer rounds than the last block alone.
    """
    none = torch.zeros(len(start), dtype=torch.float64)
    basis, block = start, start
    images: list[tuple[Tensor, Tensor]] = []
    value, log_scale = none, none
    while True:
        images.append(_through(chain.pull, block, none, range(k)))
        images[-1] = (images[-1][0] * inside, images[-1][1])
        log_scale = torch.stack([scale for _, scale in images]).amax(0)
        image = torch.cat([part * (scale - log_scale).exp()[:, None, None] for part, scale in images], dim=1)
        left, values, _ = torch.linalg.svd(image, full_matrices=False)
        before, value = value, _times(values[:, 0], log_scale)
        left_over = int(inside.sum()) - basis.shape[1]
        if not left_over or bool(((value - before).abs() <= SETTLED * value).all()):
            return left[:, :, : start.shape[1]].mT @ basis, value
        pushed, _ = _through(chain.push, images[-1][0], none, reversed(range(k)))
        block = _beside((pushed * inside)[:, :left_over], basis)
        basis = torch.cat([basis, block], dim=1)


def _beside(block: Tensor, basis: Tensor) -> Tensor:
    """Orthonormal vectors that span what of `block` (rows, vectors, size) stands at right angles to `basis`.

    Zeros take the place of those for which nothing is left.
    """
    for _ in range(2):  # the second time takes away what rounding left in
        block = block / block.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(block.dtype).tiny)
        block = block - (block @ basis.mT) @ basis
    block = _orthonormal(block)
    block = block - (block @ basis.mT) @ basis
    return torch.where(block.norm(dim=-1, keepdim=True) > 0.9, block, torch.zeros_like(block))


def _through(
    step: Callable[[Tensor, int], Tensor], block: Tensor, scale: Tensor, steps: Iterable[int]
) -> tuple[Tensor, Tensor]:
    """A block of vectors through some steps, kept near 1: what it is multiplied by is exp of the second result."""
    scale = scale[: len(block)]
    for j in steps:
        block, scale = _scaled(step(block, j), scale)
    return block, scale


def _scaled(block: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """(rows, …) divided by each row's largest entry, whose logarithm is added to `scale` (rows,); zeros stay."""
    largest = block.abs().amax((1, 2))
    largest = torch.where(largest > 0, largest, torch.ones_like(largest))
    return block / largest[:, None, None], scale + largest.log()


def _times(values: Tensor, scale: Tensor) -> Tensor:
    """values · exp(scale), both (rows,): 0 where a value is 0, though exp(scale) alone may overflow."""
    return (values.log() + scale).exp()


def _orthonormal(block: Tensor) -> Tensor:
    """(rows, vectors, size) → vectors of length 1 at right angles that span the same."""
    q: Tensor = torch.linalg.qr(block.mT)[0]
    return q.mT
