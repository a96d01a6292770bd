/** Cameras, rotations, angles; `geometry/pose.py` and `geometry/frames.py`. Matrices are row-major. */

import { clamp } from './numbers'
import { INPUT_SIZE } from './resize'
import type { CropBox } from './types'

export const FLIP = INPUT_SIZE + 1
const NEARLY_ONE_LINE = 1e-3
const TINY = 2.3e-308 // the smallest number whose inverse is finite
const GIMBAL_COSINE = 1e-6

export interface Pose {
  /** 3 x 3, model frame to camera frame (x right, y up, z to the viewer). */
  rotation: number[]
  /** Pixels of the photo per model unit. */
  scale: number
  /** Where the model's origin lies, pixels of the photo. */
  translation: [number, number, number]
  /** Degrees; the face turns to the picture's left edge, looks up, tilts clockwise. */
  yaw: number
  pitch: number
  roll: number
}

type V3 = [number, number, number]
const dot = (a: V3, b: V3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
const cross = (a: V3, b: V3): V3 => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
]
const scaled = (a: V3, by: number): V3 => [a[0] * by, a[1] * by, a[2] * by]
const sum = (a: V3, b: V3): V3 => [a[0] + b[0], a[1] + b[1], a[2] + b[2]]

/** The first twelve parameters to scale, rotation and translation, in crop pixels. */
export function decompose(camera: ArrayLike<number>): { scale: number; rotation: number[]; shift: V3 } {
  const row = (i: number): V3 => [camera[4 * i], camera[4 * i + 1], camera[4 * i + 2]]
  const n1 = Math.hypot(...row(0))
  const n2 = Math.hypot(...row(1))
  const r1 = scaled(row(0), 1 / Math.max(n1, TINY))
  const r2 = scaled(row(1), 1 / Math.max(n2, TINY))
  const between = sum(r1, r2)
  const across = sum(r1, scaled(r2, -1))
  const first = Math.hypot(...between)
  const second = Math.hypot(...across)
  const shift: V3 = [camera[3], camera[7], camera[11]]
  const scale = (n1 + n2) / 2
  if (first <= NEARLY_ONE_LINE || second <= NEARLY_ONE_LINE) {
    return { scale, rotation: upright(r1), shift }
  }
  const u = scaled(between, 1 / (first * Math.SQRT2))
  const v = scaled(across, 1 / (second * Math.SQRT2))
  const right = sum(u, v)
  const up = sum(u, scaled(v, -1))
  return { scale, rotation: [...right, ...up, ...cross(right, up)], shift }
}

/** Some rotation whose first row is `right`, for cameras that have no second one. */
function upright(right: V3): number[] {
  const length = Math.hypot(...right)
  const x: V3 = length > 0.5 ? scaled(right, 1 / length) : [1, 0, 0]
  const other: V3 = Math.abs(x[1]) < 0.9 ? [0, 1, 0] : [0, 0, 1]
  const y = sum(other, scaled(x, -dot(other, x)))
  const up = scaled(y, 1 / Math.hypot(...y))
  return [...x, ...up, ...cross(x, up)]
}

/** Pitch, yaw and roll in degrees of R = Rx(pitch) Ry(yaw) Rz(roll). */
export function euler(r: number[]): { pitch: number; yaw: number; roll: number } {
  const degrees = 180 / Math.PI
  const yaw = Math.asin(clamp(-r[2], -1, 1))
  const locked = Math.hypot(r[0], r[1]) < GIMBAL_COSINE
  const pitch = locked ? Math.atan2(-r[7], r[4]) : Math.atan2(r[5], r[8])
  const roll = locked ? 0 : Math.atan2(r[1], r[0])
  return { pitch: pitch * degrees, yaw: yaw * degrees, roll: roll * degrees }
}

/** The unit quaternion x, y, z, w of a rotation, w not negative. */
export function quaternion(r: number[]): number[] {
  const [x, y, z] = [r[7] - r[5], r[2] - r[6], r[3] - r[1]]
  const [a, b, c] = [r[1] + r[3], r[2] + r[6], r[5] + r[7]]
  // Four times the square of each part on the diagonal; the row of the largest is exact.
  const rows = [
    [1 + r[0] - r[4] - r[8], a, b, x],
    [a, 1 - r[0] + r[4] - r[8], c, y],
    [b, c, 1 - r[0] - r[4] + r[8], z],
    [x, y, z, 1 + r[0] + r[4] + r[8]],
  ]
  const best = rows.reduce((most, row, i) => (row[i] > rows[most][most] ? i : most), 0)
  const length = Math.hypot(...rows[best]) * (rows[best][3] < 0 ? -1 : 1)
  return rows[best].map((v) => v / length)
}

/** 1-based crop pixels, y down, to pixels of the photo, in place; x, y, z by turns. */
export function cropToImage<T extends Float32Array | Float64Array>(points: T, crop: CropBox): T {
  const scale = crop.side / INPUT_SIZE
  for (let i = 0; i < points.length; i += 3) {
    points[i] = crop.left + (points[i] - 0.5) * scale
    points[i + 1] = crop.top + (points[i + 1] - 0.5) * scale
    points[i + 2] *= scale
  }
  return points
}

/** The pose in the photo. */
export function poseOf(params: ArrayLike<number>, crop: CropBox): Pose {
  const { scale, rotation, shift } = decompose(params)
  const at = cropToImage(new Float64Array([shift[0], FLIP - shift[1], shift[2]]), crop)
  return {
    rotation,
    scale: (scale * crop.side) / INPUT_SIZE,
    translation: [at[0], at[1], at[2]],
    ...euler(rotation),
  }
}

/** Parameters of a crop that was turned to the left by quarters, in the crop as it lies. */
export function turnedBack(params: Float64Array, quarters: number): Float64Array {
  const out = params.slice()
  for (let i = 0; i < quarters; i++) quarterBack(out)
  return out
}

/** By the map (x, y) -> (121 - y, x) of 1-based crop pixels, y down: in camera terms (y, 121 - x). */
function quarterBack(p: Float64Array): void {
  for (let column = 0; column < 4; column++) {
    const x = p[column]
    const y = p[4 + column]
    p[column] = y
    p[4 + column] = column < 3 ? -x : FLIP - x
  }
}

/** Quarters by which a crop is turned to the left for a face to stand upright, by forehead to chin. */
export function quartersOf(right: number, down: number): number {
  if (!Number.isFinite(right + down)) return 0
  const turns = roundTurn(-Math.atan2(right, down) / (Math.PI / 2))
  return ((turns % 4) + 4) % 4
}

function roundTurn(value: number): number {
  const low = Math.floor(value)
  const rest = value - low
  if (rest === 0.5) return low % 2 === 0 ? low : low + 1
  return Math.round(value)
}
