/** The part of a photo that shows a face, as a texture, and where each vertex lies in it. */

import { Color, SRGBColorSpace } from 'three'
import { outline } from '../core/boxes'

const SIDE = 1024

export interface Patch {
  canvas: HTMLCanvasElement
  /** Texture coordinates of vertices, v up. */
  uv(points: Float32Array): Float32Array
  /** Of the skin that is seen well. */
  mean(uv: Float32Array, facing: Float32Array): Color
}

/** @param points vertices of the face in pixels of the photo. */
export function cutPatch(photo: HTMLCanvasElement, points: Float32Array, reuse?: HTMLCanvasElement): Patch {
  const [x0, y0, x1, y1] = outline(points)
  const left = Math.max(Math.floor(x0) - 1, 0)
  const top = Math.max(Math.floor(y0) - 1, 0)
  const width = Math.max(Math.min(Math.ceil(x1) + 2, photo.width) - left, 1)
  const height = Math.max(Math.min(Math.ceil(y1) + 2, photo.height) - top, 1)
  const zoom = Math.min(1, SIDE / Math.max(width, height))
  const canvas = reuse ?? document.createElement('canvas')
  canvas.width = Math.max(1, Math.round(width * zoom))
  canvas.height = Math.max(1, Math.round(height * zoom))
  const context = canvas.getContext('2d', { willReadFrequently: true })!
  context.drawImage(photo, left, top, width, height, 0, 0, canvas.width, canvas.height)
  return {
    canvas,
    uv(all) {
      const out = new Float32Array((all.length / 3) * 2)
      for (let i = 0; i < out.length / 2; i++) {
        out[2 * i] = (all[3 * i] + 0.5 - left) / width
        out[2 * i + 1] = 1 - (all[3 * i + 1] + 0.5 - top) / height
      }
      return out
    },
    mean: (uv, facing) => meanColor(canvas, uv, facing),
  }
}

function meanColor(canvas: HTMLCanvasElement, uv: Float32Array, facing: Float32Array): Color {
  const small = document.createElement('canvas')
  const n = (small.width = small.height = 48)
  const context = small.getContext('2d', { willReadFrequently: true })!
  context.drawImage(canvas, 0, 0, n, n)
  const { data } = context.getImageData(0, 0, n, n)
  const sum = [0, 0, 0]
  let count = 0
  for (let i = 0; i < facing.length; i += 7) {
    const [x, y] = [Math.floor(uv[2 * i] * n), Math.floor((1 - uv[2 * i + 1]) * n)]
    if (facing[i] < 0.75 || x < 0 || y < 0 || x >= n || y >= n) continue
    for (let c = 0; c < 3; c++) sum[c] += data[4 * (y * n + x) + c]
    count++
  }
  const [r, g, b] = sum.map((v) => v / Math.max(count, 1) / 255)
  return new Color().setRGB(r, g, b, SRGBColorSpace)
}
