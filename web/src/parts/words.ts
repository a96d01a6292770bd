/** What is on the page, in words. */

import type { Face } from '../core/face'
import type { Sheet } from '../state/state'

export const percent = (value: number): string => `${Math.round(100 * value)} %`

export function degrees(value: number): string {
  const rounded = Math.round(value * 10) / 10 + 0
  return `${rounded < 0 ? '−' : ''}${Math.abs(rounded).toFixed(1)}°`
}

/** `mouthSmileLeft` as `mouth smile left`. */
export const unitWords = (name: string): string => name.replace(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`)

export function poseWords({ pose }: Face): string {
  const side = Math.abs(pose.yaw) < 5 ? 'toward the camera' : `to the picture’s ${pose.yaw > 0 ? 'left' : 'right'}`
  const tilt = Math.abs(pose.pitch) < 8 ? '' : pose.pitch > 0 ? ', up' : ', down'
  return `looks ${side}${tilt}`
}

export function describe(sheet: Sheet | null, faces: Face[]): string {
  if (!sheet) return 'Nothing is open'
  const what = sheet.kind === 'photo' ? `Photo ${sheet.name}` : sheet.kind === 'film' ? `Film ${sheet.name}` : 'Camera'
  if (!faces.length) return `${what}: no face found`
  const each = faces.map((face, i) => `face ${i + 1} ${poseWords(face)}, confidence ${percent(face.confidence)}`)
  return `${what}, ${faces.length} face${faces.length === 1 ? '' : 's'}: ${each.join('; ')}`
}
