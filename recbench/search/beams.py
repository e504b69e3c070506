"""What decoders that search by beams share: from their options and the cases to a ranking."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Literal, Protocol

from recbench.errors import UsageError
from recbench.interfaces import Reporter
from recbench.search import batches
from recbench.search.beam import Adjust, BeamSearch
from recbench.types import Histories, Ranking

if TYPE_CHECKING:
    from recbench.language.textmodel import TextModel


class BeamSettings(Protocol):
    """The options that such a decoder has; ``hf`` scores are a softmax over the whole vocabulary."""

    @property
    def beams(self) -> int: ...

    @property
    def scores(self) -> Literal["renormalised", "hf"]: ...

    @property
    def batch_size(self) -> int | Literal["auto"]: ...

    @property
    def precision(self) -> Literal["model", "fp32"]: ...

    def objection(self, depth: int) -> str: ...


def rank(
    model: TextModel,
    cases: Histories,
    depth: int,
    exclude_history: bool,
    reporter: Reporter,
    options: BeamSettings,
    length_penalty: float,
    adjust: Callable[[Histories], Adjust] | None = None,
) -> Ranking:
    """Rank ``cases`` by constrained beam search; equal scores in the trie's order (by token ids).

    Args:
        model, cases, depth, exclude_history, reporter: see :meth:`recbench.interfaces.Decoder.rank`.
        options: the decoder's.
        length_penalty: a title's score is divided by its token count to this power.
        adjust: gives, for the cases of a batch, what adjusts the scores of its steps; None for the model's own scores.

    Raises:
        UsageError: the beam is narrower than the list.
    """
    if objection := options.objection(min(depth, len(model.encoder.catalog))):
        raise UsageError(objection)
    with model.in_fp32() if options.precision == "fp32" else nullcontext():
        search = BeamSearch(model, options.beams, options.scores == "hf", length_penalty)

        def begin(part: Histories) -> None:
            search.adjust = None if adjust is None else adjust(part)

        beams = options.beams + (cases.history.shape[1] if exclude_history else 0)
        batch, fed = options.batch_size, beams * max(map(len, model.encoder.answers))
        return batches.rank(model, cases, depth, exclude_history, reporter, search, batch, 64, fed, begin)
