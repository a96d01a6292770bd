/** Meshes and numbers as text. */

import type { Face } from '../core/face'
import type { Head } from '../core/head'

/** Wavefront OBJ of vertices in pixels of the photo; y up from its lowest row, as `infer` writes it. */
export function obj(head: Head, points: Float32Array, height: number): string {
  const lines = [`# ${head.name}: pixels of the photo, y up, z toward the viewer`]
  for (let i = 0; i < points.length; i += 3) {
    lines.push(`v ${points[i].toFixed(4)} ${(height - 1 - points[i + 1]).toFixed(4)} ${points[i + 2].toFixed(4)}`)
  }
  for (let t = 0; t < head.triangles.length; t += 3) {
    lines.push(`f ${head.triangles[t] + 1} ${head.triangles[t + 1] + 1} ${head.triangles[t + 2] + 1}`)
  }
  return `${lines.join('\n')}\n`
}

/** The JSON that `synergynet infer --quality fast` writes for a photo. */
export function json(head: Head, name: string, size: { width: number; height: number }, faces: Face[]): string {
  const content = { image: name, width: size.width, height: size.height, faces: faces.map((face) => face.toJson(head)) }
  return `${JSON.stringify(content, null, 1)}\n`
}
