"""CTC, with upper and lower case counted as one where the truth does not know the case."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.scribe.recogniser.alphabet import BLANK, case_pairs

_UPPER, _LOWER = (torch.tensor(side) for side in zip(*case_pairs(), strict=True))


def fold(log_probabilities: Tensor) -> Tensor:
    """Log-probabilities (..., CLASSES) with each capital's replaced by that of either case."""
    upper, lower = _UPPER.to(log_probabilities.device), _LOWER.to(log_probabilities.device)
    either = torch.logaddexp(log_probabilities[..., upper], log_probabilities[..., lower])
    return log_probabilities.index_copy(-1, upper, either)


def tie(logits: Tensor) -> Tensor:
    """The same logits (..., CLASSES), whose gradient moves both cases of a letter alike.

    A truth without case says nothing of the difference between them; left free, the net settles on any mixture."""
    upper, lower = _UPPER.to(logits.device), _LOWER.to(logits.device)
    middle = (logits[..., upper] + logits[..., lower]) / 2
    half = ((logits[..., upper] - logits[..., lower]) / 2).detach()
    return logits.index_copy(-1, upper, middle + half).index_copy(-1, lower, middle - half)


class FoldingCtc(nn.Module):
    """Mean CTC loss a window; windows of ``folded`` have upper-case truth over pixels of either case.

    Their gradient leaves the difference between a letter's two cases alone."""

    def __init__(self) -> None:
        super().__init__()
        self._ctc = nn.CTCLoss(BLANK, reduction="none", zero_infinity=True)

    def forward(self, logits: Tensor, targets: Tensor, lengths: Tensor, folded: Tensor) -> Tensor:
        """The mean of `each`."""
        return self.each(logits, targets, lengths, folded).mean()

    def each(self, logits: Tensor, targets: Tensor, lengths: Tensor, folded: Tensor) -> Tensor:
        """The loss of each window (n,): ``logits`` (n, t, c); ``targets`` the classes of all texts in a row,
        ``lengths`` (n,), ``folded`` bool (n,)."""
        logits = logits.float()
        log_probabilities = torch.where(folded[:, None, None], tie(logits), logits).log_softmax(-1)
        log_probabilities = torch.where(folded[:, None, None], fold(log_probabilities), log_probabilities)
        steps = torch.full((len(logits),), logits.shape[1], dtype=torch.long)
        losses: Tensor = self._ctc(log_probabilities.transpose(0, 1), targets, steps, lengths)
        return losses


def imitation(logits: Tensor, wanted: Tensor) -> Tensor:
    """How far the readings of ``logits`` (n, t, c) are from those of another net's, ``wanted``, step by step: the
    Kullback-Leibler divergence, summed over steps, mean of the windows (Hinton, Vinyals and Dean 2015).

    Unlike CTC it says at which step each character is to stand, and how sure one may be of it."""
    return (
        nn.functional.kl_div(
            logits.float().log_softmax(-1), wanted.float().log_softmax(-1), reduction="none", log_target=True
        )
        .sum((1, 2))
        .mean()
    )
