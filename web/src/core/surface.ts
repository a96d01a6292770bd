/** Normals of a mesh, and the head's own frame. */

/** (V, 3) unit normals, weighted by area; triangles are counter-clockwise from outside with y up. */
export function normals(points: Float32Array, triangles: Uint16Array): Float32Array {
  const out = new Float32Array(points.length)
  for (let t = 0; t < triangles.length; t += 3) {
    const [a, b, c] = [3 * triangles[t], 3 * triangles[t + 1], 3 * triangles[t + 2]]
    const [ux, uy, uz] = [points[b] - points[a], points[b + 1] - points[a + 1], points[b + 2] - points[a + 2]]
    const [vx, vy, vz] = [points[c] - points[a], points[c + 1] - points[a + 1], points[c + 2] - points[a + 2]]
    const [nx, ny, nz] = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx]
    for (const i of [a, b, c]) {
      out[i] += nx
      out[i + 1] += ny
      out[i + 2] += nz
    }
  }
  for (let i = 0; i < out.length; i += 3) {
    const length = Math.hypot(out[i], out[i + 1], out[i + 2]) || 1
    out[i] /= length
    out[i + 1] /= length
    out[i + 2] /= length
  }
  return out
}

/** The z of `vectors` (V, 3) of the model frame after a rotation: how much they face the camera. */
export function facing(vectors: Float32Array, rotation: number[]): Float32Array {
  const out = new Float32Array(vectors.length / 3)
  for (let i = 0; i < out.length; i++) {
    out[i] =
      rotation[6] * vectors[3 * i] + rotation[7] * vectors[3 * i + 1] + rotation[8] * vectors[3 * i + 2]
  }
  return out
}
