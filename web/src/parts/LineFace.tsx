/** A face as its own line drawing, from its 68 points. */

import { outline } from '../core/boxes'

export function LineFace({ landmarks, lines }: { landmarks: ArrayLike<number>; lines: [number, number, boolean][] }) {
  const [x0, y0, x1, y1] = outline(landmarks)
  const size = Math.max(x1 - x0, y1 - y0, 1e-6)
  const at = (k: number): string =>
    [landmarks[3 * k] - (x0 + x1) / 2, landmarks[3 * k + 1] - (y0 + y1) / 2].map((v) => ((v / size) * 34).toFixed(1)).join(' ')
  const path = lines
    .map(([from, to, closed]) => {
      const points = Array.from({ length: to - from }, (_, i) => at(from + i))
      return `M${points.join('L')}${closed ? 'Z' : ''}`
    })
    .join('')
  return (
    <svg viewBox="-20 -20 40 40" aria-hidden="true" class="line-face">
      <path d={path} />
    </svg>
  )
}
