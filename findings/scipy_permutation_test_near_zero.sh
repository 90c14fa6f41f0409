#!/usr/bin/env bash
# scipy 1.17.1, numpy 2.4.6: an exact sign-flip test (permutation_test, permutation_type="samples") loses ties where the
# observed statistic is near zero.
#
# A guess: permutations whose statistic equals the observed one up to rounding count as at least as extreme. The examples
# in the documentation of permutation_test speak of an absolute floor of 1e-14 beside the relative tolerance, so a
# statistic near zero would be covered too, and the two-sided p of the sample below would be 1.
# Seen: there is no floor; the tolerance is 100 times the machine epsilon, relative to the observed statistic. Where that
# is almost zero, so is the tolerance, and permutations that are equal in exact arithmetic fall on the wrong side:
# p = 0.96875. The same eight differences as whole thousandths give 1, counted by hand and by scipy.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check scipy==1.17.1 numpy==2.4.6 2>/dev/null
"$work/venv/bin/python" - <<'PY'
from itertools import product

import numpy as np
import scipy
from scipy.stats import permutation_test

thousandths = np.array([0, 306, -742, -496, 0, -826, 883, 879])


def by_scipy(values):
    found = permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided")
    return float(found.pvalue)


sums = [int(np.dot(thousandths, signs)) for signs in product((1, -1), repeat=8)]
exact = sum(abs(total) >= abs(int(thousandths.sum())) for total in sums) / len(sums)
as_shares, as_whole = by_scipy(thousandths / 1000), by_scipy(thousandths.astype(float))
print(f"scipy {scipy.__version__}, numpy {np.__version__}: exact {exact}, scipy on shares {as_shares}, on whole numbers {as_whole}")
assert exact == 1.0
assert as_shares == 0.96875
assert as_whole == 1.0
PY
