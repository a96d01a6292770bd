/** Pixels of a photo into the networks' inputs, by OpenCV's arithmetic. */

import { clamp, round } from './numbers'
import type { CropBox, Picture } from './types'

export const INPUT_SIZE = 120
const INPUT_MEAN = 127.5
const INPUT_STD = 128

/** Three planes B, G, R of values 0..255. */
export interface Planes {
  width: number
  height: number
  data: Float32Array
}

/** Red, green and blue of a picture as planes B, G, R. */
export function planesOf(picture: Picture): Planes {
  const { width, height, data } = picture
  const size = width * height
  const out = new Float32Array(3 * size)
  for (let i = 0, at = 0; i < size; i++, at += 4) {
    out[i] = data[at + 2]
    out[size + i] = data[at + 1]
    out[2 * size + i] = data[at]
  }
  return { width, height, data: out }
}

/** Half the size; a last odd row or column is left out (`INTER_AREA` by two). */
export function halved(picture: Picture): Picture {
  const width = picture.width >> 1
  const height = picture.height >> 1
  const { data } = picture
  const out = new Uint8ClampedArray(4 * width * height)
  const row = 4 * picture.width
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0, at = 2 * y * row; x < width; x++, at += 8, to += 4) {
      for (let c = 0; c < 3; c++) {
        out[to + c] = (data[at + c] + data[at + 4 + c] + data[at + row + c] + data[at + row + 4 + c] + 2) >> 2
      }
      out[to + 3] = 255
    }
  }
  return { width, height, data: out }
}

/** A picture turned to the left by quarters, as `numpy.rot90` does. */
export function turnedLeft(picture: Picture, quarters: number): Picture {
  const { width, height } = picture
  const from = new Uint32Array(picture.data.buffer, picture.data.byteOffset, width * height)
  const [w, h] = quarters % 2 ? [height, width] : [width, height]
  const out = new Uint32Array(w * h)
  for (let y = 0, to = 0; y < h; y++) {
    for (let x = 0; x < w; x++, to++) {
      if (quarters === 1) out[to] = from[x * width + width - 1 - y]
      else if (quarters === 2) out[to] = from[(height - 1 - y) * width + width - 1 - x]
      else out[to] = from[(height - 1 - x) * width + y]
    }
  }
  return { width: w, height: h, data: new Uint8ClampedArray(out.buffer) }
}

/** For each output pixel, the first pixel that it is made of, how many, and how much of each. */
interface Taps {
  start: Int32Array
  count: Int32Array
  weight: Float64Array
  most: number
}

function makeTaps(to: number, most: number): Taps {
  return { start: new Int32Array(to), count: new Int32Array(to), weight: new Float64Array(to * most), most }
}

const SLIVER = 1e-3 // of a pixel: OpenCV leaves smaller parts out

/** Means over areas, `INTER_AREA`. */
function areaTaps(from: number, to: number): Taps {
  const scale = from / to
  const taps = makeTaps(to, Math.ceil(scale) + 2)
  for (let i = 0; i < to; i++) {
    const begin = i * scale
    const end = begin + scale
    const cell = Math.min(scale, from - begin)
    const last = Math.min(Math.floor(end), from - 1)
    const first = Math.min(Math.ceil(begin), last)
    let n = 0
    const add = (weight: number): void => void (taps.weight[i * taps.most + n++] = weight / cell)
    const partBefore = first - begin > SLIVER
    if (partBefore) add(first - begin)
    for (let j = first; j < last; j++) add(1)
    if (end - last > SLIVER) add(Math.min(end - last, 1, cell))
    taps.start[i] = partBefore ? first - 1 : first
    taps.count[i] = n
  }
  return taps
}

const FIXED = 2048 // of a weight, in OpenCV's whole numbers

/**
 * Between two neighbours, `INTER_LINEAR`: weights are whole numbers that sum to 2048. At an edge
 * OpenCV takes one column whole, but mixes a row with itself, which rounds otherwise.
 */
function linearTaps(from: number, to: number, mixed: boolean): Taps {
  const scale = from / to
  const taps = makeTaps(to, 2)
  for (let i = 0; i < to; i++) {
    const at = Math.fround((i + 0.5) * scale - 0.5)
    let first = Math.floor(at)
    let rest = Math.fround(at - first)
    if (!mixed && first < 0) [first, rest] = [0, 0]
    if (!mixed && first >= from - 1) [first, rest] = [from - 1, 0]
    taps.start[i] = first
    taps.count[i] = 2
    taps.weight[2 * i] = round(Math.fround(Math.fround(1 - rest) * FIXED))
    taps.weight[2 * i + 1] = round(Math.fround(rest * FIXED))
  }
  return taps
}

interface Part {
  left: number
  top: number
  width: number
  height: number
}

/** Planes B, G, R of `width` x `height`, linear (`INTER_LINEAR`). */
export function linear(picture: Picture, width: number, height: number): Planes {
  return interpolated(picture, { left: 0, top: 0, width: picture.width, height: picture.height }, width, height)
}

/** A crop at the network's size: means over areas where it shrinks, else linear. Black outside. */
export function cut(picture: Picture, box: CropBox): Planes {
  const { side } = box
  const part = { left: Math.round(box.left + 0.5), top: Math.round(box.top + 0.5), width: side, height: side }
  return side > INPUT_SIZE ? averaged(picture, part) : interpolated(picture, part, INPUT_SIZE, INPUT_SIZE)
}

