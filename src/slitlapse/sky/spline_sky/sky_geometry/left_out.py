"""What are the coefficients when some pixels must not count, without a new factorisation?"""

import numpy as np

__all__ = ["solve_without"]

ROUNDS = 40
STILL_MISSING = 1e-9  # chi-square, in the metric of all pixels


def solve_without(splines, factor, everything, data, weights, pixels):
    """
    Solve with some pixels left out, by conjugate gradients that start from all pixels.

    Some rounds do, each much cheaper than a new factor.

    Parameters
    ----------
    splines : `BandedSplines`
    factor : array
        Of the normal equations of all pixels, by `BandedSplines.factorise`.
    everything : array, shape (n_coefficients,)
        Right-hand side of all pixels, by `BandedSplines.moments`.
    data, weights : array, shape (n_rows, n_x)
        Image, and the weight of every pixel.
    pixels : array of int
        Flat numbers of the pixels to leave out.

    Returns
    -------
    array, shape (n_coefficients,), or None
        None where so many are missing that it takes too long.
    """

    def solve(moments):
        return splines.solve(factor, moments)

    if pixels.size == 0:
        return solve(everything)
    design, index = splines.rows_of(pixels)
    weight = weights.ravel()[pixels]

    def spread(values):
        total = design * (weight * values)[:, np.newaxis]
        return np.bincount(index.ravel(), total.ravel(), everything.size)

    def missing(coefficients):
        return spread(np.einsum("pi,pi->p", design, coefficients[index]))

    solution = solve(everything - spread(data.ravel()[pixels]))
    residual = missing(solution)
    step = preconditioned = solve(residual)
    image = residual  # of the step, under the normal equations of all pixels
    error = residual @ preconditioned
    for _ in range(ROUNDS):
        if error < STILL_MISSING:
            return solution
        change = image - missing(step)
        length = error / (step @ change)
        solution, residual = solution + length * step, residual - length * change
        preconditioned, before = solve(residual), error
        error = residual @ preconditioned
        step = preconditioned + error / before * step
        image = residual + error / before * image
    return None
