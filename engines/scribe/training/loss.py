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


class FoldingCtc(nn.Module):
    """Mean CTC loss a window; windows of ``folded`` have upper-case truth over pixels of either case."""

    def __init__(self) -> None:
        super().__init__()
        self._ctc = nn.CTCLoss(BLANK, reduction="none", zero_infinity=True)

    def forward(self, logits: Tensor, targets: Tensor, lengths: Tensor, folded: Tensor) -> Tensor:
        """``logits`` (n, t, c); ``targets`` the classes of all texts in a row, ``lengths`` (n,), ``folded`` bool
        (n,)."""
        log_probabilities = logits.float().log_softmax(-1)
        log_probabilities = torch.where(folded[:, None, None], fold(log_probabilities), log_probabilities)
        steps = torch.full((len(logits),), logits.shape[1], dtype=torch.long)
        losses: Tensor = self._ctc(log_probabilities.transpose(0, 1), targets, steps, lengths)
        return losses.mean()
