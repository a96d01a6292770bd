/** Boxes in a photo and which crops make sense there; `geometry/boxes.py` and `geometry/crops.py`. */

import { round } from './numbers'
import type { Box, CropBox } from './types'

const LARGEST = 4
const ALWAYS_ALLOWED = 1024
const SIZE_JUMP = 3

export interface Size {
  width: number
  height: number
}

/** The box about n points of `stride` numbers. */
export function outline(points: ArrayLike<number>, stride = 3): Box {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity]
  for (let i = 0; i < points.length; i += stride) {
    x0 = Math.min(x0, points[i])
    x1 = Math.max(x1, points[i])
    y0 = Math.min(y0, points[i + 1])
    y1 = Math.max(y1, points[i + 1])
  }
  return [x0, y0, x1, y1]
}

const side = (low: number, high: number): number => Math.max(high - low, 0)
const area = (b: Box): number => side(b[0], b[2]) * side(b[1], b[3])

export function common(a: Box, b: Box): number {
  return (
    side(Math.max(a[0], b[0]), Math.min(a[2], b[2])) * side(Math.max(a[1], b[1]), Math.min(a[3], b[3]))
  )
}

/** Intersection over union. */
export function overlap(a: Box, b: Box): number {
  const both = common(a, b)
  return both / Math.max(area(a) + area(b) - both, 1e-9)
}

/** Indices from the highest value to the lowest; equal ones stay in order. */
export function descending(values: ArrayLike<number>): number[] {
  return Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[b] - values[a] || a - b)
}

/** Indices of the boxes to keep, best score first; greedy. */
export function suppressed(boxes: Box[], scores: ArrayLike<number>, maxIou: number): number[] {
  const keep: number[] = []
  for (const i of descending(scores)) {
    if (keep.every((k) => overlap(boxes[k], boxes[i]) <= maxIou)) keep.push(i)
  }
  return keep
}

export const cropAbout = (x: number, y: number, size: number): CropBox => ({
  left: x - size / 2,
  top: y - size / 2,
  side: size,
})

export const centre = (crop: CropBox): [number, number] => [
  crop.left + crop.side / 2,
  crop.top + crop.side / 2,
]

/** The nearest crop on whole pixels. */
export function onPixels(crop: CropBox): CropBox {
  const size = Math.max(1, round(crop.side))
  const [x, y] = centre(crop)
  return { left: round(x - size / 2 + 0.5) - 0.5, top: round(y - size / 2 + 0.5) - 0.5, side: size }
}

/** sqrt(2) times the larger side of the 68-point box, about its centre. */
export function cropOfLandmarks(landmarks: ArrayLike<number>): CropBox {
  const [x0, y0, x1, y1] = outline(landmarks)
  const size = Math.max(Math.max(x1 - x0, y1 - y0) * Math.SQRT2, 1)
  return cropAbout((x0 + x1) / 2, (y0 + y1) / 2, size)
}

const largestSide = (size: Size): number =>
  Math.max(LARGEST * Math.max(size.width, size.height), ALWAYS_ALLOWED)

/** Whether a crop is finite, touches the photo and is neither tiny nor huge. */
export function isPossible(crop: CropBox, size: Size): boolean {
  const touches =
    -crop.side < crop.left && crop.left < size.width && -crop.side < crop.top && crop.top < size.height
  return touches && crop.side >= 1 && crop.side <= largestSide(size) - 1
}

/** The crop of the next look or frame, about the landmarks of this one; `crop` where they make no sense. */
export function nextCrop(landmarks: ArrayLike<number>, crop: CropBox, size: Size): CropBox {
  for (let i = 0; i < landmarks.length; i++) if (!Number.isFinite(landmarks[i])) return crop
  const next = cropOfLandmarks(landmarks)
  const believable = next.side >= crop.side / SIZE_JUMP && next.side <= crop.side * SIZE_JUMP
  return believable && isPossible(next, size) ? onPixels(next) : crop
}
