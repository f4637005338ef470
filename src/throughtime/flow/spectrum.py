"""Eigenvalues of the one-step Jacobian along the trajectory, and Lyapunov exponents of the whole of it."""

from typing import Final

import torch
from torch import Tensor

from throughtime.flow.chain import Chain

KRYLOV: Final = 64
"""Steps of Arnoldi's iteration where the state is too large for all eigenvalues."""
WARM_UP: Final = 0.1
"""Share of a sequence's steps before the exponents are averaged: the directions must first find their places."""


def spectral_radii(
    chain: Chain, samples: int, *, exact: bool, generator: torch.Generator
) -> tuple[list[int], list[Tensor]]:
    """The largest |eigenvalue| of ∂s_t/∂s_{t-1} at some steps.

    Args:
        samples: how many steps, evenly spaced over those of the longest sequence, both ends among them.
        exact: from full matrices; else Arnoldi's iteration (KRYLOV steps), whose value is near the true one.
    Returns:
        The steps, counted from the sequence's end (0 is the last), and for each the radii (rows,) of those rows that
        have it.
    """
    longest = max(chain.lengths)
    steps = sorted({round(place) for place in torch.linspace(0, longest - 1, min(samples, longest)).tolist()})
    find = _exact_radius if exact else _arnoldi_radius
    return steps, [find(chain, j, generator) for j in steps]


def _exact_radius(chain: Chain, j: int, generator: torch.Generator) -> Tensor:
    return _largest_modulus(chain.full(j))


def _arnoldi_radius(chain: Chain, j: int, generator: torch.Generator) -> Tensor:
    rows, krylov = chain.rows(j), min(KRYLOV, chain.size)
    start = torch.randn(rows, 1, chain.size, generator=generator, dtype=torch.float64)
    basis = start / start.norm(dim=-1, keepdim=True)
    hessenberg = torch.zeros(rows, krylov, krylov, dtype=torch.float64)
    for column in range(krylov):
        new = chain.push(basis[:, -1:], j)
        for _ in range(2):  # the second time takes away what rounding left in
            share = new @ basis.mT
            hessenberg[:, : column + 1, column] += share[:, 0]
            new = new - share @ basis
        length = new.norm(dim=-1, keepdim=True)
        if column + 1 < krylov:
            hessenberg[:, column + 1, column] = length[:, 0, 0]
            # A row whose vectors already span all there is goes on with zeros, which add eigenvalues of zero only.
            alive = length > 1e-12
            basis = torch.cat([basis, torch.where(alive, new / length.clamp(min=1e-12), torch.zeros_like(new))], dim=1)
    return _largest_modulus(hessenberg)


def _largest_modulus(matrices: Tensor) -> Tensor:
    eigenvalues: Tensor = torch.linalg.eigvals(matrices)
    return eigenvalues.abs().amax(-1)


def lyapunov_exponents(chain: Chain, count: int, *, generator: torch.Generator) -> Tensor:
    """(count, rows): the leading exponents of each sequence, falling, a step, in nats, by the QR method.

    So many directions are carried forward through the Jacobians and made orthogonal at every step; an exponent is the
    mean logarithm of what its direction is stretched by, after a warm-up. -inf where a direction comes to nothing, or
    to what rounding leaves of the largest.

    Source: Benettin et al. 1980, "Lyapunov Characteristic Exponents for Smooth Dynamical Systems".
    """
    rows, count = len(chain.lengths), min(count, chain.size)
    start = torch.randn(rows, chain.size, count, generator=generator, dtype=torch.float64)
    directions = torch.linalg.qr(start)[0].mT
    lengths = torch.tensor(chain.lengths)
    skipped = (WARM_UP * lengths).long()
    sums = torch.zeros(count, rows, dtype=torch.float64)
    for j in reversed(range(max(chain.lengths))):
        now = chain.rows(j)  # shorter sequences begin later, with the directions that stand ready for them
        q, r = torch.linalg.qr(chain.push(directions[:now], j).mT)
        directions = torch.cat([q.mT, directions[now:]])
        counts = lengths[:now] - 1 - j >= skipped[:now]
        stretch = torch.diagonal(r, dim1=-2, dim2=-1).abs().mT
        rounding = chain.size * torch.finfo(stretch.dtype).eps * stretch.amax(0)
        stretch = torch.where(stretch > rounding, stretch, torch.zeros_like(stretch)).log()
        sums[:, :now] += torch.where(counts, stretch, torch.zeros_like(stretch))
    # Over so few steps the directions may not have found their order yet.
    return (sums / (lengths - skipped)).sort(dim=0, descending=True).values
