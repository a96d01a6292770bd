/** Faces from the JSON of `synergynet infer` and `video`. */

import { Face } from './face'
import { FLIP } from './pose'
import type { Box, Settings } from './types'

/** One face, as `Face.to_dict` of the Python package writes it. */
export interface FaceJson {
  box: number[]
  score: number
  expected_nme_percent: number | null
  landmarks: number[][]
  pose: { rotation: number[][]; translation: number[]; scale: number }
  coefficients: { identity: number[]; expression: number[] }
}

/** A crop whose 1-based pixels are the photo's 0-based ones. */
const WHOLE = { left: 0.5, top: 0.5, side: 120 }

/**
 * The JSON holds the pose, not the camera matrix of the network, whose rows are not quite at right
 * angles: the mesh is drawn with the nearest rotation, the landmarks are exact.
 */
export function faceOf(json: FaceJson, size: { width: number; height: number }, trust: Settings['trust']): Face {
  const { rotation, translation, scale } = json.pose
  const [x, y, z] = translation
  const camera = [x, FLIP - y, z].flatMap((shift, row) => [...rotation[row].map((v) => v * scale), shift])
  if (json.coefficients.identity.length !== 40 || json.landmarks.length !== 68) throw new Error('not a face of this model')
  return new Face({
    box: json.box as Box,
    score: json.score,
    crop: WHOLE,
    params: Float64Array.from([...camera, ...json.coefficients.identity, ...json.coefficients.expression]),
    expectedNme: json.expected_nme_percent ?? 0,
    landmarks: Float64Array.from(json.landmarks.flat()),
    trust,
    size,
  })
}
