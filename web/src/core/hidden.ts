/** Which landmarks the face itself hides: a small z-buffer. */

import { outline } from './boxes'

const GRID = 144
const TOLERANCE = 0.05 // of the face's size: landmarks lie on the surface, edges of cells do not

/** @param points vertices in pixels of the photo, z toward the viewer; landmarks likewise. */
export function hiddenLandmarks(points: Float32Array, triangles: Uint16Array, landmarks: ArrayLike<number>): boolean[] {
  const [x0, y0, x1, y1] = outline(points)
  const size = Math.max(x1 - x0, y1 - y0, 1e-6)
  const scale = (GRID - 1) / size
  const depth = new Float32Array(GRID * GRID).fill(-Infinity)
  const px = (i: number): number => (points[3 * i] - x0) * scale
  const py = (i: number): number => (points[3 * i + 1] - y0) * scale
  for (let t = 0; t < triangles.length; t += 3) {
    const [a, b, c] = [triangles[t], triangles[t + 1], triangles[t + 2]]
    const [ax, ay, bx, by, cx, cy] = [px(a), py(a), px(b), py(b), px(c), py(c)]
    const area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if (area === 0) continue
    const [az, bz, cz] = [points[3 * a + 2], points[3 * b + 2], points[3 * c + 2]]
    const top = Math.max(Math.ceil(Math.min(ay, by, cy)), 0)
    const bottom = Math.min(Math.floor(Math.max(ay, by, cy)), GRID - 1)
    const left = Math.max(Math.ceil(Math.min(ax, bx, cx)), 0)
    const right = Math.min(Math.floor(Math.max(ax, bx, cx)), GRID - 1)
    for (let y = top; y <= bottom; y++) {
      for (let x = left; x <= right; x++) {
        const u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
        const v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
        const w = 1 - u - v
        if (u < 0 || v < 0 || w < 0) continue
        const z = u * az + v * bz + w * cz
        if (z > depth[y * GRID + x]) depth[y * GRID + x] = z
      }
    }
  }
  const out: boolean[] = []
  for (let i = 0; i < landmarks.length; i += 3) {
    const x = Math.round((landmarks[i] - x0) * scale)
    const y = Math.round((landmarks[i + 1] - y0) * scale)
    const inside = x >= 0 && y >= 0 && x < GRID && y < GRID
    out.push(inside && depth[y * GRID + x] > landmarks[i + 2] + TOLERANCE * size)
  }
  return out
}
