"""Estimators for tests of the search with scikit-learn: one that counts its fits, and breaks where it is told to."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from sklearn.linear_model import LogisticRegression


class Counting(LogisticRegression):  # type: ignore[misc]  # scikit-learn has no types
    """A logistic regression that counts its fits, is interrupted in one of them, and cannot be fitted with a C."""

    fits: ClassVar[int] = 0
    interrupted_at: ClassVar[int] = 0
    impossible: ClassVar[float] = 0.0

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803  # scikit-learn's name
        Counting.fits += 1
        if Counting.fits == Counting.interrupted_at:
            raise KeyboardInterrupt
        if self.C > Counting.impossible > 0:
            raise ValueError(f"C = {self.C:.1f} is too much")
        super().fit(X, y, sample_weight)
        return self
