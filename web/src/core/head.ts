/** Open Head from head.bin: parameters to landmarks and vertices; `face_model/model.py`. */

import { FLIP } from './pose'

const N_IDENTITY = 40
const N_EXPRESSION = 10
const N_LANDMARKS = 68
const KINDS = {
  f4: Float32Array,
  f8: Float64Array,
  i2: Int16Array,
  u2: Uint16Array,
  u4: Uint32Array,
  u1: Uint8Array,
} as const

interface About {
  name: string
  millimetres_per_unit: number
  unit_names: string[]
  arrays: Record<string, [keyof typeof KINDS, number[], number]>
}

export class Head {
  readonly name: string
  readonly unitNames: string[]
  readonly millimetresPerUnit: number
  readonly vertexCount: number
  readonly triangles: Uint16Array
  /** Texture coordinates whose seam is opened; `uvSource` names the vertex of each. */
  readonly uv: Float32Array
  readonly uvSource: Uint16Array
  readonly uvTriangles: Uint16Array
  readonly landmarkVertices: Uint16Array
  readonly landmarkWeights: Float32Array
  readonly unitProblem: {
    seen: Uint8Array
    length: Float64Array
    gram: Float64Array
    pull: Float64Array
    price: Float64Array
  }
  private readonly mean: Float32Array
  private readonly basis: Int16Array[]
  private readonly scale: number[]
  private readonly landmarkMean: Float64Array
  private readonly landmarkBasis: Float64Array[]
  private readonly unitStart: Uint32Array
  private readonly unitVertices: Uint16Array
  private readonly unitMoves: Int16Array
  private readonly unitScale: Float32Array

  constructor(file: ArrayBuffer) {
    const view = new DataView(file)
    if (view.getUint32(0, false) !== 0x534e4831) throw new Error('head.bin is not a head')
    const length = view.getUint32(4, true)
    const about = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, length))) as About
    const get = <T>(name: string): T => {
      const [kind, shape, offset] = about.arrays[name]
      const count = shape.reduce((a, b) => a * b, 1)
      return new KINDS[kind](file, 8 + length + offset, count) as T
    }
    this.name = about.name
    this.unitNames = about.unit_names
    this.millimetresPerUnit = about.millimetres_per_unit
    this.mean = get('mean')
    this.vertexCount = this.mean.length / 3
    this.triangles = get('triangles')
    this.uv = get('uv')
    this.uvSource = get('uv_source')
    this.uvTriangles = get('uv_triangles')
    this.landmarkVertices = get('landmark_vertices')
    this.landmarkWeights = get('landmark_weights')
    this.unitStart = get('unit_start')
    this.unitVertices = get('unit_vertices')
    this.unitMoves = get('unit_moves')
    this.unitScale = get('unit_scale')
    this.unitProblem = {
      seen: get('unit_seen'),
      length: get('unit_length'),
      gram: get('unit_gram'),
      pull: get('unit_pull'),
      price: get('unit_price'),
    }
    const modes = (name: string, count: number): Int16Array[] => {
      const all = get<Int16Array>(name)
      return Array.from({ length: count }, (_, k) =>
        all.subarray(k * this.mean.length, (k + 1) * this.mean.length),
      )
    }
    this.basis = [...modes('identity', N_IDENTITY), ...modes('expression', N_EXPRESSION)]
    this.scale = [...get<Float32Array>('identity_scale'), ...get<Float32Array>('expression_scale')]
    this.landmarkMean = this.atLandmarks(this.mean)
    this.landmarkBasis = this.basis.map((mode, k) => this.atLandmarks(mode).map((v) => v * this.scale[k]))
  }

  /** Per-vertex x, y, z at the 68 landmarks. */
  atLandmarks(values: ArrayLike<number>): Float64Array {
    const out = new Float64Array(3 * N_LANDMARKS)
    for (let l = 0; l < N_LANDMARKS; l++) {
      for (let k = 0; k < 3; k++) {
        const weight = this.landmarkWeights[3 * l + k]
        const from = 3 * this.landmarkVertices[3 * l + k]
        for (let c = 0; c < 3; c++) out[3 * l + c] += weight * values[from + c]
      }
    }
    return out
  }

  /** (V, 3) vertices in the model frame; coefficients are 40 of identity, then 10 of expression. */
  vertices(coefficients: ArrayLike<number>): Float32Array {
    const out = Float32Array.from(this.mean)
    for (let k = 0; k < this.basis.length; k++) {
      const factor = coefficients[k] * this.scale[k]
      if (factor === 0) continue
      const mode = this.basis[k]
      for (let i = 0; i < out.length; i++) out[i] += factor * mode[i]
    }
    return out
  }

  /** (68, 3) landmarks in the model frame. */
  landmarks(coefficients: ArrayLike<number>): Float64Array {
    const out = this.landmarkMean.slice()
    this.landmarkBasis.forEach((mode, k) => {
      for (let i = 0; i < out.length; i++) out[i] += coefficients[k] * mode[i]
    })
    return out
  }

  /** Adds weights (by unit) of the expression units to vertices of the model frame, in place. */
  addUnits(vertices: Float32Array, weights: ArrayLike<number>): void {
    for (let u = 0; u < this.unitNames.length; u++) {
      if (weights[u]) this.eachMoved(u, (vertex, c, move) => (vertices[3 * vertex + c] += weights[u] * move))
    }
  }

  /** (V, 3) displacement of a unit at weight 1. */
  unit(index: number): Float32Array {
    const out = new Float32Array(this.mean.length)
    this.eachMoved(index, (vertex, c, move) => (out[3 * vertex + c] = move))
    return out
  }

  private eachMoved(unit: number, use: (vertex: number, c: number, move: number) => void): void {
    const scale = this.unitScale[unit]
    for (let i = this.unitStart[unit]; i < this.unitStart[unit + 1]; i++) {
      for (let c = 0; c < 3; c++) use(this.unitVertices[i], c, scale * this.unitMoves[3 * i + c])
    }
  }

  /** Raw parameters to landmarks, 1-based crop pixels, y down. */
  decodeLandmarks(params: ArrayLike<number>): Float64Array {
    return project(params, this.landmarks(coefficientsOf(params)))
  }
}

export const coefficientsOf = (params: ArrayLike<number>): number[] => Array.from(params).slice(12, 62)

/** Points of the model frame by the camera of raw parameters to 1-based crop pixels, y down. */
export function project<T extends Float32Array | Float64Array>(p: ArrayLike<number>, points: T): T {
  const out = points.slice() as T
  for (let i = 0; i < out.length; i += 3) {
    const [x, y, z] = [points[i], points[i + 1], points[i + 2]]
    out[i] = p[0] * x + p[1] * y + p[2] * z + p[3]
    out[i + 1] = FLIP - (p[4] * x + p[5] * y + p[6] * z + p[7])
    out[i + 2] = p[8] * x + p[9] * y + p[10] * z + p[11]
  }
  return out
}
