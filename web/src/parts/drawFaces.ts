/** Landmarks and pose axes of faces on a 2D canvas, in pixels of the photo times `scale`. */

import { outline } from '../core/boxes'
import type { Face } from '../core/face'

export interface DrawStyle {
  landmarks: boolean
  pose: boolean
  /** Points drawn hollow, by face. */
  hidden: boolean[][]
  chosen: number
  color: string
  halo: string
  lines: [number, number, boolean][]
}

const AXES = ['--axis-x', '--axis-y', '--axis-z']

export function drawFaces(context: CanvasRenderingContext2D, faces: Face[], scale: number, style: DrawStyle): void {
  faces.forEach((face, i) => {
    const { landmarks } = face
    const at = (k: number): [number, number] => [(landmarks[3 * k] + 0.5) * scale, (landmarks[3 * k + 1] + 0.5) * scale]
    const [x0, y0, x1, y1] = outline(landmarks)
    const size = Math.max(x1 - x0, y1 - y0) * scale
    const width = Math.max(1, size / 160)
    context.globalAlpha = i === style.chosen || faces.length === 1 ? 1 : 0.75
    if (style.landmarks) {
      for (const [color, extra] of [[style.halo, 1.5 * width], [style.color, 0]] as const) {
        context.strokeStyle = context.fillStyle = color
        context.lineWidth = width * 0.8 + extra
        context.lineJoin = 'round'
        context.beginPath()
        for (const [from, to, closed] of style.lines) {
          context.moveTo(...at(from))
          for (let k = from + 1; k < to; k++) context.lineTo(...at(k))
          if (closed) context.closePath()
        }
        context.stroke()
      }
      for (let k = 0; k < 68; k++) {
        context.beginPath()
        context.arc(...at(k), 1.5 * width + 0.4, 0, 2 * Math.PI)
        context.fillStyle = style.hidden[i]?.[k] ? style.halo : style.color
        context.fill()
        context.lineWidth = 0.7 * width
        context.strokeStyle = style.hidden[i]?.[k] ? style.color : style.halo
        context.stroke()
      }
    }
    if (style.pose) drawAxes(context, face, at(30), size)
  })
  context.globalAlpha = 1
}

/** From the tip of the nose: to the subject's left, up, and out of the face. */
function drawAxes(context: CanvasRenderingContext2D, face: Face, [x, y]: [number, number], size: number): void {
  const { rotation } = face.pose
  const styles = getComputedStyle(document.documentElement)
  const order = [0, 1, 2].sort((a, b) => rotation[6 + a] - rotation[6 + b])
  for (const axis of order) {
    const length = size * 0.55
    const [dx, dy] = [rotation[axis] * length, -rotation[3 + axis] * length]
    for (const [color, width] of [['rgba(10,10,12,0.55)', size / 45 + 2], [styles.getPropertyValue(AXES[axis]), size / 60 + 1]] as const) {
      context.strokeStyle = color
      context.lineWidth = width
      context.lineCap = 'round'
      context.beginPath()
      context.moveTo(x, y)
      context.lineTo(x + dx, y + dy)
      context.stroke()
    }
  }
}
