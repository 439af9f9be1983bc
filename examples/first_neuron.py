"""The first neuron: y = w * x + b learns Celsius to Fahrenheit from eight pairs, by gradient descent.

Run it: python examples/first_neuron.py             prints a line every 10,000 steps and ends at w 1.801169, b 31.883127
        python examples/first_neuron.py autograd    the same with the gradients found by torch

The truth is w = 1.8 and b = 32. Networks that mark nodules in a chest CT learn in the same way, with more weights.
"""

import sys
from collections.abc import Callable

PAIRS = [(-40, -40), (-20, -4), (0, 32), (20, 68), (40, 104), (60, 140), (80, 176), (100, 212)]
START = (0.840188, 0.394383)
RATE, STEPS = 1e-5, 100_000

Report = Callable[[int, float, float, float], None]


def cost(w: float, b: float) -> float:
    """Mean squared error: 4480 for w = 1, b = 0."""
    return sum((w * x + b - y0) ** 2 for x, y0 in PAIRS) / len(PAIRS)


def by_hand(report: Report) -> tuple[float, float]:
    """Gradients written out: half the summed squares has the slopes sum x(y - y0) along w and sum (y - y0) along b."""
    w, b = START
    for step in range(STEPS):
        errors = [w * x + b - y0 for x, y0 in PAIRS]
        w -= RATE * sum(e * x for e, (x, _) in zip(errors, PAIRS, strict=True))
        b -= RATE * sum(errors)
        if step % 10_000 == 0:
            report(step, cost(w, b), w, b)
    return w, b


def by_autograd(report: Report) -> tuple[float, float]:
    """The same, but nobody writes a derivative: torch finds the slopes of half the summed squares."""
    import torch

    x, y0 = torch.tensor(PAIRS, dtype=torch.float64).T
    w, b = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in START)
    for step in range(STEPS):
        half_the_squares = (w * x + b - y0).square().sum() / 2
        half_the_squares.backward()
        with torch.no_grad():
            for parameter in (w, b):
                parameter -= RATE * parameter.grad
                parameter.grad = None
        if step % 10_000 == 0:
            report(step, cost(w.item(), b.item()), w.item(), b.item())
    return w.item(), b.item()


def main(way: str) -> None:
    def line(step: int, error: float, w: float, b: float) -> None:
        print(f"step {step:6d}   cost {error:8.3f}   w {w:.3f}   b {b:6.3f}")

    w, b = {"hand": by_hand, "autograd": by_autograd}[way](line)
    print(f"w {w:.6f}   b {b:.6f}   50 C = {50 * w + b:.1f} F")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "hand")