/** One row of a part of the photo through `taps`, R, G, B by turns; false where it is all outside. */
function squeeze(picture: Picture, part: Part, y: number, taps: Taps, out: Float64Array): boolean {
  const row = part.top + y
  if (row < 0 || row >= picture.height || y >= part.height) return false
  const { data, width: rowLength } = picture
  const width = taps.start.length
  for (let x = 0; x < width; x++) {
    let [r, g, b] = [0, 0, 0]
    for (let k = 0, sx = taps.start[x] + part.left; k < taps.count[x]; k++, sx++) {
      if (sx < 0 || sx >= rowLength) continue
      const at = 4 * (row * rowLength + sx)
      const weight = taps.weight[x * taps.most + k]
      r += weight * data[at]
      g += weight * data[at + 1]
      b += weight * data[at + 2]
    }
    out[3 * x] = r
    out[3 * x + 1] = g
    out[3 * x + 2] = b
  }
  return true
}

function averaged(picture: Picture, part: Part): Planes {
  const n = INPUT_SIZE
  const taps = areaTaps(part.width, n)
  // By two, OpenCV rounds halves up; by other whole factors and by fractions to even.
  const whole = part.width === 2 * n ? Math.round : round
  const strip = new Float64Array(3 * n)
  const sums = new Float64Array(3 * n)
  const out = new Float32Array(3 * n * n)
  for (let y = 0; y < n; y++) {
    sums.fill(0)
    for (let k = 0; k < taps.count[y]; k++) {
      if (!squeeze(picture, part, taps.start[y] + k, taps, strip)) continue
      const weight = taps.weight[y * taps.most + k]
      for (let i = 0; i < sums.length; i++) sums[i] += weight * strip[i]
    }
    for (let x = 0; x < n; x++) {
      for (let c = 0; c < 3; c++) out[((2 - c) * n + y) * n + x] = whole(clean(sums[3 * x + c]))
    }
  }
  return { width: n, height: n, data: out }
}

/** Without the last digits, in which float32 and float64 differ at halves. */
const clean = (value: number): number => Math.round(value * 65536) / 65536

function interpolated(picture: Picture, part: Part, width: number, height: number): Planes {
  const columns = linearTaps(part.width, width, false)
  const rows = linearTaps(part.height, height, true)
  const size = width * height
  const out = new Float32Array(3 * size)
  // Two rows of the photo, each squeezed once: the next output row often needs one of them again.
  const strips = [new Float64Array(3 * width), new Float64Array(3 * width)]
  const held = [-1, -1]
  const strip = (y: number): Float64Array => {
    const at = y & 1
    if (held[at] !== y) {
      if (!squeeze(picture, part, y, columns, strips[at])) strips[at].fill(0)
      held[at] = y
    }
    return strips[at]
  }
  for (let y = 0; y < height; y++) {
    const first = rows.start[y]
    const a = strip(clamp(first, 0, part.height - 1))
    const b = strip(clamp(first + 1, 0, part.height - 1))
    const [wa, wb] = [rows.weight[2 * y], rows.weight[2 * y + 1]]
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        const i = 3 * x + c
        const value = ((wa * (a[i] >> 4)) >> 16) + ((wb * (b[i] >> 4)) >> 16)
        out[(2 - c) * size + y * width + x] = (value + 2) >> 2
      }
    }
  }
  return { width, height, data: out }
}

/** Planes turned to the left by quarters, as `numpy.rot90` does, and normalised, into `out` at `at`. */
export function intoInput(planes: Planes, quarters: number, rgb: boolean, out: Float32Array, at: number): void {
  const n = INPUT_SIZE
  const size = n * n
  for (let c = 0; c < 3; c++) {
    const from = (rgb ? 2 - c : c) * size
    for (let y = 0; y < n; y++) {
      for (let x = 0; x < n; x++) {
        let sy = y
        let sx = x
        if (quarters === 1) [sy, sx] = [x, n - 1 - y]
        else if (quarters === 2) [sy, sx] = [n - 1 - y, n - 1 - x]
        else if (quarters === 3) [sy, sx] = [n - 1 - x, y]
        out[at + c * size + y * n + x] = (planes.data[from + sy * n + sx] - INPUT_MEAN) / INPUT_STD
      }
    }
  }
}

/** A photo for the detector: its planes, filled up with black to a multiple, and photo pixels per pixel. */
export function detectorInput(
  picture: Picture,
  scale: number,
  multiple: number,
): { planes: Float32Array; height: number; width: number; zoom: [number, number] } {
  const h = Math.max(1, round(picture.height * scale))
  const w = Math.max(1, round(picture.width * scale))
  let small = picture
  let halvings = 0
  while (small.height >= 2 * h && small.width >= 2 * w) {
    small = halved(small)
    halvings++
  }
  const zoom: [number, number] = [
    (small.width / w) * 2 ** halvings,
    (small.height / h) * 2 ** halvings,
  ]
  const own = small.width === w && small.height === h ? planesOf(small) : linear(small, w, h)
  const width = Math.ceil(w / multiple) * multiple
  const height = Math.ceil(h / multiple) * multiple
  const planes = new Float32Array(3 * width * height)
  for (let c = 0; c < 3; c++) {
    for (let y = 0; y < h; y++) {
      planes.set(own.data.subarray((c * h + y) * w, (c * h + y + 1) * w), (c * height + y) * width)
    }
  }
  return { planes, height, width, zoom }
}
