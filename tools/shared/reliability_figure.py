"""The reliability diagram of an error head: what was expected against what was observed."""

import cv2
import numpy as np
from numpy.typing import NDArray

from synergynet.evaluation.confidence import Reliability
from synergynet.geometry.params import FloatArray
from synergynet.regression.trust import USABLE_NME


def draw_reliability(
    table: Reliability, clean: FloatArray, others: FloatArray | None
) -> NDArray[np.uint8]:
    """The reliability diagram, and histograms of expected errors; BGR."""
    size, left, foot = 360, 70, 60
    low, high = np.log(0.9), np.log(45.0)
    ticks = (1, 2, 4, 8, 16, 32)
    image = np.full((size + foot + 30, 2 * (size + left) + 40, 3), 255, dtype=np.uint8)

    def place(value: float | FloatArray) -> FloatArray:
        return np.clip((np.log(value) - low) / (high - low), 0, 1) * size

    def write(text: str, x: float, y: float) -> None:
        at = (round(x), round(y))
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA)

    top = 20
    for origin in (left, 2 * left + size + 20):
        cv2.rectangle(image, (origin, top), (origin + size, top + size), (120, 120, 120), 1)
        for tick in ticks:
            x = origin + round(float(place(tick)))
            cv2.line(image, (x, top), (x, top + size), (230, 230, 230), 1)
            write(f"{tick}", x - 6, top + size + 18)
        write("expected NME, %", origin + size / 2 - 60, top + size + 42)
    for tick in ticks:
        y = top + size - round(float(place(tick)))
        cv2.line(image, (left, y), (left + size, y), (230, 230, 230), 1)
        write(f"{tick}", left - 28, y + 5)
    write("observed NME, % (mean; 10th to 90th percentile)", left + 8, top + 16)
    cv2.line(image, (left, top + size), (left + size, top), (160, 160, 160), 1, cv2.LINE_AA)
    for e, o, a, b in zip(table.expected, table.observed, table.low, table.high, strict=True):
        x = left + round(float(place(e)))
        y, y0, y1 = (top + size - round(float(place(v))) for v in (o, a, b))
        cv2.line(image, (x, y0), (x, y1), (200, 150, 90), 2, cv2.LINE_AA)
        cv2.circle(image, (x, y), 5, (160, 80, 20), -1, cv2.LINE_AA)
    origin = 2 * left + size + 20
    edges = np.exp(np.linspace(low, high, 61))
    groups = [("held-back faces", clean, (160, 80, 20)), ("no face", others, (60, 60, 210))]
    for line, (name, values, colour) in enumerate(groups):
        if values is None:
            continue
        counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
        for i, share in enumerate(counts / counts.max()):
            x0, x1 = (origin + round(float(place(v))) for v in edges[i : i + 2])
            y = top + size - round(0.85 * size * share)
            cv2.rectangle(image, (x0, y), (x1 - 1, top + size), colour, -1 if share else 0)
        write(name, origin + size - 130, top + 36 + 20 * line)
        cv2.rectangle(
            image, (origin + size - 150, top + 26 + 20 * line),
            (origin + size - 138, top + 36 + 20 * line), colour, -1,
        )  # fmt: skip
    x = origin + round(float(place(USABLE_NME)))
    cv2.line(image, (x, top), (x, top + size), (0, 0, 0), 1)
    write("confidence 1/2", x + 5, top + 16)
    return image
