/** One face of a photo, and its JSON; `pipeline/face.py` and `regression/trust.py`. */

import type { Size } from './boxes'
import { coefficientsOf, project, type Head } from './head'
import { rounded, significant } from './numbers'
import { cropToImage, poseOf, quaternion, type Pose } from './pose'
import type { Box, CropBox, Settings } from './types'
import { unitWeights } from './units'

/** What a face is made of; plain data, so that it passes between threads. */
export interface FaceData {
  box: Box
  score: number
  crop: CropBox
  params: Float64Array
  expectedNme: number
  landmarks: Float64Array
  trust: Settings['trust']
  size: Size
}

export class Face implements FaceData {
  readonly box!: Box
  readonly score!: number
  readonly crop!: CropBox
  readonly params!: Float64Array
  readonly expectedNme!: number
  /** 68 times x, y, z in pixels of the photo. */
  readonly landmarks!: Float64Array
  readonly trust!: Settings['trust']
  readonly size!: Size
  readonly pose: Pose

  constructor(data: FaceData) {
    Object.assign(this, data)
    this.pose = poseOf(data.params, data.crop)
  }

  get confidence(): number {
    return confidence(this.expectedNme, this.trust)
  }

  get coefficients(): number[] {
    return coefficientsOf(this.params)
  }

  /** Vertices of the model frame to pixels of the photo: y down, z toward the viewer. */
  inPhoto(vertices: Float32Array): Float32Array {
    return cropToImage(project(this.params, vertices), this.crop)
  }

  /** As `Face.to_dict` of the Python package. */
  toJson(head: Head): Record<string, unknown> {
    const { pose } = this
    const rows = (flat: ArrayLike<number>, digits: number): number[][] =>
      Array.from({ length: flat.length / 3 }, (_, i) =>
        [0, 1, 2].map((c) => rounded(flat[3 * i + c], digits)),
      )
    const weights = unitWeights(this.coefficients.slice(40), head)
    return {
      box: this.box.map((v) => rounded(v, 2)),
      score: rounded(this.score, 4),
      confidence: rounded(this.confidence, 4),
      expected_nme_percent: rounded(this.expectedNme, 3),
      landmarks: rows(this.landmarks, 3),
      pose: {
        yaw: rounded(pose.yaw, 3),
        pitch: rounded(pose.pitch, 3),
        roll: rounded(pose.roll, 3),
        rotation: rows(pose.rotation, 6),
        quaternion: quaternion(pose.rotation).map((v) => rounded(v, 6)),
        translation: pose.translation.map((v) => rounded(v, 3)),
        scale: significant(pose.scale),
      },
      coefficients: {
        identity: this.coefficients.slice(0, 40).map(significant),
        expression: this.coefficients.slice(40).map(significant),
      },
      arkit: Object.fromEntries(head.unitNames.map((name, u) => [name, rounded(weights[u], 4)])),
    }
  }
}

/** About the chance that the true error is below `usable_nme` percent. */
export function confidence(expectedNme: number, trust: Settings['trust']): number {
  return 1 / (1 + (expectedNme / trust.usable_nme) ** trust.steepness)
}
