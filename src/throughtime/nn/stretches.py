"""A padded batch cut along time: its stretches, each a batch of its own of the sequences that reach into it.

Steps are counted in a direction's own order, so that both directions are cut alike: the reverse one's step 0 is each
sequence's last. Within a stretch sequences stand by falling length; that is the order of their states here too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from throughtime.nn.lengths import Ragged
from throughtime.nn.state import State
from throughtime.spec.masks import Masks


@dataclass(frozen=True)
class Stretches:
    """Where the steps of a direction stand.

    Args:
        ragged: the lengths; None where every sequence fills the input.
        seq_len, batch: of the padded input.
        reverse: whether steps are counted from each sequence's last.
    """

    ragged: Ragged | None
    seq_len: int
    batch: int
    reverse: bool = False

    @property
    def longest(self) -> int:
        """Steps of the longest sequence."""
        return self.seq_len if self.ragged is None else int(self.ragged.lengths.max())

    @cached_property
    def _by_length(self) -> tuple[Tensor, Tensor]:
        """Lengths falling, on the CPU, and the sequence of each, where the data is."""
        assert self.ragged is not None
        lengths, order = self.ragged.lengths.sort(descending=True, stable=True)
        return lengths, order.to(self.ragged.device)

    @cached_property
    def _rank(self) -> Tensor:
        """Inverse of the order by length."""
        return self._by_length[1].argsort()

    def reaching(self, start: int) -> int:
        """How many sequences have a step `start`; they are the first by falling length."""
        return self.batch if self.ragged is None else int((self._by_length[0] > start).sum())

    def lengths(self, start: int, stop: int) -> Tensor | None:
        """Of the sequences that reach into the stretch, the steps in it; None where all fill it."""
        if self.ragged is None:
            return None
        within = (self._by_length[0][: self.reaching(start)] - start).clamp(max=stop - start)
        return None if bool((within == stop - start).all()) else within

    def _places(self, start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
        """Input's step and sequence of each place of a stretch, and which places are real; each (steps, sequences)."""
        lengths, order = self._by_length
        count = self.reaching(start)
        own, ends = torch.arange(start, stop, device=order.device).unsqueeze(1), lengths[:count].to(order.device)
        real = own < ends
        step = (ends - 1 - own).clamp(min=0) if self.reverse else own.expand(-1, count)
        return step, order[:count].expand(stop - start, -1), real

    def take(self, array: Tensor, start: int, stop: int) -> Tensor:
        """Steps start … stop - 1 of (seq_len, batch, features): (stop - start, sequences that reach into it, features).

        A view where it can be one. Past a sequence's end stands anything.
        """
        if self.ragged is None:
            return array[self.seq_len - stop : self.seq_len - start].flip(0) if self.reverse else array[start:stop]
        step, sequence, _ = self._places(start, stop)
        return array[step, sequence]

    def place(self, target: Tensor, start: int, stop: int) -> Tensor | None:
        """The view of `target` that `put` writes to, where it is one, in the order of steps."""
        return target[start:stop] if self.ragged is None and not self.reverse else None

    def put(self, target: Tensor, values: Tensor, start: int, stop: int, *, add: bool = False) -> None:
        """The inverse of `take`: writes, or adds, the real steps of `values` to `target`, in place."""
        if self.ragged is not None:
            step, sequence, real = self._places(start, stop)
            target.index_put_((step[real], sequence[real]), values[real], accumulate=add)
            return
        place = target[self.seq_len - stop : self.seq_len - start] if self.reverse else target[start:stop]
        own = values.flip(0) if self.reverse else values
        if add:
            place.add_(own)
        else:
            place.copy_(own)

    def spread(self, values: Tensor, start: int, stop: int) -> Tensor:
        """As `put` into zeros (stop - start, batch, features), but differentiable; steps in the order of the input."""
        assert not self.reverse
        if self.ragged is None:
            return values
        step, sequence, real = self._places(start, stop)
        zeros = values.new_zeros(stop - start, self.batch, values.shape[-1])
        return zeros.index_put((step[real] - start, sequence[real]), values[real])

    def masks(self, masks: Masks[Tensor], start: int, stop: int) -> Masks[Tensor]:
        """The stretch's part of a direction's masks, but for weight_hh's."""

        def steps(mask: Tensor | None) -> Tensor | None:
            return None if mask is None else self.take(mask, start, stop)

        recurrent = masks.recurrent
        if recurrent is not None and self.ragged is not None:
            recurrent = recurrent.index_select(0, self._by_length[1][: self.reaching(start)])
        return Masks(zoneout_h=steps(masks.zoneout_h), zoneout_c=steps(masks.zoneout_c), recurrent=recurrent)

    def sort(self, state: Sequence[Tensor]) -> State:
        """A state (directions, batch, features) in the order by falling length."""
        return tuple(state) if self.ragged is None else tuple(p.index_select(1, self._by_length[1]) for p in state)

    def unsort(self, state: Sequence[Tensor]) -> State:
        """The inverse of `sort`."""
        return tuple(state) if self.ragged is None else tuple(p.index_select(1, self._rank) for p in state)

    def first(self, state: Sequence[Tensor], start: int) -> State:
        """Of a sorted state, the sequences that reach into a stretch."""
        count = self.reaching(start)
        return tuple(state) if count == self.batch else tuple(part[:, :count] for part in state)

    def replace_first(self, state: Sequence[Tensor], new: Sequence[Tensor]) -> State:
        """A sorted state with new values for the sequences that reached into a stretch."""
        count = new[0].shape[1]
        if count == self.batch:
            return tuple(new)
        return tuple(torch.cat([part, old[:, count:]], dim=1) for part, old in zip(new, state, strict=True))
